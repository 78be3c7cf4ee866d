"""Over which venues an order is worked, and how at each: the cheapest of one venue and some splits; pure.

The best single venue is that with the least J = E + lambda R of its plan, all in. Splits that are tried: the
allocation of `venues`, which is for taking all at once; shares of equal marginal cost for as many children as
the single plan has, which are as the depths where costs are equal; and both with ever fewer venues. Each leg
is first judged taking its share at once, or in the single plan's way: its own plan is judged no higher.
Only the best split's legs are planned in full. A split is made only where both J and E are below the single
venue's: it is not to cost more for bearing less risk, which a single venue at a higher urgency does too.

=========  ==============================================================  ==================
symbol     meaning                                                         unit
=========  ==============================================================  ==================
w_v        share of leg v                                                  1
E_v, R_v   of the leg's plan, all in                                       bps of its value
m_v        of E_v: meta impact; m of the single plan                       bps
d_v        how much sooner than the slowest leg v's orders arrive          s
K          what further venues cost                                        bps of the order
=========  ==============================================================  ==================

    E = sum w_v (E_v + max(m_v, m) - m_v) + K,   R = sum w_v R_v,
    K = (legs - 1) fixed + sum w_v sigma sqrt(2 d_v / pi)

R: the legs wait for one price, so their risks add up (at most). m: children at one venue move the mid of all,
so what a leg that waits saves of the meta impact by being smaller is not counted. d_v: the first child of the
faster legs is sent d_v later, so that the slower does not come to a market that they have warned; meanwhile
the mid moves by ``E|N(0, sigma^2 d)| = sigma sqrt(2 d / pi)``, which is counted against them in full.
"""

from __future__ import annotations

import math
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import replace
from numpy.random import Generator, Philox

from libs.common.cloudevents import caused_id
from libs.common.events import ExecutionPlan, PlanAlternative
from libs.common.time_units import DAY_S, NS_PER_MS, NS_PER_S
from services.execution.decide.alternatives import Style, same_way
from services.execution.decide.offers import (
    BPS,
    Cost,
    Offer,
    cheaper,
    cost_of,
    curve_of,
    least_judged,
    lots_of,
)
from services.execution.decide.planner import TIE_BPS, CannotPlanError, plan
from services.execution.decide.planning import plan_generator
from services.execution.decide.shares import floored, levelled, whole_shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from services.execution.decide.alternatives import PlanInputs

MODEL: Final = 1  # raised with what a split of the same inputs is
FIXED_BPS: Final = 0.1  # of the order, of each further venue
MAX_VENUES: Final = 9
AT_ONCE: Final = PlanAlternative(style=Style.IMMEDIATE, horizon_s=0.0, children=1)
MOST_SKEW_MS: Final = 1000.0  # that a leg is delayed for a slower one


class SplitInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that a split depends on, the id of its execution apart."""

    offers: tuple[Offer, ...]  # the venues whose book is LIVE and that are allowed, each once
    quantity: Decimal  # base units
    shares: dict[str, Decimal]  # base units by venue: the allocation of `venues`; empty: none
    max_venues: int
    fixed_bps: float = FIXED_BPS  # what each further venue costs, of the order
    fixed_quote: float = 0.0  # likewise, quote units
    model: int = 1


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's part of the order."""

    venue: str
    quantity: Decimal  # base units, whole lots
    why: str  # so much goes there, in words
    plan: ExecutionPlan
    total_bps: float  # plan and fee


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The legs, the largest first; their quantities sum to what is executed, in whole lots."""

    legs: tuple[Leg, ...]
    single: str | None  # the best venue for the whole; None: none can take it
    single_bps: float | None  # E there, all in
    expected_bps: float  # E of the legs, all in, what further venues cost included
    saving_bps: float  # single_bps less expected_bps; 0 of one leg, and without a single venue
    why: str
    left_out: dict[str, str]  # why no leg is there, in words, by venue

    @property
    def quantity(self) -> Decimal:
        """Return the size of the order that is executed, base units."""
        return sum((leg.quantity for leg in self.legs), Decimal(0))


class Single(NamedTuple):
    """The whole order at one venue."""

    offer: Offer
    plan: ExecutionPlan
    cost: Cost

    @property
    def way(self) -> PlanAlternative:
        """The way that the plan took."""
        chosen = (self.plan.style, self.plan.horizon_s)
        return next(each for each in self.plan.alternatives if (each.style, each.horizon_s) == chosen)


class Case(NamedTuple):
    """What all tries share."""

    inputs: SplitInputs
    execution_id: str
    offers: dict[str, Offer]
    single: Single | None

    @property
    def urgency(self) -> float:
        """The same at all venues."""
        return self.inputs.offers[0].inputs.urgency

    @property
    def single_venue(self) -> str | None:
        """The best venue for the whole."""
        return None if self.single is None else self.single.plan.venue


def leg_generator(execution_id: str, venue: str, single: str | None) -> Generator:
    """Return the generator of a leg's plan: at the best single venue that of the execution, else its own."""
    if venue == single:
        return plan_generator(execution_id)
    return Generator(Philox(key=caused_id(UUID(execution_id), f"plan at {venue}").int))


def split(inputs: SplitInputs, execution_id: str) -> Split:
    """Return the legs that cost least together, of which a single venue is one case; ties to the fewer.

    Raises
    ------
    CannotPlanError
        If nothing is possible; the message says why not, venue by venue.
    ValueError
        If an input is out of range.
    """
    if not 1 <= inputs.max_venues <= MAX_VENUES:
        raise ValueError(f"max_venues is {inputs.max_venues}; it must be 1 to {MAX_VENUES}")
    offers = {each.inputs.venue: each for each in inputs.offers}
    if len(offers) < len(inputs.offers):
        raise ValueError(f"a venue is offered twice: {[each.inputs.venue for each in inputs.offers]}")
    single, left_out = best_single(inputs, execution_id)
    case = Case(inputs, execution_id, offers, single)
    made = _best_split(case)
    if made is not None:
        legs, cost = made
        names = {leg.venue for leg in legs}
        others = {venue: left_out.get(venue, "no part there makes it cheaper") for venue in offers}
        return Split(
            legs=legs,
            single=case.single_venue,
            single_bps=None if single is None else single.cost.E,
            expected_bps=cost.E,
            saving_bps=0.0 if single is None else single.cost.E - cost.E,
            why=_why(case, legs, cost),
            left_out={venue: why for venue, why in others.items() if venue not in names},
        )
    if single is None:
        raise CannotPlanError("; ".join(f"{venue}: {why}" for venue, why in left_out.items()) or "no venue")
    why = "all of it: no split is cheaper" if inputs.max_venues > 1 else "all of it: one venue was asked for"
    leg = Leg(
        venue=single.plan.venue,
        quantity=floored(inputs.quantity, single.offer.inputs.lot),
        why=why,
        plan=single.plan,
        total_bps=single.plan.expected_bps + single.offer.taker_bps,
    )
    return Split(
        legs=(leg,),
        single=leg.venue,
        single_bps=single.cost.E,
        expected_bps=single.cost.E,
        saving_bps=0.0,
        why=why.removeprefix("all of it: "),
        left_out=left_out,
    )


