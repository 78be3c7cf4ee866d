"""Replay of Coinbase Advanced Trade: whole recorded connections, because their frames are counted together.

A recorded `sequence_num` counts every frame of the recorder's connection, so a client gets all of them, from
its `level2` subscription on; a part of them would have holes. The other channels' subscriptions are taken
silently: what answers them is in the recording. Who comes late gets the books as they are now, the last under
the number of the last frame sent, so that the next frame follows it. No number can be given twice; therefore
one `level2` message must then name all products.

Formats: docs.cdp.coinbase.com, Advanced Trade WebSocket, and the recording of 2026-08-09.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import msgspec

from simulator.recordings import RestReply
from simulator.replay_books import SnapshotBook
from simulator.replay_venue import Answer, Awaiting, Delivery, HttpReply, Played, Replay, Session, dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulator.recordings import Frame
    from simulator.replay_books import Row

CHANNELS: Final = frozenset(
    {"heartbeats", "status", "ticker", "ticker_batch", "level2", "market_trades", "candles"}
)
PRODUCTS: Final = "/coinbase/api/v3/brokerage/market/products"

_HOSTS: Final = frozenset({"advanced-trade-ws.coinbase.com", "api.coinbase.com"})
_CANDLES: Final = re.compile(rf"{PRODUCTS}/([^/]{{1,40}})/candles")
_NOT_FOUND: Final = HttpReply(404, '{"error":"NOT_FOUND","message":"valid product_id is required"}')


class _Frame(msgspec.Struct):
    channel: str = ""
    timestamp: str = ""
    sequence_num: int = 0
    events: msgspec.Raw = msgspec.Raw(b"")


class _Change(msgspec.Struct, gc=False):
    side: Literal["bid", "offer"]
    price_level: str
    new_quantity: str


class _BookEvent(msgspec.Struct):
    type: Literal["snapshot", "update"]
    product_id: str
    updates: list[_Change]


class _Request(msgspec.Struct):
    type: Literal["subscribe", "unsubscribe"]
    channel: str
    product_ids: list[str] = []


_decode_frame: Final = msgspec.json.Decoder(_Frame).decode
_decode_events: Final = msgspec.json.Decoder(list[_BookEvent]).decode
_decode_request: Final = msgspec.json.Decoder(_Request).decode


class _Book(SnapshotBook):
    def __init__(self, symbol: str, conn: str) -> None:
        super().__init__(symbol)
        self.conn = conn  # the recorder's connection that it is told on

    def play(self, event: _BookEvent, conn: str, number: int) -> None:
        whole = event.type == "snapshot"
        self.conn = conn if whole else self.conn
        rows = (_rows(event, "bid"), _rows(event, "offer")) if conn == self.conn else ((), ())
        self.take(*rows, whole=whole, sequence=number)

    def snapshot(self, product: str, number: int, timestamp: str) -> str:
        sides = (("bid", self.levels.bids()), ("offer", self.levels.asks()))
        updates = [
            {"side": side, "event_time": timestamp, "price_level": row[0], "new_quantity": row[1]}
            for side, rows in sides
            for row in rows
        ]
        event = {"type": "snapshot", "product_id": product, "updates": updates}
        return dumps(
            {"channel": "l2_data", "timestamp": timestamp, "sequence_num": number, "events": [event]}
        )


class _Connection:
    """How far one of the recorder's connections has been played."""

    def __init__(self) -> None:
        self.number = 0
        self.timestamp = ""


