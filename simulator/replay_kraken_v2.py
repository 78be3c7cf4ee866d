"""Replay of Kraken's second WebSocket protocol: a snapshot in band, a checksum in every message.

Formats: docs.kraken.com, WebSocket v2 ``book``, ``status``, ``ping`` and ``book-checksum-v2``, and the
recording of 2026-08-24.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import msgspec

from libs.common.time_units import NS_PER_S
from simulator.recordings import RestReply
from simulator.replay_books import Row, SnapshotBook
from simulator.replay_venue import Answer, Awaiting, Delivery, HttpReply, Played, Replay, Session, dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulator.recordings import Frame

CHANNELS: Final = frozenset({"book", "trade", "ticker", "ohlc", "level3", "instrument"})
DEFAULT_DEPTH: Final = 10
DEPTHS: Final = (10, 25, 100, 500, 1000)
CHECKSUM_LEVELS: Final = 10

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Frame(msgspec.Struct):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _Symbol(msgspec.Struct):
    symbol: str = ""


class _Level(msgspec.Struct):
    price: msgspec.Raw  # raw: the checksum is made of the digits, trailing zeros and all
    qty: msgspec.Raw

    def row(self) -> Row:
        """Price and size as text."""
        return bytes(self.price).decode(), bytes(self.qty).decode()


class _BookData(msgspec.Struct):
    symbol: str
    bids: list[_Level] = []
    asks: list[_Level] = []
    timestamp: str | None = None


class _Ack(msgspec.Struct):
    """The recorder's own subscription, which tells the depth of its books."""

    method: Literal["subscribe"]
    result: _AckResult


class _AckResult(msgspec.Struct):
    channel: Literal["book"]
    symbol: str
    depth: int


class _Params(msgspec.Struct):
    channel: str = ""
    symbol: list[str] = []
    depth: int = DEFAULT_DEPTH
    snapshot: bool = True


class _Request(msgspec.Struct):
    method: Literal["subscribe", "unsubscribe", "ping"]
    params: _Params = msgspec.field(default_factory=_Params)
    req_id: int | None = None


_decode_frame: Final = msgspec.json.Decoder(_Frame).decode
_decode_symbols: Final = msgspec.json.Decoder(list[_Symbol]).decode
_decode_books: Final = msgspec.json.Decoder(list[_BookData]).decode
_decode_ack: Final = msgspec.json.Decoder(_Ack).decode
_decode_request: Final = msgspec.json.Decoder(_Request).decode


class _Book(SnapshotBook):
    timestamp: str | None = None

    def play(self, kind: str, data: _BookData) -> None:
        self.timestamp = data.timestamp or self.timestamp
        # docs.kraken.com, book: truncate after each message, then check
        bids, asks = (level.row() for level in data.bids), (level.row() for level in data.asks)
        self.take(bids, asks, whole=kind == "snapshot")

    def snapshot(self, spelling: str) -> str:
        bids, asks = self.levels.bids(), self.levels.asks()
        data: dict[str, object] = {
            "symbol": spelling,
            "bids": [_numbers(row) for row in bids],
            "asks": [_numbers(row) for row in asks],
            "checksum": checksum(bids, asks),
        }
        if self.timestamp is not None:
            data["timestamp"] = self.timestamp
        return dumps({"channel": "book", "type": "snapshot", "data": [data]})


def checksum(bids: Iterable[Row], asks: Iterable[Row]) -> int:
    """Return the CRC32 of the best ten levels a side, asks first (docs.kraken.com, book-checksum-v2)."""
    best = (*list(asks)[:CHECKSUM_LEVELS], *list(bids)[:CHECKSUM_LEVELS])
    text = "".join(digits.replace(".", "").lstrip("0") for row in best for digits in row[:2])
    return zlib.crc32(text.encode())


