"""A venue's own keep-alives alone keep a quiet book LIVE; without them its line is dead in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

import pytest

from libs.common.events import BookHealth, BookState
from libs.common.time_units import NS_PER_MS
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookWanted,
    CandlesKnown,
    CloseSocket,
    Fetch,
    FrameReceived,
    L2Message,
    OpenSocket,
    PongReceived,
    ReplyReceived,
    SocketOpened,
    Tick,
)
from tests.l2_world import POLICY, START

SECOND = 1_000 * NS_PER_MS
STEP = 250 * NS_PER_MS
S = BookState
BOOK = '{"lastUpdateId":5,"T":1700000000000,"bids":[["99","1"]],"asks":[["101","1"]]}'
COINBASE = (
    '{"channel":"l2_data","timestamp":"2026-08-09T21:05:48Z","sequence_num":0,"events":[{"type":"snapshot",'
    '"product_id":"BTC-USDT","updates":[{"side":"bid","event_time":"x","price_level":"99","new_quantity":"1"},'
    '{"side":"offer","event_time":"x","price_level":"101","new_quantity":"1"}]}]}'
)
OKX = (
    '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["101","1","0","1"]],'
    '"bids":[["99","1","0","1"]],"ts":"1597026383085","checksum":%d,"prevSeqId":-1,"seqId":1}]}'
)
BYBIT = (
    '{"topic":"orderbook.%d.BTCUSDT","ts":1787612486096,"type":"snapshot","data":{"s":"BTCUSDT","b":[["99","1"]],'
    '"a":[["101","1"]],"u":7,"seq":1},"cts":1787612486091}'
)
KRAKEN = (
    '{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USDT","bids":[{"price":99.0,"qty":1.0}],'
    '"asks":[{"price":101.0,"qty":1.0}],"checksum":%d,"timestamp":"2026-08-24T22:21:57.110183Z"}]}'
)
KRAKEN_SUM = crc32(b"10101099010")  # price and size of the ask, then of the bid, without their points
KRAKEN_V1 = (
    '[464,{"as":[["101.00000","1.00000000","1618678132.1"]],"bs":[["99.00000","1.00000000","1618678132.1"]]},'
    '"book-1000","XBT/USDT"]'
)
OKX_2022 = crc32(b"99:1:101:1")


@dataclass(frozen=True)
class Quiet:
    """What a venue says when nothing happens in a market."""

    snapshot: str  # in band, or the reply to its request
    heartbeat: str | None = None  # of its own accord, once a second; %d is the frame's number
    answer: str | None = None  # to an application ping of ours


PONG = '{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}'
VENUES = {
    "binance": Quiet(BOOK),
    "binance-usdm": Quiet(BOOK),
    "binance-coinm": Quiet(BOOK),
    "bitstamp": Quiet(
        '{"microtimestamp":"1641343695572693","bids":[["99","1"]],"asks":[["101","1"]]}',
        answer='{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}',
    ),
    "bybit": Quiet(BYBIT % 50, answer=PONG),
    "bybit-200": Quiet(BYBIT % 200, answer=PONG),
    "coinbase": Quiet(
        COINBASE,
        heartbeat='{"channel":"heartbeats","timestamp":"x","sequence_num":%d,"events":[{"heartbeat_counter":1}]}',
    ),
    "coinbase-exchange": Quiet(
        '{"type":"snapshot","product_id":"BTC-USDT","asks":[["101","1"]],"bids":[["99","1"]]}',
        heartbeat='{"type":"heartbeat","sequence":%d,"product_id":"BTC-USDT"}',
    ),
    "kraken": Quiet(KRAKEN % KRAKEN_SUM, '{"channel":"heartbeat"}', '{"method":"pong","req_id":1}'),
    "kraken-v1": Quiet(KRAKEN_V1, '{"event":"heartbeat"}', '{"event":"pong"}'),
    "okx": Quiet(OKX % 0, answer="pong"),
    "okx-v5-2022": Quiet(OKX % (OKX_2022 - (OKX_2022 >> 31 << 32)), answer="pong"),
}
each_venue = pytest.mark.parametrize("venue", sorted(VENUES))


@dataclass
class Line:
    """A book on a line on which nothing comes but what keeps it alive; one step is a quarter of a second."""

    venue: str
    now: int = START
    states: list[BookState] = field(default_factory=list)
    health: BookHealth | None = None
    order: OpenSocket | None = None
    opened: int = 0
    number: int = 0
    is_dead: bool = False

    def __post_init__(self) -> None:
        self.quiet = VENUES[self.venue]
        self.key = f"{self.venue}:BTC-USDT"
        self.state = State(FEEDS, lambda venue: (f"ws://test/{venue}", f"http://test/{venue}"), POLICY)
        self.tell(BookWanted(self.venue, "BTC-USDT", 0))
        self.tell(CandlesKnown(self.key, ()))
        self.wait(5)
        assert self.states[-1] is S.LIVE, self.health
        self.states.clear()

    def tell(self, message: L2Message) -> None:
        pending: list[L2Message] = []
        for output in handle(self.state, message, self.now):
            match output:
                case OpenSocket():
                    self.order, self.opened, self.number = output, self.opened + 1, 0
                    self.began = self.now
                    pending.append(SocketOpened(self.key, output.connection))
                    if not FEEDS[self.venue].snapshot_by_rest:
                        pending.append(self.frame(self.quiet.snapshot))
                        self.number = 1
                case CloseSocket():
                    self.order = None
                case Fetch(request=request, purpose=purpose):
                    body = self.quiet.snapshot.encode()
                    pending.append(ReplyReceived(self.key, request, purpose, 200, body))
                case BookHealth():
                    if self.health is None or output.state is not self.health.state:
                        self.states.append(output.state)
                    self.health = output
        for each in pending:
            self.tell(each)

    def frame(self, text: str) -> FrameReceived:
        assert self.order is not None
        return FrameReceived(self.key, self.order.connection, text.encode())

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * SECOND / STEP)):
            self.now += STEP
            if self.order is not None and not self.is_dead:
                self._keep_alive(self.order)
            self.tell(Tick())

    def _keep_alive(self, order: OpenSocket) -> None:
        open_for = self.now - self.began
        if self.quiet.heartbeat is not None and open_for % SECOND == 0:
            text = self.quiet.heartbeat
            self.tell(self.frame(text % self.number if "%d" in text else text))
            self.number += 1
        if order.ping is not None and open_for % round(order.ping_interval_s * SECOND) == 0:
            assert self.quiet.answer is not None
            self.tell(self.frame(self.quiet.answer))
        if order.pong_interval_s is not None and open_for % round(order.pong_interval_s * SECOND) == 0:
            self.tell(PongReceived(self.key, order.connection))


def test_every_venue_is_here() -> None:
    assert set(VENUES) == set(FEEDS)


@each_venue
def test_its_keep_alives_alone_keep_a_quiet_book_live(venue: str) -> None:
    line = Line(venue)
    line.wait(600)
    assert line.states == []
    assert line.opened == 1
    assert line.health is not None
    told = line.health
    assert (told.stales, told.resyncs, told.ignored, told.bad_frames, told.disconnects) == (0, 0, 0, 0, 0)


@each_venue
def test_a_dead_line_is_found_within_its_limit(venue: str) -> None:
    line = Line(venue)
    line.wait(60)
    line.is_dead = True
    silence_s = FEEDS[venue].silence_s
    assert silence_s <= 30
    line.wait(silence_s + 1)
    assert line.states[0] is S.STALE
    assert line.health is not None
    assert line.health.stales == 1


@each_venue
def test_one_late_keep_alive_is_no_silence(venue: str) -> None:
    feed, quiet = FEEDS[venue], VENUES[venue]
    asked = [every for every in (feed.ping_interval_s, feed.pong_interval_s) if every is not None]
    every_s = 1.0 if quiet.heartbeat is not None else min(asked)
    assert 2 * every_s < feed.silence_s


def test_a_real_pause_of_a_quiet_pair_is_no_silence() -> None:
    line = Line("binance")  # RUNE-EUR had 19.4 s between two frames
    book = '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT",%s}}'
    for number in range(6, 36):
        line.wait(19.5)
        line.tell(line.frame(book % f'"U":{number},"u":{number},"b":[["99","{number}"]],"a":[]'))
    assert line.states == []
    assert line.health is not None
    assert line.health.resyncs == 0
