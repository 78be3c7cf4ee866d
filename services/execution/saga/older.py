"""Executions as the versions before phases kept them, given today's form; pure.

Theirs was one record of an execution, written whole at each step, under the same key.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from libs.common.audit_chain import GENESIS
from libs.common.events import (
    AuditHead,
    Event,
    ExecutionPlan,
    ExecutionStatus,
    PaperOrder,
    PolicyChosen,
    PolicySignal,
    RecordFill,
    RewardOutcome,
    ShortfallBps,
    SizingSnapshot,
)
from libs.common.instruments import instrument_of
from libs.common.venues import venue_of
from libs.common.venues.venue import Instrument  # noqa: TC001 -- msgspec resolves annotations at run time
from services.execution.audit.older_forms import in_todays_names
from services.execution.decide.cost_history import migrate_curves
from services.execution.saga.phases import (
    ZERO,
    Child,
    ChildTerms,
    Choosing,
    Course,
    DecisionWindow,
    Ended,
    Leg,
    LegCourse,
    Request,
    Scoring,
    Working,
    child_key,
    course_key,
    saga_key,
    window_key,
)
from services.execution.saga.windows import Window  # noqa: TC001 -- msgspec resolves annotations at run time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.handling import State
    from services.execution.saga.phases import Saga

FINAL: Final = ("completed", "canceled", "failed", "skipped")


class OlderParent(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts of an order; the rest of them is in its children."""

    quantity: Decimal


class OlderSaga(Event, frozen=True, kw_only=True, tag="Saga"):
    """One execution."""

    execution_id: str
    symbol: str
    urgency: float
    scope: str
    context: dict[str, float | str]
    decision_id: str
    step: str = "choosing"
    reason: str = ""
    waiting: str = ""
    mids: dict[str, float]
    policy: PolicyChosen | None = None
    signal: PolicySignal | None = None
    sizing: SizingSnapshot | None = None
    venue: str | None = None
    instrument: Instrument | None = None
    venue_score: float | None = None
    venue_reasons: tuple[str, ...] = ()
    plan: dict[str, Any] | None = None
    plan_mid: float | None = None
    plan_epoch: int = 0
    plan_seq: int = 0
    planned_ts: int = 0  # moved with the clock
    planned_venue_ts: int | None = None
    slices: tuple[dict[str, Any], ...] = ()  # still to be sent
    parent: OlderParent | None = None
    orders: tuple[PaperOrder, ...] = ()
    terms: dict[str, ChildTerms] = msgspec.field(default_factory=dict)
    fills: tuple[RecordFill, ...] = ()
    volume_seen: float = 0.0
    arrival_px: Decimal | None = None
    last_px: Decimal | None = None
    shortfall: dict[str, Any] | None = None
    window: Window | None = None
    cost: Decimal = Decimal(0)
    reward: RewardOutcome | None = None
    audit_entries: int = 0
    audit_head: str = GENESIS
    created_ts: int
    stepped_ns: int = 0
    planned_stepped_ns: int = 0
    horizon_ts: int = 0


def migrate(state: State[Any]) -> None:
    """Give the executions, and what was learnt of costs, that older versions left today's form."""
    migrate_curves(state)
    for older in [kept for kept in state.values() if isinstance(kept, OlderSaga)]:
        name = older.execution_id
        course, children = _course(older), _children(older)
        state.put(course_key(name), course)
        for child in children:
            state.put(child_key(name, child.n), child)
        if older.window is not None:
            state.put(
                window_key(name),
                DecisionWindow(
                    execution_id=name, symbol=older.symbol, horizon_ts=older.horizon_ts, window=older.window
                ),
            )
        state.put(saga_key(name), _phase(older))


