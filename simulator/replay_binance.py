"""Replay of Binance spot: streams by name, the snapshot by REST.

Rules and formats: binance/binance-spot-api-docs, ``web-socket-streams.md``, ``rest-api.md``, read 2026-07-21.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from libs.common.instruments import QUOTES, canonical_symbol
from libs.common.time_units import NS_PER_MS
from simulator.recordings import RestReply
from simulator.replay_books import RepliedBook
from simulator.replay_venue import (
    Answer,
    Awaiting,
    Delivery,
    HttpReply,
    Played,
    Released,
    Replay,
    Session,
    dumps,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.recordings import Frame

BINANCE_QUOTES: Final = tuple(quote for quote in QUOTES if quote != "USD")  # so BTCFDUSD is no BTCFD-USD


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class Depth(msgspec.Struct, gc=False):
    """A diff."""

    first: int = msgspec.field(name="U")
    last: int = msgspec.field(name="u")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")
    previous: int | None = msgspec.field(name="pu", default=None)  # futures only
    event_ms: int = msgspec.field(name="E", default=0)
    transaction_ms: int = msgspec.field(name="T", default=0)  # futures only


class Snapshot(msgspec.Struct):
    """A reply of the route ``depth``."""

    last: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    event_ms: int = msgspec.field(name="E", default=0)  # futures only, as the next
    transaction_ms: int = msgspec.field(name="T", default=0)


class _Request(msgspec.Struct):
    method: str
    params: list[str] = []
    id: int | str | None = None


DIFFS: Final = re.compile(r".+@depth(?:@\d+ms)?")  # not @depth5, @depth10, @depth20: those are snapshots
_LIMIT: Final = re.compile("[0-9]{1,20}")

_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_depth: Final = msgspec.json.Decoder(Depth).decode
_decode_snapshot: Final = msgspec.json.Decoder(Snapshot).decode
_decode_request: Final = msgspec.json.Decoder(_Request).decode


class BinanceBook(RepliedBook[Depth]):
    """One symbol's book: known from a recorded reply on, for as long as the updates follow each other."""

    def joins(self, depth: Depth, last: int) -> bool:
        """Tell whether nothing is missing between a book at `last` and a diff."""
        return depth.first <= last + 1

    def reply(self, levels: int) -> dict[str, object]:
        """Return the body of a snapshot of at most so many levels a side."""
        return {
            "lastUpdateId": self.last,
            "bids": self.levels.bids(levels),
            "asks": self.levels.asks(levels),
        }

    def apply(self, change: Depth, last: int) -> None:
        """Apply a diff; where one is missing before it, keep it for the next reply."""
        if not self.joins(change, last):
            self.forget()
            self.update(change)
        elif change.last > last:
            self.levels.apply(change.bids, change.asks)
            self.last = change.last

    def snapshot(self, reply: Snapshot) -> None:
        """Know the book from a recorded reply."""
        self.load(reply.last, reply.bids, reply.asks)


