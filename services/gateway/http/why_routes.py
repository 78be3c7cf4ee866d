"""The routes that explain: why a symbol is traded now, or is not, and how an execution came about."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from services.gateway.http import openapi
from services.gateway.http import problems as p
from services.gateway.http import requests as r
from services.gateway.http.executions import id_of
from services.gateway.http.openapi import answers, reference
from services.gateway.http.parts import caller_of, json_answer, ready_parts_of
from services.gateway.http.presence import while_there
from services.gateway.reading.gates import WhyAnswer
from services.gateway.reading.stage import LineageAnswer

router: Final = APIRouter(tags=["executions"])


@router.get(
    "/api/why",
    summary="Why a symbol is traded now, or is not",
    responses=answers(
        "The gates of each symbol that has a book, by name.",
        reference(WhyAnswer),
        *(p.UNKNOWN_SYMBOL, *openapi.TAKES_A_PLACE),
    ),
)
async def why(request: Request, symbol: r.OnlySymbol = None) -> Response:
    """Return the chain of gates from a signal to an order, the first closed one, and how far each is.

    The size is made again by the execution service's own function, with what the topics say now; the choice,
    its forecast and the signals of built-in policies are those of the symbol's last decision, and `words` say
    of when. An open chain says that an execution with this policy would send an order now; the router draws
    anew for each. What only the execution service knows is not counted: fills that the portfolio has not seen
    yet, and what orders on their own reserve.
    """
    parts = ready_parts_of(request)
    wanted = None if symbol is None else r.symbol_of(symbol)
    work = parts.why.body(wanted, caller_of(request))
    return json_answer(200, await while_there(request.receive, work))


@router.get(
    "/api/exec/{execution_id}/lineage",
    summary="How an execution came about",
    responses=answers(
        "The way as far as it has come.",
        reference(LineageAnswer),
        *(p.UNKNOWN_NAME, *openapi.TAKES_A_PLACE),
    ),
)
async def lineage(request: Request, execution_id: r.ExecutionPath) -> Response:
    """Return the way from a book's change over the choice, the size and the orders to what was learnt.

    Each stage has its numbers, and the record that told them; where a topic does not keep that any more, the
    execution's audit entry, which holds the same. The way of one that was skipped or failed ends with why.
    """
    parts = ready_parts_of(request)
    work = parts.lineages.body(id_of(parts, execution_id), caller_of(request))
    return json_answer(200, await while_there(request.receive, work))
