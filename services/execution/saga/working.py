"""The saga of an execution from its plan to its end: children, fills, costs, reward; pure.

``filled + open + unscheduled`` is the size of the parent after any message. A child that is rejected or
canceled gives its rest back, and the rest is spread over the slices still to come; after the last one it is
tried again until the patience ends.
"""

from __future__ import annotations

from string import digits
from typing import TYPE_CHECKING, Final

from libs.common.events import OrderRejected
from libs.common.time_units import NS_PER_S
from services.execution.broker import paper_broker
from services.execution.broker.order_faults import size_fault
from services.execution.broker.paper_broker import exact
from services.execution.decide.slicing import Slice, pov_child, reschedule
from services.execution.market_data import Unusable
from services.execution.saga.children import best_of, close, fill, side_of, submit, work_of
from services.execution.saga.completion import end
from services.execution.saga.record import ZERO
from services.execution.saga.state import Step, Trigger

if TYPE_CHECKING:
    from decimal import Decimal

    from services.execution.decide.planner import Plan
    from services.execution.market_data import MarketData
    from services.execution.saga.parent_order import Parent
    from services.execution.saga.state import Saga
    from services.execution.saga.unit_of_work import Turn

MOST_CHILDREN: Final = (
    600  # those of the longest deadline, and retries; a record of so many fits in a message
)


_NO_DIGITS: Final = str.maketrans("", "", digits)


def slice_name(saga: Saga) -> str:
    """Return the name of the tick at which the next child is sent."""
    return f"saga/{saga.execution_id}/slice"


def goes_on(saga: Saga, market: MarketData, now: int) -> bool:
    """Tell whether an execution that waits need not any more, or waits for another reason.

    Another number in its reason, an age or a seq, is no other one.
    """
    if not saga.child_waits or not saga.slices or saga.slices[0].at_ts > now or saga.open_orders:
        return False
    _, _, venue = work_of(saga)
    top = market.book(venue, saga.symbol, now)
    if not isinstance(top, Unusable):
        return True
    return top.reason.translate(_NO_DIGITS) != saga.waiting.translate(_NO_DIGITS)


def on_slice(turn: Turn) -> None:
    """Send the next child, if its time has come and its book is LIVE; else wait until it is."""
    saga = turn.saga
    if saga.step is not Step.WORKING or saga.open_orders:
        return
    if not saga.slices:
        _finish(turn, "a rest stays, too small for a child")
        return
    due = saga.slices[0].at_ts
    if due > turn.now:
        turn.wake(due, "slice")
        return
    plan, parent, venue = work_of(saga)
    top = turn.market.book(venue, saga.symbol, turn.now)
    if isinstance(top, Unusable):
        _wait(turn, top.reason)
        return
    turn.update(waiting="")
    if len(saga.orders) >= MOST_CHILDREN:
        _finish(turn, f"a rest stays: an execution sends at most {MOST_CHILDREN} children")
        return
    qty = _next_qty(turn, plan, parent, venue)
    instrument = saga.planned_to
    price = exact(best_of(top, side_of(saga)))
    if qty and size_fault(instrument, qty, price) is None:
        submit(turn, top, qty)
    elif plan.participation is not None and parent.unscheduled >= plan.min_child:
        _postpone(turn, plan.interval_s, "the volume since the last child is too small")
    elif len(turn.saga.slices) > 1:
        _spread(turn, plan, turn.saga.slices[1:])
        on_slice(turn)
    else:
        fault = size_fault(instrument, parent.unscheduled, price)
        _finish(turn, f"a rest stays: {fault}")


def on_arrival(turn: Turn, cl_ord_id: str) -> None:
    """Let a child reach the paper broker."""
    order = next((o for o in turn.saga.open_orders if o.cl_ord_id == cl_ord_id), None)
    if order is None:
        return
    top = turn.market.book(order.venue, order.symbol, turn.now)
    if isinstance(top, Unusable):
        gone = paper_broker.reject(order, f"the venue's book may not be used: {top.reason}")
        close(turn, gone)
        turn.audit("order_rejected", order=gone)
        turn.say(OrderRejected(order=gone, ts=turn.now))
    else:
        fill(turn, order, top)
    _after_child(turn)


