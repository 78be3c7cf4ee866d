"""The paper broker: fills orders against a LIVE verified book, as a venue would; pure.

Rules. A market order, and a limit order that crosses, takes the levels from the best on, as a taker, whole
lots of each. What is left of an IOC order is canceled. The rest of a GTC limit order rests, behind what
stands at its price (`queue_position`, `queue_follow`): what trades there beyond the queue in front, or at a
worse price, fills it at its limit, as a maker, with no more than that. When the other side's best price is at
its limit or through it, nobody is in front any more, and it is filled so with no more than what stands there.
The best limit comes first, then who arrived first.

What our own orders have taken is not offered to them again: `self_impact`.

Amounts are exact: prices and sizes are the digits of the book, and nothing is rounded but `avg_px`.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec.structs import replace

from libs.common.events import ExecType, OrderFilled, OrdStatus, PaperOrder
from libs.common.time_units import NS_PER_S
from services.execution.broker.exact_amounts import BPS, EXACT, exact
from services.execution.broker.self_impact import SelfImpact, after_taking, offered, offered_to_resting

if TYPE_CHECKING:
    from libs.common.events import BookTop, TakerSide
    from libs.common.venue_fees import Fees
    from libs.common.venues.venue import Instrument


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What an order may be filled with: units that need no cash, and beyond them what the cash pays."""

    units: Decimal  # base units
    cash: Decimal  # quote units, fee included
    why: str  # why no more; stands on the order that wanted more

    def holds(self, cost: Decimal) -> Decimal:
        """Return how many units fit at that cost of one, fee included."""
        with localcontext(EXACT, rounding=ROUND_FLOOR):
            return self.units + self.cash / cost

    def less(self, qty: Decimal, cost: Decimal) -> Room:
        """Return what is left after so many units at that cost."""
        free = min(qty, self.units)
        with localcontext(EXACT):
            return replace(self, units=self.units - free, cash=self.cash - (qty - free) * cost)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What the queue of a resting order has let through to it, and where it is estimated to stand."""

    qty: Decimal  # base units, not filled yet
    ahead: float  # base units
    low: float
    high: float
    probability: float  # that so much of the order is filled by now


class Worked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order at one check."""

    order: PaperOrder
    fills: tuple[OrderFilled, ...]
    impact: SelfImpact
    let_through: Decimal = Decimal(0)  # of the fills: what came through the queue


CROSSED: Final = Due(qty=Decimal(0), ahead=0.0, low=0.0, high=0.0, probability=1.0)
"""Of an order whose price the other side has come to: nobody stands in front any more."""


def arrive(
    order: PaperOrder,
    top: BookTop,
    impact: SelfImpact | None,
    terms: Terms,
    now: int,
    room: Room | None = None,
) -> Worked:
    """Let an order reach the venue: it takes what crosses, then rests (GTC) or is canceled (IOC).

    One that the book offers more than it has room for is canceled with the rest, saying why.
    """
    worked = _take(order, top, impact, terms, now, liquidity="taker", room=room)
    order = worked.order
    if not order.ord_status.open or order.leaves_qty == 0:
        return worked
    if order.time_in_force == "gtc":
        if order.cum_qty:
            return replace(worked, order=replace(order, ord_status=OrdStatus.PARTIALLY_FILLED))
        return replace(worked, order=replace(order, ord_status=OrdStatus.NEW, exec_type=ExecType.NEW))
    limit = "" if order.price is None else f" at {order.price:f} or better"
    return replace(worked, order=cancel(order, f"the book offers no more{limit}"))


def check(
    order: PaperOrder,
    top: BookTop,
    impact: SelfImpact | None,
    terms: Terms,
    now: int,
    room: Room | None = None,
    due: Due | None = None,
) -> Worked:
    """Look what reached a resting order, through its queue or from the other side of the book.

    Without enough room it ends, as in `arrive`.
    """
    first = None if due is None else _let_through(order, due, top, impact, terms, now, room)
    if first is None:
        return _take(order, top, impact, terms, now, liquidity="maker", room=room)
    if not first.order.ord_status.open:
        return first
    if room is not None and order.price is not None:
        room = room.less(first.let_through, order.price * (1 + terms.maker_bps / BPS))
    then = _take(first.order, top, impact, terms, now, liquidity="maker", room=room)
    return replace(then, fills=(*first.fills, *then.fills), let_through=first.let_through)


def cancel(order: PaperOrder, text: str) -> PaperOrder:
    """Take what is left of an open order off the venue; its fills stay."""
    return replace(
        order, ord_status=OrdStatus.CANCELED, exec_type=ExecType.CANCELED, leaves_qty=Decimal(0), text=text
    )


