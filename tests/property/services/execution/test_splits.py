"""A split sums exactly, keeps to every minimum and to `max_venues`, and is never judged above one venue."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.audit_chain import canonical, jsonable
from services.execution.decide.alternatives import immediate_bps
from services.execution.decide.offers import Cost, Offer, cheaper, cost_of, least_judged, lots_of
from services.execution.decide.planner import CannotPlanError, plan
from services.execution.decide.planning import plan_generator
from services.execution.decide.reallocation import ReallocationInputs, reallocate
from services.execution.decide.shares import Curve, Lots, levelled, whole_shares
from services.execution.decide.split import Split, SplitInputs, delays_ns, split
from tests.unit.services.execution.builders import MID, NOW, a_volume, plan_inputs

EXECUTION = "307bb0cc-0054-5e6f-9e88-f06de1447d8a"
VENUES = ("a", "b", "c", "d")
LOTS = st.sampled_from([Decimal("0.00001"), Decimal("0.001"), Decimal("0.01"), Decimal("0.03")])
SLACK = 1e-6


def an_offer(
    venue: str, fee: float = 10.0, scale: float = 1.0, latency: float = 20.0, **fields: Any
) -> Offer:
    """Return a flat book of so many times 2.5 BTC each half bps."""
    urgency = fields.pop("urgency", 0.5)
    s = 1 if fields.get("side", "buy") == "buy" else -1
    mid = fields.setdefault("mid", MID)
    values: dict[str, Any] = {
        "levels": tuple((mid * (1 + s * 5e-5 * at), 2.5 * scale) for at in range(1, 41)),
        "depth": 50.0 * scale,
    }
    inputs = plan_inputs("1", urgency, venue=venue, **(values | fields))
    return Offer(inputs=inputs, taker_bps=fee, latency_ms=latency)


@st.composite
def problems(draw: st.DrawFn) -> SplitInputs:
    count, urgency = draw(st.integers(1, 4)), draw(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
    side = draw(st.sampled_from(["buy", "sell"]))
    volumes = st.sampled_from([a_volume(), a_volume(expected=(0.0,) * 288, days=0, rate=None)])
    offers = tuple(
        an_offer(
            venue,
            fee=draw(st.sampled_from([2.0, 10.0, 10.0, 12.0, 26.0])),
            scale=draw(st.sampled_from([0.02, 0.3, 1.0, 3.0])),
            latency=draw(st.sampled_from([5.0, 50.0, 300.0])),
            lot=draw(LOTS),
            min_notional=draw(st.sampled_from([Decimal(5), Decimal(30_000)])),
            volume=draw(volumes),
            spread_bps=1.0,
            side=side,
            urgency=urgency,
        )
        for venue in VENUES[:count]
    )
    quantity = Decimal(draw(st.integers(1, 40_000))) / draw(st.sampled_from([Decimal(100_000), Decimal(200)]))
    weights = {venue: Decimal(draw(st.integers(0, 5))) for venue in VENUES}
    total = sum(weights.values()) or Decimal(1)
    shares = {venue: quantity * weight / total for venue, weight in weights.items()}
    return SplitInputs(offers=offers, quantity=quantity, shares=shares, max_venues=draw(st.integers(1, 4)))


def made(inputs: SplitInputs) -> Split | None:
    try:
        return split(inputs, EXECUTION)
    except CannotPlanError:
        return None


def cost_of_single(inputs: SplitInputs, offer: Offer) -> Cost | None:
    lot = offer.inputs.lot
    quantity = inputs.quantity - inputs.quantity % lot
    try:
        return cost_of(offer, plan(replace(offer.inputs, quantity=quantity), plan_generator(EXECUTION)))
    except CannotPlanError:
        return None


@given(problems())
@settings(max_examples=150, deadline=None)
def test_the_legs_sum_to_what_the_finest_lot_takes_and_each_is_whole_lots_above_its_minimum(
    inputs: SplitInputs,
) -> None:
    if (found := made(inputs)) is None:
        return
    offers = {each.inputs.venue: each for each in inputs.offers}
    assert 1 <= len(found.legs) <= inputs.max_venues
    assert len({leg.venue for leg in found.legs}) == len(found.legs)
    for leg in found.legs:
        lot, least = lots_of(offers[leg.venue])
        assert leg.quantity % lot == 0
        assert leg.quantity >= least
        assert sum(each.size for each in leg.plan.slices) == leg.quantity
    finest = min(offers[leg.venue].inputs.lot for leg in found.legs)
    assert found.quantity == sum(leg.quantity for leg in found.legs)
    assert 0 <= inputs.quantity - found.quantity < finest
    assert {leg.venue for leg in found.legs} | found.left_out.keys() == offers.keys()


@given(problems())
@settings(max_examples=100, deadline=None)
def test_no_split_is_judged_above_any_single_venue(inputs: SplitInputs) -> None:
    singles = {each.inputs.venue: cost_of_single(inputs, each) for each in inputs.offers}
    possible = [cost for cost in singles.values() if cost is not None]
    found = made(inputs)
    assert (found is None) <= (not possible)
    if found is None or not possible:
        return
    urgency = inputs.offers[0].inputs.urgency
    best = min(cost.judged(urgency) for cost in possible)
    single = singles[found.single or ""]
    assert single is not None
    assert not cheaper(best, single.judged(urgency)), "it is the best single venue"
    assert found.single_bps == pytest.approx(single.E)
    assert found.saving_bps >= 0
    if len(found.legs) == 1:
        assert (found.legs[0].venue, found.saving_bps) == (found.single, 0)
    else:
        assert found.saving_bps == pytest.approx(single.E - found.expected_bps)
        assert found.saving_bps > 0


@given(problems())
@settings(max_examples=60, deadline=None)
def test_the_best_single_plan_is_that_of_the_execution_alone(inputs: SplitInputs) -> None:
    found = made(replace(inputs, max_venues=1))
    if found is None:
        return
    (leg,) = found.legs
    offer = next(each for each in inputs.offers if each.inputs.venue == leg.venue)
    alone = plan(replace(offer.inputs, quantity=leg.quantity), plan_generator(EXECUTION))
    assert canonical(jsonable(leg.plan)) == canonical(jsonable(alone))


@given(problems())
@settings(max_examples=60, deadline=None)
def test_a_split_is_made_again_from_its_logged_inputs(inputs: SplitInputs) -> None:
    logged = msgspec.convert(json.loads(canonical(jsonable(inputs))), SplitInputs, strict=False)
    assert logged == inputs
    first, again = made(inputs), made(logged)
    assert jsonable(again) == jsonable(first)


@given(problems())
@settings(max_examples=60, deadline=None)
def test_the_first_children_of_all_legs_do_not_arrive_before_the_slowest_can(
    inputs: SplitInputs,
) -> None:
    found = made(inputs)
    if found is None or len(found.legs) == 1:
        return
    latencies = {each.inputs.venue: each.latency_ms for each in inputs.offers}
    slowest = max(latencies[leg.venue] for leg in found.legs)
    for leg in found.legs:
        times = [each.at_ts for each in leg.plan.slices]
        assert times == sorted(times)
        assert times[0] - NOW >= round((slowest - latencies[leg.venue]) * 1e6)


@given(problems())
@settings(max_examples=60, deadline=None)
def test_a_bound_is_not_above_the_plan(inputs: SplitInputs) -> None:
    for offer in inputs.offers:
        cost = cost_of_single(inputs, offer)
        if cost is not None:
            lot, urgency = offer.inputs.lot, offer.inputs.urgency
            whole = replace(offer.inputs, quantity=inputs.quantity - inputs.quantity % lot)
            assert not cheaper(cost.judged(urgency), least_judged(offer, whole))


@given(
    st.dictionaries(
        st.sampled_from(VENUES), st.tuples(LOTS, st.integers(1, 50), st.integers(0, 9)), min_size=1
    ),
    st.integers(0, 10_000_000),
)
@settings(max_examples=300, deadline=None)
def test_whole_shares_sum_and_keep_to_minima(drawn: dict[str, tuple[Decimal, int, int]], units: int) -> None:
    quantity = Decimal(units) / 100_000
    lots = {venue: Lots(lot, lot * least) for venue, (lot, least, _) in drawn.items()}
    weights = {venue: Decimal(weight) for venue, (_, _, weight) in drawn.items()}
    shares = whole_shares(quantity, weights, lots)
    assert all(weights[venue] > 0 for venue in shares)
    for venue, share in shares.items():
        assert share % lots[venue].lot == 0
        assert share >= lots[venue].least
    if shares:
        assert 0 <= quantity - sum(shares.values()) < min(lots[venue].lot for venue in shares)
    else:
        alone = [venue for venue, weight in weights.items() if weight]
        assert not alone or any(quantity < lots[venue].least + lots[venue].lot for venue in alone)


@given(problems(), st.integers(1, 3_000_000), st.booleans())
@settings(max_examples=80, deadline=None)
def test_what_a_lost_leg_left_goes_elsewhere_and_nothing_is_lost(
    inputs: SplitInputs,
    units: int,
    may_add: bool,  # noqa: FBT001 -- drawn
) -> None:
    rest = Decimal(units) / 100_000
    waiting = {venue: qty for venue, qty in inputs.shares.items() if qty}
    found = reallocate(
        ReallocationInputs(rest=rest, waiting=waiting, offers=inputs.offers, may_add=may_add), EXECUTION
    )
    offers = {each.inputs.venue: each for each in inputs.offers}
    assert sum(found.added.values(), found.left) == rest
    assert found.left >= 0
    for venue, added in found.added.items():
        lot, least = lots_of(offers[venue])
        assert added % lot == 0
        assert added + waiting.get(venue, Decimal(0)) >= least
    if not may_add:
        assert found.added.keys() <= waiting.keys()
    assert len(found.added.keys() - waiting.keys()) <= 1


def immediate_cost(inputs: SplitInputs, quantities: dict[str, Decimal]) -> float | None:
    """Return E of taking these at once, as a second derivation; None where a venue cannot."""
    total, E = float(sum(quantities.values())), 0.0
    used = {venue: qty for venue, qty in quantities.items() if qty}
    late = delays_ns(each for each in inputs.offers if each.inputs.venue in used)
    for offer in inputs.offers:
        qty = quantities[offer.inputs.venue]
        if not qty:
            continue
        walked = immediate_bps(replace(offer.inputs, quantity=qty))
        if walked is None or qty < lots_of(offer).least:
            return None
        moved = 1e4 * offer.inputs.sigma_day * (2 * late[offer.inputs.venue] / 1e9 / 86_400 / math.pi) ** 0.5
        E += float(qty) / total * (walked + offer.taker_bps + offer.beside_bps + moved)
    return E + (len(used) - 1) * inputs.fixed_bps


@pytest.mark.parametrize("max_venues", [1, 2, 3])
@pytest.mark.parametrize("fees", [(10.0, 10.0, 10.0), (10.0, 12.0, 9.0), (2.0, 10.0, 26.0)])
@pytest.mark.parametrize("lots", [4, 12, 24])
def test_of_an_order_at_once_no_split_of_a_grid_is_cheaper(
    max_venues: int, fees: tuple[float, ...], lots: int
) -> None:
    lot = Decimal("2.5")
    offers = tuple(
        an_offer(venue, fee, scale, lot=lot, urgency=1.0, latency=20.0)
        for venue, fee, scale in zip("abc", fees, (1.0, 0.5, 2.0), strict=True)
    )
    quantity = lots * lot
    grid = [
        dict(zip("abc", (lot * n for n in counts), strict=True))
        for counts in product(range(lots + 1), repeat=3)
        if sum(counts) == lots and sum(1 for n in counts if n) <= max_venues
    ]
    bare = SplitInputs(offers=offers, quantity=quantity, shares={}, max_venues=max_venues)
    costs = [(cost, at) for at, each in enumerate(grid) if (cost := immediate_cost(bare, each)) is not None]
    least, at = min(costs)
    told = replace(bare, shares=grid[at])  # as `venues` allocates, apart from what further ones cost
    assert split(told, EXECUTION).expected_bps == pytest.approx(least)
    alone = split(bare, EXECUTION)  # from the curves alone
    quantities = {venue: Decimal(0) for venue in "abc"} | {leg.venue: leg.quantity for leg in alone.legs}
    assert alone.expected_bps == pytest.approx(immediate_cost(bare, quantities))
    assert alone.expected_bps <= least * 1.02 + SLACK


@pytest.mark.parametrize("N", [1, 7])
def test_levelled_shares_are_the_least_of_a_fine_grid(N: int) -> None:
    curves = (
        Curve("a", 10.5, 6.0, 0.9, 50.0),
        Curve("b", 11.0, 5.0, 1.1, 20.0),
        Curve("c", 14.0, 6.0, 0.6, 90.0),
    )
    for Q in (1.0, 40.0, 900.0):

        def cost(shares: dict[str, float], Q: float = Q) -> float:
            return math.fsum(
                shares.get(each.venue, 0.0)
                / Q
                * (each.f + each.c * (shares.get(each.venue, 0.0) / (N * each.depth)) ** each.alpha)
                for each in curves
            )

        found = levelled(curves, Q, N)
        assert sum(found.values()) == pytest.approx(Q)
        steps = 60
        grid = (
            {"a": Q * i / steps, "b": Q * j / steps, "c": Q * (steps - i - j) / steps}
            for i in range(steps + 1)
            for j in range(steps + 1 - i)
        )
        assert cost(found) <= min(map(cost, grid)) + SLACK
