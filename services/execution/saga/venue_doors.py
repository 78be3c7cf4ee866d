"""Whether an execution may send to a venue now; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.topics import book_key
from libs.common.trading_limits import halt_of
from services.execution.limits.gate import halted
from services.execution.market_data import Unusable

if TYPE_CHECKING:
    from services.execution.market_data import MarketData
    from services.execution.saga.phases import Scoring

RATE_SPENT: Final = 0.0  # what is left of a venue's rate when no order goes there


def closed_door(market: MarketData, saga: Scoring, venue: str, now: int, *, sent: bool = False) -> str:
    """Return why nothing may be sent there now; "" where it may.

    Its book is not usable, it is halted, or its rate is spent; that one matters not to what was `sent`.
    """
    halt = halt_of(market.controls.halts, saga.symbol, venue=venue, policy_id=saga.policy.policy_id)
    if halt is not None:
        return f"{venue} {saga.symbol}: {halted(halt)}"
    top = market.book(venue, saga.symbol, now)
    if isinstance(top, Unusable):
        return top.reason
    metrics = market.metrics.items.get(book_key(venue, saga.symbol))
    if not sent and metrics is not None and metrics.rate_remaining <= RATE_SPENT:
        return f"{venue} {saga.symbol}: the venue's rate is spent"
    return ""