def _after_child(turn: Turn) -> None:
    saga = turn.saga
    plan, parent, _venue = work_of(saga)
    if parent.done:
        end(turn, Trigger.FILLED, "")
        return
    if parent.unscheduled == sum((piece.qty for piece in saga.slices), ZERO):
        on_slice(turn)
        return
    if saga.slices and plan.participation is None:
        _spread(turn, plan, saga.slices)
        on_slice(turn)
        return
    _postpone(turn, max(plan.interval_s if plan.participation else 0.0, _retry_s(turn)), "a rest is unfilled")


def _spread(turn: Turn, plan: Plan, slices: tuple[Slice, ...]) -> None:
    _, parent, _ = work_of(turn.saga)
    lot = turn.saga.planned_to.lot
    turn.update(slices=reschedule(parent.unscheduled, slices, lot, plan.min_child))


def _postpone(turn: Turn, pause_s: float, why: str) -> None:
    """Try all that is unscheduled after a pause, while there is patience."""
    _, parent, _ = work_of(turn.saga)
    at_ts = turn.now + round(pause_s * NS_PER_S)
    if at_ts > _until(turn):
        _finish(turn, f"{parent.unscheduled:f} of {parent.quantity:f} unfilled in time: {why}")
        return
    slices, orders = turn.saga.slices, turn.saga.orders
    limit_px = slices[0].limit_px if slices else orders[-1].price or ZERO
    later = slices[1:]
    ahead = sum((piece.qty for piece in later), ZERO)
    rest = parent.unscheduled - ahead
    turn.update(slices=(Slice(at_ts=at_ts, qty=rest, limit_px=limit_px), *later))
    turn.wake(at_ts, "slice")


def _wait(turn: Turn, why: str) -> None:
    if turn.saga.waiting != why:
        turn.update(waiting=why)
        turn.audit("slice_waiting", reason=why)
    if turn.now >= _until(turn):
        _finish(turn, f"no usable book in time: {why}")
    else:
        turn.wake(_until(turn), "slice")


def _finish(turn: Turn, reason: str) -> None:
    """End with a rest: completed if it is only dust, under the venue's minimum."""
    _, parent, _ = work_of(turn.saga)
    instrument = turn.saga.planned_to
    assert turn.saga.last_px is not None  # noqa: S101 -- a plan has a mid
    dust = size_fault(instrument, parent.unscheduled, turn.saga.last_px) is not None
    end(turn, Trigger.FILLED if dust and parent.filled else Trigger.TIMED_OUT, reason)


def _next_qty(turn: Turn, plan: Plan, parent: Parent, venue: str) -> Decimal:
    if plan.participation is None:
        return min(turn.saga.slices[0].qty, parent.unscheduled)
    volume = turn.market.volume_since(venue, turn.saga.symbol, turn.saga.volume_from_ts)
    lot = turn.saga.planned_to.lot
    since = max(0.0, volume - turn.saga.volume_seen)
    qty = pov_child(parent.unscheduled, since, plan.participation, lot, plan.min_child)
    if qty:
        turn.update(volume_seen=volume)
    return qty


def _until(turn: Turn) -> int:
    plan, _, _ = work_of(turn.saga)
    span_s = turn.settings.deadline_s if plan.participation else 0.0
    planned_ts = turn.saga.planned_ts
    stepped_ns = turn.saga.stepped_ns - turn.saga.planned_stepped_ns  # the plan stays as it was told
    last = max((piece.at_ts + stepped_ns for piece in plan.slices), default=planned_ts)
    patience_ns = round(turn.settings.patience_s * NS_PER_S)
    return max(last, planned_ts + round(span_s * NS_PER_S)) + patience_ns


def _retry_s(turn: Turn) -> float:
    return turn.settings.retry_ms / 1e3
