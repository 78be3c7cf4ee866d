"""How far limits are used, from positions and the risk budget; execution and gateway count alike; pure.

With positions q_i at marks m_i and the equity E: ``gross_exposure = sum |q_i m_i| / E``, ``symbol_exposure =
|q m| / E``. With the equity B at the begin of the UTC day and its high H: ``daily_loss = (B - E) / B``,
``drawdown = (H - E) / H``. Below 0, a profit, counts as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.events import LimitName, LimitUse
from libs.common.time_units import DAY_NS
from libs.common.trading_limits import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.common.events import LimitsUsed, Position, RiskBudget

NO_BUDGET: Final = "the portfolio has written no risk budget yet"
COUNTED: Final = 50  # newest executions of a symbol whose end counts
COUNTED_FROM: Final = 20  # fewer say too little
MINUTE_KEPT_NS: Final = 65_000_000_000  # for how long an order counts at most: a minute, and its 5 s
DIGITS: Final = 50  # sums of positions at their marks stay exact


class Kind(NamedTuple):
    """What is said of a limit wherever it is told."""

    unit: str
    of_symbol: bool  # each symbol has a use of its own; else the book has
    breach: str
    helps: str


KINDS: Final[Mapping[LimitName, Kind]] = {
    LimitName.GROSS_EXPOSURE: Kind(
        "fraction of equity",
        of_symbol=False,
        breach="refuses an order that would exceed it; exceeded by the marks, halts all",
        helps="reduce positions, or raise gross_exposure",
    ),
    LimitName.SYMBOL_EXPOSURE: Kind(
        "fraction of equity",
        of_symbol=True,
        breach="refuses an order that would exceed it; exceeded by the marks, halts the symbol",
        helps="reduce the position, or raise symbol_exposure",
    ),
    LimitName.ORDER_NOTIONAL: Kind(
        "fraction of equity",
        of_symbol=True,
        breach="refuses the order",
        helps="send a smaller order, or raise order_notional",
    ),
    LimitName.ORDERS_PER_MINUTE: Kind(
        "orders a minute",
        of_symbol=True,
        breach="refuses orders until fewer were sent in the last minute",
        helps="try again in some seconds, or raise orders_per_minute",
    ),
    LimitName.DAILY_LOSS: Kind(
        "fraction of equity at the day's begin",
        of_symbol=False,
        breach="halts all",
        helps="wait for the next UTC day, or raise daily_loss; then resume",
    ),
    LimitName.DRAWDOWN: Kind(
        "fraction of the day's highest equity",
        of_symbol=False,
        breach="halts all",
        helps="wait for the next UTC day, or raise drawdown; then resume",
    ),
    LimitName.FAILED_SHARE: Kind(
        "share of executions",
        of_symbol=True,
        breach="halts the symbol",
        helps="find why executions fail (GET /api/exec/records), then resume: they count anew",
    ),
    LimitName.MIN_LIVE_VENUES: Kind(
        "venues",
        of_symbol=True,
        breach="orders wait until so many books may be used",
        helps="wait until books are LIVE again (GET /api/l2), or lower min_live_venues",
    ),
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A use that nobody knows now, and why."""

    reason: str


def share_of_equity(worth: Decimal, budget: RiskBudget | None) -> float | Unknown:
    """Return an amount in quote units as a fraction of the equity."""
    if budget is None:
        return Unknown(NO_BUDGET)
    if budget.equity <= 0:
        return Unknown(f"the equity is {budget.equity:f}, which is nothing to be a part of")
    return float(worth / budget.equity)


def worth(position: Position | None) -> Decimal:
    """Return the size of a position at its mark, quote units; 0 without one."""
    if position is None or not position.quantity or position.mark is None:
        return Decimal(0)
    return abs(position.quantity) * Decimal(repr(position.mark))


def gross_exposure(positions: Iterable[Position], budget: RiskBudget | None) -> float | Unknown:
    """Return what all positions together are worth, of equity."""
    with localcontext(prec=DIGITS):
        return share_of_equity(sum(map(worth, positions), Decimal(0)), budget)


def symbol_exposure(position: Position | None, budget: RiskBudget | None) -> float | Unknown:
    """Return what a position is worth, of equity."""
    return share_of_equity(worth(position), budget)


def daily_loss(budget: RiskBudget | None, now: int) -> float | Unknown:
    """Return the loss since the UTC day began, of the equity at its begin; 0 for a profit."""
    return _loss(budget, None if budget is None else budget.day_equity, now)


def drawdown(budget: RiskBudget | None, now: int) -> float | Unknown:
    """Return the loss since the UTC day's highest equity, of that; 0 at the high."""
    return _loss(budget, None if budget is None else budget.day_high, now)


def _loss(budget: RiskBudget | None, from_equity: Decimal | None, now: int) -> float | Unknown:
    if budget is None:
        return Unknown(NO_BUDGET)
    if from_equity is None or budget.day_ts is None:
        return Unknown("the portfolio is of an older version, which keeps no equity of the day")
    if budget.day_ts != now // DAY_NS * DAY_NS:
        return Unknown("the portfolio has assessed nothing since the UTC day began")
    if from_equity <= 0:
        return Unknown(f"the equity that a loss is a part of is {from_equity:f}")
    return max(0.0, float((from_equity - budget.equity) / from_equity))


def failed_share(ended: int, failed: int) -> float | Unknown:
    """Return the share of a symbol's newest executions that failed; unknown while too few have ended."""
    if ended < COUNTED_FROM:
        return Unknown(f"{ended} executions have ended; it counts from {COUNTED_FROM} on")
    return failed / ended


def orders_in_a_minute(told: LimitsUsed | None, now: int) -> float:
    """Return the orders of the last minute, as execution told them last; a later one would have been told."""
    return 0.0 if told is None or now - told.ts >= MINUTE_KEPT_NS else float(told.orders)


def exceeded(name: LimitName, value: float | None, use: float) -> bool:
    """Tell whether a use is beyond its limit; one of 0 is off."""
    if not value:
        return False
    return use < value if name is LimitName.MIN_LIVE_VENUES else use > value


def headroom(name: LimitName, value: float, use: float) -> float:
    """Return how far a use is from its limit, in the limit's unit; below 0 beyond it."""
    return use - value if name is LimitName.MIN_LIVE_VENUES else value - use


def limit_use(
    name: LimitName, scope: str, value: float, use: float | Unknown, *, passing: bool = False
) -> LimitUse:
    """Return a limit that is exceeded: which, its value, the use, how far, and what helps."""
    kind = KINDS[name]
    if isinstance(use, Unknown):
        text = f"{name} of {scope} cannot be judged: {use.reason}"
        return LimitUse(limit=name, scope=scope, value=value, use=None, passing=True, text=text)
    beyond = "under" if name is LimitName.MIN_LIVE_VENUES else "over"
    far = abs(headroom(name, value, use))
    text = (
        f"{name} of {scope} is {use:.6g}, {far:.6g} {beyond} its limit of {value:.6g} ({kind.unit}):"
        f" {kind.helps}"
    )
    return LimitUse(limit=name, scope=scope, value=value, use=use, passing=passing, text=text)


def scope_of(name: LimitName, symbol: str) -> str:
    """Return whose use a limit's is."""
    return f"symbol:{symbol}" if KINDS[name].of_symbol else ALL
