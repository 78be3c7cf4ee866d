"""From the events of executions to their JSON answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from libs.common.time_units import NS_PER_MS
from services.gateway.http.execution_answers import (
    AlternativeAnswer,
    AuditEntryAnswer,
    AuditHeadAnswer,
    CostAnswer,
    ExecutionAnswer,
    FillAnswer,
    OrderAnswer,
    PaperOrderAnswer,
    PlanAnswer,
    ShortfallAnswer,
    SignalAnswer,
    SimulationAnswer,
    SizingAnswer,
    SliceAnswer,
    TaughtAnswer,
)

if TYPE_CHECKING:
    from libs.common.events import (
        AuditEntry,
        ExecutionPlan,
        ExecutionRecord,
        ExecutionSimulated,
        PaperOrder,
        PaperOrderPlaced,
        RecordFill,
        SizingSnapshot,
    )


def execution_answer(record: ExecutionRecord) -> ExecutionAnswer:
    """Return a record as callers read it."""
    return ExecutionAnswer(
        execution_id=record.execution_id,
        symbol=record.symbol,
        status=record.status,
        reason=record.reason,
        waiting=record.waiting,
        urgency=record.urgency,
        policy_id=record.policy_id,
        decision_id=record.decision_id,
        propensity=record.propensity,
        policy_score=record.score,
        signal=None
        if record.signal is None
        else SignalAnswer(value=record.signal.value, reason=record.signal.reason),
        sizing=None if record.sizing is None else sizing_answer(record.sizing),
        venue=record.venue,
        venue_score=record.venue_score,
        venue_reasons=record.venue_reasons,
        plan=None if record.plan is None else _plan(record.plan),
        alternatives=() if record.plan is None else _alternatives(record.plan),
        orders=tuple(map(_order, record.orders)),
        fills=tuple(map(_fill, record.fills)),
        fills_total=_total(record),
        filled=float(record.filled),
        open=float(record.open),
        unscheduled=float(record.unscheduled),
        avg_px=None if record.avg_px is None else float(record.avg_px),
        shortfall=_shortfall(record),
        reward=None
        if record.reward is None
        else TaughtAnswer(
            reward=record.reward.reward,
            reason=record.reward.reason,
            mid=record.reward.mid,
            counted=record.reward.counted,
        ),
        audit=AuditHeadAnswer(
            entries=record.audit.entries,
            head=record.audit.head,
            href=f"/api/audit/{record.execution_id}",
        ),
        created_ts=record.created_ts // NS_PER_MS,
        ts=record.ts // NS_PER_MS,
    )


def sizing_answer(sizing: SizingSnapshot) -> SizingAnswer:
    """Return a sizing as callers read it."""
    return SizingAnswer(
        execution_id=sizing.execution_id,
        symbol=sizing.symbol,
        signal=sizing.signal,
        uncertainty_width=sizing.uncertainty_width,
        s_max=sizing.s_max,
        w_star=sizing.w_star,
        sigmoid=sizing.sigmoid,
        forecast_vol=sizing.forecast_vol,
        vol_target=sizing.vol_target,
        vol_scale=sizing.vol_scale,
        cvar_cap=sizing.caps.get("cvar"),
        caps=sizing.caps,
        binding=sizing.binding,
        raw=sizing.raw,
        size=sizing.size,
        target=float(sizing.target),
        held=float(sizing.held),
        side=sizing.side,
        quantity=float(sizing.qty),
        reason=sizing.reason,
        equity=float(sizing.equity),
        price=float(sizing.price),
        ts=sizing.ts // NS_PER_MS,
    )


def simulation_answer(simulated: ExecutionSimulated) -> SimulationAnswer:
    """Return a simulation as callers read it."""
    cost = simulated.cost
    return SimulationAnswer(
        symbol=simulated.symbol,
        plan=_plan(simulated.plan),
        cost=CostAnswer(
            spread_bps=cost.spread_bps,
            impact_bps=cost.impact_bps,
            fee_bps=cost.fee_bps,
            total_bps=cost.total_bps,
            total=cost.total,
            impact_lower_bps=cost.impact_lower_bps,
            impact_upper_bps=cost.impact_upper_bps,
        ),
        alternatives=_alternatives(simulated.plan),
        venues=simulated.venues,
        ts=simulated.ts // NS_PER_MS,
    )


def paper_order_answer(placed: PaperOrderPlaced) -> PaperOrderAnswer:
    """Return an order as callers read it."""
    fills = tuple(map(_fill, placed.fills))
    return PaperOrderAnswer(order=_order(placed.order), fills=fills, fills_total=_total(placed))


def audit_entry_answer(entry: AuditEntry) -> AuditEntryAnswer:
    """Return a link as callers read it; a payload that is no JSON object, so was altered, comes as text."""
    try:
        payload = msgspec.json.decode(entry.payload, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        payload = {"altered": entry.payload}
    return AuditEntryAnswer(
        seq=entry.seq,
        ts=entry.ts // NS_PER_MS,
        kind=entry.kind,
        payload=payload,
        prev_hash=entry.prev_hash,
        hash=entry.hash,
    )


def _plan(plan: ExecutionPlan) -> PlanAnswer:
    return PlanAnswer(
        style=plan.style,
        venue=plan.venue,
        side=plan.side,
        size=float(plan.size),
        horizon_s=plan.horizon_s,
        interval_s=plan.interval_s,
        participation=plan.participation,
        slices=tuple(
            SliceAnswer(at=s.at_ts // NS_PER_MS, size=float(s.size), limit=float(s.limit))
            for s in plan.slices
        ),
        expected_bps=plan.expected_bps,
        risk_bps=plan.risk_bps,
        mid=plan.mid,
        epoch=plan.epoch,
        seq=plan.seq,
    )


def _alternatives(plan: ExecutionPlan) -> tuple[AlternativeAnswer, ...]:
    return tuple(
        AlternativeAnswer(
            style=other.style,
            horizon_s=other.horizon_s,
            children=other.children,
            expected_bps=other.expected_bps,
            risk_bps=other.risk_bps,
            objective_bps=other.objective_bps,
            why_not=other.why_not,
        )
        for other in plan.alternatives
    )


def _order(order: PaperOrder) -> OrderAnswer:
    return OrderAnswer(
        order_id=order.cl_ord_id,
        execution_id=order.execution_id,
        venue=order.venue,
        symbol=order.symbol,
        side=order.side,
        size=order.order_qty,
        ord_type=order.ord_type,
        limit=order.price,
        time_in_force=order.time_in_force,
        ord_status=order.ord_status,
        exec_type=order.exec_type,
        cum_qty=order.cum_qty,
        leaves_qty=order.leaves_qty,
        avg_px=order.avg_px,
        fees=order.fees,
        ts=order.submitted_ts // NS_PER_MS,
        text=order.text,
    )


def _total(told: ExecutionRecord | PaperOrderPlaced) -> int:
    return len(told.fills) if told.fills_total is None else told.fills_total


def _fill(fill: RecordFill) -> FillAnswer:
    return FillAnswer(
        fill_id=fill.fill_id,
        order_id=fill.order_id,
        venue=fill.venue,
        side=fill.side,
        size=fill.size,
        price=fill.price,
        fee=fill.fee,
        ts=fill.ts // NS_PER_MS,
    )


def _shortfall(record: ExecutionRecord) -> ShortfallAnswer | None:
    found = record.shortfall
    if found is None:
        return None
    names = {"timing_bps": "timingBps", "spread_bps": "spreadBps", "walk_bps": "walkBps"}
    return ShortfallAnswer(
        delay_bps=found.delay_bps,
        impact_bps=found.impact_bps,
        opportunity_bps=found.opportunity_bps,
        fees_bps=found.fees_bps,
        total_bps=found.total_bps,
        detail={names.get(name, name): value for name, value in found.detail.items()},
    )
