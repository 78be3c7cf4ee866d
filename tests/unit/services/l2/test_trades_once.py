"""The same public trade is counted once in volume, flow and topic, and missing ones are told."""

from __future__ import annotations

import json

import pytest

from libs.common.time_units import NS_PER_MS
from services.l2.feeds.venue_messages import VenueTrade
from services.l2.messages import FrameReceived, SocketClosed, TradesMissing
from services.l2.trade_memory import MOST, TradeMemory
from tests.l2_trading import KEY, MINUTE, SECOND, Book, whole_minute
from tests.l2_world import START


def a_trade(number: int, ts: int = START, price: float = 100.0) -> VenueTrade:
    return VenueTrade(trade_id=str(number), price=price, size=1.0, side="buy", venue_ts=ts)


def test_a_trade_that_comes_twice_is_counted_once_in_volume_flow_and_topic() -> None:
    book = Book()
    minute = whole_minute(book)
    for number in range(2, 12):
        at = book.now
        book.trade(number, at)
        book.trade(number, at)
        book.wait(1)
    book.wait(60)
    assert book.trades() == [str(number) for number in range(1, 12)]
    assert book.volumes()[minute] == 10.0
    assert book.state.sessions[KEY].life.flow.imbalance(book.now) == 1.0
    assert book.health().repeated_trades == 10
    assert book.health().trade_holes == 0


def test_a_trade_that_is_repeated_after_a_reconnect_is_counted_once() -> None:
    book = Book()
    at = book.now
    book.trade(1, at)
    book.trade(2, at)
    book.tell(SocketClosed(KEY, book.connection, "connection reset"))
    book.wait(2)
    book.live()
    book.trade(1, at)
    book.trade(2, at)
    book.trade(3)
    assert book.trades() == ["1", "2", "3"]


def test_a_hole_in_the_trade_ids_is_told_and_its_minute_is_the_venues() -> None:
    book = Book()
    minute = whole_minute(book)
    book.trade(2)
    book.wait(5)
    book.trade(5)  # 3 and 4 are missing
    book.venue_volumes[minute] = 4.0
    book.wait(80)
    assert [each for each in book.said if isinstance(each, TradesMissing)] == [TradesMissing(KEY, "5", 2)]
    told = book.health()
    assert (told.trade_holes, told.missing_trades) == (1, 2)
    assert book.volumes()[minute] == 4.0


def test_a_hole_over_a_minute_that_was_closed_has_its_day_counted_anew() -> None:
    book = Book()
    minute = whole_minute(book)
    book.trade(2)
    book.wait(70)  # the minute is closed with the volume 1
    assert book.volumes()[minute] == 1.0
    book.said.clear()
    book.trade(5)
    book.venue_volumes = {minute: 2.0, minute + MINUTE: 3.0}
    book.wait(80)
    assert [book.volumes()[minute + at * MINUTE] for at in (0, 1)] == [2.0, 3.0]


def test_ids_that_begin_anew_are_other_trades() -> None:
    book = Book()
    for number in (7_000_000, 7_000_001, 1, 2, 3):
        book.trade(number)
    assert book.trades() == ["7000000", "7000001", "1", "2", "3"]
    assert book.health().trade_holes == 0


def test_a_recording_that_is_played_again_is_counted_again() -> None:
    book = Book()
    at = START - 1_000_000 * SECOND
    for _ in range(2):
        depth = json.loads(book.exchange.next_frame())
        depth["data"]["E"] = at // NS_PER_MS
        book.tell(FrameReceived(KEY, book.connection, json.dumps(depth).encode()))
        book.trade(1, at)
        depth = json.loads(book.exchange.next_frame())
        depth["data"]["E"] = at // NS_PER_MS + 60_000
        book.tell(FrameReceived(KEY, book.connection, json.dumps(depth).encode()))
        book.trade(2, at + 60 * SECOND)
    assert book.trades() == ["1", "2", "1", "2"]


@pytest.mark.parametrize("contiguous", [True, False])
def test_the_memory_is_bounded_and_what_is_older_than_it_is_no_news(*, contiguous: bool) -> None:
    memory = TradeMemory(contiguous=contiguous)
    for number in range(3 * MOST):
        assert memory.is_news(a_trade(number, START + number))
    assert len(memory) == MOST
    for number in (0, MOST, 2 * MOST, 3 * MOST - 1):
        assert not memory.is_news(a_trade(number, START + number))
