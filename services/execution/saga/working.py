"""An execution from its plan to its end: each leg sends its children, one at a time; pure.

``filled + open + unscheduled`` of a leg is what it is to fill, and the legs sum to the order, after any
message. What a child does not fill is spread over the slices still to come; after the last one it is tried
again until the patience ends. What a leg cannot send goes to the others, where there are any.
"""

from __future__ import annotations

from dataclasses import replace
from string import digits
from typing import TYPE_CHECKING, Final

from libs.common.events import ExecutionStatus
from libs.common.time_units import NS_PER_S
from services.execution.broker import holdings
from services.execution.broker.exact_amounts import exact
from services.execution.broker.order_faults import size_fault
from services.execution.broker.order_life import best_of
from services.execution.decide.slicing import pov_child
from services.execution.limits.counters import note_order
from services.execution.limits.pre_trade import WishedOrder, order_fault
from services.execution.market_data import Unusable
from services.execution.saga import children
from services.execution.saga.child_schedule import next_child, patient_until
from services.execution.saga.completion import end
from services.execution.saga.phases import ZERO, Working, volume_from_ts
from services.execution.saga.reallocation import give_away
from services.execution.saga.venue_doors import closed_door
from services.execution.timers import SliceDue

if TYPE_CHECKING:
    from libs.common.events import BookTop, LimitUse
    from services.execution.market_data import MarketData
    from services.execution.saga.child_schedule import NextChild
    from services.execution.saga.phases import Course, Leg
    from services.execution.saga.unit_of_work import UnitOfWork

MOST_CHILDREN: Final = (
    600  # those of the longest deadline, and retries; a record of so many fits in a message
)
_NO_DIGITS: Final = str.maketrans("", "", digits)


def goes_on(work: Working, course: Course, market: MarketData, now: int) -> bool:
    """Tell whether a leg that waits need not any more, or waits for another reason.

    Another number in its reason, an age or a seq, is no other one.
    """
    for leg in work.legs:
        at = course.legs[leg.venue]
        if not at.waiting or at.child is not None or at.over is not None:
            continue
        coming = next_child(course, leg)
        if coming is None or coming.due_ts > now:
            continue
        why = closed_door(market, work, leg.venue, now)
        if why.translate(_NO_DIGITS) != at.waiting.translate(_NO_DIGITS):
            return True
    return False


def on_slice(unit: UnitOfWork) -> None:
    """Send the next child of each leg, if its time has come and its book is LIVE; else wait."""
    if not isinstance(unit.saga, Working):
        return
    for leg in unit.saga.legs:
        if isinstance(unit.saga, Working):
            _go_on(unit, leg)


def on_arrival(unit: UnitOfWork, cl_ord_id: str) -> None:
    """Let a child reach the paper broker."""
    if not isinstance(unit.saga, Working):
        return
    for leg in unit.saga.legs:
        n = unit.course.legs[leg.venue].child
        if n is None or unit.child(n).order.cl_ord_id != cl_ord_id:
            continue
        top = unit.market.book(leg.venue, unit.symbol, unit.now)
        why = closed_door(unit.market, unit.work, leg.venue, unit.now, sent=True)
        if isinstance(top, Unusable) or why:
            children.refuse(unit, leg, unit.child(n), f"the venue's book may not be used: {why}")
        else:
            children.reach(unit, leg, unit.child(n), top)
        _after_child(unit, leg)
        return


def _go_on(unit: UnitOfWork, leg: Leg) -> None:
    at = unit.course.legs[leg.venue]
    if at.over is not None or at.child is not None:
        return
    coming = next_child(unit.course, leg)
    if coming is None:
        _stop(unit, leg, "a rest stays, too small for a child" if at.unscheduled else "")
        return
    if coming.due_ts > unit.now:
        unit.wake(coming.due_ts, SliceDue(unit.execution_id))
        return
    top = unit.market.book(leg.venue, unit.symbol, unit.now)
    why = closed_door(unit.market, unit.work, leg.venue, unit.now)
    if isinstance(top, Unusable) or why:
        _wait(unit, leg, why)
        return
    if at.waiting:
        unit.put_leg(leg.venue, waiting="")
    if unit.course.children >= MOST_CHILDREN:
        _stop(unit, leg, f"a rest stays: an execution sends at most {MOST_CHILDREN} children")
        return
    _send(unit, leg, top, coming)


def _send(unit: UnitOfWork, leg: Leg, top: BookTop, coming: NextChild) -> None:
    """Send a child that is due, or say why not, and what comes instead."""
    plan, at = leg.plan, unit.course.legs[leg.venue]
    price = exact(best_of(top, unit.work.side))
    coming, volume = _with_volume(unit, leg, coming)
    if coming.qty and size_fault(leg.instrument, coming.qty, price) is None:
        use = _limit_fault(unit, WishedOrder(unit.symbol, leg.venue, unit.work.side, coming.qty, price))
        if use is None:
            note_order(unit.state, unit.symbol, unit.now)
            unit.put_leg(leg.venue, volume_seen=volume)
            children.submit(unit, leg, top, coming)
        elif use.passing:
            _postpone(unit, leg, _retry_s(unit), use.text)
        else:
            _stop(unit, leg, use.text)
    elif plan.participation is not None and size_fault(leg.instrument, at.unscheduled, price) is None:
        _postpone(unit, leg, plan.interval_s, "the volume since the last child is too small")
    elif not coming.last:
        unit.put_leg(leg.venue, next=coming.then, retry_ts=None)
        _go_on(unit, leg)
    else:
        _stop(unit, leg, f"a rest stays: {size_fault(leg.instrument, at.unscheduled, price)}")