def best_single(inputs: SplitInputs, execution_id: str) -> tuple[Single | None, dict[str, str]]:
    """Return the venue whose plan of the whole is judged cheapest, and why the others are not, by venue.

    Ties go to the earlier offer. A venue that even at best is dearer is not planned at.
    """
    wholes = [(each, sized(each, floored(inputs.quantity, each.inputs.lot))) for each in inputs.offers]
    bounds = [
        least_judged(offer, whole) if whole.quantity > 0 else (math.inf, 0.0) for offer, whole in wholes
    ]
    best: Single | None = None
    why: dict[str, str] = {}
    for at in sorted(range(len(wholes)), key=lambda at: (bounds[at], at)):
        offer, whole = wholes[at]
        if best is not None and not cheaper(bounds[at], best.cost.judged(whole.urgency)):
            why[whole.venue] = f"even at best dearer than {best.plan.venue}"
            continue
        try:
            made = plan(whole, plan_generator(execution_id))
        except CannotPlanError as error:
            why[whole.venue] = str(error)
            continue
        cost = cost_of(offer, made)
        found = Single(offer, made, cost)
        if best is None or cheaper(cost.judged(whole.urgency), best.cost.judged(whole.urgency)):
            best = found
        why[whole.venue] = f"all of it costs {cost.E:.2f} bps there"
    if best is not None:
        why.pop(best.plan.venue, None)
    return best, why


def _best_split(case: Case) -> tuple[tuple[Leg, ...], Cost] | None:
    """Return the legs of the split that is judged cheapest, and better than the single venue; None: none is.

    Where a single venue takes all, those that are not better are not planned, and the first that is, is it.
    """
    single, found = case.single, []
    for shares in _tries(case):
        bound = _bound(case, shares)
        if single is None or (bound is not None and _better(bound, single.cost, case.urgency)):
            judged = (math.inf, 0.0) if bound is None else bound.judged(case.urgency)
            found.append((judged, len(shares), shares))
    best: tuple[tuple[Leg, ...], Cost] | None = None
    for _, _, shares in sorted(found, key=itemgetter(0, 1)):
        try:
            legs = _planned(case, shares)
        except CannotPlanError:
            continue
        cost = _joint(case, {leg.venue: (leg.quantity, leg.plan) for leg in legs})
        if single is not None and _better(cost, single.cost, case.urgency):
            return legs, cost
        if single is None and (
            best is None or cheaper(cost.judged(case.urgency), best[1].judged(case.urgency))
        ):
            best = legs, cost
    return best


def _better(cost: Cost, single: Cost, urgency: float) -> bool:
    """Whether a split is judged below the single venue, and is expected to cost less too."""
    return cost.E < single.E - TIE_BPS and cheaper(cost.judged(urgency), single.judged(urgency))


def _tries(case: Case) -> Iterator[dict[str, Decimal]]:
    """Yield splits over two venues and more, each once."""
    seen = []
    for weights in _weights(case):
        lots = {venue: lots_of(case.offers[venue]) for venue in weights}
        shares = whole_shares(case.inputs.quantity, weights, lots)
        if len(shares) > 1 and shares not in seen:
            seen.append(shares)
            yield shares


def _weights(case: Case) -> Iterator[dict[str, Decimal]]:
    inputs, offers = case.inputs, case.offers
    most = min(inputs.max_venues, len(offers))
    allocated = {venue: share for venue, share in inputs.shares.items() if venue in offers and share > 0}
    by_size = sorted(allocated, key=lambda venue: (-allocated[venue], venue))
    for count in range(min(most, len(by_size)), 1, -1):
        yield {venue: allocated[venue] for venue in by_size[:count]}
    children = {1} if case.single is None else {1, len(case.single.plan.slices)}
    for N in sorted(children):
        venues = list(offers)
        count = most
        while count > 1:
            found = levelled([curve_of(offers[venue]) for venue in venues], float(inputs.quantity), N)
            venues = sorted(found, key=lambda venue: (-found[venue], venue))
            if len(venues) <= count:
                if len(venues) > 1:
                    yield {venue: Decimal(found[venue]) for venue in venues}
                count = min(count, len(venues)) - 1
            venues = venues[:count]


def _bound(case: Case, shares: Mapping[str, Decimal]) -> Cost | None:
    """Return the cost above which no such split is judged once planned; None: a leg is not possible so."""
    tried = (AT_ONCE,) if case.single is None else (AT_ONCE, case.single.way)
    ways: dict[str, tuple[Decimal, ExecutionPlan | PlanAlternative]] = {}
    for venue, quantity in shares.items():
        offer = case.offers[venue]
        inputs, least = sized(offer, quantity), lots_of(offer).least
        judged = [
            (cost_of(offer, way).judged(inputs.urgency), way)
            for way in (same_way(inputs, each, least) for each in tried)
            if not way.why_not
        ]
        if not judged:
            return None
        ways[venue] = quantity, min(judged, key=itemgetter(0))[1]
    return _joint(case, ways)


