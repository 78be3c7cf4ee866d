"""The windows of simulated Bybit, without a socket or a clock."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

from libs.common.time_units import NS_PER_MS
from simulator.exchange_book import ExchangeBook
from simulator.venues.bybit_book import BybitPair, Window
from simulator.venues.venue import Digits

if TYPE_CHECKING:
    from simulator.venues.bybit_book import BookFrame

HOUR = 3_600_000 * NS_PER_MS
PAIR = BybitPair("BTC-USDT", "BTCUSDT", Digits.of(Decimal("0.1")), Digits.of(Decimal("0.000001")))


def a_book() -> ExchangeBook:
    book = ExchangeBook("bybit", "BTC-USDT", first_id=500)
    for step in range(60):
        book.place_bid(1000 - step, 1_000_000)
        book.place_ask(1001 + step, 1_500_000)
    book.commit(0)
    return book


def changed(book: ExchangeBook, window: Window, tick: int, lots: int, now_ns: int) -> None:
    book.place_bid(tick, lots)
    change = book.commit(now_ns)
    assert change is not None
    window.touch(change)


def told(frame: BookFrame | None) -> dict[str, Any]:
    assert frame is not None
    message: dict[str, Any] = json.loads(frame.text())
    return message


def test_numbers_are_written_as_the_venue_writes_them() -> None:
    window = Window(PAIR, 50, a_book())
    window.load(0)
    message = told(window.snapshot(5 * NS_PER_MS))
    assert message["data"]["b"][0] == ["100", "1"]
    assert message["data"]["a"][0] == ["100.1", "1.5"]
    assert (message["ts"], message["type"]) == (5, "snapshot")


def test_a_level_that_leaves_the_window_is_deleted_and_the_one_that_enters_is_told() -> None:
    book = a_book()
    window = Window(PAIR, 50, book)
    window.load(0)
    first = window.update_id
    changed(book, window, 1000, 0, 20 * NS_PER_MS)
    message = told(window.update(20 * NS_PER_MS, force=False))
    assert message["data"]["b"] == [["95", "1"], ["100", "0"]]
    assert message["data"]["u"] == first + 1
    assert (message["type"], message["cts"]) == ("delta", 20)


def test_a_change_outside_the_window_takes_no_number() -> None:
    book = a_book()
    window = Window(PAIR, 50, book)
    window.load(0)
    changed(book, window, 945, 7, 20 * NS_PER_MS)
    assert window.update(20 * NS_PER_MS, force=False) is None
    changed(book, window, 1000, 7, 20 * NS_PER_MS)
    assert told(window.update(60 * NS_PER_MS, force=False))["data"]["u"] == window.snapshot(0).update_id


def test_messages_keep_their_distance_unless_forced() -> None:
    book = a_book()
    window = Window(PAIR, 50, book)
    window.load(0)
    changed(book, window, 1000, 7, 5 * NS_PER_MS)
    assert window.update(19 * NS_PER_MS, force=False) is None
    assert window.update(19 * NS_PER_MS, force=True) is not None


def test_each_full_hour_the_count_starts_over_with_a_snapshot() -> None:
    book = a_book()
    window = Window(PAIR, 50, book)
    window.load(HOUR - NS_PER_MS)
    message = told(window.update(HOUR, force=False))
    assert (message["type"], message["data"]["u"], len(message["data"]["b"])) == ("snapshot", 1, 50)
    changed(book, window, 1000, 7, HOUR + NS_PER_MS)
    assert told(window.update(HOUR + 30 * NS_PER_MS, force=False))["data"]["u"] == 2


def test_damage_always_breaks_the_count_and_a_snapshot_is_spared() -> None:
    book = a_book()
    window = Window(PAIR, 50, book)
    window.load(0)
    random = Random(1)
    assert window.snapshot(0).corrupted(random) is None
    changed(book, window, 1000, 7, 20 * NS_PER_MS)
    frame = window.update(20 * NS_PER_MS, force=False)
    assert frame is not None
    spoilt = frame.corrupted(random)
    assert spoilt is not None
    assert json.loads(spoilt)["data"]["u"] > frame.update_id + 1
    crossed = json.loads(frame.crossed(random))["data"]
    assert float(crossed["b"][0][0]) > 100.1
    assert crossed["u"] == frame.update_id
