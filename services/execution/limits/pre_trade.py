"""What refuses an order before it is sent: too much, too many, too few venues; nothing is halted; pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import BOOK, BookTop, LimitName
from libs.common.limit_uses import Unknown, exceeded, limit_use, scope_of, share_of_equity
from services.execution.broker import holdings
from services.execution.broker.exact_amounts import EXACT, exact
from services.execution.kept import kept_of
from services.execution.limits.counters import counts_of

if TYPE_CHECKING:
    from libs.common.events import Limits, LimitUse, TakerSide
    from libs.common.handling import State
    from services.execution.market_data import MarketData

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class WishedOrder:
    """An order that is about to be sent."""

    symbol: str
    venue: str
    side: TakerSide
    qty: Decimal  # base units, over 0
    price: Decimal  # quote units: its limit, else the best price of the side that it takes

    @property
    def signed_qty(self) -> Decimal:
        """What it makes of the position, base units."""
        return self.qty if self.side == "buy" else -self.qty


def order_fault(
    state: State[Any], market: MarketData, order: WishedOrder, now: int, *, open_qty: Decimal = ZERO
) -> LimitUse | None:
    """Return the limit that an order would exceed at `now` (ns UTC); None if it may be sent.

    Parameters
    ----------
    open_qty
        What other children of the symbol on the same side, at a venue or on their way, may still fill, base
        units. Orders on their own count by themselves.
    """
    limits = market.limits(order.symbol)
    return (
        _begin_fault(state, market, order.symbol, limits, now)
        or _notional_fault(state, market, order, limits)
        or _exposure_fault(state, market, order, limits, open_qty)
    )


def begin_fault(state: State[Any], market: MarketData, symbol: str, now: int) -> LimitUse | None:
    """Return the limit that refuses any order of a symbol at `now` (ns UTC); None if there is none."""
    return _begin_fault(state, market, symbol, market.limits(symbol), now)


def live_venues(market: MarketData, symbol: str, now: int) -> int:
    """Return how many venues have a book of the symbol that may be used."""
    return sum(isinstance(book, BookTop) for book in market.books(symbol, now).values())


def _begin_fault(
    state: State[Any], market: MarketData, symbol: str, limits: Limits, now: int
) -> LimitUse | None:
    name, most = LimitName.ORDERS_PER_MINUTE, limits.orders_per_minute
    sent = counts_of(state, symbol).sent(now) + 1
    if exceeded(name, most, sent):
        return limit_use(name, scope_of(name, symbol), most or 0, sent, passing=True)
    name, least = LimitName.MIN_LIVE_VENUES, limits.min_live_venues
    if least and (live := live_venues(market, symbol, now)) < least:
        return limit_use(name, scope_of(name, symbol), least, live, passing=True)
    return None


def _held(state: State[Any], market: MarketData, symbol: str) -> Decimal:
    return holdings.held(state, symbol, market.positions.items.get(symbol.encode()))


def _after(
    state: State[Any], market: MarketData, order: WishedOrder, open_qty: Decimal
) -> tuple[Decimal, Decimal]:
    """Return what is held, orders on the way counted as filled, without the order and with it, base units."""
    with localcontext(EXACT):
        way = holdings.resting(state, order.symbol, order.side) + open_qty
        before = _held(state, market, order.symbol) + (way if order.side == "buy" else -way)
        return before, before + order.signed_qty


def _notional_fault(
    state: State[Any], market: MarketData, order: WishedOrder, limits: Limits
) -> LimitUse | None:
    name, most = LimitName.ORDER_NOTIONAL, limits.order_notional
    if not most:
        return None
    budget = market.risk.items.get(BOOK.encode())
    with localcontext(EXACT):
        use = share_of_equity(order.qty * order.price, budget)
    if isinstance(use, Unknown):
        before = _held(state, market, order.symbol)
        reduces = abs(before + order.signed_qty) <= abs(before)
        return None if reduces else limit_use(name, scope_of(name, order.symbol), most, use)
    if exceeded(name, most, use):
        return limit_use(name, scope_of(name, order.symbol), most, use)
    return None


def _exposure_fault(
    state: State[Any], market: MarketData, order: WishedOrder, limits: Limits, open_qty: Decimal
) -> LimitUse | None:
    """Return the exposure that would be too large with the order; one that reduces it never is."""
    if not limits.symbol_exposure and not limits.gross_exposure:
        return None
    before, after = _after(state, market, order, open_qty)
    if abs(after) <= abs(before):
        return None
    budget = market.risk.items.get(BOOK.encode())
    with localcontext(EXACT):
        here = abs(after) * order.price
        uses = {
            LimitName.SYMBOL_EXPOSURE: share_of_equity(here, budget),
            LimitName.GROSS_EXPOSURE: share_of_equity(here + _others(state, market, order.symbol), budget),
        }
    for name, use in uses.items():
        most = getattr(limits, name)
        if most and (isinstance(use, Unknown) or exceeded(name, most, use)):
            return limit_use(name, scope_of(name, order.symbol), most, use)
    return None


def _others(state: State[Any], market: MarketData, symbol: str) -> Decimal:
    """Return what is held of all other symbols, at their marks or newest fills, quote units."""
    positions = market.positions.items
    known = {key.decode(errors="replace") for key in positions} | kept_of(state).held
    worth = ZERO
    for other in known - {symbol}:
        position = positions.get(other.encode())
        mark = None if position is None or position.mark is None else exact(position.mark)
        price = mark or holdings.last_px(state, other)
        worth += abs(holdings.held(state, other, position)) * price
    return worth
