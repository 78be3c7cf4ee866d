"""From an execution's private state to the record that everybody reads."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from libs.common.events import (
    AuditHead,
    ExecutionPlan,
    ExecutionRecord,
    PlanAlternative,
    PlannedSlice,
    RecordFill,
    ShortfallBps,
    SizingSnapshot,
)
from services.execution.saga.state import STATUS

if TYPE_CHECKING:
    from libs.common.events import OrderFilled, PaperOrder
    from services.execution.decide.planner import Plan
    from services.execution.decide.shortfall import Shortfall
    from services.execution.decide.sizing import Sizing, SizingInputs
    from services.execution.saga.state import Saga

ZERO: Final = Decimal(0)
FILLS_TOLD: Final = 200  # the newest; sums are kept by the orders, and each fill is on its topic


def record_of(saga: Saga, now: int) -> ExecutionRecord:
    """Return the record of an execution as it stands."""
    policy, parent = saga.policy, saga.parent
    filled = ZERO if parent is None else parent.filled
    paid = sum((order.cum_quote for order in saga.orders), ZERO)
    return ExecutionRecord(
        execution_id=saga.execution_id,
        symbol=saga.symbol,
        status=STATUS[saga.step],
        reason=saga.reason,
        waiting=saga.waiting,
        urgency=saga.urgency,
        scope=saga.scope,
        decision_id=saga.decision_id,
        policy_id=None if policy is None else policy.policy_id,
        propensity=None if policy is None else policy.propensity,
        score=None if policy is None else policy.score,
        signal=saga.signal,
        sizing=saga.sizing,
        venue=saga.venue,
        venue_score=saga.venue_score,
        venue_reasons=saga.venue_reasons,
        plan=_plan_of(saga),
        orders=saga.orders,
        fills=newest(saga.fills),
        fills_total=sum(order.fills for order in saga.orders),
        filled=filled,
        open=ZERO if parent is None else parent.open,
        unscheduled=ZERO if parent is None else parent.unscheduled,
        avg_px=paid / filled if filled else None,
        shortfall=None if saga.shortfall is None else shortfall_bps(saga.shortfall),
        reward=saga.reward,
        audit=AuditHead(entries=saga.audit_entries, head=saga.audit_head),
        created_ts=saga.created_ts,
        ts=now,
    )


def plan_of(plan: Plan, mid: float, epoch: int, seq: int, size: Decimal, side: str) -> ExecutionPlan:
    """Return a plan as it is told, with the book it was made on."""
    return ExecutionPlan(
        style=str(plan.style),
        venue=plan.venue,
        side="buy" if side == "buy" else "sell",
        size=size,
        horizon_s=plan.horizon_s,
        interval_s=plan.interval_s,
        participation=plan.participation,
        slices=tuple(PlannedSlice(at_ts=s.at_ts, size=s.qty, limit=s.limit_px) for s in plan.slices),
        expected_bps=plan.expected_bps,
        risk_bps=plan.risk_bps,
        meta_impact_bps=plan.meta_impact_bps,
        kappa=plan.kappa,
        warnings=plan.warnings,
        mid=mid,
        epoch=epoch,
        seq=seq,
        alternatives=tuple(
            PlanAlternative(
                style=str(other.style),
                horizon_s=other.horizon_s,
                children=other.children,
                expected_bps=other.expected_bps,
                risk_bps=other.risk_bps,
                objective_bps=other.objective_bps,
                why_not=other.why_not,
                meta_impact_bps=other.meta_impact_bps,
                warnings=other.warnings,
            )
            for other in plan.alternatives
        ),
    )


def sizing_snapshot(
    execution_id: str, symbol: str, inputs: SizingInputs, sizing: Sizing, now: int
) -> SizingSnapshot:
    """Return a sizing as it is told."""
    return SizingSnapshot(
        execution_id=execution_id,
        symbol=symbol,
        signal=sizing.signal,
        uncertainty_width=sizing.uncertainty_width,
        s_max=sizing.s_max,
        w_star=sizing.w_star,
        sigmoid=sizing.sigmoid,
        forecast_vol=sizing.forecast_vol,
        vol_target=sizing.vol_target,
        vol_scale=sizing.vol_scale,
        caps=sizing.caps,
        binding=sizing.binding,
        raw=sizing.raw,
        size=sizing.size,
        position_vol=sizing.position_vol,
        target=sizing.target,
        held=inputs.held,
        side=sizing.side,
        qty=sizing.qty,
        reason=sizing.reason,
        equity=inputs.equity,
        price=inputs.price,
        ts=now,
    )


def record_fill(fill: OrderFilled, order: PaperOrder) -> RecordFill:
    """Return a fill as the record tells it, with the book its order was submitted on."""
    return RecordFill(
        fill_id=fill.exec_id,
        order_id=fill.cl_ord_id,
        venue=fill.venue,
        side=fill.side,
        size=fill.last_qty,
        price=fill.last_px,
        fee=fill.fee,
        mid=order.mid,
        best_px=order.best_px,
        ts=fill.ts,
    )


def newest(fills: tuple[RecordFill, ...]) -> tuple[RecordFill, ...]:
    """Return those that are kept and told, so that a record stays far under what Kafka takes."""
    return fills[-FILLS_TOLD:]


def shortfall_bps(shortfall: Shortfall) -> ShortfallBps:
    """Return a shortfall as it is told."""
    amounts = {
        "delay": shortfall.delay,
        "impact": shortfall.impact,
        "opportunity": shortfall.opportunity,
        "fees": shortfall.fees,
        "total": shortfall.total,
        "timing": shortfall.detail.timing,
        "spread": shortfall.detail.spread,
        "walk": shortfall.detail.walk,
    }
    parts: dict[str, float | str] = {
        "timing_bps": shortfall.timing_bps,
        "spread_bps": shortfall.spread_bps,
        "walk_bps": shortfall.walk_bps,
    }
    return ShortfallBps(
        delay_bps=shortfall.delay_bps,
        impact_bps=shortfall.impact_bps,
        opportunity_bps=shortfall.opportunity_bps,
        fees_bps=shortfall.fees_bps,
        total_bps=shortfall.total_bps,
        detail=parts | {name: f"{amount:f}" for name, amount in amounts.items()},
    )


def _plan_of(saga: Saga) -> ExecutionPlan | None:
    if saga.plan is None or saga.plan_mid is None or saga.parent is None or saga.sizing is None:
        return None
    side = saga.sizing.side or "buy"
    return plan_of(saga.plan, saga.plan_mid, saga.plan_epoch, saga.plan_seq, saga.parent.quantity, side)
