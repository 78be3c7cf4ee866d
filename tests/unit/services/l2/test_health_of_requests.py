"""A book's health tells what its venue's rate limit has left, and how long its last answered request took."""

from __future__ import annotations

from libs.common.events import BookHealth
from libs.common.time_units import NS_PER_MS
from libs.common.venues import venue_of
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookWanted,
    Fetch,
    FrameReceived,
    L2Message,
    Output,
    ReplyReceived,
    SocketOpened,
    Tick,
)
from tests.l2_world import POLICY, START
from tests.model_exchange import BinanceModel

KEY = "binance:BTC-USDT"
LIMIT = venue_of("binance").limits
ONE_LESS = 1 - LIMIT.snapshot_cost / LIMIT.rest_capacity


def tell(state: State, message: L2Message, now: int = START) -> list[Output]:
    return handle(state, message, now)


def health_of(outputs: list[Output]) -> BookHealth:
    return next(output for output in outputs if isinstance(output, BookHealth))


def an_asked_snapshot() -> tuple[State, Fetch, BinanceModel]:
    exchange = BinanceModel(7)
    state = State(FEEDS, lambda venue: (f"ws://test/{venue}", f"http://test/{venue}"), POLICY)
    first = health_of(tell(state, BookWanted("binance", "BTC-USDT", 0)))
    assert (first.rate_remaining, first.requests, first.request_ns) == (1.0, 0, None)
    tell(state, SocketOpened(KEY, 1))
    tell(state, FrameReceived(KEY, 1, exchange.next_frame()))
    outputs = tell(state, Tick(), START + NS_PER_MS)
    return state, next(output for output in outputs if isinstance(output, Fetch)), exchange


def test_a_snapshot_shows_in_the_share_left_and_in_the_round_trip() -> None:
    state, asked, exchange = an_asked_snapshot()
    reply = ReplyReceived(KEY, asked.request, "snapshot", 200, exchange.snapshot(), took_ns=42 * NS_PER_MS)
    told = health_of(tell(state, reply, START + NS_PER_MS))
    assert told.rate_remaining == ONE_LESS
    assert (told.requests, told.request_ns) == (1, 42 * NS_PER_MS)


def test_a_request_without_an_answer_is_no_round_trip() -> None:
    state, asked, _ = an_asked_snapshot()
    told = health_of(
        tell(state, ReplyReceived(KEY, asked.request, "snapshot", 0, b"refused"), START + NS_PER_MS)
    )
    assert (told.requests, told.request_ns) == (0, None)


def test_a_venue_that_says_too_many_has_nothing_left() -> None:
    state, asked, _ = an_asked_snapshot()
    reply = ReplyReceived(KEY, asked.request, "snapshot", 429, b"slow down", 30.0, took_ns=3 * NS_PER_MS)
    told = health_of(tell(state, reply, START + NS_PER_MS))
    assert told.rate_remaining == 0.0
    assert (told.requests, told.request_ns) == (1, 3 * NS_PER_MS)
