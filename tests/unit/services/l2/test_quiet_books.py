"""Quiet books on a proven line stay LIVE, and the trouble of one symbol is not that of the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from libs.common.events import BookHealth, BookState
from libs.common.live_books import proven_ts
from libs.common.time_units import NS_PER_MS
from libs.common.topic import REPEATED_MS
from libs.common.venues import venue_of
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookWanted,
    Fetch,
    FrameReceived,
    L2Message,
    OpenSocket,
    PongReceived,
    ReplyReceived,
    SocketOpened,
    Tick,
)
from services.l2.settings import L2Settings
from tests.l2_world import POLICY, START, World
from tests.model_exchange import BinanceModel

if TYPE_CHECKING:
    from services.l2.session import BookSession

S = BookState
SECOND = 1_000 * NS_PER_MS
REFUSAL = b'{"code":-1121,"msg":"Invalid symbol."}'


def a_live_world() -> World:
    world = World(BinanceModel(11))
    world.until_live()
    for _ in range(100):
        world.step()
    world.states.clear()
    return world


def pong(world: World) -> None:
    assert world.connection is not None
    world.tell(PongReceived(world.key, world.connection))


def test_pongs_alone_keep_a_quiet_book_live_without_a_single_request() -> None:
    world = a_live_world()
    assert world.health is not None
    before = world.health
    for step in range(12_000):  # 10 min
        if step % 60 == 0:
            pong(world)
        world.step([])
    assert world.states == []
    assert (world.health.stales, world.health.resyncs) == (before.stales, before.resyncs)
    assert world.health.rate_remaining == 1.0
    world.step()
    assert world.live


def test_the_top_of_a_quiet_book_comes_again_so_often_that_who_starts_finds_it() -> None:
    world = a_live_world()
    world.step([])
    world.tops.clear()
    for step in range(600):  # 30 s
        if step % 60 == 0:
            pong(world)
        world.step([])
    assert 30_000 // REPEATED_MS - 1 <= len(world.tops) <= 30_000 // REPEATED_MS
    assert len({(top.epoch, top.seq) for top in world.tops}) == 1


@pytest.mark.parametrize("rarer", ["heartbeat_s", "top_interval_ms"])
def test_no_setting_makes_what_is_repeated_too_rare_for_who_starts(rarer: str) -> None:
    most = {"heartbeat_s": REPEATED_MS / 1000, "top_interval_ms": REPEATED_MS}[rarer]
    L2Settings.model_validate({rarer: most})
    with pytest.raises(ValidationError, match=rarer):
        L2Settings.model_validate({rarer: most + 1})


def test_an_unanswered_ping_is_a_dead_line_within_ten_seconds() -> None:
    world = a_live_world()
    pong(world)
    for _ in range(220):  # 11 s
        world.step([])
    assert world.states[0] is S.STALE
    world.until_live()


def test_a_pong_of_an_older_connection_proves_nothing() -> None:
    world = a_live_world()
    old = world.connection
    assert old is not None
    world.disconnect("connection reset")
    world.until_live()
    world.states.clear()
    for _ in range(220):
        world.tell(PongReceived(world.key, old))
        world.step([])
    assert S.STALE in world.states


def test_every_feed_without_a_heartbeat_of_its_venue_asks_for_pongs_in_time() -> None:
    for feed in FEEDS.values():
        if feed.pong_interval_s is not None:
            assert 3 * feed.pong_interval_s < feed.silence_s
    assert {venue for venue, feed in FEEDS.items() if feed.pong_interval_s is not None} == {
        "binance",
        "binance-usdm",
        "binance-coinm",
    }


def test_a_busy_book_that_falls_silent_is_in_doubt_until_it_counts_as_quiet() -> None:
    world = a_live_world()
    seen = []
    for step in range(40 * 20):  # 40 s
        if step % 60 == 0:
            pong(world)
        world.step([])
        assert world.health is not None
        seen.append(world.health.in_doubt)
    assert world.states == []
    doubtful = [at / 20 for at, in_doubt in enumerate(seen) if in_doubt]
    assert 0.9 <= doubtful[0] <= 1.2, "told at once, not with the next heartbeat"
    assert 29 <= doubtful[-1] <= 31
    assert not any(seen[31 * 20 :])


def test_a_quiet_live_book_is_as_fresh_as_its_owners_last_word_and_one_in_doubt_is_not() -> None:
    world = a_live_world()
    for step in range(70 * 20):
        if step % 60 == 0:
            pong(world)
        world.step([])
        assert world.health is not None
        age_s = (world.now - proven_ts(world.tops[-1], world.health)) / SECOND
        silent_s = (world.now - world.tops[-1].received_ts) / SECOND
        assert age_s == silent_s if world.health.in_doubt else age_s <= 1.1


@dataclass
class Venue:
    """Binance with many symbols, of which each is answered as the test says; one step is 50 ms."""

    answers: dict[str, tuple[int, bytes]]
    now: int = START
    asked: Counter[str] = field(default_factory=Counter)
    pending: list[Fetch] = field(default_factory=list)
    health: dict[str, BookHealth] = field(default_factory=dict)
    lowest: float = 1.0

    def __post_init__(self) -> None:
        self.state = State(FEEDS, lambda venue: (f"ws://test/{venue}", f"http://test/{venue}"), POLICY)
        for symbol in self.answers:
            self.tell(BookWanted("binance", symbol, 0))

    def tell(self, message: L2Message) -> None:
        for output in handle(self.state, message, self.now):
            match output:
                case OpenSocket():
                    self.tell(SocketOpened(output.key, output.connection))
                case Fetch(purpose="instrument"):
                    self.tell(ReplyReceived(output.key, output.request, "instrument", 404, b""))
                case Fetch():
                    symbol = output.key.partition(":")[2]
                    self.asked[symbol] += 1
                    self.pending.append(output)
                case BookHealth():
                    self.health[output.symbol] = output

    def run(self, seconds: float) -> None:
        for step in range(round(seconds * 20)):
            self.now += 50 * NS_PER_MS
            self.tell(Tick())
            while self.pending:
                asked = self.pending.pop()
                status, body = self.answers[asked.key.partition(":")[2]]
                self.tell(ReplyReceived(asked.key, asked.request, asked.purpose, status, body))
            budget = self.state.budgets["binance"]
            self.lowest = min(self.lowest, budget.rest.left(self.now))
            for key, session in self.state.sessions.items():
                if step % 60 == 0:
                    self.tell(PongReceived(key, session.connection))

    def session(self, symbol: str) -> BookSession:
        return self.state.sessions[f"binance:{symbol}"]


def troubled(count: int) -> dict[str, tuple[int, bytes]]:
    return {f"T{number}-USDT": (500, b"busy") for number in range(count)}


@pytest.mark.parametrize("seconds", [5, 60, 300])
def test_three_troubled_books_leave_the_others_what_they_need(seconds: float) -> None:
    venue = Venue(troubled(3))
    venue.run(seconds)
    limit = venue_of("binance").limits
    assert venue.lowest >= 0.25 - limit.snapshot_cost / limit.rest_capacity
    venue.answers["BTC-USDT"] = (200, BinanceModel(3).snapshot())
    venue.tell(BookWanted("binance", "BTC-USDT", 0))
    venue.run(1.2)  # a second is left to the stream to speak first
    assert venue.health["BTC-USDT"].state is S.LIVE


def test_a_book_that_falls_again_and_again_is_tried_ever_more_rarely() -> None:
    venue = Venue({"BTC-USDT": (200, BinanceModel(3).snapshot())})
    gaps = []
    for _ in range(12):
        began = venue.now
        while venue.health["BTC-USDT"].state is not S.LIVE:
            venue.run(0.05)
            assert venue.now - began < 60 * SECOND
        gaps.append((venue.now - began) / SECOND)
        venue.run(1)
        session = venue.session("BTC-USDT")
        hole = BinanceModel(9).raised_frame()
        venue.tell(FrameReceived("binance:BTC-USDT", session.connection, hole))
    assert max(gaps[1:4]) < 1.5, "a few falls are forgiven"
    assert gaps[-1] > 1.5, "the pause reaches the longest there is"


@pytest.mark.parametrize("status", [400, 404])
def test_a_symbol_that_the_venue_refuses_twice_is_given_up_and_health_says_why(status: int) -> None:
    venue = Venue({"NO-USDT": (status, REFUSAL)})
    venue.run(890)
    assert venue.asked["NO-USDT"] == 2
    told = venue.health["NO-USDT"]
    assert told.state is S.REFUSED
    assert "Invalid symbol" in told.reason
    assert "given up for 900 s" in told.reason
    venue.answers["NO-USDT"] = (200, BinanceModel(3).snapshot())
    venue.run(60)
    assert venue.health["NO-USDT"].state is S.LIVE, "it is asked for again, for symbols are listed some day"


def test_a_subscription_that_is_refused_twice_is_given_up_too() -> None:
    venue = Venue({"NO-USDT": (500, b"never asked")})
    refusal = b'{"error":{"code":2,"msg":"Invalid request: unknown stream"},"id":1}'
    session = venue.session("NO-USDT")
    connections = set()
    for _ in range(3600):  # 180 s
        venue.run(0.05)
        connections.add(session.connection)
        venue.tell(FrameReceived("binance:NO-USDT", session.connection, refusal))
    assert len(connections) == 2
    assert "given up" in venue.health["NO-USDT"].reason


def test_the_words_of_a_venue_are_cut_where_they_would_not_fit_into_a_message() -> None:
    world = a_live_world()
    world.deliver(b'{"error":{"code":2,"msg":"%s"},"id":1}' % (b"x" * 5_000_000))
    assert world.health is not None
    assert world.health.state is S.REFUSED
    assert len(world.health.reason) <= 500
