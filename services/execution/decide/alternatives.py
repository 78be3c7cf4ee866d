"""Every way that a parent order can be worked, as it is judged: Immediate, TWAP, VWAP, POV and IS.

=========  =================================================  ================
symbol     meaning                                            unit
=========  =================================================  ================
Q          parent quantity                                    base units
N, T       children, horizon; Delta = T / N                   1, s
D          60 s median depth, taken side                      base units
E, R, J    expected cost, its risk, E + lambda_u R            bps of the mid
lambda_u   .3 u / (1 - u), u the urgency                      1
rho        share of the volume that POV takes                 1
I          meta impact of the parent, `schedule.py`           bps
=========  =================================================  ================
"""

from __future__ import annotations

import math
from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from libs.common.events import Level, PlanAlternative, TakerSide
from services.execution.decide.cost import CostFit, phi
from services.execution.decide.expected_volume import span_of, volume_of_day, volume_over
from services.execution.decide.profile import VolumeProfile  # noqa: TC001 -- as above
from services.execution.decide.schedule import (
    KnownBook,
    Search,
    best_front_loaded,
    front_loaded,
    meta_impact_bps,
    moved,
    risk_bps,
    taken_bps,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

HORIZONS_S: Final[tuple[float, ...]] = (60.0, 300.0, 900.0, 3600.0)
VWAP_FROM_S: Final = 900.0
INTERVAL_S: Final = 15.0  # least Delta, the time between children before jitter
RISK_AVERSION: Final = 0.3  # of lambda_u
LEXICOGRAPHIC: Final = 1e9  # lambda of the search at urgency 1, where R alone counts
RISKLESS: Final = "urgency 0 weighs no risk"


class Style(StrEnum):
    """From the simplest on."""

    IMMEDIATE = "Immediate"
    TWAP = "TWAP"
    VWAP = "VWAP"
    POV = "POV"
    IS = "IS"


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
    participation_cap: float = 0.2  # most of the volume expected over the horizon, share
    protection_bps: float = 25.0  # limit beyond the best price, for a child sent at once
    epoch: int = 0  # ms; with `seq` names the book, as plans tell it; 0: of versions that did not say
    seq: int = 0
    model: int = 1  # of the plan that is made of these; 1: of the versions that did not say


class Market(NamedTuple):
    """What every way of an order meets."""

    book: KnownBook | None  # None: no level is known
    meta_bps: float | None  # I; None where no volume is known, or none is expected


def lambda_of(urgency: float) -> float | None:
    """Return ``.3 u / (1 - u)``; None, infinite, at 1."""
    return RISK_AVERSION * urgency / (1 - urgency) if urgency < 1 else None


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


def base_shares(inputs: PlanInputs, chosen: PlanAlternative) -> NDArray[np.float64]:
    """Return the children's shares of the parent before jitter, (N,)."""
    N = chosen.children
    interval_s = chosen.horizon_s / N
    if chosen.style == Style.IS:
        return front_loaded(chosen.kappa or 0.0, interval_s, N)
    if chosen.style == Style.VWAP:
        weights = inputs.volume.weights_at(inputs.now + np.rint(np.arange(N) * interval_s * 1e9).astype(int))
        if weights.sum() > 0:
            return np.asarray(weights / weights.sum())
    return np.full(N, 1 / N)


def alternatives_of(inputs: PlanInputs, least: Decimal) -> tuple[PlanAlternative, ...]:
    """Return every way, simplest first, judged or with why it is not possible.

    Parameters
    ----------
    least
        The smallest child that the venue takes, base units.
    """
    most, market = int(inputs.quantity // least), Market(_known_book(inputs), _meta_bps(inputs))
    fitting_s = least_horizon_s(inputs)
    horizons = HORIZONS_S
    if fitting_s is not None and not any(fitting_s <= T <= inputs.deadline_s for T in HORIZONS_S):
        horizons = (*HORIZONS_S, fitting_s)
    return (
        _immediate(inputs),
        *(_waiting(inputs, market, Style.TWAP, T, most) for T in horizons),
        *(_waiting(inputs, market, Style.VWAP, T, most) for T in horizons if T >= VWAP_FROM_S),
        _pov(inputs, market, most),
        _is(inputs, market, most, fitting_s),
    )


def same_way(inputs: PlanInputs, chosen: PlanAlternative, least: Decimal) -> PlanAlternative:
    """Return the way of another plan, of as many children over as long, judged of this order.

    Parameters
    ----------
    least
        The smallest child that the venue takes, base units.
    """
    if chosen.style == Style.IMMEDIATE:
        return _immediate(inputs)
    most, market = int(inputs.quantity // least), Market(_known_book(inputs), _meta_bps(inputs))
    if chosen.style == Style.POV:
        return _pov(inputs, market, most)
    style = Style(chosen.style)
    found = _waiting(inputs, market, style, chosen.horizon_s, most)
    if found.why_not or chosen.kappa is None:
        return found
    return _judged(inputs, market, style, chosen.horizon_s, found.children, chosen.kappa)


def least_horizon_s(inputs: PlanInputs) -> float | None:
    """Return the shortest horizon within the participation cap, seconds; None: none within the deadline.

    Where no volume is known: the shortest over which equal children are no larger than the depth.
    """
    Q = float(inputs.quantity)
    if volume_of_day(inputs.volume, inputs.now) is None:
        span_s = INTERVAL_S * math.ceil(Q / inputs.depth) if inputs.depth > 0 else math.inf
        return span_s if span_s <= inputs.deadline_s else None
    return span_of(inputs.volume, inputs.now, Q / inputs.participation_cap, inputs.deadline_s)


def capped(inputs: PlanInputs) -> str:
    """Return in words how much can be worked within the deadline; empty: all of it."""
    if least_horizon_s(inputs) is not None:
        return ""
    Q, T = float(inputs.quantity), inputs.deadline_s
    volume = volume_over(inputs.volume, inputs.now, T)
    if volume is None:
        possible = inputs.depth * int(T / INTERVAL_S)
        return (
            f"at most {possible:g} of {Q:g} can be worked within the deadline of {T:.0f} s: the volume is"
            f" unknown, and a child each {INTERVAL_S:.0f} s takes at most the depth of {inputs.depth:g}"
        )
    return (
        f"at most {inputs.participation_cap * volume:g} of {Q:g} can be worked within the deadline of"
        f" {T:.0f} s: {inputs.participation_cap:.0%} of the expected volume of {volume:g}"
    )


def _immediate(inputs: PlanInputs) -> PlanAlternative:
    walked = immediate_bps(inputs)
    if walked is None:
        known = _known(inputs)
        return PlanAlternative(
            style=Style.IMMEDIATE, horizon_s=0.0, children=1, why_not=f"the known book holds {known:g}"
        )
    return PlanAlternative(
        style=Style.IMMEDIATE,
        horizon_s=0.0,
        children=1,
        expected_bps=walked,
        risk_bps=0.0,
        objective_bps=walked,
        meta_impact_bps=0.0,
        warnings=(f"sent at once into the book that is shown, though {words}",)
        if (words := capped(inputs))
        else (),
    )


def _pov(inputs: PlanInputs, market: Market, most: int) -> PlanAlternative:
    pace = inputs.participation * (inputs.volume.rate or 0.0)  # base units per second
    T = float(inputs.quantity) / pace if pace > 0 else math.inf
    why_not = ""
    if math.isinf(T):
        why_not = "the volume of the last hour is unknown or nil"
    elif inputs.participation > inputs.participation_cap:
        why_not = (
            f"{inputs.participation:.0%} of the volume is above the cap of {inputs.participation_cap:.0%}"
        )
    if why_not:
        return PlanAlternative(style=Style.POV, horizon_s=0.0, children=0, why_not=why_not)
    return _waiting(inputs, market, Style.POV, T, most)


def _is(inputs: PlanInputs, market: Market, most: int, fitting_s: float | None) -> PlanAlternative:
    longest = min(int(inputs.deadline_s / INTERVAL_S), most)
    longest_s = longest * INTERVAL_S
    if not inputs.depth > 0 or longest <= 1 or fitting_s is None:
        return _waiting(inputs, market, Style.IS, longest_s, most)
    fewest = max(2, math.ceil(fitting_s / INTERVAL_S))
    if fewest > longest:
        why_not = (
            f"{longest} children of the venue's minimum, {INTERVAL_S:.0f} s apart, are over before the"
            f" {fitting_s:.0f} s that the participation cap demands"
        )
        return PlanAlternative(style=Style.IS, horizon_s=longest_s, children=longest, why_not=why_not)
    Q, cost = float(inputs.quantity), inputs.cost
    weight = lambda_of(inputs.urgency)
    search = Search(
        X=Q / inputs.depth,
        k_bps=cost.k_bps * phi(inputs.volume.cv, cost.alpha),
        alpha=cost.alpha,
        meta_bps=market.meta_bps or 0.0,
        sigma_day=inputs.sigma_day,
        weight=LEXICOGRAPHIC if weight is None else weight,
        interval_s=INTERVAL_S,
        book=market.book,
    )
    found = best_front_loaded(search, fewest, longest)
    if found is None:
        why_not = f"the known book holds {_known(inputs):g}, too little for a first child"
        return PlanAlternative(style=Style.IS, horizon_s=longest_s, children=longest, why_not=why_not)
    return _judged(inputs, market, Style.IS, found.children * INTERVAL_S, found.children, found.kappa)


def _waiting(inputs: PlanInputs, market: Market, style: Style, T: float, most: int) -> PlanAlternative:
    N = min(int(min(T, inputs.deadline_s) / INTERVAL_S), most)
    why_not = ""
    if inputs.deadline_s < T:
        why_not = f"{T:.0f} s is past the deadline of {inputs.deadline_s:.0f} s"
    elif N <= 1:
        why_not = f"no two children of the venue's minimum, at {INTERVAL_S:.0f} s each, fit in {T:.0f} s"
    elif not inputs.depth > 0:
        why_not = "the depth within 10 bps is unknown or nil"
    elif style is not Style.POV:
        why_not = _over_cap(inputs, T, N)
    if why_not:
        return PlanAlternative(style=style, horizon_s=T, children=N, why_not=why_not)
    return _judged(inputs, market, style, T, N)


def _over_cap(inputs: PlanInputs, T: float, N: int) -> str:
    Q = float(inputs.quantity)
    volume = volume_over(inputs.volume, inputs.now, T)
    if volume is None:
        child = Q / N
        if child <= inputs.depth:
            return ""
        return (
            f"the volume is unknown, and children of {child:g} are larger than the depth of {inputs.depth:g}"
        )
    if inputs.participation_cap * volume * (1 + 1e-9) >= Q:
        return ""
    share = f"{Q / volume:.0%}" if volume > 0 else "more than all"
    return f"{share} of the volume expected in {T:.0f} s, above the cap of {inputs.participation_cap:.0%}"


def _judged(
    inputs: PlanInputs, market: Market, style: Style, T: float, N: int, kappa: float | None = None
) -> PlanAlternative:
    """Judge N children over T s: ``E = spread/2 + k phi sum w_j (w_j X)^alpha + I 3/2 sum w_j sqrt(W_j)``.

    The first child of a fixed schedule takes from the known book, where that holds it. VWAP's children grow
    with the volume, and so does the depth they meet: they cost what equal ones do.
    """
    bare = PlanAlternative(style=style, horizon_s=T, children=N, kappa=kappa)
    shares = base_shares(inputs, bare)
    X, cost = float(inputs.quantity) / inputs.depth, inputs.cost
    cv = {Style.VWAP: inputs.volume.cv_left, Style.POV: 0.0}.get(style, inputs.volume.cv)
    costed = shares
    if style is Style.VWAP:
        costed = np.full(N, 1 / N)
        costed[0] = shares[0]
    book = None if style is Style.POV else market.book
    if book is not None and shares[0] > book.held[-1]:
        book = None  # its known levels do not hold the first child
    meta = None if market.meta_bps is None else market.meta_bps * float(moved(shares))
    taken = float(taken_bps(costed, X, cost.k_bps * phi(cv, cost.alpha), cost.alpha, book))
    E = inputs.spread_bps / 2 + taken + (meta or 0.0)
    R = float(risk_bps(inputs.sigma_day, np.arange(N) * (T / N), shares))
    weight = lambda_of(inputs.urgency)
    return msgspec.structs.replace(
        bare,
        expected_bps=E,
        risk_bps=R,
        objective_bps=None if weight is None else E + weight * R,
        meta_impact_bps=meta,
        warnings=_warnings(inputs, market, bare, X * costed, R),
    )


def _warnings(
    inputs: PlanInputs, market: Market, bare: PlanAlternative, x: NDArray[np.float64], R: float
) -> tuple[str, ...]:
    found = []
    if bare.style in {Style.TWAP, Style.VWAP} and bare.horizon_s not in HORIZONS_S:
        found.append(f"stretched to {bare.horizon_s:.0f} s, to stay within the participation cap")
    if words := _extrapolated(inputs.cost, float(x.min()), float(x.max())):
        found.append(words)
    if market.meta_bps is None:
        found.append("the volume is unknown: what the whole order moves is not in the cost")
    if inputs.urgency == 0 and R > 0:
        walked = immediate_bps(inputs)
        against = "" if walked is None else f"; at once it would cost {walked:.2f} bps and bear none"
        found.append(f"{RISKLESS}: {R:.1f} bps, one standard deviation, are borne{against}")
    return tuple(found)


def _extrapolated(cost: CostFit, least: float, most: float) -> str:
    """Return in words that children of so many depths are beyond the sizes that the cost curve rests on."""
    if cost.x_least is None or cost.x_most is None:
        return "no fill has been seen yet: the cost curve is the one that is assumed"
    if least >= cost.x_least * (1 - 1e-9) and most <= cost.x_most * (1 + 1e-9):
        return ""
    return (
        f"the cost curve is extrapolated: children of {least:.3g} to {most:.3g} depths, fills seen of"
        f" {cost.x_least:.3g} to {cost.x_most:.3g}"
    )


def _meta_bps(inputs: PlanInputs) -> float | None:
    """Return I; None where no volume is known, or none is expected."""
    volume = volume_of_day(inputs.volume, inputs.now)
    if volume is None or volume <= 0:
        return None
    return meta_impact_bps(float(inputs.quantity), volume, inputs.sigma_day)


def _known(inputs: PlanInputs) -> float:
    return math.fsum(quantity for _, quantity in inputs.levels)


def _known_book(inputs: PlanInputs) -> KnownBook | None:
    if not inputs.levels:
        return None
    s = 1.0 if inputs.side == "buy" else -1.0
    levels = np.array(inputs.levels)
    bps = s * (levels[:, 0] / inputs.mid - 1) * 1e4 - inputs.spread_bps / 2
    held = levels[:, 1] / float(inputs.quantity)
    return KnownBook(
        held=np.concatenate(([0.0], np.cumsum(held))), paid=np.concatenate(([0.0], np.cumsum(held * bps)))
    )
