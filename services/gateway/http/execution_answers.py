"""The JSON of executions: camel case, milliseconds; Decimals of orders and fills are text, else numbers."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.common.events import ExecutionStatus, TakerSide  # noqa: TC001 -- as above


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Field names in camel case on the wire."""


class SignalAnswer(_Answer, frozen=True, kw_only=True):
    """What the policy wants."""

    value: Annotated[float, Meta(description="+1 fully long, 0 flat, -1 to 1")]
    reason: Annotated[str, Meta(description="why, in words")]


class SizingAnswer(_Answer, frozen=True, kw_only=True):
    """How a signal became a size."""

    execution_id: str
    symbol: str
    signal: Annotated[float, Meta(description="-1 to 1")]
    uncertainty_width: Annotated[float, Meta(description="90 % width of the expected reward, return units")]
    s_max: Annotated[float, Meta(description="largest position, fraction of equity")]
    w_star: Annotated[float, Meta(description="return units")]
    sigmoid: Annotated[float, Meta(description="sigma(-width/wStar), 0 to 0.5")]
    forecast_vol: Annotated[float | None, Meta(description="fraction per day")]
    vol_target: Annotated[float, Meta(description="fraction per day")]
    vol_scale: Annotated[float | None, Meta(description="volTarget / forecastVol, at most 2")]
    cvar_cap: Annotated[
        float | None, Meta(description="cap by the CVaR budget, fraction of equity; null: it cannot bind")
    ]
    caps: Annotated[dict[str, float], Meta(description="all caps, fraction of equity")]
    binding: Annotated[str | None, Meta(description="the cap that cut the size")]
    raw: Annotated[float, Meta(description="before the caps, fraction of equity")]
    size: Annotated[float, Meta(description="signed target after the caps, fraction of equity")]
    target: Annotated[float, Meta(description="signed target, base units")]
    held: Annotated[float, Meta(description="held and on its way, base units")]
    side: Annotated[TakerSide | None, Meta(description="of the order; null: none")]
    quantity: Annotated[float, Meta(description="of the order, base units")]
    reason: str
    equity: Annotated[float, Meta(description="quote units")]
    price: Annotated[float, Meta(description="quote units")]
    ts: int


class SliceAnswer(_Answer, frozen=True, kw_only=True):
    """One child of a plan."""

    at: Annotated[int, Meta(description="ms since 1970 UTC")]
    size: Annotated[float, Meta(description="base units")]
    limit: Annotated[float, Meta(description="quote units, from the book of the plan")]


class AlternativeAnswer(_Answer, frozen=True, kw_only=True):
    """A way to work the order, as it was judged."""

    style: str
    horizon_s: float
    children: int
    expected_bps: Annotated[float | None, Meta(description="spread and impact, fees apart, bps of mid")]
    risk_bps: Annotated[
        float | None, Meta(description="standard deviation of what waiting costs, bps of mid")
    ]
    objective_bps: Annotated[
        float | None, Meta(description="expected plus weighted risk, bps of mid; null: impossible")
    ]
    why_not: Annotated[str, Meta(description="empty: possible")]


class PlanAnswer(_Answer, frozen=True, kw_only=True):
    """How an order is worked."""

    style: str
    venue: str
    side: TakerSide
    size: Annotated[float, Meta(description="base units")]
    horizon_s: float
    interval_s: float
    participation: Annotated[float | None, Meta(description="of POV: share of the volume")]
    slices: tuple[SliceAnswer, ...]
    expected_bps: float
    risk_bps: float
    mid: Annotated[float, Meta(description="of the book of the plan, quote units")]
    epoch: int
    seq: int


class OrderAnswer(_Answer, frozen=True, kw_only=True):
    """A paper order, in the words of FIX; amounts are text."""

    order_id: Annotated[str, Meta(description="UUID of the order (FIX ClOrdID)")]
    execution_id: str | None
    venue: str
    symbol: str
    side: TakerSide
    size: Annotated[Decimal, Meta(description="base units (FIX OrderQty)")]
    ord_type: str
    limit: Annotated[Decimal | None, Meta(description="quote units (FIX Price); null: a market order")]
    time_in_force: str
    ord_status: str
    exec_type: str
    cum_qty: Decimal
    leaves_qty: Decimal
    avg_px: Decimal | None
    fees: Decimal
    ts: Annotated[int, Meta(description="when it was submitted, ms since 1970 UTC")]
    text: Annotated[str, Meta(description="why canceled or rejected; empty: neither")]


class FillAnswer(_Answer, frozen=True, kw_only=True):
    """One fill; amounts are text."""

    fill_id: str
    order_id: str
    venue: str
    side: TakerSide
    size: Decimal
    price: Decimal
    fee: Decimal
    ts: int


