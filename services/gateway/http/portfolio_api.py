"""The routes of the portfolio: weights on demand, positions and risk from views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from libs.common.events import BOOK, OptimizePortfolio, PortfolioOptimized
from libs.common.topics import PORTFOLIO_COMMANDS
from services.gateway.http import contract
from services.gateway.http import views as answers
from services.gateway.http.bodies import invalid
from services.gateway.http.decision_examples import PORTFOLIO, POSITION, RISK
from services.gateway.http.portfolio_body import OptimizeBody
from services.gateway.http.problems import (
    ASKING,
    INVALID,
    NOT_READY,
    UNAVAILABLE,
    UNKNOWN_NAME,
    UNKNOWN_SYMBOL,
    FieldError,
    ProblemError,
)
from services.gateway.http.routing import answer_post, json_answer, parts_of
from services.gateway.http.symbols import symbol_of
from services.gateway.http.view import encode

if TYPE_CHECKING:
    from msgspec import Struct

    from services.gateway.asking.commands import Command

OPTIMIZE_EXAMPLE: Final = {"symbols": ["BTCUSDT", "ETHUSDT"], "cvarBudget": 0.05, "volTarget": 0.02}

router = APIRouter(tags=["portfolio"])


@router.post(
    "/api/portfolio/optimize",
    summary="Weights within a CVaR budget and a volatility ceiling",
    responses={
        200: contract.success(
            "Weights that obey every limit, and how far from the best they can be; cash where that is all.",
            contract.reference(answers.PORTFOLIO.struct),
            PORTFOLIO,
        ),
        **contract.problems(
            UNKNOWN_SYMBOL,
            *ASKING,
        ),
    },
    openapi_extra=contract.command_request(OptimizeBody, OPTIMIZE_EXAMPLE),
)
async def optimize(request: Request) -> Response:
    """Maximise mean-variance utility over daily returns of the reference venue.

    Weights are at least 0 and sum to at most 1; the rest is cash. An answer exists for every budget and every
    ceiling from 0 on.
    """

    async def ask(body: OptimizeBody, command: Command) -> Struct:
        spelt = _spelt(body.symbols)
        wish = OptimizePortfolio(
            command_id=str(command.id),
            book=BOOK,
            symbols=tuple(spelt),
            cvar_budget=body.cvarBudget,
            vol_target=body.volTarget,
            mode=body.mode,
            lookback=body.lookback,
            confidence=body.confidence,
        )
        commands = parts_of(request).commands
        event = await commands.ask(PORTFOLIO_COMMANDS, BOOK.encode(), wish, command.correlation_id)
        assert isinstance(event, PortfolioOptimized)  # noqa: S101 -- nothing else answers this command
        return answers.PORTFOLIO(event, spelt=spelt)

    return await answer_post(request, OptimizeBody, ask)


@router.get(
    "/api/portfolio/positions",
    summary="Every position",
    responses={
        200: contract.success(
            "By symbol.",
            {"type": "array", "items": contract.reference(answers.POSITION.struct)},
            [POSITION],
        ),
        **contract.problems(NOT_READY),
    },
)
async def positions(request: Request) -> Response:
    """Return what is held of each symbol that was ever filled, valued at its last mark."""
    views = parts_of(request).views
    views.require_ready()
    found = [answers.POSITION(views.positions.items[key]) for key in sorted(views.positions.items)]
    return json_answer(200, encode(found))


@router.get(
    "/api/portfolio/risk",
    summary="What the positions use of the CVaR budget",
    responses={
        200: contract.success(
            "The newest assessment of a book.",
            contract.reference(answers.RISK.struct),
            RISK,
        ),
        **contract.problems(UNKNOWN_NAME, INVALID, NOT_READY, UNAVAILABLE),
    },
)
async def risk(
    request: Request,
    book: Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="name of the book")] = BOOK,
) -> Response:
    """Return how much of the budget is used and left, with the CVaR of one unit of weight per symbol."""
    views = parts_of(request).views
    views.require_ready()
    budget = views.risks.items.get(book.encode())
    if budget is None and not views.risks.items:
        raise ProblemError(UNAVAILABLE, "The portfolio has assessed no book yet.", retry_after_s=1)
    if budget is None:
        known = ", ".join(sorted(key.decode("utf-8", "replace") for key in views.risks.items))
        raise ProblemError(UNKNOWN_NAME, f"There is no book {book!r}; there is: {known}.")
    return json_answer(200, encode(answers.RISK(budget)))


def _spelt(symbols: list[str]) -> dict[str, str]:
    """Return the callers' spellings by canonical symbol."""
    spelt: dict[str, str] = {}
    for at, text in enumerate(symbols):
        symbol = symbol_of(text, f"symbols.{at}")
        if symbol in spelt:
            raise invalid([FieldError(f"symbols.{at}", f"{text!r} is {spelt[symbol]!r} again; name it once")])
        spelt[symbol] = text
    return spelt
