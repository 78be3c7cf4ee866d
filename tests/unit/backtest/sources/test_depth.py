from __future__ import annotations

import math

import numpy as np
import pytest

from backtest.sources.depth import GRID, ORDERS, DepthMeasure, TooFewBooksError, cost_bps
from backtest.sources.depth_measuring import of_days, of_recordings
from backtest.sources.depth_table import MEASURED, NoProfileError, profile_for
from libs.common.order_book import OrderBook
from libs.history.faults import FaultReport
from libs.history.formats.tardis import TardisBooks
from libs.history.writer import DayWriter
from tests.made_up_history import TardisFile, made_up_number, save
from tests.recordings import BYBIT, COINBASE, needs_recordings

EVERYWHERE = (-math.inf, math.inf)


def a_book(mid: float, spread_bps: float, level: float, step_bps: float) -> OrderBook:
    """Return a book whose levels of equal value stand at equal distances."""
    book = OrderBook()
    away = [mid * 1e-4 * (spread_bps / 2 + step_bps * number) for number in range(200)]
    book.load(
        [(mid - each, level / (mid - each)) for each in away],
        [(mid + each, level / (mid + each)) for each in away],
    )
    return book


@needs_recordings
@pytest.mark.parametrize(("path", "venue"), [(BYBIT, "bybit-200"), (COINBASE, "coinbase")])
def test_the_table_is_what_the_recording_measures(path: object, venue: str) -> None:
    found = {(each.venue, each.symbol): each for each in of_recordings([path])}  # type: ignore[list-item]
    entries = [entry for entry in MEASURED if entry.venue == venue]
    assert len(entries) == 2
    for entry in entries:
        assert found[entry.venue, entry.symbol] == entry


def test_a_flat_book_has_its_spread_and_its_depth_and_no_error() -> None:
    measure = DepthMeasure("binance", "BTC-USDT")
    for number in range(20):
        measure.add(a_book(60_000.0 + number, 2.0, 500.0, 0.5), EVERYWHERE)
    profile = measure.profile("made up")
    assert profile.spread_bps == pytest.approx(2.0, rel=1e-3)
    # One level at the touch, and one every half basis point.
    right = [500.0 * (1 + math.floor(d / 0.5 + 1e-6)) for d in profile.distances_bps]
    assert profile.notional == pytest.approx(right, rel=1e-3)
    assert profile.distances_bps[-1] == 50.0  # the 200 levels end at 99.5 bps
    assert profile.errors.spread_bps < 1e-6
    assert profile.errors.depth < 1e-3
    assert profile.errors.cost_bps[0] == pytest.approx(0.0, abs=0.3)  # N is linear between two distances


def test_what_a_profile_was_not_fitted_to_tells_its_error() -> None:
    measure = DepthMeasure("binance", "BTC-USDT")
    for number in range(40):
        wide = number >= 20
        measure.add(a_book(60_000.0, 4.0 if wide else 2.0, 250.0 if wide else 500.0, 0.5), EVERYWHERE)
    errors = measure.profile("made up").errors
    assert errors.spread_bps == pytest.approx(2.0, rel=1e-3)
    assert errors.depth == pytest.approx(0.5, rel=1e-2)
    assert errors.cost_bps[0] is not None
    assert errors.cost_bps[0] > 1.0


def test_what_is_not_known_is_not_in_a_profile() -> None:
    measure = DepthMeasure("binance", "BTC-USDT")
    for _ in range(20):
        measure.add(a_book(60_000.0, 2.0, 500.0, 0.5), (60_000 * (1 - 8e-4), 60_000 * (1 + 8e-4)))
    assert measure.profile("made up").distances_bps[-1] == 5.0
    with pytest.raises(TooFewBooksError, match="0 books"):
        DepthMeasure("binance", "BTC-USDT").profile("nothing")


def test_a_cost_is_the_integral_over_the_depth() -> None:
    rng = made_up_number(3)
    for _ in range(50):
        distances = GRID[: int(rng.integers(3, len(GRID)))]
        notional = np.cumsum(rng.uniform(100, 50_000, len(distances)))
        order = float(rng.uniform(0.1, 1.0) * notional[-1])
        taken = (np.arange(200_000) + 0.5) / 200_000 * order  # the distance of each part of it
        away = np.interp(taken, notional, distances)
        right = 0.5 + away.mean()
        assert cost_bps((1.0, distances, notional.tolist()), order) == pytest.approx(
            right, rel=1e-3, abs=1e-3
        )
    assert math.isnan(cost_bps((1.0, GRID[:2], (1.0, 2.0)), 3.0))


def test_days_of_books_are_measured_too(tmp_path: object) -> None:
    file = TardisFile(3)
    file.say(file.book.snapshot())
    file.healthy(300)
    path = save(tmp_path / "book.csv", file)  # type: ignore[operator]
    with DayWriter(tmp_path / "days", FaultReport(), source="x") as writer:  # type: ignore[operator]
        for columns in TardisBooks().columns([path], FaultReport()):
            writer.write_columns(columns)
    (profile,) = of_days(tmp_path / "days")  # type: ignore[operator]
    assert (profile.venue, profile.symbol) == ("bybit", "BTC-USDT")
    assert 20 <= profile.samples <= 32
    assert list(profile.notional) == sorted(profile.notional)


def test_a_market_without_a_profile_borrows_the_nearest_and_says_so() -> None:
    own = profile_for("binance", "BTC-USDT")
    assert (own.own, own.profile.venue) == (True, "binance")
    assert profile_for("bybit", "ETH-USDT").own  # of another protocol of the venue
    asset = profile_for("binance", "ETH-USDT")
    assert (asset.own, asset.same_asset, asset.profile.symbol) == (False, True, "ETH-USDT")
    venue = profile_for("binance", "SOL-USDT")
    assert (venue.own, venue.same_asset, venue.profile.venue) == (False, False, "binance")
    with pytest.raises(NoProfileError, match="Measure one"):
        profile_for("bitstamp", "XRP-EUR")


def test_a_profile_says_how_wrong_it_is() -> None:
    for profile in MEASURED:
        assert "error" in profile.words()
        assert profile.source in profile.words()
        assert len(profile.errors.cost_bps) == len(ORDERS)
