from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.execution.book_view import BookView
from tests.execution_market import NOW, a_book_top

KEY = b"binance:BTC-USDT"
S = 1_000_000_000


class Told:
    """Tops of one book go in by their time and depths."""

    def __init__(self) -> None:
        self.view = BookView()
        self._offset = 0

    def top(self, seconds: float, bid: float, ask: float, **changes: Any) -> None:
        top = a_book_top(received_ts=NOW + round(seconds * S))
        assert top.features is not None
        features = replace(top.features, depth_bid=bid, depth_ask=ask)
        self.fold(replace(top, **{"features": features} | changes))

    def fold(self, event: Any) -> None:
        self.view.fold(0, self._offset, KEY, event)
        self._offset += 1

    def depths(self) -> tuple[float | None, float | None]:
        """Of the bids, which a seller takes, and of the asks."""
        return tuple(self.view.median_depth("binance", "BTC-USDT", side) for side in ("sell", "buy"))  # type: ignore[return-value]  # two sides


@pytest.fixture
def told() -> Told:
    return Told()


def test_one_top_is_all_that_is_known_after_a_restart(told: Told) -> None:
    assert told.depths() == (None, None)
    told.top(0, bid=3.0, ask=5.0)
    assert told.depths() == (3.0, 5.0)


def test_a_wall_that_stands_for_a_moment_is_not_the_depth(told: Told) -> None:
    for second in range(30):
        told.top(second, bid=3.0, ask=5.0)
    told.top(30, bid=900.0, ask=0.1)
    assert told.depths() == (3.0, 5.0)


def test_a_burst_of_tops_counts_as_the_second_it_lasted(told: Told) -> None:
    told.top(0, bid=1.0, ask=1.0)
    told.top(1, bid=2.0, ask=2.0)
    for tenth in range(1, 10):
        told.top(1 + tenth / 10, bid=9.0, ask=9.0)
    told.top(2, bid=3.0, ask=3.0)
    assert told.depths() == (2.0, 2.0)


def test_what_is_older_than_a_minute_is_forgotten(told: Told) -> None:
    for second in range(60):
        told.top(second, bid=100.0, ask=100.0)
    assert told.depths() == (100.0, 100.0)
    for second in range(60, 120):
        told.top(second, bid=4.0, ask=float(second))
    assert told.depths() == (4.0, 89.5)  # of 60 to 119


def test_a_book_with_an_empty_side_adds_nothing_and_a_tombstone_forgets(told: Told) -> None:
    told.top(0, bid=3.0, ask=5.0)
    told.top(1, bid=9.0, ask=9.0, features=None)
    assert told.depths() == (3.0, 5.0)
    told.fold(None)
    assert told.depths() == (None, None)
    assert KEY not in told.view.items


def test_a_depth_from_before_the_clock_was_set_back_is_forgotten(told: Told) -> None:
    for second in range(30):
        told.top(second, bid=3.0, ask=5.0)
    for second in range(10):
        told.top(second - 86_400, bid=7.0, ask=8.0)
    assert told.depths() == (7.0, 8.0)


@pytest.mark.parametrize("by_s", [-3600, -30, 30, 3600])
def test_a_clock_that_is_set_changes_nothing_of_what_was_seen(told: Told, by_s: int) -> None:
    for second in range(30):
        told.top(second, bid=3.0, ask=5.0)
    told.view.step_clock(by_s * S)
    for second in range(30, 45):
        told.top(by_s + second, bid=900.0, ask=0.1)
    assert told.depths() == (3.0, 5.0)
    for second in range(45, 91):
        told.top(by_s + second, bid=900.0, ask=0.1)
    assert told.depths() == (900.0, 0.1)
