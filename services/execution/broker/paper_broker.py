"""The paper broker: fills orders against a LIVE verified book, as a venue would; pure.

Rules. A market order, and a limit order that crosses, takes the levels from the best on, as a taker, whole
lots of each. What is left of an IOC order is canceled. The rest of a GTC limit order rests: when the book
changes and the other side's best price is at its limit or through it, it is filled at its limit, as a maker,
with no more than what stands there; the best limit first, then who arrived first. (A touch of its own side
fills nothing: its place in the queue is not known.)

Self-impact. A taker is not offered what our orders have taken of that side of the book, whatever its price,
until it has come back: `depletion`. An order that rests is filled by what others bring to its price, so it
finds no more than that either, and of a level no more than what was added since we took of it. Of a level
that shrinks, no more is left than it shows. One that is back within `GONE_NS`, or that a book synchronised
anew (a new epoch) shows, is new only in its size above what was taken.

Amounts are exact: prices and sizes are the digits of the book, and nothing is rounded but `avg_px`.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec.structs import replace

from libs.common.events import (
    Event,
    ExecType,
    OrderFilled,
    OrdStatus,
    PaperOrder,
    TakerSide,
)
from libs.common.time_units import MINUTE_NS, NS_PER_S
from services.execution.broker.depletion import Depleted, beyond, deplete, taken_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import BookTop, Level
    from libs.common.venues.venue import Instrument, Venue

EXACT: Final = Context(prec=60)  # products of a price, a size and a fee stay exact
BPS: Final = Decimal(10_000)
GONE_NS: Final = MINUTE_NS  # how long a level that disappeared is remembered


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one level our orders have taken."""

    side: TakerSide  # of the orders that took it
    price: Decimal
    shown: Decimal  # the level's size in the feed when last looked at
    taken: Decimal
    gone_ts: int | None = None  # when the feed no longer showed it


class SelfImpact(Event, frozen=True, kw_only=True):
    """What our orders have taken of a book; state."""

    epoch: int  # of the book when last looked at
    levels: tuple[Taken, ...] = ()  # as resting orders find them
    depleted: tuple[Depleted, ...] = ()  # as takers find it, by side


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


class Worked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order at one check."""

    order: PaperOrder
    fills: tuple[OrderFilled, ...]
    impact: SelfImpact


def exact(number: float) -> Decimal:
    """Return the digits of a number of the book."""
    return Decimal(repr(number))


def offered(
    top: BookTop, side: TakerSide, impact: SelfImpact | None, now: int
) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield (price, size) of what a taker of `side` is offered at `now`, best first: beyond what we took."""
    taken = Decimal(0) if impact is None else taken_of(impact.depleted, side, now)
    return beyond(_levels(top, side), taken)


def offered_to_resting(
    top: BookTop, side: TakerSide, impact: SelfImpact | None, now: int
) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield (price, size) of what a resting order of `side` finds at `now`, best first.

    Of each level it is what a taker is offered, but no more than it shows without what we took of it.
    """
    taken = {level.price: level.taken for level in _standing(top, impact) if level.side == side}
    shown = dict(_levels(top, side)) if taken else {}
    for price, size in offered(top, side, impact, now):
        left = min(size, shown[price] - taken[price]) if price in taken else size
        if left > 0:
            yield price, left


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
) -> Worked:
    """Look whether the book has come to a resting order; without enough room it ends, as in `arrive`."""
    return _take(order, top, impact, terms, now, liquidity="maker", room=room)


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


def terms_of(venue: Venue, instrument: Instrument, half_life_s: float) -> Terms:
    """Return the terms of an instrument at a venue, whose book comes back with that half-life."""
    return Terms(
        lot=instrument.lot,
        taker_bps=exact(venue.taker_bps),
        maker_bps=exact(venue.maker_bps),
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
        order, fill = _filled(order, qty, last_px, liquidity, terms, top, now)
        fills.append(fill)
        took.append((price, qty))
        if short:
            break
    if short:
        order = cancel(order, short)
    return Worked(
        order=order, fills=tuple(fills), impact=_with(top, order.side, impact, took, now, terms.half_life_ns)
    )


def _filled(
    order: PaperOrder,
    qty: Decimal,
    price: Decimal,
    liquidity: Literal["taker", "maker"],
    terms: Terms,
    top: BookTop,
    now: int,
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
    )
    return after, fill


def within(side: TakerSide, limit: Decimal | None, price: Decimal) -> bool:
    """Tell whether an order of that limit takes that price; None is no limit."""
    if limit is None:
        return True
    return price <= limit if side == "buy" else price >= limit


def seen(impact: SelfImpact, top: BookTop) -> SelfImpact:
    """Return what is taken of a book that shows this now."""
    return replace(impact, epoch=top.epoch, levels=tuple(_standing(top, impact)))


def _whole_lots(size: Decimal, lot: Decimal) -> Decimal:
    whole = size - size % lot
    return whole.max(whole.quantize(lot))  # of two equal ones that with fewer digits


def _levels(top: BookTop, side: TakerSide) -> Iterator[tuple[Decimal, Decimal]]:
    levels: tuple[Level, ...] = top.asks if side == "buy" else top.bids
    return ((exact(price), exact(size)) for price, size in levels)


def _standing(top: BookTop, impact: SelfImpact | None) -> list[Taken]:
    """Return what is still taken of each level, as the feed shows it now."""
    if impact is None or not impact.levels:
        return []
    anew = impact.epoch != top.epoch
    shown = {side: dict(_levels(top, side)) for side in {level.side for level in impact.levels}}
    seen = (
        _seen(level, shown[level.side].get(level.price), top.received_ts, anew=anew)
        for level in impact.levels
    )
    return [level for level in seen if level is not None]


def _seen(level: Taken, shown: Decimal | None, ts: int, *, anew: bool) -> Taken | None:
    """Return what is taken of a level that now shows so much; None where there is nothing to remember.

    Of a book synchronised `anew` nobody knows what went and came in between: its levels are as if back.
    """
    gone_ts = level.gone_ts
    if not shown:
        gone_ts = ts if gone_ts is None else gone_ts
        return replace(level, gone_ts=gone_ts) if ts - gone_ts < GONE_NS else None
    if gone_ts is not None and ts - gone_ts >= GONE_NS:
        return None
    if gone_ts is not None or anew:  # it is back
        return replace(level, shown=shown, taken=min(level.taken, shown), gone_ts=None)
    removed = max(Decimal(0), level.shown - shown)  # of what we took first: what is left fits what is shown
    taken = max(Decimal(0), level.taken - removed)
    return replace(level, shown=shown, taken=taken) if taken else None


def _with(
    top: BookTop,
    side: TakerSide,
    impact: SelfImpact | None,
    took: list[tuple[Decimal, Decimal]],
    now: int,
    half_life_ns: int,
) -> SelfImpact:
    standing = _standing(top, impact)
    depleted = () if impact is None else impact.depleted
    if not took:
        return SelfImpact(epoch=top.epoch, levels=tuple(standing), depleted=depleted)
    levels = {(level.side, level.price): level for level in standing}
    shown = dict(_levels(top, side))
    for price, qty in took:
        before = levels.get((side, price))
        taken = qty if before is None else min(before.taken + qty, shown[price])  # what came back is there
        levels[side, price] = Taken(side=side, price=price, shown=shown[price], taken=taken)
    with localcontext(EXACT):
        total = sum((qty for _, qty in took), Decimal(0))
    return SelfImpact(
        epoch=top.epoch,
        levels=tuple(levels.values()),
        depleted=deplete(depleted, side, total, now, half_life_ns),
    )
