"""Orders on their own, sent to the same paper broker as those of executions; pure.

An order's id is that of its command. It is answered when it has reached the venue; what rests (GTC) is
filled when its book comes to it (`early.py`), until it is filled or canceled.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from libs.common.all_in_price import best_book, depth_of, taken_side, walk
from libs.common.command_rules import rejected
from libs.common.events import (
    BookTop,
    Fault,
    OrderSubmitted,
    OrdStatus,
    PaperOrderPlaced,
    Refusal,
)
from libs.common.handling import WakeAt
from libs.common.time_units import NS_PER_S
from libs.common.topics import book_key
from services.execution import bounds, refusals
from services.execution.broker import order_life, order_limits, paper_broker, queue_follow
from services.execution.broker.exact_amounts import exact
from services.execution.broker.order_faults import limit_fault, size_fault
from services.execution.broker.order_index import RESTS
from services.execution.broker.order_life import newest, record_fill
from services.execution.broker.own_order import OwnOrder, order_key
from services.execution.limits import gate
from services.execution.limits.counters import note_order
from services.execution.market_data import Unusable
from services.execution.timers import Forget, OrderArrives, OrderChecked, name_of

if TYPE_CHECKING:
    from libs.common.events import CancelExecution, Event, PaperOrder, SubmitPaperOrder
    from libs.common.handling import State
    from libs.common.venues.venue import Instrument
    from services.execution.broker.paper_broker import Room, Worked
    from services.execution.broker.queue_position import Queue
    from services.execution.market_data import MarketData

ZERO: Final = Decimal(0)
CHECK_NS: Final = 3_600_000_000_000  # a resting order's tick, should its book not come to it before


def submit(
    state: State[Any], command: SubmitPaperOrder, market: MarketData, now: int
) -> list[Event | WakeAt]:
    """Send an order on its way, or refuse it: unknown, wrong, one too many, too much, or no LIVE book."""
    instruments = market.instruments(command.symbol)
    if not instruments or (command.venue is not None and command.venue not in instruments):
        field = "venue" if instruments else "symbol"
        listed = f"{command.symbol}; listed at: {', '.join(instruments) or 'none'}."
        detail = f"{command.venue} does not list {listed}" if command.venue else f"No venue lists {listed}"
        return [refusals.unknown(command, now, field, detail)]
    if faults := _kind_faults(command):
        return [rejected(command, command.symbol, Refusal.INVALID, now, *faults)]
    if full := bounds.no_order(state, command.symbol, command.time_in_force, market.settings):
        return [refusals.unavailable(command, now, full)]
    top = _venue_book(command, market, now)
    if isinstance(top, Unusable):
        return [refusals.unavailable(command, now, f"{top.reason}.")]
    instrument = instruments[top.venue]
    best = exact(order_life.best_of(top, command.side))
    if faults := _faults_at(instrument, command, best):
        return [rejected(command, command.symbol, Refusal.INVALID, now, *faults)]
    reserved = order_limits.reserve(state, command, market, top, now)
    if not isinstance(reserved, Decimal):
        return [reserved]
    if refused := gate.own_order(state, command, market, top.venue, best, now):
        return [refused]
    note_order(state, command.symbol, now)
    wish = order_life.Wish(
        cl_ord_id=command.command_id,
        execution_id=None,
        side=command.side,
        qty=command.order_qty,
        ord_type=command.ord_type,
        price=command.price,
        time_in_force=command.time_in_force,
        expected_px=expected_px(command, top),
    )
    order = order_life.submitted(wish, top, market, now)
    state.put(order_key(order.cl_ord_id), OwnOrder(order=order, reserved=reserved, instrument=instrument))
    return [
        OrderSubmitted(order=order, ts=now),
        WakeAt(order.arrives_ts, name_of(OrderArrives(order.cl_ord_id))),
    ]


def _kind_faults(command: SubmitPaperOrder) -> list[Fault]:
    """Return what is wrong with an order whatever the venue."""
    found = []
    if command.ord_type == "limit" and command.price is None:
        found.append(Fault(field="price", message="a limit order needs one, over 0"))
    if command.ord_type == "market" and command.price is not None:
        found.append(Fault(field="price", message="a market order has none"))
    if command.ord_type == "market" and command.time_in_force == "gtc":
        found.append(Fault(field="time_in_force", message="a market order is IOC"))
    return found


def _faults_at(instrument: Instrument, command: SubmitPaperOrder, best: Decimal) -> list[Fault]:
    """Return what its venue would refuse of an order that takes the price `best`, or its limit."""
    found = [
        ("order_qty", size_fault(instrument, command.order_qty, command.price or best)),
        ("price", None if command.price is None else limit_fault(instrument, command.price)),
    ]
    return [Fault(field=field, message=wrong) for field, wrong in found if wrong is not None]


def placed(kept: OwnOrder, command_id: str, now: int) -> PaperOrderPlaced:
    """Return the answer about an order as it stands."""
    order, fills = kept.order, newest(kept.fills)
    return PaperOrderPlaced(command_id=command_id, order=order, fills=fills, fills_total=order.fills, ts=now)


def on_arrival(state: State[Any], kept: OwnOrder, market: MarketData, now: int) -> list[Event | WakeAt]:
    """Let an order reach its venue, and answer."""
    order = kept.order
    if order.ord_status is not OrdStatus.PENDING_NEW:
        return []
    top = market.book(order.venue, order.symbol, now)
    fault = f"the venue's book may not be used: {top.reason}" if isinstance(top, Unusable) else ""
    if isinstance(top, BookTop) and order_limits.room(state, order, market, top) is None:
        fault = "the book's equity is not known"
    if isinstance(top, Unusable) or fault:
        gone = order_life.refused(order, fault, now)
        after = _keep(state, replace(kept, order=gone.order))
        return [gone, placed(after, order.cl_ord_id, now), *_later(after, market, now)]
    found = _worked(state, kept, top, market, now)
    after = state[order_key(order.cl_ord_id)]
    return [*found, placed(after, order.cl_ord_id, now), *_later(after, market, now)]


def on_check(state: State[Any], kept: OwnOrder, market: MarketData, now: int) -> list[Event | WakeAt]:
    """Look whether the book has come to a resting order; a book that is not LIVE fills nothing."""
    if not kept.order.ord_status.open:
        return []
    top = market.book(kept.order.venue, kept.order.symbol, now)
    found = _worked(state, kept, top, market, now) if isinstance(top, BookTop) else []
    return [*found, *_later(state[order_key(kept.order.cl_ord_id)], market, now)]


def cancel(
    state: State[Any], kept: OwnOrder, command: CancelExecution, market: MarketData, now: int
) -> list[Event | WakeAt]:
    """Take what is left of an order off the venue; one that is no more open is told as it is."""
    withdrawn = (
        withdraw(state, kept, "canceled on request", market, now) if kept.order.ord_status.open else []
    )
    after = state[order_key(kept.order.cl_ord_id)]
    return [*withdrawn, placed(after, command.command_id, now)]


def withdraw(
    state: State[Any], kept: OwnOrder, why: str, market: MarketData, now: int
) -> list[Event | WakeAt]:
    """Take what is left of an open order off the venue, and answer if that is still awaited."""
    arriving = kept.order.ord_status is OrdStatus.PENDING_NEW
    gone = order_life.withdrawn(kept.order, why, now)
    after = _keep(state, replace(kept, order=gone.order))
    answers = [placed(after, gone.order.cl_ord_id, now)] if arriving else []
    return [gone, *answers, *_later(after, market, now)]


def work(state: State[Any], kept: OwnOrder, top: BookTop, market: MarketData, now: int) -> Worked | None:
    """Return what the book makes of an order; None while what it may be filled with is not known."""

    def room() -> Room | None:  # does what is held or free allow that now?
        return order_limits.room(state, kept.order, market, top)

    queue_follow.follow(state, top, market)
    due = queue_follow.due(state, kept)
    return order_life.meet(state, kept.order, kept.made_to, top, market, now, room=room, due=due)


def _worked(state: State[Any], kept: OwnOrder, top: BookTop, market: MarketData, now: int) -> list[Event]:
    order, worked = kept.order, work(state, kept, top, market, now)
    if worked is None or worked.order == order:
        if queue_follow.shorter(state, order_key(order.cl_ord_id)):
            _keep(state, replace(kept, queue=queue_follow.newest(state, kept, ZERO, crossed=False)))
        if worked is None:
            return []
    met = order_life.settle(state, order, worked, market, now)
    if met.order != order:
        fills = newest((*kept.fills, *(record_fill(fill, order) for fill, _ in met.fills)))
        kept = replace(kept, order=met.order, fills=fills)
        _keep(state, replace(kept, queue=_queue(state, kept, order, worked, top, market)))
    return [*met.events]


def _queue(
    state: State[Any], kept: OwnOrder, before: PaperOrder, worked: Worked, top: BookTop, market: MarketData
) -> Queue | None:
    """Return the queue to be kept of an order that arrived or was filled; None of one that does not rest."""
    if kept.order.ord_status not in RESTS:
        return None
    if before.ord_status is OrdStatus.PENDING_NEW:
        return queue_follow.joined(state, kept, top, market)
    crossed = sum((fill.last_qty for fill in worked.fills), ZERO) > worked.let_through
    return queue_follow.newest(state, kept, worked.let_through, crossed=crossed)


def _keep(state: State[Any], kept: OwnOrder) -> OwnOrder:
    state.put(order_key(kept.order.cl_ord_id), kept)
    return kept


def _later(kept: OwnOrder, market: MarketData, now: int) -> list[WakeAt]:
    name = kept.order.cl_ord_id
    if kept.order.ord_status.open:
        return [WakeAt(now + CHECK_NS, name_of(OrderChecked(name)))]
    return [WakeAt(now + round(market.settings.remember_s * NS_PER_S), name_of(Forget("order", name)))]


def _venue_book(command: SubmitPaperOrder, market: MarketData, now: int) -> BookTop | Unusable:
    """Return the book of the venue asked for, else of the one that is best all in, as `venues` scores it."""
    if command.venue is not None:
        return market.book(command.venue, command.symbol, now)
    books = market.books(command.symbol, now)
    found = [book for book in books.values() if isinstance(book, BookTop)]
    if not found:
        return next(book for book in books.values() if isinstance(book, Unusable))
    metrics = market.metrics.items
    offers = [
        (book, market.instrument_at(book), metrics.get(book_key(book.venue, book.symbol))) for book in found
    ]
    return best_book(offers, command.side, float(command.order_qty))


def expected_px(command: SubmitPaperOrder, top: BookTop) -> float:
    """Return the average price of what the order would take at once, the best one where it takes nothing."""
    levels = taken_side(top, command.side)
    within = [level for level in levels if paper_broker.within(command.side, command.price, exact(level[0]))]
    size = min(float(command.order_qty), depth_of(within))
    walked = walk(within, size) if size > 0 else None
    return levels[0][0] if walked is None else walked.vwap
