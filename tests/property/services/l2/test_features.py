"""Features against their definitions in exact fractions, and under exchange of the sides."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeAlias

import hypothesis.strategies as st
import pytest
from hypothesis import given

from libs.common.book_features import features_of
from libs.common.order_book import OrderBook
from services.l2.features import TAU_NS, TradeFlow

if TYPE_CHECKING:
    from libs.common.events import Level

Sides: TypeAlias = tuple[list["Level"], list["Level"]]

quantities = st.floats(1e-8, 1e8)
START = 1_700_000_000_000_000_000


@st.composite
def uncrossed(draw: st.DrawFn) -> Sides:
    """Bids at distances below 10,000 ticks and asks above, so that swapping sides mirrors the book."""
    distances = st.lists(
        st.tuples(st.integers(1, 9_999), quantities), min_size=1, max_size=12, unique_by=lambda x: x[0]
    )
    bids = [(float(10_000 - d), q) for d, q in draw(distances)]
    asks = [(float(10_000 + d), q) for d, q in draw(distances)]
    return bids, asks


def a_book(bids: list[Level], asks: list[Level]) -> OrderBook:
    book = OrderBook()
    book.load(bids, asks)
    return book


@given(uncrossed())
def test_features_are_their_definitions(sides: Sides) -> None:
    features = features_of(a_book(*sides))
    assert features is not None
    bids = sorted(((Fraction(p), Fraction(q)) for p, q in sides[0]), reverse=True)
    asks = sorted((Fraction(p), Fraction(q)) for p, q in sides[1])
    (b1, qb1), (a1, qa1) = bids[0], asks[0]
    mid = (b1 + a1) / 2
    total_bid, total_ask = (sum(q for _, q in side[:5]) for side in (bids, asks))
    assert features.mid == pytest.approx(float(mid))
    assert features.microprice == pytest.approx(float((b1 * qa1 + a1 * qb1) / (qa1 + qb1)))
    assert features.spread_bps == pytest.approx(float(10_000 * (a1 - b1) / mid))
    assert features.obi == pytest.approx(float((total_bid - total_ask) / (total_bid + total_ask)), abs=1e-9)
    near = [[(p, q) for p, q in side if abs(p - mid) * 1000 <= mid] for side in (bids, asks)]
    assert features.depth_bid == pytest.approx(float(sum(q for _, q in near[0])))
    assert features.depth_ask == pytest.approx(float(sum(q for _, q in near[1])))
    assert features.depth_truncated == (len(near[0]) == len(bids) or len(near[1]) == len(asks))
    assert b1 <= features.microprice <= a1
    assert -1 <= features.obi <= 1


@given(uncrossed())
def test_swapping_the_sides_flips_the_lean_and_nothing_else(sides: Sides) -> None:
    bids, asks = sides
    swapped = a_book([(20_000 - p, q) for p, q in asks], [(20_000 - p, q) for p, q in bids])
    one, other = features_of(a_book(*sides)), features_of(swapped)
    assert one is not None
    assert other is not None
    assert other.obi == pytest.approx(-one.obi, abs=1e-12)
    assert other.mid == pytest.approx(20_000 - one.mid)
    assert other.microprice - other.mid == pytest.approx(one.mid - one.microprice, abs=1e-6)


trades = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]), quantities, st.integers(0, 300).map(lambda s: s * TAU_NS // 100)
    ),
    min_size=10,
    max_size=40,
)


@given(trades)
def test_trade_imbalance_is_the_weighted_sum_whatever_the_order_of_arrival(
    said: list[tuple[Literal["buy", "sell"], float, int]],
) -> None:
    flow = TradeFlow()
    for side, size, after in said:
        flow.add(side, size, START + after)
    now = max(after for _, _, after in said)
    weights = [(side, size * math.exp((after - now) / TAU_NS)) for side, size, after in said]
    bought = math.fsum(w for side, w in weights if side == "buy")
    sold = math.fsum(w for side, w in weights if side == "sell")
    assert flow.imbalance(START + now) == pytest.approx((bought - sold) / (bought + sold), abs=1e-9)
