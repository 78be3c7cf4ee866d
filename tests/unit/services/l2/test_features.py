from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.common.book_features import features_of
from libs.common.order_book import OrderBook
from services.l2.features import FADED_NS, TAU_NS, TradeFlow

if TYPE_CHECKING:
    from libs.common.events import Level

NOW = 1_700_000_000_000_000_000


def a_book(bids: list[Level], asks: list[Level]) -> OrderBook:
    book = OrderBook()
    book.load(bids, asks)
    return book


def a_flow(trades: int = 10, *, side: str = "buy", ts: int = NOW) -> TradeFlow:
    flow = TradeFlow()
    for _ in range(trades):
        flow.add("buy" if side == "buy" else "sell", 1.0, ts)
    return flow


def test_features_by_hand() -> None:
    book = a_book([(99.95, 3.0), (99.9, 1.0), (90.0, 1.0)], [(100.05, 1.0), (100.1, 2.0), (110.0, 7.0)])
    features = features_of(book, trade_imbalance=0.25)
    assert features is not None
    assert features.mid == 100.0
    assert features.microprice == pytest.approx((99.95 * 1 + 100.05 * 3) / 4)
    assert features.spread_bps == pytest.approx(10.0)
    assert features.obi == pytest.approx((5 - 10) / 15)
    assert (features.depth_bid, features.depth_ask) == (4.0, 3.0)  # 10 bps reach to 99.9 and 100.1
    assert not features.depth_truncated
    assert features.trade_imbalance == 0.25


def test_only_the_best_five_levels_count_for_the_imbalance() -> None:
    deep = [(float(90 - n), 1.0) for n in range(5)]
    features = features_of(a_book([*deep, (1.0, 1000.0)], [(100.0, 5.0)]))
    assert features is not None
    assert features.obi == 0.0


@pytest.mark.parametrize(("bids", "asks"), [([], [(1.0, 1.0)]), ([(1.0, 1.0)], []), ([], [])])
def test_an_empty_side_makes_all_absent(bids: list[Level], asks: list[Level]) -> None:
    assert features_of(a_book(bids, asks)) is None


def test_a_book_that_ends_inside_the_band_says_so() -> None:
    features = features_of(a_book([(99.99, 1.0)], [(100.01, 1.0), (200.0, 1.0)]))
    assert features is not None
    assert features.depth_truncated


@pytest.mark.parametrize(
    ("known", "truncated"), [((99.91, 200.0), True), ((99.9, 100.1), False), ((50.0, 100.09), True)]
)
def test_a_band_that_crosses_the_edge_of_what_is_known_says_so(
    known: tuple[float, float], *, truncated: bool
) -> None:
    book = a_book([(99.99, 1.0), (50.0, 1.0)], [(100.01, 1.0), (200.0, 1.0)])
    book.known = known
    features = features_of(book)
    assert features is not None
    assert features.depth_truncated is truncated


def test_fewer_than_ten_trades_say_nothing() -> None:
    assert a_flow(9).imbalance(NOW) is None
    assert a_flow(10).imbalance(NOW) == 1.0
    assert a_flow(10, side="sell").imbalance(NOW) == -1.0


def test_a_trade_one_tau_old_weighs_an_e_th() -> None:
    flow = a_flow(10, ts=NOW)
    flow.add("sell", 10.0, NOW + TAU_NS)
    weight = 10 * 2.718281828459045**-1
    assert flow.imbalance(NOW + TAU_NS) == pytest.approx((weight - 10) / (weight + 10))


def test_faded_trades_say_nothing_and_a_cleared_flow_starts_over() -> None:
    flow = a_flow(20)
    assert flow.imbalance(NOW + FADED_NS) == 1.0
    assert flow.imbalance(NOW + FADED_NS + 1) is None
    flow.clear()
    assert flow.imbalance(NOW) is None
