"""How late tops come, against plain sorting and a twin that folds top by top."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from msgspec.structs import replace

from libs.common.time_units import NS_PER_S
from libs.common.topics import book_key
from libs.common.venue_fees import fees_of
from services.venues.lags import ARRIVALS_KEPT, Arrivals, Lags, Reading, fold_arrivals, read_lags, recent_lags
from services.venues.registry import Measurement, metrics_of, order_delay_s
from tests.venue_market import NOW, a_top

HOUR_NS = 3600 * NS_PER_S
BINANCE = book_key("binance", "BTC-USDT")


class Counting:
    """A book whose tops are folded so many at a time."""

    def __init__(self, at_once: int = 10) -> None:
        self.lags = Lags()
        self._arrivals = Arrivals()
        self._at_once = at_once
        self._offset = 0

    def tell(self, now: int, lag_ms: float, epoch: int = 1) -> None:
        self._offset += 1
        top = a_top(now=now, lag_ms=lag_ms, epoch=epoch, seq=self._offset)
        self._arrivals.note(top, self._offset)
        if self._offset % self._at_once == 0:
            self.lags = fold_arrivals(self.lags, self._arrivals.take(BINANCE))

    def read(self, now: int) -> Reading:
        return read_lags(recent_lags(self.lags, now))


def test_lags_are_corrected_by_a_low_quantile_and_read_over_five_windows() -> None:
    book, told = Counting(), []
    for number in range(600):
        now = NOW + number * NS_PER_S
        lag_ms = -3000.0 + number % 50 * 2  # the venue's clock is 3 s ahead
        told.append((now, lag_ms))
        book.tell(now, lag_ms)
    now = told[-1][0]
    begun = (now // (60 * NS_PER_S) - 4) * 60 * NS_PER_S
    recent = sorted(lag for at, lag in told if at >= begun)
    assert recent_lags(book.lags, now).total() == len(recent)
    assert len(book.lags.windows) == 5

    def least(q: float) -> float:
        return recent[math.ceil(q * len(recent)) - 1]

    reading = book.read(now)
    assert reading.clock_offset_ms == reading.least_ms == least(0.02)
    assert reading.p50_ms == least(0.5) - least(0.02)
    assert reading.p99_ms == least(0.99) - least(0.02)
    assert reading.above_ms == pytest.approx(
        math.fsum(max(0, lag - least(0.02)) for lag in recent) / len(recent)
    )
    metrics = metrics_of("binance", "BTC-USDT", Measurement(), reading, a_top(), now, fees_of("binance", {}))
    assert metrics.clock_offset_ms == reading.clock_offset_ms


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("at_once", [1, 40])  # 40: the leap is amid what is folded together
def test_lags_that_leap_as_the_book_begins_anew_are_another_clocks(epoch: int, at_once: int) -> None:
    book = Counting(at_once)
    for number in range(60):
        book.tell(NOW + number * NS_PER_S, 5.0)
    for number in range(60, 120):
        book.tell(NOW + number * NS_PER_S, 2_005.0, epoch)
    assert book.read(NOW + 119 * NS_PER_S).p99_ms == (0.0 if epoch == 2 else 2_000.0)


@pytest.mark.parametrize("ahead_s", [3600.0, 9.0])
def test_one_stamp_that_is_ahead_moves_neither_latency_nor_offset(ahead_s: float) -> None:
    book = Counting()
    for number in range(200):
        lag_ms = -1000 * ahead_s if number == 100 else 20.0 + number % 5
        book.tell(NOW + number * NS_PER_S, lag_ms)
    reading = book.read(NOW + 199 * NS_PER_S)
    assert (reading.p50_ms, reading.clock_offset_ms) == (2.0, 20.0)
    assert order_delay_s(Measurement(), reading, 50.0) == pytest.approx(0.052, abs=1e-4)


def test_a_top_told_again_or_without_a_venue_time_is_not_counted() -> None:
    arrivals = Arrivals()
    for offset, top in enumerate((a_top(), a_top(), replace(a_top(seq=2), venue_ts=None))):
        arrivals.note(top, offset)
    lags = fold_arrivals(Lags(), arrivals.take(BINANCE))
    assert list(lags.windows.values()) == [{10: 1}]
    assert lags.offset == 0


def test_what_was_counted_before_a_restart_is_not_counted_again_and_what_was_not_is() -> None:
    known = Lags()
    for again in range(2):  # as a new process, which reads the newest records once more
        arrivals = Arrivals()
        for offset in range(6 + 3 * again):
            arrivals.note(a_top(seq=offset), offset)
        known = fold_arrivals(known, arrivals.take(BINANCE))
    assert list(known.windows.values()) == [{10: 9}]
    assert fold_arrivals(known, ()) is known


def test_each_top_is_taken_once_and_by_its_own_book() -> None:
    arrivals = Arrivals()
    arrivals.note(a_top(), 1)
    arrivals.note(a_top("okx"), 2)
    assert [each.offset for each in arrivals.take(BINANCE)] == [1]
    assert list(arrivals.take(BINANCE)) == []
    arrivals.forget(book_key("okx", "BTC-USDT"))
    assert list(arrivals.take(book_key("okx", "BTC-USDT"))) == []


def test_of_a_book_whose_health_nobody_hears_the_newest_tops_are_kept() -> None:
    arrivals = Arrivals()
    for offset in range(2 * ARRIVALS_KEPT):
        arrivals.note(a_top(seq=offset), offset)
    kept = arrivals.take(BINANCE)
    assert [each.offset for each in kept] == list(range(ARRIVALS_KEPT, 2 * ARRIVALS_KEPT))


def test_no_lag_has_no_quantile() -> None:
    assert read_lags(Counter()) == Reading(None, None, None, 0.0, 0.0)


def test_lags_go_on_at_once_when_the_clock_is_set_back() -> None:
    book = Counting(at_once=1)
    for at in range(20):
        ts = NOW - (HOUR_NS if at >= 10 else 0) + at * 60 * NS_PER_S
        book.tell(ts, 5.0)
        if at >= 10:
            assert recent_lags(book.lags, ts).total() == min(5, at - 9)
