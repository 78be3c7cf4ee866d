"""What executions, orders and books have of the clock, moved as it is set; pure.

Times that something waits for, or that a duration is measured from, move by what the clock was set. So a
duration is what passed. What was told and is over stays as it was told: plans, fills, orders that have ended.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from services.execution.broker.paper_broker import SelfImpact
from services.execution.saga.standing import move_looked
from services.execution.saga.state import Done, OwnOrder, Saga

if TYPE_CHECKING:
    from libs.common.events import PaperOrder
    from libs.common.handling import State


def step_clock(state: State[Any], by_ns: int) -> None:
    """Move what executions, open orders, kept ids and levels that went are timed by, by so many ns."""
    for key, kept in list(state.items()):
        match kept:
            case Saga():
                state.put(key, _execution(kept, by_ns))
            case OwnOrder(order=order) if order.ord_status.open:
                state.put(key, replace(kept, order=_order(order, by_ns)))
            case Done():
                state.put(key, replace(kept, ts=kept.ts + by_ns))
            case SelfImpact() if kept.levels or kept.depleted:
                state.put(key, _impact(kept, by_ns))
                move_looked(state, key, kept, partial(_impact, by_ns=by_ns))


def _execution(saga: Saga, by_ns: int) -> Saga:
    return replace(
        saga,
        slices=tuple(replace(piece, at_ts=piece.at_ts + by_ns) for piece in saga.slices),
        orders=tuple(_order(order, by_ns) if order.ord_status.open else order for order in saga.orders),
        planned_ts=saga.planned_ts + by_ns if saga.plan is not None else 0,
        horizon_ts=saga.horizon_ts + by_ns if saga.horizon_ts else 0,
        stepped_ns=saga.stepped_ns + by_ns,
    )


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
