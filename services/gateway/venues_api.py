"""The venues' routes: the registry from its view, a score by asking the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from libs.common.events import ScoreVenues, VenueScored
from libs.common.instruments import UnknownSymbolError, canonical_symbol
from libs.common.topics import VENUES_COMMANDS, book_key
from services.gateway import contract
from services.gateway.answers import encode
from services.gateway.bodies import ScoreBody
from services.gateway.problems import (
    ASKING,
    INVALID,
    NOT_READY,
    UNKNOWN_SYMBOL,
    ProblemError,
)
from services.gateway.routing import answer_post, json_answer, parts_of
from services.gateway.venues_answers import ScoreAnswer, VenueEntry, registry_answer, score_answer

if TYPE_CHECKING:
    from services.gateway.commands import Command

SCORE: Final = "/api/venues/score"

router = APIRouter()


REGISTRY_EXAMPLE: Final = {
    "venue": "binance",
    "symbol": "BTC-USDT",
    "score": -10.3,
    "latency": 3.5,
    "latencyP99": 11.0,
    "spread_bps": 0.02,
    "topDepth": 4.2,
    "feeBps": 10.0,
    "fees": {"takerBps": 10.0, "makerBps": 10.0},
    "reliability": 0.997,
    "rateRemaining": 0.92,
    "state": "LIVE",
    "symbols": [],
}
SCORE_EXAMPLE: Final = {
    "venue": "binance",
    "score": -10.42,
    "reasons": ["taker fee 10 bps", "walks 3 levels: 0.31 bps"],
    "candidates": [
        {
            "venue": "binance",
            "score": -10.42,
            "eligible": True,
            "costBps": {"spread": 0.01, "impact": 0.31, "fee": 10.0, "latency": 0.09, "reliability": 0.01},
            "reasons": ["taker fee 10 bps", "walks 3 levels: 0.31 bps"],
            "mid": 60000.15,
            "basisBps": 0.2,
            "epoch": 1767225541000,
            "seq": 48211,
        }
    ],
    "allocation": [{"venue": "binance", "size": 0.02}],
    "savingBps": 0.0,
    "symbol": "BTC-USDT",
    "side": "buy",
    "size": 0.02,
    "commandId": "7b1f7e5e-6a0e-5d2f-9d4d-8f0f6f3c1a11",
    "ts": 1767225600131,
}
SCORE_REQUEST: Final[dict[str, Any]] = {
    "parameters": [contract.IDEMPOTENCY_HEADER],
    "requestBody": {
        "required": True,
        "content": {
            contract.JSON: {
                "schema": contract.reference(ScoreBody),
                "example": {"symbol": "BTCUSDT", "size": 0.02},
            }
        },
    },
}


@router.get(
    "/api/venues/registry",
    tags=["venues"],
    summary="Every venue, best first",
    responses={
        200: contract.success(
            "By the all-in cost of a reference order, then by venue id; what is not eligible comes last.",
            {"type": "array", "items": contract.reference(VenueEntry)},
            [REGISTRY_EXAMPLE],
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
    wanted = None if symbol is None else _symbol_of(symbol)
    if wanted is not None:
        having = {each.venue for each in metrics if each.symbol == wanted}
        if not having:
            known = ", ".join(sorted({each.symbol for each in metrics})) or "none yet"
            raise ProblemError(UNKNOWN_SYMBOL, f"No venue has measured {wanted}; there are: {known}.")
        metrics = [each for each in metrics if each.venue in having]
    found = ((each, parts.views.shown(book_key(each.venue, each.symbol), now)) for each in metrics)
    return json_answer(200, encode(registry_answer(found, wanted, now)))


@router.post(
    SCORE,
    tags=["venues"],
    summary="Choose a venue for an order",
    responses={
        200: contract.success("The best venue and split.", contract.reference(ScoreAnswer), SCORE_EXAMPLE),
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
    questions = parts_of(request).questions

    async def ask(body: ScoreBody, command: Command) -> ScoreAnswer:
        symbol = _symbol_of(body.symbol)
        wish = ScoreVenues(command_id=str(command.id), symbol=symbol, size=body.size, side=body.side)
        answer = await questions.ask(VENUES_COMMANDS, symbol.encode(), wish, command.correlation_id)
        assert isinstance(answer, VenueScored)  # noqa: S101 -- nothing else answers ScoreVenues, but a refusal
        return score_answer(answer)

    return await answer_post(request, ScoreBody, ask)


def _symbol_of(text: str) -> str:
    try:
        return canonical_symbol(text)
    except UnknownSymbolError as error:
        raise ProblemError(UNKNOWN_SYMBOL, f"{error}.") from error