def _joint(case: Case, ways: Mapping[str, tuple[Decimal, ExecutionPlan | PlanAlternative]]) -> Cost:
    """Return what the legs cost together, bps of the order; see the module's docstring."""
    total = float(sum((quantity for quantity, _ in ways.values()), Decimal(0)))
    pooled = 0.0 if case.single is None else case.single.cost.meta
    late = delays_ns(case.offers[venue] for venue in ways)
    E = R = meta = 0.0
    for venue, (quantity, way) in ways.items():
        offer, w = case.offers[venue], float(quantity) / total
        cost = cost_of(offer, way)
        m = max(cost.meta, pooled) if cost.meta else 0.0
        waited = late[venue] / NS_PER_S
        moved = BPS * offer.inputs.sigma_day * math.sqrt(2 * waited / (math.pi * DAY_S))
        E += w * (cost.E - cost.meta + m + moved)
        R += w * cost.R
        meta += w * m
    mid = case.inputs.offers[0].inputs.mid
    fixed = case.inputs.fixed_bps + BPS * case.inputs.fixed_quote / (total * mid)
    return Cost(E + (len(ways) - 1) * fixed, R, meta)


def delays_ns(offers: Iterable[Offer]) -> dict[str, int]:
    """Return by venue how much later its first child is sent, so that all arrive together, ns."""
    latencies = {each.inputs.venue: each.latency_ms for each in offers}
    slowest = max(latencies.values())
    return {
        venue: round(min(slowest - latency, MOST_SKEW_MS) * NS_PER_MS) for venue, latency in latencies.items()
    }


def _planned(case: Case, shares: Mapping[str, Decimal]) -> tuple[Leg, ...]:
    """Return the legs, each with its own plan, the first children sent so that they arrive together."""
    total = sum(shares.values(), Decimal(0))
    late = delays_ns(case.offers[venue] for venue in shares)
    return tuple(
        leg_of(
            case.offers[venue],
            quantity,
            leg_generator(case.execution_id, venue, case.single_venue),
            f"{quantity / total:.0%} of it",
            late[venue],
        )
        for venue, quantity in shares.items()
    )


def leg_of(offer: Offer, quantity: Decimal, generator: Generator, why: str, late_ns: int = 0) -> Leg:
    """Return the leg of so much at this venue, its first child sent `late_ns` after now at the earliest.

    Raises
    ------
    CannotPlanError
        If the venue cannot take it.
    """
    made = plan(sized(offer, quantity), generator)
    if late_ns and made.slices:
        first, *others = made.slices
        at_ts = max(first.at_ts, offer.inputs.now + late_ns)
        made = replace(made, slices=(replace(first, at_ts=at_ts), *others))
        why += f", first sent {late_ns / NS_PER_MS:.0f} ms late, to arrive with the slowest leg"
    total_bps = made.expected_bps + offer.taker_bps
    return Leg(venue=made.venue, quantity=quantity, why=why, plan=made, total_bps=total_bps)


def sized(offer: Offer, quantity: Decimal) -> PlanInputs:
    """Return what the plan of so much at this venue depends on."""
    return replace(offer.inputs, quantity=quantity)


def _why(case: Case, legs: tuple[Leg, ...], cost: Cost) -> str:
    names = ", ".join(leg.venue for leg in legs)
    if case.single is None:
        return f"no venue takes all of it: {names} together do, for {cost.E:.2f} bps"
    single = case.single
    return (
        f"{names} cost {cost.E:.2f} bps with {cost.R:.2f} at risk, {single.plan.venue} alone"
        f" {single.cost.E:.2f} with {single.cost.R:.2f}"
    )
