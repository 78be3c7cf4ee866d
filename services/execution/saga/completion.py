"""The end of an execution, and its costs; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.execution.audit.logged import decision
from services.execution.broker.paper_broker import exact
from services.execution.decide.shortfall import ShortfallChild, ShortfallInputs, shortfall
from services.execution.saga import rewarding
from services.execution.saga.children import side_of
from services.execution.saga.record import ZERO

if TYPE_CHECKING:
    from decimal import Decimal

    from services.execution.saga.parent_order import Parent
    from services.execution.saga.state import Saga, Trigger
    from services.execution.saga.unit_of_work import Turn


def end(turn: Turn, trigger: Trigger, reason: str) -> None:
    """End the execution: its costs, and its reward where the window of its decision is closed."""
    turn.move(trigger, reason)
    turn.update(slices=(), terms={})
    saga = turn.saga
    if saga.parent is not None and saga.arrival_px is not None:
        inputs = _shortfall_inputs(saga, saga.parent, saga.arrival_px)
        found = shortfall(inputs)
        turn.update(shortfall=found)
        turn.audit("shortfall", **decision(inputs, found))
    turn.audit("ended", step=str(saga.step), reason=reason, elapsed_ns=saga.elapsed_ns(turn.now))
    if not saga.answered:
        turn.answer()
    rewarding.settle(turn)
    if not turn.saga.window_open:
        turn.forget_later()


def _shortfall_inputs(saga: Saga, parent: Parent, arrival_px: Decimal) -> ShortfallInputs:
    assert saga.last_px is not None  # noqa: S101 -- a plan has a mid
    return ShortfallInputs(
        side=side_of(saga),
        quantity=parent.quantity,
        decision_px=_decision_px(saga, arrival_px),
        arrival_px=arrival_px,
        end_px=saga.last_px,
        children=tuple(
            ShortfallChild(
                qty=order.cum_qty, paid=order.cum_quote, mid_px=exact(order.mid), best_px=exact(order.best_px)
            )
            for order in saga.orders
            if order.cum_qty
        ),
        fees=sum((order.fees for order in saga.orders), ZERO),
    )


def _decision_px(saga: Saga, otherwise: Decimal) -> Decimal:
    """Return the venue's mid at the decision; where its book was not LIVE then, the first one used."""
    venue = saga.venue or next(iter(saga.mids), None)
    return exact(saga.mids[venue]) if venue in saga.mids else otherwise
