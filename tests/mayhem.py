"""One book of a model exchange before a world that does all that a world can do, in random order."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import BookDelta, BookHealth, BookSnapshot, BookState, BookTop, Trade
from libs.common.time_units import NS_PER_MS
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookReleased,
    BookWanted,
    BytesArrived,
    CandlesKnown,
    ClockSet,
    CloseSocket,
    Fetch,
    FrameReceived,
    OpenSocket,
    PongReceived,
    ReplyArriving,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
    Tick,
)
from tests.l2_world import POLICY, START, NaiveReader
from tests.model_bitstamp import BitstampModel
from tests.model_bybit import BybitModel
from tests.model_coinbase import CoinbaseModel
from tests.model_exchange import BinanceModel, KrakenModel
from tests.model_futures import FuturesModel
from tests.model_okx import OkxModel
from tests.odd_frames import STRANGE, UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services.l2.messages import L2Message, Output
    from tests.model_exchange import Book

SECOND: Final = 1_000 * NS_PER_MS
OPENING_NS: Final = 10 * SECOND  # after which the shell gives a socket or a request up
KIND_S: Final = 1_200  # in which a book is LIVE again, whatever was
MODELS: Final[Mapping[str, Callable[[int], Any]]] = {
    "binance": BinanceModel,
    "binance-usdm": lambda seed: FuturesModel(seed, "binance-usdm"),
    "bitstamp": BitstampModel,
    "bybit": BybitModel,
    "coinbase": CoinbaseModel,
    "kraken": KrakenModel,
    "okx": OkxModel,
}
CLOSED: Final = (0, 0, 0, 0, 500, 503, 400, 404, 429, 403, 418, 451)
ANSWERED: Final = (0, 0, 500, 503, 302, 429, 429, 400, 404, 403, 418, 451)
RETRY_AFTER: Final = (None, None, 0.0, 1.0, 30.0)
RECONNECT: Final = {
    "binance": b'{"e":"serverShutdown","E":1790000000000}',
    "bitstamp": b'{"event":"bts:request_reconnect","channel":"","data":""}',
    "okx": b'{"event":"notice","code":"64008","msg":"soon","connId":"a4d3ae55"}',
}
UNLISTED: Final = {
    "binance": (400, b'{"code":-1121,"msg":"Invalid symbol."}'),
    "bybit": (200, b'{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[]}}'),
    "coinbase": (404, b'{"error":"NOT_FOUND","error_details":"valid product_id is required"}'),
    "kraken": (200, b'{"error":["EQuery:Unknown asset pair"]}'),
    "okx": (200, b'{"code":"51001","data":[],"msg":"no such instrument"}'),
}
TERMS: Final = {
    "okx": b'{"code":"0","msg":"","data":[{"instId":"BTC-USDT","state":"live","tickSz":"%s","lotSz":"0.01",'
    b'"minSz":"0.01"}]}',
    "bybit": b'{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT",'
    b'"status":"Trading","lotSizeFilter":{"basePrecision":"0.01","minOrderAmt":"1"},'
    b'"priceFilter":{"tickSize":"%s"}}]}}',
    "binance": b'{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","filters":[{"filterType":"PRICE_FILTER",'
    b'"tickSize":"%s"},{"filterType":"LOT_SIZE","stepSize":"0.01","minQty":"0.01"}]}]}',
}
FAULTS: Final = (
    *(
        "quiet",
        "quiet",
        "drop",
        "drop",
        "garbage",
        "odd",
        "twice",
        "late",
        "cross",
        "close",
        "close",
        "close",
    ),
    *("clock", "status", "status", "reconnect", "reconnect", "announce", "bytes", "pong", "long", "release"),
    *("stale reply", "stale close", "trades", "frames", "frames", "frames", "frames"),
)


class Mayhem:
    """A book in such a world; whatever l2 publishes is held against the exchange's truth."""

    def __init__(self, venue: str, seed: int) -> None:
        self.random = Random(seed)
        self.venue = venue
        self.trouble = self.random.choice((0.1, 0.3, 1.0))  # how often something happens
        self.harsh = self.random.random() < 0.3  # whether the venue may block this address
        self.exchange = MODELS[venue](seed)
        self.by_rest = FEEDS[venue].snapshot_by_rest
        self.key = f"{venue}:BTC-USDT"
        self.now = START
        self.state = State(FEEDS, lambda name: (f"ws://test/{name}", f"http://test/{name}"), POLICY)
        self.reader = NaiveReader()
        self.health: BookHealth | None = None
        self.kind = False
        self.asked: dict[int, int] = {}  # connection: when
        self.lines: list[int] = []
        self.gone: list[int] = []
        self.numbers: dict[int, int] = {}  # Coinbase's frames, by connection
        self.fetches: list[tuple[int, Fetch]] = []
        self.answered: list[ReplyReceived] = []
        self.frames: list[bytes] = []
        self.shown: list[Book] = [] if self.by_rest else [self.exchange.now]  # what a book may be
        self.trade_id = 0
        self.traded: list[str] = []
        self.want()

    def want(self) -> None:
        self.tell(BookWanted(self.venue, "BTC-USDT", self.reader.epoch))
        self.tell(CandlesKnown(self.key, ()))

    def tell(self, message: L2Message) -> None:
        for output in handle(self.state, message, self.now):
            self.take(output)
        assert len(self.lines) + len(self.asked) <= 2, "a book has two lines at most"
        session = self.state.sessions.get(self.key)
        if session is not None and session.maintainer.synced:
            assert session.life.sync.line.is_open, "a book that follows its venue has an open line"

    def take(self, output: Output) -> None:
        match output:
            case OpenSocket():
                self.asked[output.connection] = self.now
            case CloseSocket(connection=connection):
                self.gone.append(connection)
                self.asked.pop(connection, None)
                if connection in self.lines:
                    self.lines.remove(connection)
            case Fetch():
                self.fetches.append((self.now, output))
            case Trade():
                assert output.trade_id not in self.traded, "each trade once"
                self.traded.append(output.trade_id)
            case BookHealth():
                self.health = output
                if output.state in (BookState.LIVE, BookState.ONE_SIDED):
                    assert (output.epoch, output.seq) == (self.reader.epoch, self.reader.seq)
            case BookSnapshot() | BookDelta():
                self.reader.read(output)
                self.hold_against_truth(output.venue_seq)
            case BookTop():
                assert (output.epoch, output.seq) == (self.reader.epoch, self.reader.seq)
                assert (output.bids, output.asks) == self.reader.book
            case _:
                pass

    def hold_against_truth(self, venue_seq: int | None) -> None:
        if self.by_rest:
            assert self.reader.book == self.exchange.truth[venue_seq]
        else:
            assert self.reader.book in self.shown

    @property
    def live(self) -> bool:
        return self.health is not None and self.health.state is BookState.LIVE

    # The exchange

    def say(self, frame: bytes, without: tuple[int, ...] = ()) -> None:
        self.frames = [*self.frames[-5:], frame]
        for connection in tuple(self.lines):
            said = self.numbered(connection, frame)
            if connection not in without:
                self.tell(FrameReceived(self.key, connection, said))

    def numbered(self, connection: int, frame: bytes) -> bytes:
        if self.venue != "coinbase":
            return frame
        try:
            said = json.loads(frame)
        except ValueError:
            said = None
        if not isinstance(said, dict) or "sequence_num" not in said:
            return frame
        said["sequence_num"] = self.numbers[connection]
        self.numbers[connection] += 1
        return json.dumps(said, separators=(",", ":")).encode()

    def next_frame(self) -> bytes:
        frame: bytes = self.exchange.next_frame()
        if not self.by_rest:
            self.shown.append(self.exchange.now)
        return frame

    def open(self, connection: int) -> None:
        self.asked.pop(connection)
        self.lines.append(connection)
        self.numbers[connection] = 0
        self.tell(SocketOpened(self.key, connection))
        if not self.by_rest and connection in self.lines:
            frame = self.numbered(connection, self.exchange.snapshot_frame())
            if self.kind or self.random.random() < 0.9:
                self.tell(FrameReceived(self.key, connection, frame))

    def end(self, connection: int, status: int = 0) -> None:
        self.gone.append(connection)
        self.asked.pop(connection, None)
        if connection in self.lines:
            self.lines.remove(connection)
        retry = self.random.choice(RETRY_AFTER)
        self.tell(SocketClosed(self.key, connection, "as a test says", status, retry))

    def open_asked(self) -> None:
        for connection, since in tuple(self.asked.items()):
            chance = self.chance()
            if chance < 0.5:
                self.open(connection)
            elif chance < 0.6:
                self.end(connection, self.status_of(CLOSED))
            elif self.now - since > OPENING_NS:
                self.end(connection)

    def answer(self) -> None:
        for each in tuple(self.fetches):
            since, asked = each
            chance = self.chance()
            if chance > 0.6 and self.now - since < OPENING_NS:
                continue
            self.fetches.remove(each)
            status, body = self.reply_to(asked, false=chance > 0.35)
            retry = None if status == 200 else self.random.choice(RETRY_AFTER)
            reply = ReplyReceived(asked.key, asked.request, asked.purpose, status, body, retry, 1)
            self.answered = [*self.answered[-5:], reply]
            self.tell(reply)

    def reply_to(self, asked: Fetch, *, false: bool) -> tuple[int, bytes]:
        if false:
            status = self.status_of(ANSWERED)
            if asked.purpose == "instrument" and self.random.random() < 0.3:
                return UNLISTED.get(self.venue, (404, b"no"))
            if self.random.random() < 0.2:
                return 200, b"<html>"
            return status, b"as a test says"
        if asked.purpose == "instrument":
            if self.venue in TERMS and self.random.random() < 0.7:
                return 200, TERMS[self.venue] % self.random.choice([b"0.1", b"0.01"])
            return 404, b"404: Not Found"
        if asked.purpose == "snapshot":
            return 200, self.exchange.snapshot()
        return 200, b"[]"

    def chance(self) -> float:
        """Return 0 where nothing is to go wrong."""
        return 0.0 if self.kind or self.random.random() > self.trouble else self.random.random()

    def status_of(self, those: tuple[int, ...]) -> int:
        status = self.random.choice(those)
        return status if self.harsh or status not in (403, 418, 429, 451) else 0

    # What may happen

    def step(self, ns: int = 50 * NS_PER_MS) -> None:
        self.open_asked()
        self.answer()
        self.now += ns
        self.tell(Tick())

    def play(self) -> None:
        some = self.random
        fault = some.choice(FAULTS) if some.random() < 2 * self.trouble else "frames"
        lines = [*self.lines]
        one = some.choice(lines) if lines else 0
        by_time = self.venue == "bitstamp"  # nothing shows what is missing
        match fault:
            case "drop" if not by_time:
                self.say(self.next_frame(), without=(one,) if some.random() < 0.7 else tuple(lines))
            case "garbage":
                frame = self.next_frame()
                self.say(frame, without=(one,))
                if one in self.lines:
                    self.tell(FrameReceived(self.key, one, frame[:-7]))
            case "odd":
                odd = STRANGE.get(self.venue, ())
                for frame in (*odd[:2], *([UNREADABLE[self.venue]] if self.venue in UNREADABLE else ())):
                    for line in tuple(self.lines):
                        self.tell(FrameReceived(self.key, line, frame))
            case "twice" if not by_time:
                frame = self.next_frame()
                self.say(frame)
                if self.venue in ("binance", "binance-usdm"):
                    self.say(frame)
            case "late" if self.frames and one and self.venue in ("binance", "coinbase"):
                late = some.choice(self.frames)
                if self.venue == "coinbase":
                    late = json.dumps(json.loads(late) | {"sequence_num": 0}).encode()
                if self.venue != "coinbase" or self.numbers[one] > 0:
                    self.tell(FrameReceived(self.key, one, late))
            case "cross":
                self.say(self.exchange.crossing_frame())
            case "close" if one:
                self.end(one, self.status_of((0, 0, 0, 403, 429)))
            case "clock":
                by_ns = some.randint(-3_600, 3_600) * SECOND
                self.now += by_ns
                self.tell(ClockSet(by_ns))
            case "status" if self.venue == "kraken":
                self.status(some.choice(["maintenance", "cancel_only", "online", "online", "odd"]))
            case "reconnect" if self.venue in RECONNECT and one:
                self.tell(FrameReceived(self.key, one, RECONNECT[self.venue]))
            case "announce" if self.key in self.state.sessions:
                session = self.state.sessions[self.key]
                session.life.renewal.announce(session.connection, "as a test says")
            case "bytes":
                self.tell(BytesArrived(self.key, one, some.randint(1, 200_000)))
                self.tell(ReplyArriving(self.key, some.randint(-2, 6), some.randint(1, 200_000)))
            case "pong":
                self.tell(PongReceived(self.key, one))
            case "long":
                self.step(some.choice([5, 30, 120, 700]) * SECOND)
            case "release":
                self.tell(BookReleased(self.venue, "BTC-USDT"))
                self.fetches.clear()
                self.answered.clear()
                self.gone.clear()
                assert not self.lines
                assert not self.asked
                self.want()
            case "stale reply" if self.answered:
                self.tell(some.choice(self.answered))
            case "stale close" if self.gone:
                self.tell(SocketClosed(self.key, some.choice(self.gone), "of long ago"))
                self.tell(SocketOpened(self.key, some.choice(self.gone)))
                self.tell(
                    FrameReceived(self.key, some.choice(self.gone), self.frames[-1] if self.frames else b"{}")
                )
            case "trades" if self.venue == "binance":
                self.trade(everywhere=some.random() < 0.7)
            case "frames":
                for _ in range(some.randint(1, 6)):
                    self.say(self.next_frame())
                    self.step()
            case _:
                pass
        self.step()

    def status(self, system: str) -> None:
        data = [{"system": system, "api_version": "v2", "version": "2.0.0", "connection_id": 1}]
        frame = json.dumps({"channel": "status", "type": "update", "data": data}).encode()
        for line in tuple(self.lines):
            self.tell(FrameReceived(self.key, line, frame))

    def trade(self, *, everywhere: bool) -> None:
        self.trade_id += 1
        data = {"e": "trade", "s": "BTCUSDT", "t": self.trade_id, "p": "1000.0", "q": "1", "m": True}
        data["T"] = self.now // NS_PER_MS
        frame = json.dumps({"stream": "btcusdt@trade", "data": data}).encode()
        for line in tuple(self.lines):
            if everywhere or self.random.random() < 0.5:
                self.tell(FrameReceived(self.key, line, frame))

    def heal(self) -> int:
        """Be kind until the book is LIVE on one line; return the seconds that took."""
        self.kind = True
        if self.venue == "kraken":
            self.status("online")
        for second in range(KIND_S):
            if self.live and len(self.lines) == 1 and not self.asked and second > 1:
                return second
            self.say(self.next_frame())
            self.step(SECOND)
        raise AssertionError(f"not LIVE after {KIND_S} s: {self.health}, {self.lines}, {self.asked}")
