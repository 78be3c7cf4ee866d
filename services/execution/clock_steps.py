"""What executions, orders and books have of the clock, moved as it is set; pure.

Times that something waits for, or that a duration is measured from, move by what the clock was set. So a
duration is what passed. What was told and is over stays as it was told: plans, fills, orders that have ended.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from services.execution.broker.own_order import OwnOrder
from services.execution.broker.self_impact import SelfImpact
from services.execution.kept import move_looked
from services.execution.limits import counters
from services.execution.saga.forgetting import Done
from services.execution.saga.phases import Child, Course, DecisionWindow

if TYPE_CHECKING:
    from libs.common.events import PaperOrder
    from libs.common.handling import State


def step_clock(state: State[Any], by_ns: int) -> None:
    """Move what executions, open orders, kept ids and levels that went are timed by, by so many ns."""
    counters.step_clock(state, by_ns)
    for key, kept in list(state.items()):
        match kept:
            case Course():
                state.put(key, _course(kept, by_ns))
            case DecisionWindow():
                state.put(key, replace(kept, horizon_ts=kept.horizon_ts + by_ns))
            case OwnOrder(order=order) | Child(order=order) if order.ord_status.open:
                state.put(key, replace(kept, order=_order(order, by_ns)))
            case Done():
                state.put(key, replace(kept, ts=kept.ts + by_ns))
            case SelfImpact() if kept.levels or kept.depleted:
                state.put(key, _impact(kept, by_ns))
                move_looked(state, key, kept, partial(_impact, by_ns=by_ns))


def _course(course: Course, by_ns: int) -> Course:
    legs = {
        venue: replace(
            leg,
            retry_ts=None if leg.retry_ts is None else leg.retry_ts + by_ns,
            waits_from_ts=leg.waits_from_ts + by_ns if leg.waiting else 0,
        )
        for venue, leg in course.legs.items()
    }
    taken = tuple(replace(each, ts=each.ts + by_ns) for each in course.elsewhere.taken)
    elsewhere = replace(course.elsewhere, taken=taken)
    return replace(course, stepped_ns=course.stepped_ns + by_ns, legs=legs, elsewhere=elsewhere)


def _order(order: PaperOrder, by_ns: int) -> PaperOrder:
    return replace(order, submitted_ts=order.submitted_ts + by_ns, arrives_ts=order.arrives_ts + by_ns)


def _impact(impact: SelfImpact, by_ns: int) -> SelfImpact:
    return replace(
        impact,
        levels=tuple(
            level if level.gone_ts is None else replace(level, gone_ts=level.gone_ts + by_ns)
            for level in impact.levels
        ),
        depleted=tuple(replace(each, ts=each.ts + by_ns) for each in impact.depleted),
    )