class ShortfallAnswer(_Answer, frozen=True, kw_only=True):
    """Implementation shortfall, bps of the order's value at the decision; a cost is positive."""

    delay_bps: Annotated[float, Meta(description="the mid's way from the decision to the first child, bps")]
    impact_bps: Annotated[float, Meta(description="the fills against the mid at the first child, bps")]
    opportunity_bps: Annotated[float, Meta(description="the mid's way for what was not filled, bps")]
    fees_bps: Annotated[float, Meta(description="fees of the fills, bps")]
    total_bps: Annotated[float, Meta(description="the sum of the four, bps")]
    detail: Annotated[
        dict[str, float | str],
        Meta(description="timing, spread and walk sum to impact, bps; amounts in quote units as text"),
    ]


class TaughtAnswer(_Answer, frozen=True, kw_only=True):
    """What the policy was taught."""

    reward: Annotated[float | None, Meta(description="return units, net of costs; null: nothing")]
    reason: str
    mid: Annotated[float | None, Meta(description="of the venue at the horizon, quote units")]
    counted: Annotated[bool | None, Meta(description="by the router; null: not answered")]


class AuditHeadAnswer(_Answer, frozen=True, kw_only=True):
    """Where the audit chain stands."""

    entries: int
    head: str
    href: Annotated[str, Meta(description="where to have it verified")]


class ExecutionAnswer(_Answer, frozen=True, kw_only=True):
    """An execution as it stands; filled + open + unscheduled is the size of its order."""

    execution_id: str
    symbol: str
    status: ExecutionStatus
    reason: str
    waiting: Annotated[str, Meta(description="for what it waits now; empty: for nothing")]
    urgency: float
    policy_id: str | None
    decision_id: str
    propensity: float | None
    policy_score: Annotated[
        float | None, Meta(description="sampled reward of the policy, return units; null before it is chosen")
    ]
    signal: SignalAnswer | None
    sizing: SizingAnswer | None
    venue: str | None
    venue_score: float | None
    venue_reasons: tuple[str, ...]
    plan: PlanAnswer | None
    alternatives: tuple[AlternativeAnswer, ...]
    orders: tuple[OrderAnswer, ...]
    fills: Annotated[tuple[FillAnswer, ...], Meta(description="the newest of its orders, oldest first")]
    fills_total: Annotated[int, Meta(description="so far; each is on execution.fills.v1")]
    filled: Annotated[float, Meta(description="base units")]
    open: float
    unscheduled: float
    avg_px: Annotated[
        float | None, Meta(description="average price of the fills, quote units; null without one")
    ]
    shortfall: ShortfallAnswer | None
    reward: Annotated[TaughtAnswer | None, Meta(description="what the policy was taught; null before that")]
    audit: AuditHeadAnswer
    created_ts: int
    ts: Annotated[int, Meta(description="when it changed last, ms since 1970 UTC")]


class CostAnswer(_Answer, frozen=True, kw_only=True):
    """What a plan is expected to cost."""

    spread_bps: Annotated[float, Meta(description="half the spread, bps of mid")]
    impact_bps: Annotated[float, Meta(description="of walking the book, bps of mid")]
    fee_bps: Annotated[float, Meta(description="taker fee, bps")]
    total_bps: Annotated[float, Meta(description="spread, impact and fee, bps of mid")]
    total: Annotated[float, Meta(description="quote units")]
    impact_lower_bps: Annotated[
        float, Meta(description="lower end of the 95 % interval of the cost curve, one child, bps")
    ]
    impact_upper_bps: Annotated[float, Meta(description="its upper end, bps")]


class SimulationAnswer(_Answer, frozen=True, kw_only=True):
    """How an order would be worked."""

    symbol: str
    plan: PlanAnswer
    cost: CostAnswer
    alternatives: tuple[AlternativeAnswer, ...]
    venues: Annotated[dict[str, str], Meta(description="what each venue would cost, or why it cannot")]
    ts: int


class PaperOrderAnswer(_Answer, frozen=True, kw_only=True):
    """An order on its own, and its fills."""

    order: OrderAnswer
    fills: tuple[FillAnswer, ...]
    fills_total: Annotated[int, Meta(description="so far; each is on execution.fills.v1")]


class AuditEntryAnswer(_Answer, frozen=True, kw_only=True):
    """One link of the chain."""

    seq: Annotated[int, Meta(description="place in the chain, from 0")]
    ts: Annotated[int, Meta(description="when it happened, ms since 1970 UTC")]
    kind: Annotated[str, Meta(description="what happened")]
    payload: Annotated[
        dict[str, Any],
        Meta(description="what was decided, and all it was made of; names, ns and Decimals as on Kafka"),
    ]
    prev_hash: Annotated[str, Meta(description="hash of the entry before, hex; 64 zeros first")]
    hash: Annotated[str, Meta(description="SHA-256(prevHash + JCS({seq, ts, kind, payload})), hex")]


class AuditAnswer(_Answer, frozen=True, kw_only=True):
    """The audit chain of an execution."""

    execution_id: str
    verified: Annotated[
        bool, Meta(description="the chain is whole, and every decision made again came out the same")
    ]
    problems: Annotated[
        tuple[str, ...], Meta(description="what is altered or came out differently, in words; empty: nothing")
    ]
    decisions: Annotated[int, Meta(description="made again from their logged inputs")]
    entries: Annotated[tuple[AuditEntryAnswer, ...], Meta(description="the chain, in order")]