def _limit_fault(unit: UnitOfWork, wished: WishedOrder) -> LimitUse | None:
    """Return the limit that a child would exceed, were those on their way or at a venue filled before it."""
    others = holdings.at_venues(unit.state, unit.symbol, wished.side, but=unit.execution_id)
    open_qty = unit.course.open + others
    return order_fault(unit.state, unit.market, wished, unit.now, open_qty=open_qty)


def _with_volume(unit: UnitOfWork, leg: Leg, coming: NextChild) -> tuple[NextChild, float]:
    """Return the next child, of POV as large as the volume since the last one makes it, and the volume."""
    plan, at = leg.plan, unit.course.legs[leg.venue]
    if plan.participation is None:
        return coming, at.volume_seen
    since_ts = volume_from_ts(unit.course, leg)
    volume = unit.market.volume_since(leg.venue, unit.symbol, since_ts)
    lot = leg.instrument.lot
    since = max(0.0, volume - at.volume_seen)
    qty = pov_child(at.unscheduled, since, plan.participation, lot, plan.min_child or lot)
    return replace(coming, qty=qty), volume


def _after_child(unit: UnitOfWork, leg: Leg) -> None:
    plan, at = leg.plan, unit.course.legs[leg.venue]
    if not at.unscheduled:
        _stop(unit, leg, "")
        return
    coming = plan.slices[at.next :]
    as_planned = sum((piece.size for piece in coming), ZERO) == at.unscheduled
    if coming and (plan.participation is None or as_planned):
        _go_on(unit, leg)
        return
    pause_s = max(plan.interval_s if plan.participation else 0.0, _retry_s(unit))
    _postpone(unit, leg, pause_s, "a rest is unfilled")


def _postpone(unit: UnitOfWork, leg: Leg, pause_s: float, why: str) -> None:
    """Try what is due after a pause, while there is patience."""
    at_ts = unit.now + round(pause_s * NS_PER_S)
    if at_ts > patient_until(unit.course, leg, unit.settings):
        at = unit.course.legs[leg.venue]
        left, of = f"{at.unscheduled:f}", f"{at.quantity:f}"
        _stop(unit, leg, f"{left} of {of} unfilled in time: {why}")
        return
    unit.put_leg(leg.venue, retry_ts=at_ts)
    unit.wake(at_ts, SliceDue(unit.execution_id))


def _wait(unit: UnitOfWork, leg: Leg, why: str) -> None:
    """Wait until the venue is back; after a while what is due goes elsewhere, if it can."""
    at = unit.course.legs[leg.venue]
    if at.waiting != why:
        waits_from_ts = at.waits_from_ts if at.waiting else unit.now
        at = unit.put_leg(leg.venue, waiting=why, waits_from_ts=waits_from_ts)
        unit.audit("slice_waiting", reason=why)
    until = patient_until(unit.course, leg, unit.settings)
    elsewhere_ts = at.waits_from_ts + round(unit.settings.reallocate_after_s * NS_PER_S)
    if unit.now >= elsewhere_ts and (takers := give_away(unit, leg, why)):
        _settle(unit, takers)
    elif unit.now >= until:
        _stop(unit, leg, f"no usable book in time: {why}")
    else:
        at_ts = until if unit.now >= elsewhere_ts else min(until, elsewhere_ts)
        unit.wake(at_ts, SliceDue(unit.execution_id))


def _stop(unit: UnitOfWork, leg: Leg, why: str) -> None:
    """Let a leg send no more, as `why` says, "" if all is filled; the last one ends the execution."""
    unit.put_leg(leg.venue, over=why, waiting="", retry_ts=None)
    _settle(unit, ())


def _settle(unit: UnitOfWork, takers: tuple[str, ...]) -> None:
    """Let the legs that took something over go on; end the execution when none goes on."""
    for venue in takers:
        if isinstance(unit.saga, Working):
            _go_on(unit, unit.saga.leg(venue))
    if not isinstance(unit.saga, Working) or any(at.over is None for at in unit.course.legs.values()):
        return
    rests = [leg for leg in unit.saga.legs if unit.course.legs[leg.venue].unscheduled]
    if not rests:
        end(unit, ExecutionStatus.COMPLETED, "")
        return
    dust = all(_is_dust(unit, leg) for leg in rests)
    status = ExecutionStatus.COMPLETED if dust and unit.course.filled else ExecutionStatus.FAILED
    end(unit, status, _reason(unit, rests))


def _is_dust(unit: UnitOfWork, leg: Leg) -> bool:
    """Tell whether what a leg has left is under its venue's minimum."""
    at = unit.course.legs[leg.venue]
    return size_fault(leg.instrument, at.unscheduled, at.last_px) is not None


def _reason(unit: UnitOfWork, rests: list[Leg]) -> str:
    """Say why each leg with a rest stopped; of the only leg without its name."""
    if len(unit.work.legs) == 1:
        return unit.course.legs[rests[0].venue].over or ""
    return "; ".join(f"{leg.venue}: {unit.course.legs[leg.venue].over}" for leg in rests)


def _retry_s(unit: UnitOfWork) -> float:
    return unit.settings.retry_ms / 1e3
