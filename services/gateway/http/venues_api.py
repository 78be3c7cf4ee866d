"""The venues' routes: the registry from its view, a score by asking the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from libs.common.events import ScoreVenues, VenueScored
from libs.common.topics import VENUES_COMMANDS, book_key
from services.gateway.http import contract
from services.gateway.http.bodies import ScoreBody
from services.gateway.http.problems import (
    ASKING,
    INVALID,
    NOT_READY,
    UNKNOWN_SYMBOL,
    ProblemError,
    not_ready,
)
from services.gateway.http.routing import answer_post, json_answer, parts_of
from services.gateway.http.symbols import symbol_of
from services.gateway.http.venues_examples import REGISTERED, SCORED
from services.gateway.http.view import encode
from services.gateway.http.views import SCORE, VENUE_ENTRY
from services.gateway.reading.venue_registry import venue_entries

if TYPE_CHECKING:
    from msgspec import Struct

    from services.gateway.asking.commands import Command

router = APIRouter()

SCORE_REQUEST: Final = contract.command_request(ScoreBody, {"symbol": "BTCUSDT", "size": 0.02})


@router.get(
    "/api/venues/registry",
    tags=["venues"],
    summary="Every venue, best first",
    responses={
        200: contract.success(
            "By the all-in cost of a reference order, then by venue id; what is not eligible comes last.",
            {"type": "array", "items": contract.reference(VENUE_ENTRY.struct)},
            [REGISTERED],
        ),
        **contract.problems(UNKNOWN_SYMBOL, INVALID, NOT_READY),
    },
)
async def registry(
    request: Request,
    symbol: Annotated[
        str | None,
        Query(
            max_length=40, description="whose figures the venues' scalars are, and only venues that have it"
        ),
    ] = None,
) -> Response:
    """Return what is measured of each venue: latency, spread, depth, fees, reliability and rate limit.

    `latency` is in ms, `spread_bps` and `feeBps` in bps, `topDepth` in base units, `reliability` and
    `rateRemaining` between 0 and 1. `score` is minus the cost of the reference order in bps.
    """
    parts = parts_of(request)
    parts.views.require_ready()
    now = parts.clock()
    metrics = list(parts.views.venues.items.values())
    if not metrics:
        lack = parts.views.fleet.lack_of("venues") or "no book has been LIVE yet"
        raise not_ready(f"Nothing is measured yet: {lack}.")
    wanted = None if symbol is None else symbol_of(symbol)
    if wanted is not None:
        having = {each.venue for each in metrics if each.symbol == wanted}
        if not having:
            known = ", ".join(sorted({each.symbol for each in metrics})) or "none yet"
            raise ProblemError(UNKNOWN_SYMBOL, f"No venue has measured {wanted}; there are: {known}.")
        metrics = [each for each in metrics if each.venue in having]
    found = ((each, parts.views.shown(book_key(each.venue, each.symbol), now)) for each in metrics)
    return json_answer(200, encode(venue_entries(found, wanted, now)))


@router.post(
    "/api/venues/score",
    tags=["venues"],
    summary="Choose a venue for an order",
    responses={
        200: contract.success("The best venue and split.", contract.reference(SCORE.struct), SCORED),
        **contract.problems(
            UNKNOWN_SYMBOL,
            *ASKING,
        ),
    },
    openapi_extra=SCORE_REQUEST,
)
async def score(request: Request) -> Response:
    """Judge every venue by the expected all-in cost of taking `size` now, and split the order over them.

    Costs are in bps of the venue's own mid: half spread, walking the book, taker fee, latency, reliability
    (rate limit included). 503 names, venue by venue, why none is eligible; 422 names the least minimum.
    """
    commands = parts_of(request).commands

    async def ask(body: ScoreBody, command: Command) -> Struct:
        symbol = symbol_of(body.symbol)
        wish = ScoreVenues(command_id=str(command.id), symbol=symbol, size=body.size, side=body.side)
        answer = await commands.ask(VENUES_COMMANDS, symbol.encode(), wish, command.correlation_id)
        assert isinstance(answer, VenueScored)  # noqa: S101 -- nothing else answers ScoreVenues, but a refusal
        return SCORE(answer)

    return await answer_post(request, ScoreBody, ask)
