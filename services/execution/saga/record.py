"""From an execution's private state to the record that everybody reads; pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from libs.common.events import (
    ExecutionLeg,
    ExecutionProgress,
    ExecutionRecord,
)
from services.execution.broker.order_life import newest
from services.execution.progress import ProgressEnded
from services.execution.saga.phases import STATUS, Choosing, Ended, Scoring, Working

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.events import ExecutionPlan, ShortfallBps
    from services.execution.saga.phases import Child, Course, Leg, LegCourse, Saga

ZERO: Final = Decimal(0)


def record_of(saga: Saga, course: Course, children: Sequence[Child], now: int) -> ExecutionRecord:
    """Return the record of an execution as it stands."""
    request, orders = saga.request, tuple(child.order for child in children)
    in_order = sorted(children, key=lambda child: child.filled_at)
    fills = [fill for child in in_order for fill in child.fills]
    return ExecutionRecord(
        execution_id=request.execution_id,
        symbol=request.symbol,
        urgency=request.urgency,
        scope=request.scope,
        max_venues=request.max_venues,
        venues=request.venues,
        decision_id=request.decision_id,
        **_reached(saga, course),
        orders=orders,
        fills=newest(tuple(fills)),
        fills_total=sum(order.fills for order in orders),
        **_totals(course),
        created_ts=request.created_ts,
        ts=now,
    )


def progress_of(work: Working, course: Course, child: Child | None, now: int) -> ExecutionProgress:
    """Return what of the record a child's step changes; without a child: what became of the legs."""
    leg = None if child is None else work.leg(child.order.venue)
    legs = legs_told(work, course, {}) if child is None else ()
    return ExecutionProgress(
        execution_id=course.execution_id,
        n=None if child is None else child.n,
        order=None if child is None else child.order,
        fills=() if child is None else newest(child.fills),
        leg=None if leg is None else _leg(leg, course.legs[leg.venue], None),
        legs=legs,
        **_totals(course),
        ts=now,
    )


def progress_ended(course: Course, children: Sequence[Child]) -> tuple[ProgressEnded, ...]:
    """Return the end of what was told of the children: the last record has them all."""
    told: list[int | None] = [child.n for child in children if child.told]
    if course.told_waiting:
        told.append(None)
    return tuple(ProgressEnded(execution_id=course.execution_id, n=n) for n in told)


def whole_plan(work: Working, course: Course) -> ExecutionPlan:
    """Return the plan of all legs: the largest one's way, and every slice with its venue.

    Each leg counts by what it is to fill now, so a part that went elsewhere counts where it went.
    """
    first = work.legs[0].plan
    if len(work.legs) == 1:
        return first
    size = work.quantity
    plans = [leg.plan for leg in work.legs]
    shares = [float(course.legs[leg.venue].quantity / size) for leg in work.legs]
    slices = sorted((piece for plan in plans for piece in plan.slices), key=lambda piece: piece.at_ts)
    moved = [plan.meta_impact_bps for plan in plans]
    return replace(
        first,
        size=size,
        horizon_s=max(plan.horizon_s for plan in plans),
        slices=tuple(slices),
        expected_bps=sum(share * plan.expected_bps for share, plan in zip(shares, plans, strict=True)),
        risk_bps=sum(share * plan.risk_bps for share, plan in zip(shares, plans, strict=True)),
        meta_impact_bps=None
        if None in moved
        else sum(share * (each or 0.0) for share, each in zip(shares, moved, strict=True)),
        warnings=tuple(dict.fromkeys(words for plan in plans for words in plan.warnings)),
    )


def _totals(course: Course) -> dict[str, Any]:
    """Return what records and progress say alike."""
    filled = course.filled
    paid = sum((leg.paid for leg in course.legs.values()), ZERO)
    return {
        "filled": filled,
        "open": course.open,
        "unscheduled": course.unscheduled,
        "avg_px": paid / filled if filled else None,
        "waiting": course.waiting,
        "audit": course.audit,
    }


def _reached(saga: Saga, course: Course) -> dict[str, Any]:
    match saga:
        case Choosing():
            return {"status": STATUS[Choosing]}
        case Working():
            return {"status": STATUS[Working], **_decided(saga), **_worked(saga, course, {})}
        case Scoring():
            return {"status": STATUS[Scoring], **_decided(saga)}
        case Ended(work=work):
            return {
                "status": saga.status,
                "reason": saga.reason,
                **_decided(saga),
                **({} if work is None else _worked(work, course, saga.shortfalls)),
                "shortfall": saga.shortfall,
                "saved_bps": saga.saved_bps,
                "reward": saga.reward,
            }


def _decided(saga: Scoring | Ended) -> dict[str, Any]:
    policy = saga.policy
    return {
        "policy_id": None if policy is None else policy.policy_id,
        "propensity": None if policy is None else policy.propensity,
        "score": None if policy is None else policy.score,
        "signal": saga.signal,
        "sizing": saga.sizing,
    }


def _worked(work: Working, course: Course, costs: Mapping[str, ShortfallBps]) -> dict[str, Any]:
    first = work.legs[0]
    return {
        "venue": first.venue,
        "venue_score": first.score,
        "venue_reasons": first.reasons,
        "plan": whole_plan(work, course),
        "legs": legs_told(work, course, costs),
        "single_venue": work.single_venue,
        "saving_bps": work.saving_bps,
        "split_reason": work.split_reason,
    }


def legs_told(work: Working, course: Course, costs: Mapping[str, ShortfallBps]) -> tuple[ExecutionLeg, ...]:
    """Return the legs as the record tells them, with what each has cost, by venue."""
    return tuple(_leg(leg, course.legs[leg.venue], costs.get(leg.venue)) for leg in work.legs)


def _leg(leg: Leg, course: LegCourse, cost: ShortfallBps | None) -> ExecutionLeg:
    return ExecutionLeg(
        venue=leg.venue,
        size=course.quantity,
        why=leg.why,
        style=leg.plan.style,
        expected_bps=leg.plan.expected_bps,
        fee_bps=leg.taker_bps,
        filled=course.filled,
        open=course.open,
        unscheduled=course.unscheduled,
        avg_px=course.paid / course.filled if course.filled else None,
        fees=course.fees,
        shortfall=cost,
        state=course.waiting if course.over is None else course.over or "filled",
    )