class CoinbaseReplay(Replay[_Book]):
    """Coinbase's side of a replay."""

    venue = "coinbase"
    socket_paths: tuple[str, ...] = ("/coinbase/",)
    rest_paths: tuple[str, ...] = (PRODUCTS, f"{PRODUCTS}/{{product_id}}/candles")
    heartbeat: str | None = None  # those of the recording, as each has its number

    def __init__(self) -> None:
        super().__init__()
        self._connections: dict[str, _Connection] = {}  # played ones, by the recorder's name
        self._products = '{"products":[],"num_products":0}'

    def owns(self, url: str) -> bool:
        """Return whether `url` is of the WebSocket or REST host, or of a simulator's."""
        parts = urlsplit(url)
        return parts.hostname in _HOSTS or parts.path.startswith("/coinbase/")

    def learn(self, record: Frame | RestReply) -> None:
        """Note the list of products, and which books start with a snapshot."""
        if isinstance(record, RestReply):
            if urlsplit(record.url).path.endswith("/market/products"):
                self._products = record.text
            return
        frame = _decode_frame(record.text)
        if frame.channel != "l2_data":
            return
        for event in _decode_events(frame.events):
            new = event.type == "snapshot" and event.product_id not in self._books
            if new and (symbol := self.symbol_of(event.product_id)):
                self._books[event.product_id] = _Book(symbol, record.conn)

    def play(self, record: Frame | RestReply) -> Played:
        """Apply the book changes of a frame, which belongs to everyone on its connection."""
        if isinstance(record, RestReply):
            return None
        frame = _decode_frame(record.text)
        if not frame.channel:
            return None  # an error: what the recorder asked in vain
        connection = self._connections.setdefault(record.conn, _Connection())
        connection.number, connection.timestamp = frame.sequence_num, frame.timestamp
        if frame.channel == "l2_data":
            for event in _decode_events(frame.events):
                if book := self._books.get(event.product_id):
                    book.play(event, record.conn, frame.sequence_num)
        return Delivery(f"level2:{record.conn}", record.text, record.text)

    def is_book(self, topic: str) -> bool:
        """Return whether `topic` is a recorded connection, all of which are followed for their books."""
        return topic.startswith("level2:")

    def request(self, session: Session, text: str, now: int) -> Answer:  # noqa: ARG002 -- the protocol's
        """Let a client follow the connection that its products were recorded on."""
        try:
            request = _decode_request(text)
        except msgspec.DecodeError as error:
            return _refusal(f"malformed request: {error}")
        if request.channel not in CHANNELS:
            return _refusal(f"{request.channel[:40]} is not a channel")
        if request.channel != "level2":
            return Answer()
        if unknown := [product for product in request.product_ids if product not in self._books]:
            return _refusal(f"{unknown[0][:40]} is not a valid product; there are {', '.join(self._books)}")
        books = {product: self._books[product] for product in request.product_ids}
        topics = tuple({f"level2:{book.conn}": None for book in books.values()})
        if request.type == "unsubscribe":
            return Answer(unsubscribed=tuple(topic for topic in topics if topic in session.topics))
        known = [product for product, book in books.items() if book.known]
        if len({*topics, *session.topics}) > 1:
            return _refusal("these products were recorded on different connections: open one for each")
        if known and session.topics:
            return _refusal("a late level2 subscription names all products at once: connect again")
        return Answer(self._late(known), subscribed=topics)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> HttpReply | Awaiting:  # noqa: ARG002 -- the protocol's
        """Answer the recorded products, and no candles: a recording has no history from before it."""
        if path == PRODUCTS:
            return HttpReply(200, self._products)
        match = _CANDLES.fullmatch(path)
        return HttpReply(200, '{"candles":[]}') if match and match[1] in self._books else _NOT_FOUND

    def _late(self, products: list[str]) -> tuple[str, ...]:
        """Return snapshots of books that began earlier; the last has the number of the last frame sent."""
        frames = []
        for ahead, product in enumerate(reversed(products)):
            book = self._books[product]
            connection = self._connections[book.conn]
            frames.append(book.snapshot(product, connection.number - ahead, connection.timestamp))
        return tuple(reversed(frames))


def _rows(event: _BookEvent, side: str) -> Iterable[Row]:
    return ((change.price_level, change.new_quantity) for change in event.updates if change.side == side)


def _refusal(message: str) -> Answer:
    return Answer((dumps({"type": "error", "message": message}),))
