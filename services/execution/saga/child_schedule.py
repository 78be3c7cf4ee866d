"""Which child a leg sends next, and when; pure.

A leg keeps how far it is in its plan, not what is left of the plan: what its children did not fill is spread
over the slices still to come, in their proportions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from libs.common.time_units import NS_PER_S
from services.execution.decide.slicing import reschedule
from services.execution.saga.phases import ZERO, since_plan_ns

if TYPE_CHECKING:
    from decimal import Decimal

    from services.execution.saga.phases import Course, Leg
    from services.execution.settings import ExecutionSettings


@dataclass(frozen=True, slots=True)
class NextChild:
    """A child that is to be sent."""

    due_ts: int
    qty: Decimal  # base units
    limit_px: Decimal
    then: int  # the place of the slice after it
    last: bool  # no planned slice comes after it


def next_child(course: Course, leg: Leg) -> NextChild | None:
    """Return the next child of a leg; None where nothing is left, or no slice to send it in."""
    at, plan = course.legs[leg.venue], leg.plan
    left, stepped_ns = at.unscheduled, since_plan_ns(course, leg)
    coming = plan.slices[at.next :]
    if left <= 0 or (not coming and at.retry_ts is None):
        return None
    if not coming:  # after the last slice all that is left is tried again
        return NextChild(at.retry_ts or 0, left, plan.slices[-1].limit, at.next, last=True)
    if plan.participation is None and sum((piece.size for piece in coming), ZERO) != left:
        lot, least = leg.instrument.lot, plan.min_child or leg.instrument.lot
        coming = reschedule(left, coming, lot, least)
    first = coming[0]
    then = next(n for n in range(at.next, len(plan.slices)) if plan.slices[n].at_ts == first.at_ts) + 1
    due_ts = first.at_ts + stepped_ns if at.retry_ts is None else at.retry_ts
    return NextChild(due_ts, min(first.size, left), first.limit, then, last=len(coming) == 1)


def patient_until(course: Course, leg: Leg, settings: ExecutionSettings) -> int:
    """Return until when a leg goes on, ns: its last slice or the deadline of POV, and the patience."""
    stepped_ns = since_plan_ns(course, leg)
    span_s = settings.deadline_s if leg.plan.participation else 0.0
    planned_ts = leg.planned_ts
    last = max((piece.at_ts for piece in leg.plan.slices), default=planned_ts)
    patience_ns = round(settings.patience_s * NS_PER_S)
    return max(last, planned_ts + round(span_s * NS_PER_S)) + stepped_ns + patience_ns
