from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.events import PlannedSlice
from services.execution.decide.planner import CannotPlanError, plan
from services.execution.decide.slicing import join_small, pov_child, reschedule, split
from tests.unit.services.execution.builders import a_volume, plan_inputs, seeded

LOT = Decimal("0.001")
lots = st.integers(1, 200_000).map(lambda n: n * LOT)


@settings(max_examples=150, deadline=None)
@given(
    quantity=lots,
    urgency=st.floats(0, 1),
    key=st.integers(0, 2**32),
    min_qty=lots,
    rate=st.one_of(st.none(), st.floats(0, 100)),
    depth=st.floats(0, 1000),
)
def test_children_sum_to_the_parent_and_none_is_under_the_minimum(
    quantity: Decimal, urgency: float, key: int, min_qty: Decimal, rate: float | None, depth: float
) -> None:
    inputs = plan_inputs(
        str(quantity), urgency, lot=LOT, min_qty=min_qty, volume=a_volume(rate=rate), depth=depth
    )
    try:
        planned = plan(inputs, seeded(key))
    except CannotPlanError:
        assert quantity < min_qty or quantity > 100
        return
    assert sum(each.size for each in planned.slices) == quantity
    assert all(each.size >= planned.min_child >= min_qty and each.size % LOT == 0 for each in planned.slices)
    times = [each.at_ts for each in planned.slices]
    assert times == sorted(times)
    assert all(inputs.now <= ts <= inputs.now + planned.horizon_s * 1e9 for ts in times)


@given(quantity=lots, weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=50))
def test_a_split_is_within_a_lot_of_its_exact_share(quantity: Decimal, weights: list[float]) -> None:
    shares = split(quantity, weights, LOT)
    assert sum(shares) == quantity
    for share, weight in zip(shares, weights, strict=True):
        assert abs(float(share) - float(quantity) * weight / sum(weights)) <= float(LOT) * (1 + 1e-6)


@given(shares=st.lists(st.integers(0, 50).map(Decimal), min_size=1, max_size=30), least=st.integers(1, 40))
def test_joining_keeps_the_sum_and_leaves_nothing_small(shares: list[Decimal], least: int) -> None:
    joined = join_small(shares, Decimal(least))
    assert sum(joined) == sum(shares)
    assert all(each == 0 or each >= min(least, sum(shares)) for each in joined)


@given(
    unscheduled=lots,
    volumes=st.lists(st.floats(0, 1e4), min_size=1, max_size=40),
    participation=st.floats(0.001, 0.1),
    least=st.integers(1, 500).map(lambda n: n * LOT),
)
def test_pov_takes_no_more_than_its_share_of_the_volume_but_for_a_rest(
    unscheduled: Decimal, volumes: list[float], participation: float, least: Decimal
) -> None:
    left, since = unscheduled, 0.0
    for volume in volumes:
        since += volume
        child = pov_child(left, since, participation, LOT, least)
        assert child == 0 or child >= min(least, left)
        assert child <= left
        if child == left:
            assert float(child) < participation * since + float(least) + 1e-9
        elif child:
            assert float(child) <= participation * since + 1e-9
        if child:
            left, since = left - child, 0.0
    assert left >= 0


@given(
    left=lots,
    slices=st.lists(lots, min_size=1, max_size=20),
    least=st.integers(1, 500).map(lambda n: n * LOT),
)
def test_a_reschedule_spreads_exactly_what_is_left(
    left: Decimal, slices: list[Decimal], least: Decimal
) -> None:
    planned = tuple(PlannedSlice(at_ts=at, size=qty, limit=Decimal(1)) for at, qty in enumerate(slices))
    again = reschedule(left, planned, LOT, least)
    assert sum(each.size for each in again) == left
    assert all(each.size >= min(least, left) for each in again)
