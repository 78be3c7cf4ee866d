"""What callers may ask of the portfolio."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from libs.common.command_rules import CONFIDENCE, MAX_FRACTION, MAX_LOOKBACK, MAX_SYMBOLS, NEEDED_DAYS
from services.gateway.http.bodies import Body, SymbolText


class OptimizeBody(Body):
    """What a portfolio is asked for; fractions are per day."""

    symbols: Annotated[
        list[SymbolText],
        Field(min_length=1, max_length=MAX_SYMBOLS, description="each once, in any spelling"),
    ]
    cvarBudget: Annotated[  # noqa: N815 -- the caller's spelling
        float,
        Field(ge=0, le=MAX_FRACTION, description="most expected loss on the worst days, fraction per day"),
    ]
    volTarget: Annotated[  # noqa: N815 -- the caller's spelling
        float, Field(ge=0, le=MAX_FRACTION, description="volatility ceiling, fraction per day")
    ]
    mode: Annotated[
        Literal["sum_cvar", "portfolio_cvar"],
        Field(description="what the budget limits: the sum of weighted CVaRs, or the CVaR of the portfolio"),
    ] = "sum_cvar"
    lookback: Annotated[
        Annotated[int, Field(ge=NEEDED_DAYS, le=MAX_LOOKBACK)] | None,
        Field(description="days of history; null: all there are"),
    ] = None
    confidence: Annotated[float, Field(ge=CONFIDENCE[0], le=CONFIDENCE[1], description="of the CVaR")] = 0.95
