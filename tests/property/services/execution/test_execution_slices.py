from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.execution.decide.planner import CannotPlanError, plan
from services.execution.decide.slicing import Slice, join_small, pov_child, reschedule, split
from services.execution.saga.parent_order import Parent, ParentError, parent_of
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
    assert sum(each.qty for each in planned.slices) == quantity
    assert all(each.qty >= planned.min_child >= min_qty and each.qty % LOT == 0 for each in planned.slices)
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
    quantity=lots,
    steps=st.lists(
        st.tuples(st.sampled_from(["submit", "fill", "repeat", "close"]), st.integers(0, 9), st.floats(0, 1)),
        max_size=60,
    ),
)
def test_filled_open_and_unscheduled_sum_to_the_parent_after_any_events(
    quantity: Decimal, steps: list[tuple[str, int, float]]
) -> None:
    """Beside it runs a naive ledger, which moves amounts between three accounts."""
    parent: Parent = parent_of(quantity)
    filled, open_, unscheduled = Decimal(0), dict[str, Decimal](), quantity
    for number, (event, which, share) in enumerate(steps):
        sent = list(parent.children)
        if event == "submit" or not sent:
            qty = (Decimal(share) * unscheduled / LOT).to_integral_value() * LOT
            if 0 < qty <= unscheduled:
                parent = parent.submit(f"c{number}", qty)
                open_[f"c{number}"] = qty
                unscheduled -= qty
        else:
            name = sent[which % len(sent)]
            child = parent.children[name]
            if event == "fill" and child.open:
                more = (Decimal(share) * open_[name] / LOT).to_integral_value() * LOT
                parent = parent.fill(name, child.cum_qty + more)
                filled += more
                open_[name] -= more
            elif event == "repeat":
                assert parent.fill(name, child.cum_qty) == parent
                assert parent.submit(name, child.order_qty) == parent
            elif event == "close":
                parent = parent.close(name)
                unscheduled += open_.pop(name, Decimal(0))
                open_[name] = Decimal(0)
        assert parent.filled + parent.open + parent.unscheduled == quantity
        assert (parent.filled, parent.open, parent.unscheduled) == (
            filled,
            sum(open_.values(), Decimal(0)),
            unscheduled,
        )
        assert parent.done == (filled == quantity)


@given(
    left=lots,
    slices=st.lists(lots, min_size=1, max_size=20),
    least=st.integers(1, 500).map(lambda n: n * LOT),
)
def test_a_reschedule_spreads_exactly_what_is_left(
    left: Decimal, slices: list[Decimal], least: Decimal
) -> None:
    planned = tuple(Slice(at, qty, Decimal(1)) for at, qty in enumerate(slices))
    again = reschedule(left, planned, LOT, least)
    assert sum(each.qty for each in again) == left
    assert all(each.qty >= min(least, left) for each in again)


def test_an_impossible_report_is_a_broken_invariant() -> None:
    parent = parent_of(Decimal(2)).submit("a", Decimal(1))
    with pytest.raises(ParentError, match="reports 3 filled"):
        parent.fill("a", Decimal(3))
    with pytest.raises(ParentError, match="no child"):
        parent.fill("b", Decimal(1))
    with pytest.raises(ParentError, match="only 0 < qty <= 1"):
        parent.submit("b", Decimal(2))
    with pytest.raises(ParentError, match="was sent with 1"):
        parent.submit("a", Decimal(2))
    with pytest.raises(ParentError, match="was closed at 0"):
        parent.close("a").fill("a", Decimal(1))
    assert not parent.done
    with pytest.raises(ValueError, match="no slice is to come"):
        reschedule(Decimal(1), (), LOT, LOT)
