"""What a split saved: each child of another venue against the single venue's book, behind those before it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.decide.saved import Elsewhere, Filled, saved_bps, single_cost

if TYPE_CHECKING:
    from libs.common.events import TakerSide

H = 20_000_000_000
FEE = Decimal(10)
ASKS = ((Decimal(100), Decimal(1)), (Decimal(101), Decimal(2)), (Decimal(103), Decimal(4)))
BIDS = ((Decimal(99), Decimal(1)), (Decimal(97), Decimal(9)))


def a_fill(qty: str, quote: str, fees: str = "0", side: TakerSide = "buy", ts: int = H) -> Filled:
    return Filled(side=side, qty=Decimal(qty), quote=Decimal(quote), fees=Decimal(fees), ts=ts)


def test_a_child_elsewhere_is_compared_with_a_walk_of_the_single_venues_book_and_its_fee() -> None:
    found = single_cost(Elsewhere(), a_fill("2", "200.5", "0.3"), ASKS, FEE, H)
    assert (found.actual, found.virtual) == (Decimal("200.8"), Decimal(201) * Decimal("1.001"))
    assert saved_bps(found, "buy", Decimal(1000)) == pytest.approx((201.201 - 200.8) / 1000 * 1e4)


def test_a_seller_gains_what_the_single_venue_would_have_paid_less() -> None:
    found = single_cost(Elsewhere(), a_fill("2", "198", "0.2", "sell"), BIDS, FEE, H)
    assert (found.actual, found.virtual) == (Decimal("197.8"), Decimal(196) * Decimal("0.999"))
    assert saved_bps(found, "sell", Decimal(1000)) == pytest.approx((197.8 - 195.804) / 1000 * 1e4)


def test_a_later_child_walks_behind_what_was_virtually_taken_and_has_not_come_back() -> None:
    first = single_cost(Elsewhere(), a_fill("1", "100"), ASKS, Decimal(0), H)
    at_once = single_cost(first, a_fill("1", "100"), ASKS, Decimal(0), H)
    assert at_once.virtual == Decimal(201)
    after_a_half_life = single_cost(first, a_fill("1", "100", ts=2 * H), ASKS, Decimal(0), H)
    assert after_a_half_life.virtual == 100 + Decimal(50) + Decimal("50.5")
    much_later = single_cost(first, a_fill("1", "100", ts=100 * H), ASKS, Decimal(0), H)
    assert much_later.virtual == Decimal(200)


def test_what_the_book_does_not_show_is_priced_at_its_last_level_and_counted() -> None:
    found = single_cost(Elsewhere(), a_fill("10", "1000"), ASKS, Decimal(0), H)
    assert (found.virtual, found.unshown) == (Decimal(100 + 202 + 6 * 103 + 103), Decimal(3))
    again = single_cost(found, a_fill("1", "100"), ASKS, Decimal(0), H)
    assert again.virtual - found.virtual == Decimal(103)


@pytest.mark.parametrize("offered", [None, ()])
def test_a_child_without_a_book_to_compare_with_leaves_the_whole_untold(offered: tuple[()] | None) -> None:
    found = single_cost(Elsewhere(), a_fill("1", "100"), offered, FEE, H)
    assert saved_bps(found, "buy", Decimal(1000)) is None
    assert saved_bps(single_cost(found, a_fill("1", "90"), ASKS, FEE, H), "buy", Decimal(1000)) is None


def test_without_children_elsewhere_nothing_is_saved_and_without_a_value_nothing_is_told() -> None:
    assert saved_bps(Elsewhere(), "buy", Decimal(1000)) == 0.0
    assert saved_bps(Elsewhere(), "buy", Decimal(0)) is None


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 40)), min_size=1, max_size=8))
def test_children_at_one_moment_cost_what_one_of_their_sum_costs(parts: list[tuple[int, int]]) -> None:
    found = Elsewhere()
    for cents, _ in parts:
        found = single_cost(found, a_fill(str(Decimal(cents) / 100), "0"), ASKS, FEE, H)
    total = Decimal(sum(cents for cents, _ in parts)) / 100
    whole = single_cost(Elsewhere(), a_fill(str(total), "0"), ASKS, FEE, H)
    assert found.virtual == pytest.approx(whole.virtual)
    assert found.unshown == whole.unshown