def _phase(older: OlderSaga) -> Saga:
    request = Request(
        execution_id=older.execution_id,
        symbol=older.symbol,
        urgency=older.urgency,
        scope=older.scope,
        context=older.context,
        decision_id=older.decision_id,
        mids=older.mids,
        created_ts=older.created_ts,
    )
    work = _work(older, request)
    if older.step in FINAL:
        return Ended(
            request=request,
            status=ExecutionStatus(older.step),
            reason=older.reason,
            policy=older.policy,
            signal=older.signal,
            sizing=older.sizing,
            work=work,
            shortfall=None if older.shortfall is None else _shortfall(older.shortfall),
            reward=older.reward,
        )
    if work is not None:
        return work
    if older.policy and older.signal and older.sizing and older.sizing.side:
        return Scoring(
            request=request,
            policy=older.policy,
            signal=older.signal,
            sizing=older.sizing,
            side=older.sizing.side,
        )
    return Choosing(request=request)


def _work(older: OlderSaga, request: Request) -> Working | None:
    if not (older.policy and older.signal and older.sizing and older.sizing.side):
        return None
    if not (older.plan and older.venue and older.parent and older.plan_mid):
        return None
    leg = Leg(
        venue=older.venue,
        instrument=older.instrument or instrument_of(older.venue, older.symbol),
        quantity=older.parent.quantity,
        plan=_plan(older, older.parent.quantity, older.plan),
        taker_bps=venue_of(older.venue).taker_bps,
        score=older.venue_score,
        reasons=older.venue_reasons,
        why="the best venue for the whole order",
        planned_ts=older.planned_ts - (older.stepped_ns - older.planned_stepped_ns),
        planned_venue_ts=older.planned_venue_ts,
        planned_stepped_ns=older.planned_stepped_ns,
    )
    return Working(
        request=request,
        policy=older.policy,
        signal=older.signal,
        sizing=older.sizing,
        side=older.sizing.side,
        quantity=older.parent.quantity,
        legs=(leg,),
        single_venue=older.venue,
    )


def _over(older: OlderSaga, planned: Sequence[object]) -> int:
    """Return how many of the planned slices are over: those before the first that is still to be sent."""
    return max(0, len(planned) - len(older.slices))


def _plan(older: OlderSaga, quantity: Decimal, plan: dict[str, Any]) -> ExecutionPlan:
    moved_ns = older.stepped_ns - older.planned_stepped_ns
    coming = [piece | {"at_ts": piece["at_ts"] - moved_ns} for piece in older.slices]
    slices = [*plan["slices"][: _over(older, plan["slices"])], *coming]
    book = {"mid": older.plan_mid, "epoch": older.plan_epoch, "seq": older.plan_seq}
    side = "buy" if older.sizing is None else older.sizing.side
    todays = in_todays_names("plan", plan | {"slices": slices}) | book | {"side": side, "size": quantity}
    return msgspec.convert(todays, ExecutionPlan, strict=False)


def _shortfall(former: dict[str, Any]) -> ShortfallBps:
    return msgspec.convert(in_todays_names("shortfall", former), ShortfallBps, strict=False)


def _course(older: OlderSaga) -> Course:
    legs = {}
    if older.plan and older.venue and older.parent and older.last_px is not None:
        on_way = next((n for n, order in enumerate(older.orders) if order.ord_status.open), None)
        legs[older.venue] = LegCourse(
            quantity=older.parent.quantity,
            next=_over(older, older.plan["slices"]),
            child=on_way,
            open=ZERO if on_way is None else older.orders[on_way].leaves_qty,
            filled=sum((order.cum_qty for order in older.orders), ZERO),
            paid=sum((order.cum_quote for order in older.orders), ZERO),
            fees=sum((order.fees for order in older.orders), ZERO),
            volume_seen=older.volume_seen,
            arrival_px=older.arrival_px,
            last_px=older.last_px,
            waiting=older.waiting,
            over=older.reason if older.step in FINAL else None,
        )
    return Course(
        execution_id=older.execution_id,
        audit=AuditHead(entries=older.audit_entries, head=older.audit_head),
        stepped_ns=older.stepped_ns,
        children=len(older.orders),
        legs=legs,
        cost=older.cost,
    )


def _children(older: OlderSaga) -> tuple[Child, ...]:
    return tuple(
        Child(
            execution_id=older.execution_id,
            n=n,
            order=order,
            terms=older.terms.get(order.cl_ord_id),
            fills=tuple(fill for fill in older.fills if fill.order_id == order.cl_ord_id),
        )
        for n, order in enumerate(older.orders)
    )
