"""The chain of ids and the window of OKX's books, without a market: the test makes every change."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from simulator.exchange_book import ExchangeBook
from simulator.venues.okx_book import DEPTH, BookFrame, OkxPair, Window, plain
from simulator.venues.venue import Digits

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE
START = 490_000 * HOUR
PAIR = OkxPair("BTC-USDT", "BTC-USDT", Digits.of(Decimal("0.1")), Digits.of(Decimal("0.001")))


class World:
    """A book of 500 levels a side and the window that a subscriber was shown at the start."""

    def __init__(self) -> None:
        self.book = ExchangeBook("okx", "BTC-USDT", first_id=5000)
        for level in range(1, 501):
            self.book.place_bid(100_000 - level, 1000)
            self.book.place_ask(100_000 + level, 1000)
        self.book.commit(START)
        self.window = Window(PAIR, self.book)
        self.window.load(START)

    def change(self, *bids: tuple[int, int]) -> None:
        for tick, lots in bids:
            self.book.place_bid(tick, lots)
        change = self.book.commit(START)
        assert change is not None
        self.window.touch(change)

    def update(self, now: int) -> BookFrame | None:
        return self.window.update(now, force=False)


def data_of(frame: BookFrame | None) -> dict[str, Any]:
    assert frame is not None
    message: dict[str, Any] = json.loads(frame.text())
    return dict(message["data"][0])


def test_a_batch_is_due_after_100_ms_and_names_the_one_before() -> None:
    world = World()
    world.change((99_999, 2000))
    world.change((99_998, 1500))
    assert world.update(START + 99_000_000) is None
    data = data_of(world.update(START + 100_000_000))
    assert data["bids"] == [["9999.9", "2", "0", "3"], ["9999.8", "1.5", "0", "7"]]
    assert (data["prevSeqId"], data["seqId"], data["asks"], data["checksum"]) == (5001, 5003, [], 0)
    assert world.update(START + 300_000_000) is None


def test_what_shows_in_no_window_sends_nothing_and_leaves_no_hole_in_the_chain() -> None:
    world = World()
    world.change((100_000 - 450, 5))
    assert world.update(START + HOUR // 100) is None
    world.change((99_999, 7))
    assert data_of(world.update(START + HOUR // 60))["prevSeqId"] == 5001


def test_the_server_deletes_what_leaves_its_window_and_tells_what_enters() -> None:
    world = World()
    world.change((99_999, 0))
    bids = data_of(world.update(START + MINUTE // 2))["bids"]
    assert [row[:2] for row in bids] == [["9999.9", "0"], [f"{(100_000 - DEPTH - 1) / 10:g}", "1"]]
    world.change((99_999, 9))
    bids = data_of(world.update(START + MINUTE // 2 + HOUR // 3600))["bids"]
    assert [row[:2] for row in bids] == [["9999.9", "0.009"], [f"{(100_000 - DEPTH - 1) / 10:g}", "0"]]


def test_a_level_that_came_and_went_within_a_batch_is_deleted_all_the_same() -> None:
    world = World()
    world.change((100_000, 3))
    world.change((100_000, 0))
    assert data_of(world.update(START + MINUTE // 2))["bids"] == [["10000", "0", "0", "0"]]


def test_after_a_minute_without_news_a_keep_alive_repeats_the_id() -> None:
    world = World()
    assert world.update(START + MINUTE - 1) is None
    data = data_of(world.update(START + MINUTE))
    assert (data["bids"], data["asks"], data["prevSeqId"], data["seqId"]) == ([], [], 5001, 5001)
    assert world.update(START + MINUTE + 1) is None


def test_ids_start_over_at_the_full_hour_in_a_message_that_keeps_the_chain() -> None:
    world = World()
    chain = [data_of(world.window.snapshot(START))["seqId"]]
    for hour in (1, 1, 2):
        world.change((99_999, 2000 + len(chain)))
        data = data_of(world.update(START + hour * HOUR + len(chain) * MINUTE))
        assert data["prevSeqId"] == chain[-1]
        chain.append(data["seqId"])
    assert chain == [5001, 1, 2, 1]


def test_a_snapshot_is_what_earlier_subscribers_hold() -> None:
    world = World()
    before = world.window.snapshot(START)
    world.change((99_999, 4000))
    assert world.window.snapshot(START) == before
    assert world.update(START + MINUTE // 2) is not None
    after = data_of(world.window.snapshot(START))
    assert (after["prevSeqId"], after["seqId"], after["bids"][0][1]) == (-1, 5002, "4")
    assert (len(after["bids"]), len(after["asks"])) == (DEPTH, DEPTH)


@pytest.mark.parametrize(
    ("text", "written"), [("78743.0", "78743"), ("0.12000000", "0.12"), ("100", "100"), ("0.000", "0")]
)
def test_numbers_have_no_trailing_zeros(text: str, written: str) -> None:
    assert plain(text) == written


def test_a_crossing_bid_stays_where_the_message_deletes_the_bids_that_a_fall_left_behind() -> None:
    gone = tuple((100_001 + ticks, 0) for ticks in range(1, 51))
    frame = BookFrame(PAIR, "update", START, 1, 2, gone, (), best_ask=100_001)
    for seed in range(5):
        told = json.loads(frame.crossed(Random(seed)))["data"][0]["bids"]
        bids = {float(price): float(size) for price, size, *_ in told}  # the last word on a price counts
        assert max(price for price, size in bids.items() if size) > 10_000.1
