"""A venue that serves nothing to this address is left alone by all of its books, and asked by one of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest

from libs.common.events import BookHealth, BookState
from libs.common.time_units import NS_PER_S
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookWanted,
    CandlesKnown,
    ClockSet,
    CloseSocket,
    Fetch,
    FrameReceived,
    OpenSocket,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
    Tick,
)
from services.l2.policy import Policy
from services.l2.rate_limits import PROBE_NS, VenueBucket, VenueBudget
from services.l2.refusals import BLOCKED_S, refusal_of
from tests.l2_world import POLICY, START
from tests.model_bybit import BybitModel
from tests.model_exchange import BinanceModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.l2.messages import L2Message, Output

SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
STEP_NS: Final = 250_000_000
HOUR_NS: Final = 3_600 * NS_PER_S
TRADE: Final = (
    b'{"topic":"publicTrade.%s","type":"snapshot","ts":%d,"data":[{"i":"%d","T":%d,"p":"100","v":"0.1",'
    b'"S":"Buy","s":"%s","BT":false}]}'
)
BLOCKED_451: Final = "blocked here (451): set L2_HOSTS or drop the venue; asked again in 10 min"


@dataclass
class Venue:
    """Three books of one venue under a clock; `socket` and `rest` are what it answers, 101 and 200 serve."""

    venue: str
    socket: int = 101
    rest: int = 200
    retry_after_s: float | None = None
    policy: Policy = POLICY
    now: int = START
    asked: Counter[str] = field(default_factory=Counter)
    times: list[int] = field(default_factory=list)  # of attempts of sockets
    health: dict[str, BookHealth] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    trades: int = 0

    def __post_init__(self) -> None:
        bases = (f"wss://stream.{self.venue}.test", f"https://api.{self.venue}.test")
        self.state = State(FEEDS, lambda _: bases, self.policy)
        for symbol in SYMBOLS:
            self.tell(BookWanted(self.venue, symbol))
            self.tell(CandlesKnown(f"{self.venue}:{symbol}", ()))

    def tell(self, message: L2Message) -> None:
        for output in handle(self.state, message, self.now):
            self._take(output)

    def _take(self, output: Output) -> None:
        match output:
            case BookHealth():
                self.health[f"{output.venue}:{output.symbol}"] = output
            case OpenSocket(key=key, connection=connection):
                self.asked["socket"] += 1
                self.times.append(self.now)
                if self.socket == 101:
                    self.lines[key] = connection
                    self.tell(SocketOpened(key, connection))
                elif self.socket == 0:
                    self.tell(SocketClosed(key, connection, "OSError: unreachable"))
                else:
                    said = f"InvalidStatus: server rejected WebSocket connection: HTTP {self.socket}"
                    self.tell(SocketClosed(key, connection, said, self.socket, self.retry_after_s))
            case CloseSocket(key=key):
                self.lines.pop(key, None)
            case Fetch():
                self.asked["rest"] += 1
                body = b"" if self.rest != 200 else BinanceModel(seed=1).snapshot()
                order = (output.key, output.request, output.purpose)
                self.tell(ReplyReceived(*order, self.rest, body, self.retry_after_s))
            case _:
                pass

    def run(self, length_ns: int, each: Callable[[], None] | None = None, step_ns: int = STEP_NS) -> None:
        for _ in range(length_ns // step_ns):
            self.now += step_ns
            if each is not None:
                each()
            self.tell(Tick())

    def states(self) -> set[BookState]:
        return {health.state for health in self.health.values()}


@pytest.mark.parametrize("status", [451, 403])
@pytest.mark.parametrize("venue", ["binance", "bybit", "coinbase", "kraken", "okx"])
def test_three_books_of_a_venue_that_refuses_the_handshake_ask_it_a_few_times_an_hour(
    venue: str, status: int
) -> None:
    world = Venue(venue, socket=status)
    world.run(HOUR_NS)
    assert world.asked["socket"] <= 3 + 5, "the first of each book, then one in ten minutes"
    assert world.asked["rest"] <= 3, "the instrument of each book"
    assert world.states() == {BookState.BLOCKED}
    for health in world.health.values():
        assert health.reason.startswith(f"blocked here ({status}): set L2_HOSTS or drop the venue")


def test_what_is_told_of_a_blocked_venue_says_what_to_do_and_when_it_is_asked_again() -> None:
    world = Venue("binance", socket=451)
    world.run(NS_PER_S)
    assert {health.reason for health in world.health.values()} == {BLOCKED_451}
    assert world.asked["socket"] <= 3


@pytest.mark.parametrize("status", [418, 429])
def test_a_ban_at_the_handshake_is_waited_for_as_the_venue_says(status: int) -> None:
    world = Venue("binance", socket=status, retry_after_s=1_800.0)
    world.run(1_790 * NS_PER_S)
    first = world.asked["socket"]
    assert first <= 3
    assert world.states() == {BookState.BLOCKED}
    assert all(
        f"({status})" in health.reason and "30 min" in health.reason for health in world.health.values()
    )
    world.socket = 101
    world.run(40 * NS_PER_S)
    assert len(world.lines) == 3


@pytest.mark.parametrize(("status", "seconds"), [(418, 120), (429, 60)])
def test_a_ban_without_a_time_is_waited_for_all_the_same(status: int, seconds: int) -> None:
    world = Venue("binance", socket=status)
    world.run(HOUR_NS)
    assert world.asked["socket"] <= 3 + 3_600 // seconds


def test_when_the_pause_is_over_one_book_asks_and_the_others_follow_once_it_is_served() -> None:
    world = Venue("binance", socket=451)
    world.run(599 * NS_PER_S)
    before = len(world.times)
    world.run(2 * NS_PER_S)
    assert len(world.times) == before + 1, "one probes"
    world.socket = 101
    world.run(600 * NS_PER_S + 5 * NS_PER_S)
    assert len(world.times) == before + 1 + 3
    assert len(world.lines) == 3


def test_a_venue_that_cannot_be_reached_after_a_block_is_asked_by_one_book_at_a_time() -> None:
    world = Venue("binance", socket=451)
    world.run(590 * NS_PER_S)
    before = len(world.times)
    world.socket = 0
    world.run(600 * NS_PER_S)
    assert 1 <= len(world.times) - before <= 600 * NS_PER_S // PROBE_NS + 1


def test_a_403_of_rest_ends_all_requests_for_ten_minutes_and_leaves_open_sockets_alone() -> None:
    """Bybit: "403, access too frequent ... wait for at least 10 minutes"."""
    history = Policy(**{name: getattr(POLICY, name) for name in POLICY.__slots__} | {"history_minutes": 600})
    world = Venue("bybit", rest=403, policy=history)
    models = {f"bybit:{symbol}": BybitModel(seed=number) for number, symbol in enumerate(SYMBOLS)}

    def market() -> None:
        for key, model in models.items():
            if key in world.lines:
                symbol = key.partition(":")[2].replace("-", "").encode()
                raw = model.next_frame().replace(b"BTCUSDT", symbol)
                world.tell(FrameReceived(key, world.lines[key], raw))
                world.trades += 1
                trade = TRADE % (symbol, world.now // 1_000_000, world.trades, world.now // 1_000_000, symbol)
                world.tell(FrameReceived(key, world.lines[key], trade))

    world.run(60 * NS_PER_S, market, NS_PER_S)
    assert world.states() == {BookState.LIVE}, {health.reason for health in world.health.values()}
    assert 1 <= world.asked["rest"] <= 4, "what books ask at one moment"
    before = world.asked["rest"]
    world.run(530 * NS_PER_S, market, NS_PER_S)
    assert world.asked["rest"] == before, "silence of ten minutes"
    assert world.states() == {BookState.LIVE}
    world.run(HOUR_NS - 590 * NS_PER_S, market, NS_PER_S)
    assert world.asked["rest"] <= before + 6
    assert world.asked["socket"] == 3


def test_snapshots_that_are_refused_block_the_venue_and_say_so() -> None:
    world = Venue("binance", rest=451)
    world.run(HOUR_NS)
    assert world.states() == {BookState.BLOCKED}
    assert world.asked["rest"] <= 3 + 5
    assert world.asked["socket"] <= 3 * 6
    assert {health.reason for health in world.health.values()} == {BLOCKED_451}


def test_a_redirect_to_a_page_that_says_blocked_is_a_redirect_and_no_block() -> None:
    world = Venue("binance", socket=302)
    world.run(60 * NS_PER_S)
    assert world.states() == {BookState.DISCONNECTED}


def test_a_clock_that_is_set_moves_the_block() -> None:
    for by_ns in (-86_400 * NS_PER_S, 86_400 * NS_PER_S):
        world = Venue("binance", socket=451)
        world.run(60 * NS_PER_S)
        before = world.asked["socket"]
        world.now += by_ns
        world.tell(ClockSet(by_ns))
        world.run(500 * NS_PER_S)
        assert world.asked["socket"] == before
        assert world.states() == {BookState.BLOCKED}
        world.run(60 * NS_PER_S)
        assert world.asked["socket"] == before + 1


def test_one_blocked_venue_is_no_matter_of_another() -> None:
    state = State(FEEDS, lambda venue: (f"wss://{venue}.test", f"https://{venue}.test"), POLICY)
    opened = [
        output
        for venue in ("binance", "kraken")
        for output in handle(state, BookWanted(venue, "BTC-USDT"), START)
        if isinstance(output, OpenSocket)
    ]
    handle(state, SocketClosed(opened[0].key, 1, "HTTP 451", 451), START)
    assert state.budgets["binance"].blocked(START) == BLOCKED_451
    assert state.budgets["kraken"].blocked(START) is None
    assert state.budgets["kraken"].sockets.take(1, START) == 0


@pytest.mark.parametrize(
    ("status", "of_socket", "retry_after_s", "pause_s"),
    [
        (451, True, None, BLOCKED_S),
        (451, False, 5.0, BLOCKED_S),
        (403, True, 7_200.0, 7_200.0),
        (403, False, None, BLOCKED_S),
        (418, False, None, 120.0),
        (418, True, 259_200.0, 259_200.0),
        (429, True, 9.0, 9.0),
        (429, True, None, 60.0),
    ],
)
def test_which_answers_stop_a_whole_venue(
    status: int, *, of_socket: bool, retry_after_s: float | None, pause_s: float
) -> None:
    refusal = refusal_of(status, retry_after_s, of_socket=of_socket)
    assert refusal is not None
    assert refusal.pause_ns == pause_s * NS_PER_S
    assert f"({status})" in refusal.reason


@pytest.mark.parametrize("status", [0, 101, 200, 302, 400, 404, 500, 503])
@pytest.mark.parametrize("of_socket", [True, False])
def test_which_answers_do_not(status: int, *, of_socket: bool) -> None:
    assert refusal_of(status, None, of_socket=of_socket) is None


def test_the_pause_of_a_blocked_venue_is_a_setting() -> None:
    policy = Policy(
        **{name: getattr(POLICY, name) for name in POLICY.__slots__} | {"blocked_ns": 5 * NS_PER_S}
    )
    world = Venue("okx", socket=451, policy=policy)
    world.run(60 * NS_PER_S)
    assert 9 <= len(world.times) <= 15, "one of the three books in five seconds"


def test_a_limit_of_rest_is_no_limit_of_sockets() -> None:
    budget = VenueBudget.of("binance")
    budget.on_answer(budget.rest, 429, 30.0, START)
    assert budget.blocked(START) is None
    assert budget.rest.take(1, START) == START + 30 * NS_PER_S
    assert budget.sockets.take(1, START) == 0


def test_a_bucket_that_was_refused_lets_one_through_until_one_is_served() -> None:
    bucket = VenueBucket(capacity=10, period_s=5)
    bucket.refuse()
    assert bucket.take(1, START) == 0
    assert START < bucket.take(1, START) <= START + NS_PER_S
    assert bucket.take(1, START + PROBE_NS) == 0, "who probed heard nothing: the next one does"
    bucket.serve()
    assert bucket.take(1, START + PROBE_NS) == 0