class KrakenV2Replay(Replay[_Book]):
    """Kraken v2's side of a replay."""

    venue = "kraken"
    socket_paths: tuple[str, ...] = ("/kraken/v2",)
    rest_paths: tuple[str, ...] = ("/kraken/0/public/OHLC", "/kraken/0/public/Time")
    heartbeat: str | None = '{"channel":"heartbeat"}'

    def __init__(self) -> None:
        super().__init__()
        self._depths: dict[str, int] = {}  # by spelling, where the recorder's subscription is recorded
        self._spellings: set[str] = set()

    def owns(self, url: str) -> bool:
        """Return whether `url` is the v2 path of the WebSocket host."""
        parts = urlsplit(url)
        return (parts.hostname == "ws.kraken.com" and parts.path == "/v2") or parts.path == "/kraken/v2"

    def learn(self, record: Frame | RestReply) -> None:
        """Note pairs, depths, and which books start with a snapshot."""
        if isinstance(record, RestReply):
            return
        frame = _decode_frame(record.text)
        if frame.channel in CHANNELS and (spelling := _spelling_of(frame)):
            self._spellings.add(spelling)
            if frame.channel == "book" and frame.type == "snapshot":
                self._learn_books(_decode_books(frame.data))
        elif '"method":"subscribe"' in record.text and '"channel":"book"' in record.text:
            try:
                ack = _decode_ack(record.text)
            except msgspec.ValidationError:
                return  # a refusal: the recorder got no such book
            self._depths[ack.result.symbol] = ack.result.depth

    def play(self, record: Frame | RestReply) -> Played:
        """Apply a book message, and say whose the frame is."""
        if isinstance(record, RestReply):
            return None
        frame = _decode_frame(record.text)
        spelling = _spelling_of(frame)
        if frame.channel not in CHANNELS or not spelling:
            return None
        if frame.channel == "book":
            for data in _decode_books(frame.data):
                if book := self._books.get(data.symbol):
                    book.play(frame.type, data)
        return Delivery(f"{frame.channel}:{spelling}", record.text, record.text)

    def is_book(self, topic: str) -> bool:
        """Return whether `topic` is a recorded book."""
        channel, _, spelling = topic.partition(":")
        return channel == "book" and spelling in self._books

    def connect(self, session: Session, path: str, query: Mapping[str, str]) -> Answer:  # noqa: ARG002 -- the protocol's
        """Greet with the system status."""
        status = {
            "version": "2.0.10",
            "system": "online",
            "api_version": "v2",
            "connection_id": session.number,
        }
        return Answer((dumps({"channel": "status", "type": "update", "data": [status]}),))

    def request(self, session: Session, text: str, now: int) -> Answer:
        """Answer ``subscribe``, ``unsubscribe`` and ``ping``; who comes late gets the book as it is now."""
        try:
            request = _decode_request(text)
        except msgspec.DecodeError as error:
            return Answer((dumps({"error": f"Malformed request: {error}", "success": False, **_times(now)}),))
        head: dict[str, object] = {} if request.req_id is None else {"req_id": request.req_id}
        if request.method == "ping":
            return Answer((dumps({"method": "pong", **head, **_times(now)}),))
        frames: list[str] = []
        topics: list[str] = []
        for spelling in request.params.symbol or [""]:
            topic = f"{request.params.channel}:{spelling}"
            refusal = self._refusal(session, request, spelling, topic)
            frames.append(dumps(_status(request, spelling, refusal) | head | _times(now)))
            if refusal is None:
                topics.append(topic)
                book = self._books.get(spelling) if request.params.channel == "book" else None
                if (
                    book is not None
                    and book.known
                    and request.method == "subscribe"
                    and request.params.snapshot
                ):
                    frames.append(book.snapshot(spelling))
        if request.method == "subscribe":
            return Answer(tuple(frames), subscribed=tuple(topics))
        return Answer(tuple(frames), unsubscribed=tuple(topics))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> HttpReply | Awaiting:
        """Answer the time, and no candles: a recording has no history from before it."""
        if path.endswith("/Time"):
            return HttpReply(200, dumps({"error": [], "result": {"unixtime": now // NS_PER_S}}))
        pair = query.get("pair", "")
        if pair not in self._spellings:
            return HttpReply(200, dumps({"error": ["EQuery:Unknown asset pair"]}))
        return HttpReply(
            200, dumps({"error": [], "result": {pair: [], "last": 0}})
        )  # no history from before it

    def _learn_books(self, books: Iterable[_BookData]) -> None:
        for data in books:
            if (symbol := self.symbol_of(data.symbol)) and data.symbol not in self._books:
                levels = max(len(data.bids), len(data.asks))
                least = next((depth for depth in DEPTHS if depth >= levels), DEPTHS[-1])
                self._books[data.symbol] = _Book(symbol, self._depths.get(data.symbol, least))

    def _refusal(self, session: Session, request: _Request, spelling: str, topic: str) -> str | None:
        channel, depth = request.params.channel, request.params.depth
        if channel not in CHANNELS:
            return f"Channel not supported {channel[:40]}"
        if spelling not in self._spellings:
            return f"Currency pair not supported {spelling[:40]}"
        if request.method == "unsubscribe":
            return None if topic in session.topics else "Subscription Not Found"
        if channel == "book":
            book = self._books.get(spelling)
            if book is None or book.depth != depth:
                recorded = book.depth if book else "no book"
                return f"Subscription depth not supported; the recording of {spelling} has {recorded}"
        return "Already subscribed" if topic in session.topics else None


def _spelling_of(frame: _Frame) -> str:
    """Return the pair of a frame; Kraken puts one pair into each."""
    if not bytes(frame.data).startswith(b"["):
        return ""
    symbols = _decode_symbols(frame.data)
    return symbols[0].symbol if symbols else ""


def _status(request: _Request, spelling: str, refusal: str | None) -> dict[str, object]:
    if refusal is not None:
        return {"error": refusal, "method": request.method, "success": False, "symbol": spelling}
    result: dict[str, object] = {"channel": request.params.channel}
    if request.params.channel == "book":
        result |= {"depth": request.params.depth, "snapshot": request.params.snapshot}
    return {"method": request.method, "result": result | {"symbol": spelling}, "success": True}


def _numbers(row: Row) -> dict[str, msgspec.Raw]:
    return {"price": msgspec.Raw(row[0].encode()), "qty": msgspec.Raw(row[1].encode())}


def _times(now: int) -> dict[str, object]:
    """Return when the request came and was answered; `now` is ns UTC, Kraken writes microseconds."""
    text = (_EPOCH + timedelta(microseconds=now // 1000)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"time_in": text, "time_out": text}
