"""Stamps that cannot be true are told and not used: in books, trades, candles, and in what time it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from libs.common.events import BookDelta, BookState, BookTop
from libs.common.time_units import NS_PER_MS
from services.l2.candles import VenueClock
from services.l2.messages import DeadLetter, FalseStamp, FrameReceived
from services.l2.stamps import EARLIEST, FEWEST, StampGate
from tests.l2_trading import KEY, MINUTE, SECOND, Book, whole_minute
from tests.l2_world import START, World
from tests.model_bitstamp import BitstampModel
from tests.unit.services.l2.test_history import Bench, a_kline

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3_600 * SECOND
FALSE: dict[str, Callable[[int], int]] = {
    "an hour ahead": lambda now: (now + HOUR) // NS_PER_MS,
    "two seconds ahead": lambda now: (now + 2 * SECOND) // NS_PER_MS,
    "seconds": lambda now: now // SECOND,
    "microseconds": lambda now: now // 1000,
    "nanoseconds": lambda now: now,
    "before there were coins": lambda _: EARLIEST // NS_PER_MS - 1,
    "zero": lambda _: 0,
    "negative": lambda _: -1,
}


def a_depth(book: Book, at_ms: int) -> bytes:
    frame = json.loads(book.exchange.next_frame())
    frame["data"]["E"] = at_ms
    return json.dumps(frame).encode()


@pytest.mark.parametrize("what", FALSE)
def test_a_false_stamp_of_a_delta_is_told_and_not_used_and_the_book_stays_live(what: str) -> None:
    book = Book()
    book.said.clear()
    stamp = FALSE[what](book.now)
    book.tell(FrameReceived(KEY, book.connection, a_depth(book, stamp)))
    book.wait(1)
    assert [each.venue_ts for each in book.said if isinstance(each, BookDelta)] == [None]
    assert [each.venue_ts for each in book.said if isinstance(each, BookTop)] == [None]
    assert [each.stamp for each in book.said if isinstance(each, FalseStamp)] == [stamp * NS_PER_MS]
    health = book.health()
    assert (health.state, health.false_stamps, health.lag_ns) == (BookState.LIVE, 1, 0)
    assert not [each for each in book.said if isinstance(each, DeadLetter)]
    for each in book.said:
        if not isinstance(each, FalseStamp):
            msgspec.msgpack.encode(each)  # every number fits


@pytest.mark.parametrize("what", FALSE)
def test_a_trade_with_a_false_stamp_is_not_counted_and_its_minute_is_the_venues(what: str) -> None:
    book = Book()
    minute = whole_minute(book)
    book.trade(2)
    book.trade(3, FALSE[what](book.now) * NS_PER_MS)
    book.venue_volumes[minute] = 2.5
    book.wait(5)
    book.trade(4)
    book.wait(75)
    assert book.trades() == ["1", "2", "4"]
    assert book.volumes()[minute] == 2.5, "as the venue counted it"
    assert min(book.volumes()) >= minute - MINUTE
    assert max(book.volumes()) <= book.now
    assert (book.health().false_stamps, book.health().trade_holes) == (1, 0)


def test_a_recording_of_any_year_keeps_its_stamps() -> None:
    book = Book()
    for year in range(40):
        stamp = EARLIEST + year * 365 * 24 * HOUR
        if stamp < book.now:
            book.tell(FrameReceived(KEY, book.connection, a_depth(book, stamp // NS_PER_MS)))
    stamps = [each.venue_ts for each in book.said if isinstance(each, BookDelta)]
    assert len(stamps) > 15
    assert None not in stamps
    assert book.health().false_stamps == 0


def test_the_clock_of_a_late_host_is_learnt_and_one_false_stamp_moves_it_nowhere() -> None:
    gate = StampGate()
    judged = [gate.admits(at * SECOND + START + 30 * SECOND, at * SECOND + START) for at in range(FEWEST + 1)]
    assert judged[: FEWEST - 1] == [False] * (FEWEST - 1)
    assert judged[FEWEST:] == [True]
    now = START + 60 * SECOND
    assert not gate.admits(now + 59 * SECOND, now)
    assert gate.ahead == 30 * SECOND


def test_a_burst_of_false_stamps_has_no_majority() -> None:
    gate = StampGate()
    for at in range(40):
        assert gate.admits(START + at * SECOND, START + at * SECOND)
    now = START + 40 * SECOND
    assert not any(gate.admits(now + 20 * SECOND + at, now + at) for at in range(1000))
    assert gate.ahead == 0


def test_a_clock_believes_no_single_leap_and_follows_one_that_goes_on() -> None:
    clock = VenueClock()
    assert clock.observe(START, START)
    assert not clock.observe(START + HOUR, START + SECOND)
    assert clock.at(START + SECOND) == START + SECOND
    assert clock.observe(START + 2 * SECOND, START + 2 * SECOND)
    recording = START - 1_000 * HOUR
    assert not clock.observe(recording, START + 3 * SECOND)
    assert not clock.observe(recording + SECOND, START + 4 * SECOND)
    assert clock.observe(recording + 2 * SECOND, START + 5 * SECOND)
    assert clock.at(START + 5 * SECOND) == recording + 2 * SECOND


def test_candles_from_the_future_or_from_before_there_were_coins_are_left_out() -> None:
    bench = Bench(days=3)
    bench.tick()
    day = 24 * HOUR
    today = bench.now - bench.now % day
    bench.answer([a_kline(0), a_kline(today - day), a_kline(today), a_kline(today + 400 * day)])
    assert bench.closed("1d") == [today - day, today]


def test_a_diff_whose_place_is_its_time_cannot_carry_the_book_into_the_future() -> None:
    world = World(BitstampModel(3))
    world.until_live()
    frame = json.loads(world.exchange.next_frame())
    frame["data"]["microtimestamp"] = str((world.now + HOUR) // 1000)
    world.states.clear()
    world.deliver(json.dumps(frame).encode())
    assert world.states[0] is BookState.GAP
    world.until_live()
    before = world.deltas
    for _ in range(20):
        world.step()
    assert world.deltas > before, "later diffs are applied"
