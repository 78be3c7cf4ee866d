"""A LIVE book of Binance in one process, with trades and minutes; a test rules every message on the wire."""

from __future__ import annotations

import json
from typing import Any

from libs.common.events import BookHealth, Candle, Trade
from libs.common.time_units import NS_PER_MS
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookWanted,
    CandlesKnown,
    Fetch,
    FrameReceived,
    L2Message,
    OpenSocket,
    ReplyReceived,
    SocketOpened,
    Tick,
)
from tests.l2_world import POLICY, START
from tests.model_exchange import BinanceModel

KEY = "binance:BTC-USDT"
SECOND = 1_000 * NS_PER_MS
MINUTE = 60 * SECOND


class Book:
    """A LIVE book of Binance that is told trades; a tick comes every second."""

    def __init__(self) -> None:
        self.exchange = BinanceModel(5)
        self.now = START - START % MINUTE + 10 * SECOND
        self.state = State(FEEDS, lambda venue: (f"ws://test/{venue}", f"http://test/{venue}"), POLICY)
        self.said: list[Any] = []
        self.connection = 0
        self.venue_volumes: dict[int, float] = {}  # by minute; 0.5 in the others
        self.tell(BookWanted("binance", "BTC-USDT", 0))
        self.tell(CandlesKnown(KEY, ()))
        self.live()

    def live(self) -> None:
        self.wait(2)
        self.tell(FrameReceived(KEY, self.connection, self.exchange.next_frame()))
        self.wait(3)
        assert self.state.sessions[KEY].maintainer.live

    def tell(self, message: L2Message) -> None:
        pending: list[L2Message] = []
        for output in handle(self.state, message, self.now):
            match output:
                case OpenSocket(connection=connection):
                    self.connection = connection
                    pending.append(SocketOpened(KEY, connection))
                case Fetch(purpose="instrument"):
                    pending.append(ReplyReceived(KEY, output.request, "instrument", 404, b""))
                case Fetch(purpose=purpose):
                    body = self.exchange.snapshot() if purpose == "snapshot" else self._klines(output.url)
                    pending.append(ReplyReceived(KEY, output.request, purpose, 200, body))
                case _:
                    self.said.append(output)
        for each in pending:
            self.tell(each)

    def _klines(self, url: str) -> bytes:
        since = int(url.partition("startTime=")[2].partition("&")[0]) * NS_PER_MS
        minutes = range(since - since % MINUTE, self.now, MINUTE)
        return json.dumps([a_minute(each, self.venue_volumes.get(each, 0.5)) for each in minutes]).encode()

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.now += SECOND
            session = self.state.sessions[KEY]
            session.on_frame(FrameReceived(KEY, self.connection, b'{"result":null,"id":1}'), self.now)
            self.tell(Tick())

    def trade(self, number: int, ts: int | None = None, size: float = 1.0) -> None:
        at_ms = (self.now if ts is None else ts) // NS_PER_MS
        data = {"e": "trade", "s": "BTCUSDT", "t": number, "p": "100", "q": str(size), "T": at_ms, "m": False}
        raw = json.dumps({"stream": "btcusdt@trade", "data": data}).encode()
        self.tell(FrameReceived(KEY, self.connection, raw))

    def trades(self) -> list[str]:
        return [each.trade_id for each in self.said if isinstance(each, Trade)]

    def volumes(self) -> dict[int, float]:
        closed = [each for each in self.said if isinstance(each, Candle) and each.closed]
        assert len({candle.open_ts for candle in closed}) == len(closed)
        return {candle.open_ts: candle.volume for candle in closed}

    def health(self) -> BookHealth:
        self.wait(1)
        return [each for each in self.said if isinstance(each, BookHealth)][-1]


def whole_minute(book: Book) -> int:
    """Trade until the next whole minute begins; return it."""
    book.trade(1)
    minute = book.now - book.now % MINUTE + MINUTE
    while book.now < minute + SECOND:
        book.wait(1)
    return minute


def a_minute(open_ts: int, volume: float) -> list[object]:
    open_ms = open_ts // NS_PER_MS
    return [open_ms, "100", "100", "100", "100", str(volume), open_ms + 59_999, "1", 1, "1", "100", "0"]
