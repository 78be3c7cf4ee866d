"""What a venue that may take part in an order costs, all in, and the least that it can cost; pure.

========  =======================================================  =====
symbol    meaning                                                  unit
========  =======================================================  =====
E, R, J   expected cost, its risk, E + lambda R                    bps
lambda    weight of risk at this urgency, `alternatives.py`        1
w_1       share of the first child                                 1
c         lambda times the risk of waiting for the second child    bps
========  =======================================================  =====
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from libs.common.time_units import DAY_S
from services.execution.decide.alternatives import INTERVAL_S, PlanInputs, immediate_bps, lambda_of
from services.execution.decide.cost import phi
from services.execution.decide.planner import TIE_BPS, least_child
from services.execution.decide.shares import Curve, Lots

if TYPE_CHECKING:
    from libs.common.events import CostBps, ExecutionPlan, PlanAlternative

BPS: Final = 1e4


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A venue that may take part, at its LIVE book."""

    inputs: PlanInputs  # of any quantity: the split says what goes there
    taker_bps: float
    latency_ms: float  # until an order is there
    score_bps: float | None = None  # minus the all-in cost of taking all at once, as `venues` judged
    beside_bps: float = 0.0  # of that cost, what is neither price nor fee: see `beside_bps`


class Cost(NamedTuple):
    """What an order costs, bps of its value."""

    E: float  # all in
    R: float
    meta: float = 0.0  # of E: the way that its own earlier children move the mid

    def judged(self, urgency: float) -> tuple[float, float]:
        """Return what is compared: J, and at urgency 1 the risk before the cost."""
        weight = lambda_of(urgency)
        return (self.R, self.E) if weight is None else (self.E + weight * self.R, 0.0)


def cheaper(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether a judged cost is below another by more than rounding."""
    return one[0] < other[0] - TIE_BPS or (one[0] <= other[0] + TIE_BPS and one[1] < other[1] - TIE_BPS)


def beside_bps(cost: CostBps) -> float:
    """Return what `venues` expects beside price and fee: basis, latency, reliability and slippage, bps."""
    return cost.basis + cost.latency + cost.reliability + cost.slippage


def cost_of(offer: Offer, way: ExecutionPlan | PlanAlternative) -> Cost:
    """Return what a plan, or a way that is possible, costs at this venue with fee and all."""
    E = (way.expected_bps or 0.0) + offer.taker_bps + offer.beside_bps
    return Cost(E, way.risk_bps or 0.0, way.meta_impact_bps or 0.0)


def least_judged(offer: Offer, inputs: PlanInputs) -> tuple[float, float]:
    """Return a bound that no plan at this venue is judged below.

    Notes
    -----
    Of a schedule whose first child is w_1 of the order, 15 s before the second or more, ``R >= sigma sqrt(15
    s) (1 - w_1)`` and E is at least what w_1 pays in the known book: each unit costs the lesser of its level
    and c. POV's children are costed by the curve, and two or more: c / 2 at least. A book that does not hold
    the order says nothing of its first child, so half the spread is all that is certain.
    """
    flat = offer.taker_bps + offer.beside_bps + inputs.spread_bps / 2
    weight, walked = lambda_of(inputs.urgency), immediate_bps(inputs)
    if weight is None:
        return 0.0, -math.inf if walked is None else walked + flat - inputs.spread_bps / 2
    if walked is None:
        return flat, 0.0
    c = weight * BPS * inputs.sigma_day * math.sqrt(INTERVAL_S / DAY_S)
    s = 1.0 if inputs.side == "buy" else -1.0
    Q = rest = float(inputs.quantity)
    paid = 0.0
    for price, size in inputs.levels:
        taken = min(rest, size)
        paid += taken * min(c, s * (price / inputs.mid - 1) * BPS - inputs.spread_bps / 2)
        rest -= taken
        if rest <= 0:
            break
    return flat + min(paid / Q, c / 2), 0.0


def curve_of(offer: Offer) -> Curve:
    """Return what equal children cost at this venue."""
    inputs = offer.inputs
    flat = offer.taker_bps + offer.beside_bps + inputs.spread_bps / 2
    cost = inputs.cost
    return Curve(inputs.venue, flat, cost.k_bps * phi(inputs.volume.cv, cost.alpha), cost.alpha, inputs.depth)


def lots_of(offer: Offer) -> Lots:
    """Return what the venue's orders must be."""
    return Lots(offer.inputs.lot, least_child(offer.inputs))
