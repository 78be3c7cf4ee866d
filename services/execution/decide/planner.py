"""How to work a parent order: Immediate, TWAP, VWAP, POV or IS, whichever costs least at this urgency.

The ways, what each is expected to cost and to risk, and their symbols are in `alternatives.py`.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from libs.common.events import ExecutionPlan, PlannedSlice
from libs.common.time_units import DAY_S, NS_PER_S
from services.execution.decide.alternatives import Style, alternatives_of, base_shares, capped, lambda_of
from services.execution.decide.slicing import join_small, limit_price, smallest_child, split

if TYPE_CHECKING:
    from numpy.random import Generator

    from libs.common.events import PlanAlternative
    from services.execution.decide.alternatives import PlanInputs


MODEL: Final = 2  # raised with what a plan of the same inputs is
RHO_MAX: Final = 0.1
JITTER_WEIGHT: Final = 0.2
JITTER_TIME: Final = 0.3  # of Delta
DRIFT_SDS: Final = 3.0  # a limit leaves room for this many standard deviations of the wait
TIE_BPS: Final = 1e-9


class CannotPlanError(ValueError):
    """No style is possible; the message says why not, for each."""


def plan(inputs: PlanInputs, generator: Generator) -> ExecutionPlan:
    """Return the plan with the least ``J = E + lambda_u R``, ties to the simpler style.

    At urgency 1 lambda is infinite: the least R, then the least E.

    Raises
    ------
    CannotPlanError
        If the price is under the venue's tick, the quantity under its minimum, or no style is possible.
    ValueError
        If an input is out of range; the message says which.
    """
    _check(inputs)
    if (best := _best_px(inputs)) < float(inputs.tick):
        raise CannotPlanError(
            f"the best price {best:g} is under the tick {inputs.tick:f} of {inputs.venue}:"
            " it does not fit the market"
        )
    least = least_child(inputs)
    if inputs.quantity < least:
        raise CannotPlanError(f"{inputs.quantity} is under {inputs.venue}'s minimum of {least} at this price")
    alternatives = alternatives_of(inputs, least)
    possible = [each for each in alternatives if not each.why_not]
    if not possible:
        each_why = "; ".join(f"{each.style}: {each.why_not}" for each in alternatives)
        why = capped(inputs)
        raise CannotPlanError(f"{why}; {each_why}" if why else each_why)
    chosen = _best(possible, inputs.urgency)
    return ExecutionPlan(
        style=chosen.style,
        venue=inputs.venue,
        side=inputs.side,
        size=inputs.quantity,
        horizon_s=chosen.horizon_s,
        interval_s=chosen.horizon_s / chosen.children,
        slices=slices_of(inputs, chosen, least, generator),
        participation=inputs.participation if chosen.style == Style.POV else None,
        min_child=least,
        expected_bps=chosen.expected_bps or 0.0,
        risk_bps=chosen.risk_bps or 0.0,
        lambda_u=lambda_of(inputs.urgency),
        mid=inputs.mid,
        epoch=inputs.epoch,
        seq=inputs.seq,
        alternatives=alternatives,
        meta_impact_bps=chosen.meta_impact_bps,
        kappa=chosen.kappa,
        warnings=chosen.warnings,
    )


def least_child(inputs: PlanInputs) -> Decimal:
    """Return the smallest child that the venue takes at the worst price of one sent now, base units."""
    price = min(_limit(inputs, 0.0), Decimal(repr(inputs.mid)))
    return smallest_child(inputs.lot, inputs.min_qty, inputs.min_notional, price)


def _best(possible: list[PlanAlternative], urgency: float) -> PlanAlternative:
    def judged(each: PlanAlternative) -> tuple[float, float]:
        E, R = each.expected_bps or 0.0, each.risk_bps or 0.0
        return (R, E) if urgency >= 1 else (each.objective_bps or 0.0, 0.0)

    best = possible[0]  # simplest first: a later one must be better by more than rounding
    for each in possible[1:]:
        (first, second), (first_best, second_best) = judged(each), judged(best)
        if first < first_best - TIE_BPS or (first <= first_best + TIE_BPS and second < second_best - TIE_BPS):
            best = each
    return best


def slices_of(
    inputs: PlanInputs, chosen: PlanAlternative, least: Decimal, generator: Generator
) -> tuple[PlannedSlice, ...]:
    """Return the children: weights jittered by 20 %, times by .3 Delta, none before now."""
    N = chosen.children
    if N == 1:
        return (PlannedSlice(at_ts=inputs.now, size=inputs.quantity, limit=_limit(inputs, 0.0)),)
    interval = chosen.horizon_s / N
    late = generator.uniform(-JITTER_TIME, JITTER_TIME, N)
    after_s = [max(0.0, (at + float(late[at])) * interval) for at in range(N)]
    at_ts = [inputs.now + round(after * NS_PER_S) for after in after_s]
    jitter = generator.uniform(1 - JITTER_WEIGHT, 1 + JITTER_WEIGHT, N)
    weights = (base_shares(inputs, chosen) * jitter).tolist()
    shares = join_small(split(inputs.quantity, weights, inputs.lot), least)
    return tuple(
        PlannedSlice(at_ts=ts, size=share, limit=_limit(inputs, after))
        for ts, after, share in zip(at_ts, after_s, shares, strict=True)
        if share
    )


def _limit(inputs: PlanInputs, after_s: float) -> Decimal:
    """Return the limit of a child sent later: the protection, and 3 standard deviations of the wait."""
    best = _best_px(inputs)
    drift_bps = DRIFT_SDS * 1e4 * inputs.sigma_day * math.sqrt(after_s / DAY_S)
    return limit_price(inputs.side, best, inputs.protection_bps + drift_bps, inputs.tick)


def _best_px(inputs: PlanInputs) -> float:
    s = 1.0 if inputs.side == "buy" else -1.0
    return inputs.levels[0][0] if inputs.levels else inputs.mid * (1 + s * inputs.spread_bps / 2e4)


def _check(inputs: PlanInputs) -> None:
    if not 0 <= inputs.urgency <= 1:
        raise ValueError(f"urgency is {inputs.urgency}; it must be in [0, 1]")
    if not 0 < inputs.participation <= RHO_MAX:
        raise ValueError(f"participation is {inputs.participation}; it must be in (0, {RHO_MAX}]")
    if not 0 < inputs.participation_cap <= 1:
        raise ValueError(f"participation_cap is {inputs.participation_cap}; it must be in (0, 1]")
    if not (inputs.mid > 0 and math.isfinite(inputs.mid)):
        raise ValueError(f"mid is {inputs.mid}; it must be positive and finite")
    if not (inputs.sigma_day >= 0 and math.isfinite(inputs.sigma_day)):
        raise ValueError(f"sigma_day is {inputs.sigma_day}; it must be finite and at least 0")
