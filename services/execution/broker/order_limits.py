"""The most that an order on its own may buy or sell: what is held, and what the book's cash pays; pure.

Executions are sized by the same numbers (`saga`). An order is weighed twice. When sent (`reserve`),
other open orders count as if they were filled wherever that leaves less: a sell has reserved what it sells, a
buy the cash it was accepted at, of whatever symbol this partition works. When it is filled, hours later
perhaps (`room`), what is held and free then counts: orders of other partitions are known by their fills.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import BOOK
from services.execution import refusals
from services.execution.broker import holdings
from services.execution.broker.exact_amounts import BPS, EXACT, exact
from services.execution.broker.paper_broker import Room
from services.execution.broker.self_impact import offered
from services.execution.kept import impact_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import BookTop, CommandRejected, PaperOrder, RiskBudget, SubmitPaperOrder
    from libs.common.handling import State
    from services.execution.market_data import MarketData

ZERO: Final = Decimal(0)
ENDLESS: Final = Decimal("1e30")  # base units: more than any order


def reserve(
    state: State[Any], command: SubmitPaperOrder, market: MarketData, top: BookTop, now: int
) -> Decimal | CommandRejected:
    """Return the cash that an order reserves, quote units, 0 for a sell; or why it may not be sent."""
    with localcontext(EXACT):
        if command.side == "sell":
            return _sold(state, command, market, top, now)
        return _bought(state, command, market, top, now)


def room(state: State[Any], order: PaperOrder, market: MarketData, top: BookTop) -> Room | None:
    """Return what an order may be filled with now; None while that is not known."""
    symbol = order.symbol
    held = holdings.held(state, symbol, market.positions.items.get(symbol.encode()))
    budget = market.risk.items.get(BOOK.encode())
    with localcontext(EXACT):
        meant = holdings.meant(state, symbol, order.side)
        if order.side == "sell":
            free = max(ZERO, held - meant)
            why = f"insufficient_position: {held:f} is held, executions sell {meant:f}"
            if not market.settings.allow_short or order.leaves_qty <= free:
                return Room(units=free, cash=ZERO, why=why)
            if budget is None:
                return None
            cap = _short_cap(market, budget, top)
            return Room(units=max(ZERO, held - meant + cap), cash=ZERO, why=why)
        covers = max(ZERO, -held - meant)  # needs no cash
        if order.leaves_qty <= covers:
            return Room(units=covers, cash=ZERO, why="")
        if budget is None:
            return None
        owed = _owed(state, symbol, market, top)
        cash = max(ZERO, market.cash(budget) - owed)
        why = f"insufficient_cash: {cash:.2f} is free, {owed:.2f} is for fills and executions not yet in it"
        return Room(units=covers, cash=cash, why=why)


def _owed(state: State[Any], symbol: str, market: MarketData, top: BookTop) -> Decimal:
    """Return the cash that fills not yet in the positions took, and that executions still mean to spend."""
    positions = market.positions.items
    assert top.features is not None  # noqa: S101 -- of a usable book
    mid, fee = exact(top.features.mid), 1 + exact(market.fees(top.venue).taker_bps) / BPS
    bought = holdings.ahead(state, symbol, positions.get(symbol.encode()))
    bought_at = max(mid, holdings.last_px(state, symbol))
    here = (bought * bought_at + holdings.meant(state, symbol, "buy") * mid) * fee
    return here + holdings.owed_elsewhere(state, symbol, positions)


def _short_cap(market: MarketData, budget: RiskBudget, top: BookTop) -> Decimal:
    assert top.features is not None  # noqa: S101 -- of a usable book
    return exact(market.settings.position_cap) * max(ZERO, budget.equity) / exact(top.features.mid)


def _sold(
    state: State[Any], command: SubmitPaperOrder, market: MarketData, top: BookTop, now: int
) -> Decimal | CommandRejected:
    symbol = command.symbol
    held = holdings.held(state, symbol, market.positions.items.get(symbol.encode()))
    reserved = holdings.open_quantity(state, symbol, "sell")
    free = held - reserved
    if command.order_qty <= free:
        return ZERO
    lot = market.instrument_at(top).lot
    known = f"{held:f} is held, open orders sell {reserved:f}"
    if not market.settings.allow_short:
        return _beyond(command, now, lot, free, f"{known}; EXECUTION_ALLOW_SHORT is off")
    budget = market.risk.items.get(BOOK.encode())
    if budget is None:
        return _no_equity(command, now)
    cap = _short_cap(market, budget, top)
    if command.order_qty <= free + cap:
        return ZERO
    return _beyond(command, now, lot, free + cap, f"{known}; a short is at most EXECUTION_POSITION_CAP")


def _bought(
    state: State[Any], command: SubmitPaperOrder, market: MarketData, top: BookTop, now: int
) -> Decimal | CommandRejected:
    budget = market.risk.items.get(BOOK.encode())
    if budget is None:
        return _no_equity(command, now)
    symbol = command.symbol
    position = market.positions.items.get(symbol.encode())
    held = holdings.held(state, symbol, position)
    fee = 1 + exact(market.fees(top.venue).taker_bps) / BPS
    owed = _owed(state, symbol, market, top) + holdings.reserved_cash(state)
    cash = max(ZERO, market.cash(budget) - owed)
    covers = max(ZERO, -held - holdings.open_quantity(state, symbol, "buy"))  # needs no cash, as in sizing
    most, left = covers, cash
    needed, wanted = ZERO, max(ZERO, command.order_qty - covers)
    for price, size in _asked(state, command, top, covers, now):
        cost = price * fee
        needed += min(size, wanted) * cost
        wanted -= min(size, wanted)
        if left <= size * cost:
            most += left / cost
            break
        most, left = most + size, left - size * cost
    if needed <= cash:
        return needed
    lot = market.instrument_at(top).lot
    return _beyond(command, now, lot, most, f"{cash:.2f} of cash is free, {owed:.2f} is for other orders")


def _asked(
    state: State[Any], command: SubmitPaperOrder, top: BookTop, free: Decimal, now: int
) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield (price, size) of what a buy pays beyond the first `free` units; the last level has no end."""
    if command.price is not None:
        yield command.price, ENDLESS
        return
    last = exact(top.asks[0][0])
    for price, size in offered(top, "buy", impact_of(state, top), now):
        last = price
        if size > free:
            yield price, size - free
        free = max(ZERO, free - size)
    yield last, ENDLESS


def _beyond(command: SubmitPaperOrder, now: int, lot: Decimal, most: Decimal, why: str) -> CommandRejected:
    with localcontext(EXACT, rounding=ROUND_FLOOR):
        most = max(ZERO, (most / lot).to_integral_value() * lot).normalize()
    verb = "bought" if command.side == "buy" else "sold"
    return refusals.invalid(command, now, "order_qty", f"at most {most:f} can be {verb} now: {why}")


def _no_equity(command: SubmitPaperOrder, now: int) -> CommandRejected:
    detail = "The book's equity is not known yet: the portfolio has written no risk budget."
    return refusals.unavailable(command, now, detail)
