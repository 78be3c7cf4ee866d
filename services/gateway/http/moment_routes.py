"""The route of a moment's state."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from services.gateway.http import openapi
from services.gateway.http import problems as p
from services.gateway.http import requests as r
from services.gateway.http.openapi import answers, reference
from services.gateway.http.parts import caller_of, json_answer, parts_of
from services.gateway.http.presence import while_there
from services.gateway.reading.as_of import PastDocument
from services.gateway.reading.moment_answer import MomentAnswer

router = APIRouter()


def _answers() -> openapi.Answers:
    found = answers(
        "Of now, or as it was.",
        reference(MomentAnswer),
        *(p.UNKNOWN_SYMBOL, p.NOT_KNOWN_THEN, *openapi.TAKES_A_PLACE),
    )
    found[p.NOT_KNOWN_THEN.status]["content"][p.MEDIA_TYPE]["schema"] = reference(
        p.ProblemDocument, PastDocument
    )
    return found


@router.get(
    "/api/at",
    tags=["stream"],
    summary="The state of a moment",
    responses=_answers(),
)
async def get_moment(request: Request, moment: r.Moment = None, symbol: r.TopsOf = None) -> Response:
    """Return the newest record of each key that is not after a moment, of every topic that is state.

    These are the books' subscriptions, tops and healths, the venues' metrics, the router's snapshots and last
    choices, policies, signals, sizings, trading controls, positions, risk, equity, allocations, processes,
    and of executions, each whole, the newest 50 and all that run. Of the past, tops are rebuilt from the
    books' deltas, as `GET /api/l2/{venue}/{symbol}?at=` does, with the features of their levels; one that is
    not proven stands in `missing`. A process, a health, or a measurement of a venue that was last told more
    than 15 s before the moment may be left out.
    """
    parts = parts_of(request)
    wanted = None if symbol is None else r.symbol_of(symbol)
    work = parts.moments.body(moment, wanted, caller_of(request))
    return json_answer(200, await while_there(request.receive, work))
