"""What is arriving is waited for at the rate of a slow line, and a trickle is not."""

from __future__ import annotations

from typing import Final

import pytest

from libs.common.events import BookHealth, BookState
from libs.common.time_units import NS_PER_S
from services.l2.arrivals import LEAST_RATE, Arrival
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.line import Line
from services.l2.messages import (
    BookWanted,
    BytesArrived,
    CloseSocket,
    Fetch,
    L2Message,
    OpenSocket,
    ReplyArriving,
    SocketOpened,
    Tick,
)
from services.l2.rate_limits import VenueBudget
from tests.l2_world import POLICY, START

TIMEOUT_NS: Final = 8 * NS_PER_S
MOST_BYTES: Final = 16 * 1024 * 1024
HALF_S: Final = NS_PER_S // 2


def test_what_does_not_arrive_is_late_after_the_timeout() -> None:
    arrival = Arrival(START)
    assert not arrival.late(START + TIMEOUT_NS, TIMEOUT_NS)
    assert arrival.late(START + TIMEOUT_NS + 1, TIMEOUT_NS)


@pytest.mark.parametrize("rate", [LEAST_RATE, 100_000, 300_000])
def test_a_slow_line_is_waited_for_until_all_of_a_large_frame_is_there(rate: int) -> None:
    arrival = Arrival(START)
    for half in range(1, 2 * 4_800_000 // rate + 2):
        now = START + half * HALF_S
        assert not arrival.late(now, TIMEOUT_NS), f"given up after {half / 2} s"
        arrival.on_bytes(rate // 2, now)


def test_a_trickle_is_given_up_soon_after_the_timeout() -> None:
    arrival = Arrival(START)
    for half in range(1, 2 * 9):
        arrival.on_bytes(100, START + half * HALF_S)
    assert arrival.late(START + 9 * NS_PER_S, TIMEOUT_NS)


def test_what_stops_arriving_is_late_after_the_timeout_however_much_came() -> None:
    arrival = Arrival(START)
    arrival.on_bytes(MOST_BYTES, START + NS_PER_S)
    assert not arrival.late(START + NS_PER_S + TIMEOUT_NS, TIMEOUT_NS)
    assert arrival.late(START + NS_PER_S + TIMEOUT_NS + 1, TIMEOUT_NS)


def test_nothing_is_waited_for_longer_than_the_largest_frame_takes() -> None:
    arrival = Arrival(START)
    most_ns = MOST_BYTES * NS_PER_S // LEAST_RATE
    for half in range(1, 2 * most_ns // NS_PER_S + 1):
        arrival.on_bytes(LEAST_RATE // 2, START + half * HALF_S)
    for half in range(1, 20):
        arrival.on_bytes(0, START + most_ns + half * HALF_S)
    assert arrival.late(START + most_ns + TIMEOUT_NS + NS_PER_S, TIMEOUT_NS)


def test_a_line_on_which_a_frame_arrives_is_not_silent_and_one_with_a_trickle_is() -> None:
    for rate, silent in ((300_000, False), (50, True)):
        line = Line(FEEDS["coinbase"], "BTC-USD", "wss://test", VenueBudget.of("coinbase"), START)
        line.connect(START)
        line.on_opened(line.connection, START)
        for half in range(1, 33):
            line.on_bytes(line.connection, rate // 2, START + half * HALF_S)
        assert line.silent(START + 16 * NS_PER_S) is silent
        line.on_bytes(line.connection - 1, MOST_BYTES, START + 60 * NS_PER_S)
        assert line.silent(START + 61 * NS_PER_S), "bytes of an older connection are of no line"


class OneBook:
    """A book that waits for its snapshot, under a clock."""

    def __init__(self, venue: str) -> None:
        self.key = f"{venue}:BTC-USDT"
        self.now = START
        self.state = State(FEEDS, lambda _: ("wss://test", "https://test"), POLICY)
        self.closed, self.connection, self.request = False, 0, 0
        self.health: BookHealth | None = None
        self.tell(BookWanted(venue, "BTC-USDT"))
        self.tell(SocketOpened(self.key, self.connection))

    def tell(self, message: L2Message) -> None:
        for output in handle(self.state, message, self.now):
            match output:
                case OpenSocket(connection=connection):
                    self.connection = connection
                case CloseSocket():
                    self.closed = True
                case Fetch(request=request, purpose="snapshot"):
                    self.request = request
                case BookHealth():
                    self.health = output
                case _:
                    pass

    def wait(self, seconds: float, rate: int) -> float | None:
        """Let bytes arrive at a rate; return after how many seconds the book was given up, None: never."""
        for half in range(1, int(2 * seconds) + 1):
            self.now += HALF_S
            message: L2Message = BytesArrived(self.key, self.connection, rate // 2)
            if self.request:
                message = ReplyArriving(self.key, self.request, rate // 2)
                self.tell(BytesArrived(self.key, self.connection, 100))  # of the stream, which goes on
            if rate:
                self.tell(message)
            self.tell(Tick())
            if self.closed:
                return half / 2
        return None


@pytest.mark.parametrize("venue", ["coinbase", "binance"])
def test_a_book_of_4_8_mb_at_300_kb_a_second_is_waited_for(venue: str) -> None:
    book = OneBook(venue)
    assert book.wait(16.0, 300_000) is None
    assert book.health is not None
    assert book.health.state is BookState.SYNCING


@pytest.mark.parametrize("venue", ["coinbase", "binance"])
@pytest.mark.parametrize("rate", [0, 200])
def test_a_book_of_which_nothing_or_a_trickle_comes_is_asked_for_again(venue: str, rate: int) -> None:
    given_up = OneBook(venue).wait(60.0, rate)
    assert given_up is not None
    assert given_up <= POLICY.sync_timeout_ns / NS_PER_S + 3
