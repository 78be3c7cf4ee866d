"""How to work a parent order: Immediate, TWAP, VWAP or POV, whichever costs least at this urgency.

=========  ==========================================  ================
symbol     meaning                                     unit
=========  ==========================================  ================
Q          parent quantity                             base units
N, T       children, horizon; Delta = T / N            1, s
D          60 s median depth, taken side               base units
E, R, J    expected cost, its risk, E + lambda_u R     bps of the mid
lambda_u   .3 u / (1 - u), u the urgency               1
rho        share of the volume that POV takes          1
=========  ==========================================  ================

References
----------
.. [1] Almgren & Chriss (2001), Optimal execution of portfolio transactions.
"""

from __future__ import annotations

import math
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.events import Level, TakerSide  # noqa: TC001 -- msgspec resolves annotations at run time
from libs.common.time_units import DAY_S, NS_PER_S
from services.execution.cost import CostFit, cost_bps, impact_bps, phi
from services.execution.profile import VolumeProfile  # noqa: TC001 -- msgspec resolves annotations at run time
from services.execution.slicing import Slice, join_small, limit_price, smallest_child, split

if TYPE_CHECKING:
    from numpy.random import Generator


HORIZONS_S: Final = (60.0, 300.0, 900.0, 3600.0)
VWAP_FROM_S: Final = 900.0
INTERVAL_S: Final = 15.0  # least Delta, the time between children before jitter
RHO_MAX: Final = 0.1
RISK_AVERSION: Final = 0.3  # of lambda_u
JITTER_WEIGHT: Final = 0.2
JITTER_TIME: Final = 0.3  # of Delta
DRIFT_SDS: Final = 3.0  # a limit leaves room for this many standard deviations of the wait
TIE_BPS: Final = 1e-9


class Style(StrEnum):
    """From the simplest on."""

    IMMEDIATE = "Immediate"
    TWAP = "TWAP"
    VWAP = "VWAP"
    POV = "POV"


class PlanInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan depends on, its randomness apart."""

    venue: str
    side: TakerSide
    quantity: Decimal  # Q, base units, whole lots
    urgency: float  # u, in [0, 1]
    now: int  # ns
    levels: tuple[Level, ...]  # of the taken side of the LIVE book, best first
    mid: float  # quote units
    spread_bps: float
    depth: float  # D: 60 s median of the depth within 10 bps on the taken side, base units
    sigma_day: float  # fraction per day
    cost: CostFit
    volume: VolumeProfile
    tick: Decimal  # quote units
    lot: Decimal  # base units
    min_qty: Decimal  # base units
    min_notional: Decimal  # quote units
    deadline_s: float = 3600.0
    participation: float = 0.1  # rho of POV, at most .1
    protection_bps: float = 25.0  # limit beyond the best price, for a child sent at once


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """A way to work the order, as it was judged."""

    style: Style
    horizon_s: float
    children: int
    expected_bps: float | None = None  # E, fees apart; None where it is not possible
    risk_bps: float | None = None  # R, standard deviation of the cost from waiting
    objective_bps: float | None = None  # J = E + lambda R; None where not possible, or infinite at urgency 1
    why_not: str = ""  # empty: possible


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen way, its children, and all alternatives (the chosen one among them)."""

    style: Style
    venue: str
    horizon_s: float
    interval_s: float  # between children; 0 with one
    slices: tuple[Slice, ...]  # their quantities sum to the parent; of POV what is expected
    participation: (
        float | None
    )  # POV: each child is `pov_child` of the volume since the last; None: as sliced
    min_child: Decimal  # base units
    expected_bps: float
    risk_bps: float
    lambda_u: float | None  # weight of risk; None: infinite, at urgency 1
    alternatives: tuple[Alternative, ...]  # simplest first


class CannotPlanError(ValueError):
    """No style is possible; the message says why not, for each."""


def plan(inputs: PlanInputs, generator: Generator) -> Plan:
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
    least = smallest_child(
        inputs.lot, inputs.min_qty, inputs.min_notional, min(_limit(inputs, 0.0), Decimal(repr(inputs.mid)))
    )
    if inputs.quantity < least:
        raise CannotPlanError(f"{inputs.quantity} is under {inputs.venue}'s minimum of {least} at this price")
    alternatives = _alternatives(inputs, least)
    possible = [each for each in alternatives if not each.why_not]
    if not possible:
        raise CannotPlanError("; ".join(f"{each.style}: {each.why_not}" for each in alternatives))
    chosen = _best(possible, inputs.urgency)
    return Plan(
        style=chosen.style,
        venue=inputs.venue,
        horizon_s=chosen.horizon_s,
        interval_s=chosen.horizon_s / chosen.children,
        slices=slices_of(inputs, chosen, least, generator),
        participation=inputs.participation if chosen.style is Style.POV else None,
        min_child=least,
        expected_bps=chosen.expected_bps or 0.0,
        risk_bps=chosen.risk_bps or 0.0,
        lambda_u=lambda_of(inputs.urgency),
        alternatives=alternatives,
    )


def lambda_of(urgency: float) -> float | None:
    """Return ``.3 u / (1 - u)``; None, infinite, at 1."""
    return RISK_AVERSION * urgency / (1 - urgency) if urgency < 1 else None


def risk_bps(sigma_day: float, horizon_s: float, children: int) -> float:
    """Return the standard deviation of the cost of N equal children at 0, Delta, ... from prices that wander.

    Notes
    -----
    ``1e4 sigma_day sqrt(T / 86400 x (N - 1)(2N - 1) / (6 N^2))``, towards ``sqrt(T / 3)`` [1]_: the child at
    i Delta waits i steps, and step j moves the N - j children after it.
    """
    N = children
    return 1e4 * sigma_day * math.sqrt(horizon_s / DAY_S * (N - 1) * (2 * N - 1) / (6 * N * N))