class BinanceReplay(Replay[BinanceBook]):
    """Binance spot's side of a replay; the futures say what differs."""

    venue = "binance"
    hosts = frozenset(
        {"stream.binance.com", "data-stream.binance.vision", "api.binance.com", "data-api.binance.vision"}
    )
    rest_path = "/api/v3"
    default_limit = 100  # levels a side
    max_limit = 5000

    def __init__(self) -> None:
        self.socket_paths: tuple[str, ...] = tuple(
            f"/{self.venue}/{path}" for path in ("stream", "ws", "ws/{streams:.+}")
        )
        self.rest_paths: tuple[str, ...] = tuple(
            f"/{self.venue}{self.rest_path}/{route}" for route in ("depth", "klines", "ping", "time")
        )
        super().__init__()
        self._streams: set[str] = set()

    def owns(self, url: str) -> bool:
        """Return whether `url` is of this market, at the exchange or at the simulator."""
        parts = urlsplit(url)
        return parts.hostname in self.hosts or parts.path.startswith(f"/{self.venue}/")

    def new_book(self, symbol: str) -> BinanceBook:
        """Return a book that is not known yet."""
        return BinanceBook(symbol)

    def read_symbol(self, spelling: str) -> str:
        """Return the canonical symbol of a spelling.

        Raises
        ------
        UnknownSymbolError
            If there is none.
        """
        return canonical_symbol(spelling, BINANCE_QUOTES)

    def topic_of(self, stream: str) -> str:
        """Return under which name a stream is followed."""
        return stream

    def learn(self, record: Frame | RestReply) -> None:
        """Note streams, and which symbols have a snapshot ahead."""
        if isinstance(record, RestReply):
            if (found := self._snapshot_in(record)) and (book := self._book(found[0])):
                book.replies += 1
        elif event := self._event_of(record):
            self._streams.add(event.topic)

    def play(self, record: Frame | RestReply) -> Played:
        """Apply a diff or snapshot, and say whose the frame or reply is."""
        if isinstance(record, RestReply):
            found = self._snapshot_in(record)
            if found is None or (book := self._books.get(found[0])) is None:
                return None
            book.snapshot(found[1])
            return Released(found[0], record.text)
        event = self._event_of(record)
        if event and DIFFS.fullmatch(event.topic) and (book := self._books.get(_spelling_of(event.topic))):
            book.update(_decode_depth(event.bare))
        return event

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols with both diffs and a snapshot, sorted."""
        streaming = {_spelling_of(stream) for stream in self._streams if DIFFS.fullmatch(stream)}
        return tuple(sorted(book.symbol for key, book in self._books.items() if key in streaming))

    def is_book(self, topic: str) -> bool:
        """Return whether `topic` is a recorded stream of diffs."""
        return topic in self._streams and DIFFS.fullmatch(topic) is not None

    def connect(self, session: Session, path: str, query: Mapping[str, str]) -> Answer:
        """Subscribe to the streams that the address names; Binance sends nothing of its own."""
        session.wrapped = path.endswith("/stream")
        streams = query.get("streams", "") if session.wrapped else path.partition("/ws/")[2]
        return Answer(subscribed=tuple(self.topic_of(stream) for stream in streams.split("/") if stream))

    def request(self, session: Session, text: str, now: int) -> Answer:  # noqa: ARG002 -- the protocol's
        """Answer ``SUBSCRIBE``, ``UNSUBSCRIBE``, ``LIST_SUBSCRIPTIONS``; unknown streams stay silent."""
        try:
            request = _decode_request(text)
        except msgspec.ValidationError as error:
            return Answer((dumps({"code": 2, "msg": f"Invalid request: {error}"}),))
        except msgspec.DecodeError as error:
            return Answer((dumps({"code": 3, "msg": f"Invalid JSON: {error}"}),))
        done = dumps({"result": None, "id": request.id})
        match request.method:
            case "SUBSCRIBE":
                return Answer((done,), subscribed=tuple(map(self.topic_of, request.params)))
            case "UNSUBSCRIBE":
                return Answer((done,), unsubscribed=tuple(map(self.topic_of, request.params)))
            case "LIST_SUBSCRIPTIONS":
                return Answer((dumps({"result": list(session.topics), "id": request.id}),))
            case unknown:
                return Answer(
                    (dumps({"code": 2, "msg": f"Invalid request: unknown variant `{unknown[:40]}`"}),)
                )

    def rest(self, path: str, query: Mapping[str, str], now: int) -> HttpReply | Awaiting:
        """Answer with the recorded snapshot when it is ahead, else from the book."""
        route, spelling = path.rpartition("/")[2], query.get("symbol", "")
        if route == "ping":
            return HttpReply(200, "{}")
        if route == "time":
            return HttpReply(200, dumps({"serverTime": now // NS_PER_MS}))
        if not spelling:
            return _refusal(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if not self._is_known(spelling):
            return _refusal(-1121, "Invalid symbol.")
        if route == "klines":
            return HttpReply(200, "[]")  # a recording has no history from before it
        return self._depth(spelling, query.get("limit", str(self.default_limit)))

    def _depth(self, spelling: str, limit: str) -> HttpReply | Awaiting:
        if _LIMIT.fullmatch(limit) is None:
            return _refusal(
                -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."
            )
        book = self._books.get(spelling)
        if book is None or (book.last is None and not book.replies):
            why = "has no (further) snapshot of this symbol" if book else "has no snapshot of this symbol"
            return HttpReply(
                503, dumps({"code": -1001, "msg": f"The recording {why}: its book is not known."})
            )
        if book.last is None:
            return Awaiting(spelling)
        levels = min(int(limit) or self.default_limit, self.max_limit)
        return HttpReply(200, dumps(book.reply(levels)))

    def _is_known(self, spelling: str) -> bool:
        return spelling in self._books or any(_spelling_of(stream) == spelling for stream in self._streams)

    def _book(self, spelling: str) -> BinanceBook | None:
        if spelling not in self._books:
            symbol = self.symbol_of(spelling, self.read_symbol)
            if symbol is None:
                return None
            self._books[spelling] = self.new_book(symbol)
        return self._books[spelling]

    def _snapshot_in(self, reply: RestReply) -> tuple[str, Snapshot] | None:
        """Return symbol and snapshot of a recorded reply, or None for a refusal or another route's."""
        parts = urlsplit(reply.url)
        spelling = parse_qs(parts.query).get("symbol", [""])[0]
        if not spelling or not parts.path.endswith(f"{self.rest_path}/depth"):
            return None
        try:
            return spelling, _decode_snapshot(reply.text)
        except msgspec.ValidationError:
            return None

    def _event_of(self, frame: Frame) -> Delivery | None:
        """Return the stream and event of a frame; only its address tells a raw connection's."""
        envelope = _decode_envelope(frame.text)
        if envelope.stream:
            return Delivery(self.topic_of(envelope.stream), frame.text, bytes(envelope.data).decode())
        stream = urlsplit(frame.url).path.partition("/ws/")[2]
        if stream and "/" not in stream and '"s":"' in frame.text:
            wrapped = f'{{"stream":"{stream}","data":{frame.text}}}'
            return Delivery(self.topic_of(stream), wrapped, frame.text)
        return None


def _refusal(code: int, message: str) -> HttpReply:
    return HttpReply(400, dumps({"code": code, "msg": message}))


def _spelling_of(stream: str) -> str:
    return stream.partition("@")[0].upper()
