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
    ExecType,
    Fault,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderSubmitted,
    OrdStatus,
    PaperOrder,
    PaperOrderPlaced,
    Refusal,
)
from libs.common.handling import WakeAt
from libs.common.time_units import NS_PER_S
from libs.common.topics import book_key
from libs.common.venues import venue_of
from services.execution import refusals
from services.execution.broker import holdings, order_limits, paper_broker
from services.execution.broker.order_faults import limit_fault, size_fault
from services.execution.broker.paper_broker import exact, terms_of
from services.execution.decide.marks import fill_mark
from services.execution.market_data import Unusable
from services.execution.saga import bounds
from services.execution.saga.record import newest, record_fill
from services.execution.saga.standing import impact_of
from services.execution.saga.state import OwnOrder, impact_key, order_key

if TYPE_CHECKING:
    from libs.common.events import CancelExecution, Event, SubmitPaperOrder
    from libs.common.handling import State
    from libs.common.venues.venue import Instrument
    from services.execution.broker.paper_broker import Worked
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
    assert top.features is not None  # noqa: S101 -- of a usable book
    instrument = instruments[top.venue]
    best = top.asks[0][0] if command.side == "buy" else top.bids[0][0]
    if faults := _faults_at(instrument, command, exact(best)):
        return [rejected(command, command.symbol, Refusal.INVALID, now, *faults)]
    reserved = order_limits.reserve(state, command, market, top, now)
    if not isinstance(reserved, Decimal):
        return [reserved]
    order = PaperOrder(
        cl_ord_id=command.command_id,
        execution_id=None,
        venue=top.venue,
        symbol=command.symbol,
        side=command.side,
        order_qty=command.order_qty,
        ord_type=command.ord_type,
        price=command.price,
        time_in_force=command.time_in_force,
        ord_status=OrdStatus.PENDING_NEW,
        exec_type=ExecType.PENDING_NEW,
        cum_qty=ZERO,
        leaves_qty=command.order_qty,
        cum_quote=ZERO,
        fees=ZERO,
        avg_px=None,
        submitted_ts=now,
        arrives_ts=now + market.latency_ns(top.venue, command.symbol),
        mid=top.features.mid,
        best_px=best,
        expected_px=expected_px(command, top),
        epoch=top.epoch,
        seq=top.seq,
    )
    state.put(order_key(order.cl_ord_id), OwnOrder(order=order, reserved=reserved, instrument=instrument))
    return [OrderSubmitted(order=order, ts=now), _wake(order, order.arrives_ts, "arrive")]


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
    if kept.order.ord_status is not OrdStatus.PENDING_NEW:
        return []
    order = kept.order
    top = market.book(order.venue, order.symbol, now)
    fault = f"the venue's book may not be used: {top.reason}" if isinstance(top, Unusable) else ""
    if isinstance(top, BookTop) and order_limits.room(state, order, market, top) is None:
        fault = "the book's equity is not known"
    if isinstance(top, Unusable) or fault:
        gone = paper_broker.reject(order, fault)
        after = _keep(state, replace(kept, order=gone))
        return [
            OrderRejected(order=gone, ts=now),
            placed(after, order.cl_ord_id, now),
            *_later(after, market, now),
        ]
    accepted = replace(order, ord_status=OrdStatus.NEW, exec_type=ExecType.NEW)
    found = _worked(state, kept, top, market, now, arriving=True)
    after = state[order_key(order.cl_ord_id)]
    return [
        OrderAccepted(order=accepted, ts=now),
        *found,
        placed(after, order.cl_ord_id, now),
        *_later(after, market, now),
    ]


def on_check(state: State[Any], kept: OwnOrder, market: MarketData, now: int) -> list[Event | WakeAt]:
    """Look whether the book has come to a resting order; a book that is not LIVE fills nothing."""
    if not kept.order.ord_status.open:
        return []
    top = market.book(kept.order.venue, kept.order.symbol, now)
    found = _worked(state, kept, top, market, now, arriving=False) if isinstance(top, BookTop) else []
    return [*found, *_later(state[order_key(kept.order.cl_ord_id)], market, now)]


def cancel(
    state: State[Any], kept: OwnOrder, command: CancelExecution, market: MarketData, now: int
) -> list[Event | WakeAt]:
    """Take what is left of an order off the venue; one that is no more open is told as it is."""
    if not kept.order.ord_status.open:
        return [placed(kept, command.command_id, now)]
    arriving = kept.order.ord_status is OrdStatus.PENDING_NEW
    gone = paper_broker.cancel(kept.order, "canceled on request")
    after = _keep(state, replace(kept, order=gone))
    answers = [placed(after, gone.cl_ord_id, now)] if arriving else []
    return [
        OrderCanceled(order=gone, ts=now),
        *answers,
        placed(after, command.command_id, now),
        *_later(after, market, now),
    ]


def work(
    state: State[Any], kept: OwnOrder, top: BookTop, market: MarketData, now: int, *, arriving: bool
) -> Worked | None:
    """Return what the book makes of an order; None while what it may be filled with is not known."""
    order = kept.order
    terms = terms_of(venue_of(order.venue), kept.made_to, market.settings.book_half_life_s)
    impact = impact_of(state, top)
    meet = paper_broker.arrive if arriving else paper_broker.check
    worked = meet(order, top, impact, terms, now)
    if not worked.fills:
        return worked
    room = order_limits.room(state, order, market, top)  # does what is held or free allow that now?
    return None if room is None else meet(order, top, impact, terms, now, room)


def _worked(
    state: State[Any], kept: OwnOrder, top: BookTop, market: MarketData, now: int, *, arriving: bool
) -> list[Event]:
    order, worked = kept.order, work(state, kept, top, market, now, arriving=arriving)
    if worked is None:
        return []
    key = impact_key(order.venue, order.symbol)
    if worked.fills or worked.impact != state.get(key):  # a fill ends what was only looked at
        state.put(key, worked.impact)
    for fill in worked.fills:
        holdings.note(state, fill, fill_mark(market, fill).mid)
    if worked.order != order:
        fills = newest((*kept.fills, *(record_fill(fill, order) for fill in worked.fills)))
        _keep(state, replace(kept, order=worked.order, fills=fills))
    gone = worked.order.ord_status is OrdStatus.CANCELED
    return [*worked.fills, *([OrderCanceled(order=worked.order, ts=now)] if gone else [])]


def _keep(state: State[Any], kept: OwnOrder) -> OwnOrder:
    state.put(order_key(kept.order.cl_ord_id), kept)
    return kept


def _later(kept: OwnOrder, market: MarketData, now: int) -> list[WakeAt]:
    if kept.order.ord_status.open:
        return [WakeAt(now + CHECK_NS, check_name(kept.order).encode())]
    return [_wake(kept.order, now + round(market.settings.remember_s * NS_PER_S), "forget")]


def check_name(order: PaperOrder) -> str:
    """Return the name of the tick at which a resting order is looked at."""
    return f"order/{order.cl_ord_id}/check"


def _wake(order: PaperOrder, ts: int, purpose: str) -> WakeAt:
    return WakeAt(ts, f"order/{order.cl_ord_id}/{purpose}".encode())


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