def reject(order: PaperOrder, text: str) -> PaperOrder:
    """Refuse an order that was on its way."""
    return replace(
        order, ord_status=OrdStatus.REJECTED, exec_type=ExecType.REJECTED, leaves_qty=Decimal(0), text=text
    )


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue demands and takes."""

    lot: Decimal  # base units
    taker_bps: Decimal
    maker_bps: Decimal
    half_life_ns: int  # of what our orders have taken of its book


def terms_of(fees: Fees, instrument: Instrument, half_life_s: float) -> Terms:
    """Return the terms of an instrument at a venue of these fees, whose book has that half-life."""
    return Terms(
        lot=instrument.lot,
        taker_bps=exact(fees.taker_bps),
        maker_bps=exact(fees.maker_bps),
        half_life_ns=round(half_life_s * NS_PER_S),
    )


def _take(
    order: PaperOrder,
    top: BookTop,
    impact: SelfImpact | None,
    terms: Terms,
    now: int,
    *,
    liquidity: Literal["taker", "maker"],
    room: Room | None,
) -> Worked:
    fee = 1 + (terms.taker_bps if liquidity == "taker" else terms.maker_bps) / BPS
    fills: list[OrderFilled] = []
    took: list[tuple[Decimal, Decimal]] = []
    short = ""
    resting = liquidity == "maker"
    find = offered_to_resting if resting else offered
    for price, size in find(top, order.side, impact, now):
        qty = min(order.leaves_qty, _whole_lots(size, terms.lot))
        if order.leaves_qty == 0 or not within(order.side, order.price, price):
            break
        if qty == 0:
            continue
        last_px = order.price if liquidity == "maker" and order.price is not None else price
        if room is not None:
            fits = min(qty, _whole_lots(room.holds(last_px * fee), terms.lot))
            if fits < qty:
                short = room.why
            qty, room = fits, room.less(fits, last_px * fee)
        if qty == 0:
            break
        order, fill = _filled(order, qty, last_px, liquidity, terms, top, now, CROSSED if resting else None)
        fills.append(fill)
        took.append((price, qty))
        if short:
            break
    if short:
        order = cancel(order, short)
    return Worked(
        order=order,
        fills=tuple(fills),
        impact=after_taking(top, order.side, impact, took, now, terms.half_life_ns),
    )


def _let_through(
    order: PaperOrder,
    due: Due,
    top: BookTop,
    impact: SelfImpact | None,
    terms: Terms,
    now: int,
    room: Room | None,
) -> Worked | None:
    """Fill an order at its limit with what traded beyond its queue, in whole lots; None if nothing did."""
    assert order.price is not None  # noqa: S101 -- only a limit order rests
    wanted = qty = min(order.leaves_qty, _whole_lots(due.qty, terms.lot))
    if room is not None:
        with localcontext(EXACT):
            cost = order.price * (1 + terms.maker_bps / BPS)
        qty = min(qty, _whole_lots(room.holds(cost), terms.lot))
    if not wanted:
        return None
    fills: tuple[OrderFilled, ...] = ()
    if qty:
        order, fill = _filled(order, qty, order.price, "maker", terms, top, now, due)
        fills = (fill,)
    if room is not None and qty < wanted:
        order = cancel(order, room.why)
    seen_now = after_taking(top, order.side, impact, [], now, terms.half_life_ns)
    return Worked(order=order, fills=fills, impact=seen_now, let_through=qty)


def _filled(  # noqa: PLR0913, PLR0917 -- what a fill says
    order: PaperOrder,
    qty: Decimal,
    price: Decimal,
    liquidity: Literal["taker", "maker"],
    terms: Terms,
    top: BookTop,
    now: int,
    queue: Due | None = None,
) -> tuple[PaperOrder, OrderFilled]:
    fee_bps = terms.taker_bps if liquidity == "taker" else terms.maker_bps
    with localcontext(EXACT):
        fee = price * qty * fee_bps / BPS
        cum_qty, cum_quote = order.cum_qty + qty, order.cum_quote + price * qty
        fees = order.fees + fee
    leaves_qty = order.leaves_qty - qty
    after = replace(
        order,
        ord_status=OrdStatus.FILLED if leaves_qty == 0 else OrdStatus.PARTIALLY_FILLED,
        exec_type=ExecType.TRADE,
        cum_qty=cum_qty,
        leaves_qty=leaves_qty,
        cum_quote=cum_quote,
        fees=fees,
        avg_px=cum_quote / cum_qty,
        fills=order.fills + 1,
    )
    assert top.features is not None  # noqa: S101 -- a usable book has both sides
    fill = OrderFilled(
        exec_id=f"{order.cl_ord_id}/{after.fills}",
        cl_ord_id=order.cl_ord_id,
        execution_id=order.execution_id,
        venue=order.venue,
        symbol=order.symbol,
        side=order.side,
        order_qty=order.order_qty,
        last_qty=qty,
        last_px=price,
        cum_qty=cum_qty,
        leaves_qty=leaves_qty,
        avg_px=cum_quote / cum_qty,
        fee=fee,
        liquidity=liquidity,
        mid=top.features.mid,
        expected_px=order.expected_px,
        latency_ns=now - order.submitted_ts,
        epoch=top.epoch,
        seq=top.seq,
        ts=now,
        queue_ahead=None if queue is None else queue.ahead,
        queue_ahead_low=None if queue is None else queue.low,
        queue_ahead_high=None if queue is None else queue.high,
        fill_probability=None if queue is None else queue.probability,
    )
    return after, fill


def within(side: TakerSide, limit: Decimal | None, price: Decimal) -> bool:
    """Tell whether an order of that limit takes that price; None is no limit."""
    if limit is None:
        return True
    return price <= limit if side == "buy" else price >= limit


def _whole_lots(size: Decimal, lot: Decimal) -> Decimal:
    whole = size - size % lot
    return whole.max(whole.quantize(lot))  # of two equal ones that with fewer digits
