"""The end of an execution, and its costs; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.events import ExecutionStatus
from services.execution.audit.logged import decision
from services.execution.broker.exact_amounts import exact
from services.execution.decide.saved import saved_bps
from services.execution.decide.shortfall import ShortfallChild, ShortfallInputs, shortfall, summed
from services.execution.limits.counters import note_ended
from services.execution.saga import children, rewarding
from services.execution.saga.phases import ZERO, Ended, Scoring, Working, elapsed_ns

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import PolicyChosen, PolicySignal, ShortfallBps, SizingSnapshot
    from services.execution.saga.phases import Leg
    from services.execution.saga.unit_of_work import UnitOfWork


def end(
    unit: UnitOfWork,
    status: ExecutionStatus,
    reason: str,
    *,
    policy: PolicyChosen | None = None,
    signal: PolicySignal | None = None,
    sizing: SizingSnapshot | None = None,
    void: str = "",
) -> None:
    """End the execution: its costs, and its reward where the window of its decision is closed.

    Who waits for its plan is answered; of one that works that is done. What was decided in this step, beyond
    what its phase holds, is given; `void` says why the decision teaches nothing.
    """
    saga = unit.saga
    for venue in unit.course.legs:
        unit.put_leg(venue, waiting="", retry_ts=None)
    if isinstance(saga, Working):
        costs = _costs(unit, saga)
        total = summed(costs, {leg.venue: _value(unit, leg) for leg in saga.legs if _value(unit, leg)})
        unit.move(
            Ended(
                request=saga.request,
                status=status,
                reason=reason,
                policy=saga.policy,
                signal=saga.signal,
                sizing=saga.sizing,
                work=saga,
                shortfall=total,
                shortfalls=costs if len(saga.legs) > 1 else {},
                saved_bps=_saved_bps(unit, saga),
            )
        )
    else:
        if isinstance(saga, Scoring):
            policy, signal, sizing = saga.policy, saga.signal, saga.sizing
        unit.move(
            Ended(
                request=saga.request,
                status=status,
                reason=reason,
                policy=policy,
                signal=signal,
                sizing=sizing,
                void=void,
            )
        )
    took_ns = elapsed_ns(saga, unit.course, unit.now)
    note_ended(unit.state, unit.symbol, status is ExecutionStatus.FAILED, unit.now)
    unit.audit("ended", step=str(status), reason=reason, elapsed_ns=took_ns)
    if not isinstance(saga, Working):
        unit.answer()
    rewarding.settle(unit)
    window = unit.window
    if window is None or window.window.end is not None:
        unit.forget_later()


def cancel(unit: UnitOfWork, of_children: str, reason: str) -> None:
    """End an execution now; what is filled stays, what is on its way is taken back."""
    if isinstance(unit.saga, Working):
        children.withdraw(unit, of_children)
    end(unit, ExecutionStatus.CANCELED, reason)


def _costs(unit: UnitOfWork, work: Working) -> dict[str, ShortfallBps]:
    """Return what each leg that sent a child has cost, by venue, and write how that was found."""
    found = {}
    for leg in work.legs:
        arrival_px = unit.course.legs[leg.venue].arrival_px
        if arrival_px is None:
            continue
        inputs = _shortfall_inputs(unit, work, leg, arrival_px)
        if not inputs.quantity:
            continue  # it gave all away
        found[leg.venue] = shortfall(inputs)
        unit.audit("shortfall", **decision(inputs, found[leg.venue], venue=leg.venue))
    return found


def _shortfall_inputs(unit: UnitOfWork, work: Working, leg: Leg, arrival_px: Decimal) -> ShortfallInputs:
    at = unit.course.legs[leg.venue]
    return ShortfallInputs(
        side=work.side,
        quantity=at.quantity,
        decision_px=_decision_px(work, leg.venue, arrival_px),
        arrival_px=arrival_px,
        end_px=at.last_px,
        children=tuple(
            ShortfallChild(
                qty=order.cum_qty, paid=order.cum_quote, mid_px=exact(order.mid), best_px=exact(order.best_px)
            )
            for order in (child.order for child in unit.children())
            if order.cum_qty and order.venue == leg.venue
        ),
        fees=at.fees,
    )


def _decision_px(work: Working, venue: str, otherwise: Decimal) -> Decimal:
    """Return the venue's mid at the decision; where its book was not LIVE then, the first one used."""
    mids = work.request.mids
    return exact(mids[venue]) if venue in mids else otherwise


def _value(unit: UnitOfWork, leg: Leg) -> Decimal:
    """Return what a leg's part was worth at the decision, quote units."""
    at = unit.course.legs[leg.venue]
    return at.quantity * _decision_px(unit.work, leg.venue, at.arrival_px or at.last_px)


def _saved_bps(unit: UnitOfWork, work: Working) -> float | None:
    """Return what the legs saved against the best single venue, bps of the order's value; None: not known."""
    if len(work.legs) == 1:
        return 0.0
    if work.single_venue is None or not unit.course.filled:
        return None
    value = sum((_value(unit, leg) for leg in work.legs), ZERO)
    return saved_bps(unit.course.elsewhere, work.side, value)