def immediate_bps(inputs: PlanInputs) -> float | None:
    """Return the cost of walking the book now against the mid; None if it is too shallow."""
    Q = rest = float(inputs.quantity)
    paid = 0.0
    for price, quantity in inputs.levels:
        taken = min(rest, quantity)
        paid += taken * price
        rest -= taken
        if rest <= 0:
            s = 1.0 if inputs.side == "buy" else -1.0
            return s * (paid / Q - inputs.mid) / inputs.mid * 1e4
    return None


def _alternatives(inputs: PlanInputs, least: Decimal) -> tuple[Alternative, ...]:
    walked = immediate_bps(inputs)
    if walked is None:
        known = math.fsum(quantity for _, quantity in inputs.levels)
        immediate = Alternative(
            style=Style.IMMEDIATE, horizon_s=0.0, children=1, why_not=f"the known book holds {known:g}"
        )
    else:
        immediate = Alternative(
            style=Style.IMMEDIATE,
            horizon_s=0.0,
            children=1,
            expected_bps=walked,
            risk_bps=0.0,
            objective_bps=walked,
        )
    most = int(inputs.quantity // least)
    return (
        immediate,
        *(_waiting(inputs, Style.TWAP, T, most, inputs.volume.cv) for T in HORIZONS_S),
        *(
            _waiting(inputs, Style.VWAP, T, most, inputs.volume.cv_left)
            for T in HORIZONS_S
            if T >= VWAP_FROM_S
        ),
        _pov(inputs, most),
    )


def _pov(inputs: PlanInputs, most: int) -> Alternative:
    pace = inputs.participation * (inputs.volume.rate or 0.0)  # base units per second
    T = float(inputs.quantity) / pace if pace > 0 else math.inf
    if math.isinf(T):
        return Alternative(
            style=Style.POV,
            horizon_s=0.0,
            children=0,
            why_not="the volume of the last hour is unknown or nil",
        )
    return _waiting(inputs, Style.POV, T, most, 0.0)


def _waiting(inputs: PlanInputs, style: Style, T: float, most: int, cv: float) -> Alternative:
    """Judge N children over T seconds, with ``E = spread / 2 + k (Q / (N D))^alpha phi(cv)``."""
    N = min(int(min(T, inputs.deadline_s) / INTERVAL_S), most)
    why_not = ""
    if inputs.deadline_s < T:
        why_not = f"{T:.0f} s is past the deadline of {inputs.deadline_s:.0f} s"
    elif N <= 1:
        why_not = f"no two children of the venue's minimum, at {INTERVAL_S:.0f} s each, fit in {T:.0f} s"
    elif not inputs.depth > 0:
        why_not = "the depth within 10 bps is unknown or nil"
    if why_not:
        return Alternative(style=style, horizon_s=T, children=N, why_not=why_not)
    x = float(inputs.quantity) / (N * inputs.depth)
    dear = (phi(cv, inputs.cost.alpha) - 1.0) * impact_bps(inputs.cost, x)  # of fixed slices in thin minutes
    E = cost_bps(inputs.cost, x, inputs.spread_bps) + dear
    R = risk_bps(inputs.sigma_day, T, N)
    weight = lambda_of(inputs.urgency)
    J = None if weight is None else E + weight * R
    return Alternative(style=style, horizon_s=T, children=N, expected_bps=E, risk_bps=R, objective_bps=J)


def _best(possible: list[Alternative], urgency: float) -> Alternative:
    def judged(each: Alternative) -> tuple[float, float]:
        E, R = each.expected_bps or 0.0, each.risk_bps or 0.0
        return (R, E) if urgency >= 1 else (each.objective_bps or 0.0, 0.0)

    best = possible[0]  # simplest first: a later one must be better by more than rounding
    for each in possible[1:]:
        (first, second), (first_best, second_best) = judged(each), judged(best)
        if first < first_best - TIE_BPS or (first <= first_best + TIE_BPS and second < second_best - TIE_BPS):
            best = each
    return best


def slices_of(
    inputs: PlanInputs, chosen: Alternative, least: Decimal, generator: Generator
) -> tuple[Slice, ...]:
    """Return the children: weights jittered by 20 %, times by .3 Delta, none before now."""
    N = chosen.children
    if N == 1:
        return (Slice(inputs.now, inputs.quantity, _limit(inputs, 0.0)),)
    interval = chosen.horizon_s / N
    late = generator.uniform(-JITTER_TIME, JITTER_TIME, N)
    after_s = [max(0.0, (at + float(late[at])) * interval) for at in range(N)]
    at_ts = [inputs.now + round(after * NS_PER_S) for after in after_s]
    jitter = generator.uniform(1 - JITTER_WEIGHT, 1 + JITTER_WEIGHT, N)
    base = [inputs.volume.weight_at(ts) if chosen.style is Style.VWAP else 1.0 for ts in at_ts]
    weights = [weight * float(factor) for weight, factor in zip(base, jitter, strict=True)]
    shares = join_small(split(inputs.quantity, weights, inputs.lot), least)
    return tuple(
        Slice(ts, share, _limit(inputs, after))
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
    if not (inputs.mid > 0 and math.isfinite(inputs.mid)):
        raise ValueError(f"mid is {inputs.mid}; it must be positive and finite")
    if not (inputs.sigma_day >= 0 and math.isfinite(inputs.sigma_day)):
        raise ValueError(f"sigma_day is {inputs.sigma_day}; it must be finite and at least 0")
