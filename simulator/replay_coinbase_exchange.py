"""Replay of Coinbase Exchange: a snapshot in band, then updates without number or checksum.

Formats: docs.cdp.coinbase.com, Exchange `websocket-feed/channels`, 2026-11, and the recording of 2021-04-17.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import msgspec

from simulator.recordings import RestReply
from simulator.replay_books import Row, SnapshotBook
from simulator.replay_venue import Answer, Awaiting, Delivery, HttpReply, Played, Replay, Session, dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulator.recordings import Frame

ROOT: Final = "/coinbase-exchange"
HOSTS: Final = frozenset(
    f"{name}.{era}.coinbase.com" for name in ("ws-feed", "api") for era in ("pro", "exchange")
)
BOOK: Final = "level2"
# What clients ask for, and the recorded channel that it is; both level2 have the same messages.
CHANNELS: Final[Mapping[str, str]] = {
    "level2": BOOK,
    "level2_batch": BOOK,
    "ticker": "ticker",
    "matches": "matches",
    "heartbeat": "heartbeat",
}
_CHANNEL_OF: Final[Mapping[str, str]] = {
    "snapshot": BOOK,
    "l2update": BOOK,
    "ticker": "ticker",
    "match": "matches",
    "last_match": "matches",
}

_CANDLES: Final = re.compile(rf"{ROOT}/products/([^/]{{1,40}})/candles")
_NOT_FOUND: Final = HttpReply(404, '{"message":"NotFound"}')


class _Frame(msgspec.Struct):
    type: str
    product_id: str = ""


class _Snapshot(msgspec.Struct):
    bids: list[Row]
    asks: list[Row]


class _Update(msgspec.Struct):
    changes: list[tuple[Literal["buy", "sell"], str, str]]


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Request(msgspec.Struct):
    type: Literal["subscribe", "unsubscribe"]
    channels: list[str | _Channel]
    product_ids: list[str] = []

    def topics(self) -> Iterable[tuple[str, str]]:
        """Yield channel and product of each subscription, as the client named them."""
        for channel in self.channels:
            name, products = (
                (channel, []) if isinstance(channel, str) else (channel.name, channel.product_ids)
            )
            for product in products or self.product_ids:
                yield name, product


_decode_frame: Final = msgspec.json.Decoder(_Frame).decode
_decode_snapshot: Final = msgspec.json.Decoder(_Snapshot).decode
_decode_update: Final = msgspec.json.Decoder(_Update).decode
_decode_request: Final = msgspec.json.Decoder(_Request).decode


class _Book(SnapshotBook):
    def play(self, kind: str, text: str) -> None:
        if kind == "snapshot":
            snapshot = _decode_snapshot(text)
            self.take(snapshot.bids, snapshot.asks, whole=True)
        else:
            changes = _decode_update(text).changes
            bids, asks = (
                [(price, size) for side, price, size in changes if side == ours] for ours in ("buy", "sell")
            )
            self.take(bids, asks, whole=False)


class CoinbaseExchangeReplay(Replay[_Book]):
    """Coinbase Exchange's side of a replay."""

    venue = "coinbase-exchange"
    socket_paths: tuple[str, ...] = (ROOT, f"{ROOT}/")
    rest_paths: tuple[str, ...] = (f"{ROOT}/products", f"{ROOT}/products/{{product_id}}/candles")
    heartbeat: str | None = '{"type":"heartbeat"}'  # of no product: it is about the socket alone

    def __init__(self) -> None:
        super().__init__()
        self._products = "[]"

    def owns(self, url: str) -> bool:
        """Return whether `url` is of the venue's hosts, by either name, or of a simulator's."""
        parts = urlsplit(url)
        return parts.hostname in HOSTS or f"{parts.path}/".startswith(f"{ROOT}/")

    def learn(self, record: Frame | RestReply) -> None:
        """Note the list of products, and which books start with a snapshot."""
        if isinstance(record, RestReply):
            if urlsplit(record.url).path.endswith("/products"):
                self._products = record.text
            return
        frame = _decode_frame(record.text)
        new = frame.type == "snapshot" and frame.product_id not in self._books
        if new and (symbol := self.symbol_of(frame.product_id)):
            self._books[frame.product_id] = _Book(symbol)

    def play(self, record: Frame | RestReply) -> Played:
        """Apply a book message, and say whose the frame is."""
        if isinstance(record, RestReply):
            return None
        frame = _decode_frame(record.text)
        channel = _CHANNEL_OF.get(frame.type)
        if channel is None:
            return None  # the recorder's own session
        if channel == BOOK and (book := self._books.get(frame.product_id)):
            book.play(frame.type, record.text)
        return Delivery(f"{channel}:{frame.product_id}", record.text, record.text)

    def is_book(self, topic: str) -> bool:
        """Return whether `topic` is a recorded book."""
        channel, _, product = topic.partition(":")
        return channel == BOOK and product in self._books

    def request(self, session: Session, text: str, now: int) -> Answer:  # noqa: ARG002 -- the protocol's
        """Answer with all the client's subscriptions; who comes late gets the book as it is now."""
        try:
            request = _decode_request(text)
        except msgspec.DecodeError as error:
            return _refusal(f"Malformed request: {error}")
        asked = tuple(request.topics())
        if not asked:
            return _refusal("product_ids and channels name nothing")
        for name, product in asked:
            if name not in CHANNELS:
                return _refusal(f"{name[:40]} is not a valid channel")
            if product not in self._books:
                return _refusal(f"{product[:40]} is not a valid product; there are {', '.join(self._books)}")
        topics = tuple({f"{CHANNELS[name]}:{product}": None for name, product in asked})
        if request.type == "unsubscribe":
            left = [topic for topic in session.topics if topic not in topics]
            return Answer((_subscriptions(left),), unsubscribed=topics)
        new = [topic for topic in topics if topic not in session.topics]
        late = (frame for topic in new for frame in self._late_snapshot(topic))
        return Answer((_subscriptions([*session.topics, *new]), *late), subscribed=topics)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> HttpReply | Awaiting:  # noqa: ARG002 -- the protocol's
        """Answer the recorded products, and no candles: a recording has no history from before it."""
        if path == f"{ROOT}/products":
            return HttpReply(200, self._products)
        match = _CANDLES.fullmatch(path)
        return HttpReply(200, "[]") if match and match[1] in self._books else _NOT_FOUND

    def _late_snapshot(self, topic: str) -> tuple[str, ...]:
        """Return the snapshot that a client needs who comes when the recorded one was sent already."""
        channel, _, product = topic.partition(":")
        book = self._books[product]
        if channel != BOOK or not book.known:
            return ()
        sides = {"asks": book.levels.asks(), "bids": book.levels.bids()}
        return (dumps({"type": "snapshot", "product_id": product, **sides}),)


def _subscriptions(topics: Iterable[str]) -> str:
    channels: dict[str, list[str]] = {}
    for topic in topics:
        channel, _, product = topic.partition(":")
        channels.setdefault(channel, []).append(product)
    said = [{"name": name, "product_ids": products} for name, products in channels.items()]
    return dumps({"type": "subscriptions", "channels": said})


def _refusal(reason: str) -> Answer:
    return Answer((dumps({"type": "error", "message": "Failed to subscribe", "reason": reason}),))
