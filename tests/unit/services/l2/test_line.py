"""A book's line: one socket at a time, heard of by its own number only."""

from __future__ import annotations

import pytest

from libs.common.time_units import NS_PER_S
from services.l2.feeds import FEEDS
from services.l2.line import Line
from services.l2.messages import CloseSocket, OpenSocket
from services.l2.rate_limits import VenueBudget
from tests.l2_world import START

SILENCE_NS = round(FEEDS["binance"].silence_s * NS_PER_S)


@pytest.fixture
def line() -> Line:
    return Line(FEEDS["binance"], "BTC-USDT", "ws://test", VenueBudget.of("binance"), START)


def an_open_line(line: Line) -> Line:
    line.connect(START)
    assert line.on_opened(line.connection, START)
    return line


def test_a_socket_is_asked_for_once_until_it_is_closed(line: Line) -> None:
    (asked,) = line.connect(START)
    assert isinstance(asked, OpenSocket)
    assert line.connect(START + NS_PER_S) == []
    assert line.on_opened(asked.connection, START + NS_PER_S)
    assert line.connect(START + 2 * NS_PER_S) == []
    assert line.on_closed(asked.connection, START + 3 * NS_PER_S)
    assert not line.on_closed(asked.connection, START + 3 * NS_PER_S)
    (again,) = line.connect(START + 3 * NS_PER_S)
    assert isinstance(again, OpenSocket)
    assert again.connection == asked.connection + 1


def test_only_its_own_open_socket_keeps_it_from_being_silent(line: Line) -> None:
    assert not line.silent(START + 10 * SILENCE_NS), "a line that is not open has nothing to say"
    an_open_line(line)
    assert not line.silent(START + SILENCE_NS)
    assert line.silent(START + SILENCE_NS + 1)
    assert not line.on_heard(line.connection - 1, START + SILENCE_NS)
    assert line.silent(START + SILENCE_NS + 1)
    assert line.on_heard(line.connection, START + SILENCE_NS)
    assert not line.silent(START + SILENCE_NS + 1)


def test_it_is_opened_again_when_it_was_said_and_not_before(line: Line) -> None:
    an_open_line(line)
    assert line.reconnect(START + 5 * NS_PER_S) == [CloseSocket("binance:BTC-USDT", line.connection)]
    assert line.reconnect(START + 5 * NS_PER_S) == [], "what is closed already needs no closing"
    assert line.connect(START + 5 * NS_PER_S - 1) == []
    assert line.connect(START + 5 * NS_PER_S)


def test_a_socket_that_is_still_opening_is_let_go_too_and_is_no_line_if_it_opens_late(line: Line) -> None:
    line.connect(START)
    assert line.reconnect(START + 5 * NS_PER_S) == [CloseSocket("binance:BTC-USDT", line.connection)]
    assert not line.on_opened(line.connection, START + NS_PER_S)
    assert not line.is_open
    assert line.connect(START + 5 * NS_PER_S)


def test_a_line_after_a_step_of_the_clock_hears_nothing_of_the_one_before(line: Line) -> None:
    before = an_open_line(line)
    after = Line(FEEDS["binance"], "BTC-USDT", "ws://test", VenueBudget.of("binance"), START)
    after.wait_like(before, 3600 * NS_PER_S, START + 3600 * NS_PER_S)
    assert not after.on_opened(before.connection, START + 3600 * NS_PER_S)
    assert after.connect(START + 3600 * NS_PER_S - 1) == []
    (asked,) = after.connect(START + 3600 * NS_PER_S)
    assert isinstance(asked, OpenSocket)
    assert asked.connection > before.connection
