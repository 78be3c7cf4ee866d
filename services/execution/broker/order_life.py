"""The life of a paper order at its venue, alike of a child and of an order on its own; pure.

Submitted, it is on its way; it reaches the venue, or is refused there; it is filled, rests, or is canceled.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from libs.common.events import (
    ExecType,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrdStatus,
    PaperOrder,
    RecordFill,
)
from libs.common.record_view import FILLS_KEPT
from services.execution.broker import holdings, paper_broker
from services.execution.broker.own_order import impact_key
from services.execution.decide.marks import fill_mark
from services.execution.kept import impact_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.common.events import BookTop, Event, OrderFilled, OrdType, TakerSide, TimeInForce
    from libs.common.handling import State
    from libs.common.venues.venue import Instrument
    from services.execution.broker.paper_broker import Due, Room, Worked
    from services.execution.decide.marks import Mark
    from services.execution.market_data import MarketData

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Wish:
    """An order that is to be sent."""

    cl_ord_id: str
    execution_id: str | None
    side: TakerSide
    qty: Decimal  # base units
    ord_type: OrdType
    price: Decimal | None
    time_in_force: TimeInForce
    expected_px: float


@dataclass(frozen=True, slots=True)
class Met:
    """What became of an order at its venue."""

    order: PaperOrder
    accepted: OrderAccepted | None
    fills: tuple[tuple[OrderFilled, Mark], ...]  # each with the reference mid then
    canceled: OrderCanceled | None

    @property
    def events(self) -> tuple[Event, ...]:
        """What is to be told of it, in order."""
        found = (self.accepted, *(fill for fill, _ in self.fills), self.canceled)
        return tuple(event for event in found if event is not None)


def submitted(wish: Wish, top: BookTop, market: MarketData, now: int) -> PaperOrder:
    """Return an order on its way to the venue of a usable book."""
    assert top.features is not None  # noqa: S101 -- of a usable book
    return PaperOrder(
        cl_ord_id=wish.cl_ord_id,
        execution_id=wish.execution_id,
        venue=top.venue,
        symbol=top.symbol,
        side=wish.side,
        order_qty=wish.qty,
        ord_type=wish.ord_type,
        price=wish.price,
        time_in_force=wish.time_in_force,
        ord_status=OrdStatus.PENDING_NEW,
        exec_type=ExecType.PENDING_NEW,
        cum_qty=ZERO,
        leaves_qty=wish.qty,
        cum_quote=ZERO,
        fees=ZERO,
        avg_px=None,
        submitted_ts=now,
        arrives_ts=now + market.latency_ns(top.venue, top.symbol),
        mid=top.features.mid,
        best_px=best_of(top, wish.side),
        expected_px=wish.expected_px,
        epoch=top.epoch,
        seq=top.seq,
    )


def best_of(top: BookTop, side: TakerSide) -> float:
    """Return the best price that a taker of `side` is offered."""
    return top.asks[0][0] if side == "buy" else top.bids[0][0]


def meet(  # noqa: PLR0913 -- what an order meets
    state: State[Any],
    order: PaperOrder,
    made_to: Instrument,
    top: BookTop,
    market: MarketData,
    now: int,
    *,
    room: Callable[[], Room | None] | None = None,
    due: Due | None = None,
) -> Worked | None:
    """Return what a usable book makes of an order that arrives there, or rests; changes nothing.

    None while what it may be filled with, which `room` tells, is not known. `due` is what has come
    through the queue of one that rests.
    """
    terms = paper_broker.terms_of(market.fees(order.venue), made_to, market.settings.book_half_life_s)
    impact = impact_of(state, top)
    arriving = order.ord_status is OrdStatus.PENDING_NEW
    look = paper_broker.arrive if arriving else partial(paper_broker.check, due=due)
    worked = look(order, top, impact, terms, now)
    if not worked.fills or room is None:
        return worked
    most = room()
    return None if most is None else look(order, top, impact, terms, now, most)


def settle(state: State[Any], before: PaperOrder, worked: Worked, market: MarketData, now: int) -> Met:
    """Keep what came of it: what was taken of the book, and what is held."""
    key = impact_key(before.venue, before.symbol)
    if worked.fills or worked.impact != state.get(key):  # a fill ends what was only looked at
        state.put(key, worked.impact)
    fills = []
    for fill in worked.fills:
        mark = fill_mark(market, fill)
        holdings.note(state, fill, mark.mid)
        fills.append((fill, mark))
    accepted = None
    if before.ord_status is OrdStatus.PENDING_NEW:
        taken = replace(before, ord_status=OrdStatus.NEW, exec_type=ExecType.NEW)
        accepted = OrderAccepted(order=taken, ts=now)
    gone = worked.order.ord_status is OrdStatus.CANCELED
    canceled = OrderCanceled(order=worked.order, ts=now) if gone else None
    return Met(worked.order, accepted, tuple(fills), canceled)


def refused(order: PaperOrder, why: str, now: int) -> OrderRejected:
    """Return the end of an order that its venue does not take."""
    return OrderRejected(order=paper_broker.reject(order, why), ts=now)


def withdrawn(order: PaperOrder, why: str, now: int) -> OrderCanceled:
    """Return the end of an order that is taken back."""
    return OrderCanceled(order=paper_broker.cancel(order, why), ts=now)


def record_fill(fill: OrderFilled, order: PaperOrder) -> RecordFill:
    """Return a fill as the record tells it, with the book its order was submitted on."""
    return RecordFill(
        fill_id=fill.exec_id,
        order_id=fill.cl_ord_id,
        venue=fill.venue,
        side=fill.side,
        size=fill.last_qty,
        price=fill.last_px,
        fee=fill.fee,
        mid=order.mid,
        best_px=order.best_px,
        ts=fill.ts,
    )


def newest(fills: tuple[RecordFill, ...]) -> tuple[RecordFill, ...]:
    """Return those that are kept and told, so that a record stays far under what Kafka takes."""
    return fills[-FILLS_KEPT:]
