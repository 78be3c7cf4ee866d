"""The JSON of the portfolio's routes, and how it is built from the portfolio's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta

from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import PortfolioOptimized, Position, RiskBudget

DAY_FORMAT: Final = "start of the day, ms since 1970 UTC"
# Limits by the names that callers use for them.
LIMITS: Final = {"cvar_budget": "cvarBudget", "vol_target": "volTarget", "invested": "invested"}

OPTIMIZE_EXAMPLE: Final = {"symbols": ["BTCUSDT", "ETHUSDT"], "cvarBudget": 0.05, "volTarget": 0.02}


class CvarAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Expected loss on the worst days, fraction per day."""

    sum: Annotated[float, Meta(description="sum of weight times bySymbol; at least `portfolio`")]
    portfolio: Annotated[float, Meta(description="of the weights over the days of history")]
    by_symbol: Annotated[
        dict[str, float], Meta(description="of one unit of weight, at least 0; none without history")
    ]
    limits: Annotated[
        dict[str, float],
        Meta(description="bySymbol as the budget counts it: below 120 days a cautious value, never less"),
    ]


class PortfolioAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The weights of greatest utility within the limits; fractions are per day of 24 h UTC."""

    weights: Annotated[dict[str, float], Meta(description="shares of capital, keyed as asked")]
    cash: Annotated[float, Meta(description="1 less the weights")]
    vol: Annotated[float, Meta(description="sqrt(w' covariance w), fraction per day")]
    vol_historical: Annotated[float, Meta(description="sample deviation over the days, fraction per day")]
    cvar: Annotated[CvarAnswer, Meta(description="expected loss on the worst days, fraction per day")]
    expected_return: Annotated[float, Meta(description="mean'w, fraction per day")]
    kelly: Annotated[
        dict[str, float], Meta(description="advisory: clip(0.25 mean / variance, 0, 1), each on its own")
    ]
    binding: Annotated[tuple[str, ...], Meta(description="limits with a positive shadow price")]
    shadow_prices: Annotated[dict[str, float], Meta(description="utility per unit of a limit")]
    status: Annotated[
        str, Meta(description="`optimal`, `all_cash`, `tolerance_not_met` or `insufficient_history`")
    ]
    reason: Annotated[str, Meta(description="why this status, in words")]
    utility: Annotated[float, Meta(description="mean'w - riskAversion / 2 w' covariance w")]
    gap: Annotated[float, Meta(description="proven: no weights within the limits have more utility by more")]
    observations: Annotated[int, Meta(description="days of returns in common")]
    needed: Annotated[int, Meta(description="days below which all is cash")]
    horizon_days: Annotated[int, Meta(description="of returns, volatilities and CVaR: 1 day")]
    first_day: Annotated[int | None, Meta(description=DAY_FORMAT)]
    last_day: Annotated[int | None, Meta(description=DAY_FORMAT)]
    dropped: Annotated[
        tuple[str, ...], Meta(description="weight 0: too little history, or one that has ended")
    ]
    mode: str
    confidence: Annotated[float, Meta(description="of the CVaR")]
    lookback: Annotated[int | None, Meta(description="days asked for; null: all there are")]
    cvar_budget: float
    vol_target: float
    symbols: Annotated[tuple[str, ...], Meta(description="the order of the covariance's rows, as asked")]
    mean: Annotated[dict[str, float], Meta(description="shrunk expected return, fraction per day")]
    covariance: Annotated[
        tuple[tuple[float, ...], ...], Meta(description="shrunk, in the order of `symbols`")
    ]
    risk_aversion: float
    venue: Annotated[str, Meta(description="whose daily candles")]
    command_id: Annotated[str, Meta(description="UUID of the OptimizePortfolio that was asked")]
    ts: Annotated[int, Meta(description="ms since 1970 UTC")]


class PositionAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is held of a symbol; exact decimals are JSON strings, amounts in quote units."""

    symbol: str
    quantity: Annotated[str, Meta(description="base units, signed")]
    avg_price: Annotated[str | None, Meta(description="average cost, quote units; null while flat")]
    mark: Annotated[float | None, Meta(description="mid of a LIVE book, else the last known, quote units")]
    mark_ts: Annotated[int | None, Meta(description="when the mark was known, ms since 1970 UTC")]
    realized_pnl: Annotated[str, Meta(description="fees apart, quote units")]
    unrealized_pnl: str
    fees: str
    cash: Annotated[str, Meta(description="paid (-) and received (+), fees included, quote units")]
    fills: int
    ts: Annotated[int, Meta(description="ms since 1970 UTC")]


class SymbolRiskAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A symbol's part of the risk."""

    cvar: Annotated[float, Meta(description="of one unit of weight in the direction held, fraction per day")]
    vol: Annotated[float, Meta(description="fraction per day")]
    weight: Annotated[float, Meta(description="position value / equity, signed")]
    used: Annotated[float, Meta(description="|weight| times cvar")]
    observations: Annotated[int, Meta(description="days of history")]
    assumed: Annotated[bool, Meta(description="held with too little history: a total loss is assumed")]


class RiskAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much of the CVaR budget the positions use."""

    book: str
    equity: Annotated[str, Meta(description="quote units: initial capital plus all profit and loss")]
    cvar_budget: Annotated[float, Meta(description="fraction per day")]
    cvar_used: float
    cvar_left: float
    by_symbol: dict[str, SymbolRiskAnswer]
    confidence: float
    observations: Annotated[int, Meta(description="days of history, the least of any symbol")]
    venue: str
    ts: Annotated[int, Meta(description="ms since 1970 UTC")]


def portfolio_answer(event: PortfolioOptimized, spelt: Mapping[str, str]) -> PortfolioAnswer:
    """Return the answer keyed as the caller spelt the symbols (by canonical symbol)."""

    def keyed(values: Mapping[str, float]) -> dict[str, float]:
        return {spelt[symbol]: value for symbol, value in values.items()}

    return PortfolioAnswer(
        weights=keyed(event.weights),
        cash=event.cash,
        vol=event.vol,
        vol_historical=event.vol_historical,
        cvar=CvarAnswer(
            sum=event.cvar_sum,
            portfolio=event.cvar_portfolio,
            by_symbol=keyed(event.cvar_by_symbol),
            limits=keyed(event.cvar_limits),
        ),
        expected_return=event.expected_return,
        kelly=keyed(event.kelly),
        binding=tuple(LIMITS[name] for name in event.binding),
        shadow_prices={LIMITS[name]: price for name, price in event.shadow_prices.items()},
        status=event.status,
        reason=event.reason,
        utility=event.utility,
        gap=event.gap,
        observations=event.observations,
        needed=event.needed,
        horizon_days=event.horizon_days,
        first_day=_ms(event.first_day_ts),
        last_day=_ms(event.last_day_ts),
        dropped=tuple(spelt[symbol] for symbol in event.dropped),
        mode=event.mode,
        confidence=event.confidence,
        lookback=event.lookback,
        cvar_budget=event.cvar_budget,
        vol_target=event.vol_target,
        symbols=tuple(spelt[symbol] for symbol in event.mean),
        mean=keyed(event.mean),
        covariance=event.covariance,
        risk_aversion=event.risk_aversion,
        venue=event.venue,
        command_id=event.command_id,
        ts=event.ts // NS_PER_MS,
    )


def position_answer(position: Position) -> PositionAnswer:
    """Return one line of the positions."""
    return PositionAnswer(
        symbol=position.symbol,
        quantity=f"{position.quantity:f}",
        avg_price=None if position.avg_price is None else f"{position.avg_price.normalize():f}",
        mark=position.mark,
        mark_ts=_ms(position.mark_ts),
        realized_pnl=f"{position.realized_pnl:f}",
        unrealized_pnl=f"{position.unrealized_pnl:f}",
        fees=f"{position.fees:f}",
        cash=f"{position.cash:f}",
        fills=position.fills,
        ts=position.ts // NS_PER_MS,
    )


def risk_answer(budget: RiskBudget) -> RiskAnswer:
    """Return the risk of a book."""
    fields: dict[str, Any] = {
        symbol: SymbolRiskAnswer(**msgspec.structs.asdict(risk)) for symbol, risk in budget.by_symbol.items()
    }
    return RiskAnswer(
        book=budget.book,
        equity=f"{budget.equity:f}",
        cvar_budget=budget.cvar_budget,
        cvar_used=budget.cvar_used,
        cvar_left=budget.cvar_left,
        by_symbol=fields,
        confidence=budget.confidence,
        observations=budget.observations,
        venue=budget.venue,
        ts=budget.ts // NS_PER_MS,
    )


def _ms(ts: int | None) -> int | None:
    return None if ts is None else ts // NS_PER_MS
