"""Replay of Kraken's first WebSocket protocol: a snapshot in band, then updates with a checksum.

Formats: docs.kraken.com, WebSocket v1 ``book`` and ``subscriptionStatus``, and the recording of 2021-04-17.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import msgspec

from libs.common.instruments import kraken_v1_symbol
from simulator.recordings import RestReply
from simulator.replay_books import Row, SnapshotBook
from simulator.replay_venue import Answer, Awaiting, Delivery, HttpReply, Played, Replay, Session, dumps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulator.recordings import Frame

CHANNELS: Final = frozenset({"book", "trade", "ticker", "spread", "ohlc"})
DEFAULT_DEPTH: Final = 10
DEFAULT_INTERVAL: Final = 1  # minutes, of ohlc

# [id, payload..., "book-1000", "XBT/CHF"]
_FRAME: Final = re.compile(
    r'\[([0-9]{1,18}),.*,"([a-z]+(?:-[0-9]{1,6})?)","([A-Z0-9.]+/[A-Z0-9.]+)"\]', re.DOTALL
)

_SNAPSHOT: Final = re.compile('"[ab]s":')


class _Subscription(msgspec.Struct):
    name: str
    depth: int | None = None
    interval: int | None = None

    @property
    def channel(self) -> str:
        """The channel name that frames carry."""
        match self.name:
            case "book":
                return f"book-{self.depth or DEFAULT_DEPTH}"
            case "ohlc":
                return f"ohlc-{self.interval or DEFAULT_INTERVAL}"
            case name:
                return name


class _Request(msgspec.Struct):
    event: Literal["subscribe", "unsubscribe", "ping"]
    pair: list[str] = []
    subscription: _Subscription | None = None
    reqid: int | None = None


_decode_request: Final = msgspec.json.Decoder(_Request).decode


class _Side(msgspec.Struct):
    """One object of a frame: a snapshot has ``as`` and ``bs``, an update ``a`` or ``b`` or both."""

    snapshot_asks: list[Row] | None = msgspec.field(default=None, name="as")
    snapshot_bids: list[Row] | None = msgspec.field(default=None, name="bs")
    asks: list[Row] = msgspec.field(default=[], name="a")
    bids: list[Row] = msgspec.field(default=[], name="b")

    @property
    def is_snapshot(self) -> bool:
        return self.snapshot_asks is not None or self.snapshot_bids is not None


class _Book(SnapshotBook):
    def play(self, sides: Sequence[_Side]) -> None:
        bids = [row for side in sides for row in side.snapshot_bids or side.bids]
        asks = [row for side in sides for row in side.snapshot_asks or side.asks]
        # After the whole message it is truncated: docs.kraken.com, book-checksum-v1.
        self.take(bids, asks, whole=any(side.is_snapshot for side in sides))


class KrakenV1Replay(Replay[_Book]):
    """Kraken v1's side of a replay."""

    venue = "kraken-v1"
    socket_paths: tuple[str, ...] = ("/kraken/v1",)
    rest_paths: tuple[str, ...] = ()
    heartbeat: str | None = '{"event":"heartbeat"}'

    def __init__(self) -> None:
        super().__init__()
        self._channel_ids: dict[str, int] = {}  # by topic
        self._pairs: set[str] = set()

    def owns(self, url: str) -> bool:
        """Return whether `url` is the root of the WebSocket host, where v1 lives."""
        parts = urlsplit(url)
        return (parts.hostname == "ws.kraken.com" and parts.path in {"", "/"}) or parts.path == "/kraken/v1"

    def learn(self, record: Frame | RestReply) -> None:
        """Note pairs, channel ids, and which books start with a snapshot."""
        match = None if isinstance(record, RestReply) else _FRAME.fullmatch(record.text)
        if match is None:
            return
        channel_id, channel, pair = match.groups()
        topic = f"{channel}:{pair}"
        self._pairs.add(pair)
        self._channel_ids.setdefault(topic, int(channel_id))
        name, _, depth = channel.partition("-")
        new = name == "book" and topic not in self._books and _SNAPSHOT.search(record.text)
        if new and (symbol := self.symbol_of(pair, kraken_v1_symbol)):
            self._books[topic] = _Book(symbol, int(depth or DEFAULT_DEPTH))

    def play(self, record: Frame | RestReply) -> Played:
        """Apply a book message, and say whose the frame is."""
        match = None if isinstance(record, RestReply) else _FRAME.fullmatch(record.text)
        if match is None:
            return None
        topic = f"{match[2]}:{match[3]}"
        if book := self._books.get(topic):
            book.play(msgspec.convert(msgspec.json.decode(record.text)[1:-2], list[_Side]))
        return Delivery(topic, record.text, record.text)

    def connect(self, session: Session, path: str, query: Mapping[str, str]) -> Answer:  # noqa: ARG002 -- the protocol's
        """Greet with the system status."""
        return Answer(
            (
                dumps(
                    {
                        "connectionID": session.number,
                        "event": "systemStatus",
                        "status": "online",
                        "version": "1.9.6",
                    }
                ),
            )
        )

    def request(self, session: Session, text: str, now: int) -> Answer:  # noqa: ARG002 -- the protocol's
        """Answer ``subscribe``, ``unsubscribe`` and ``ping``; who comes late gets the book as it is now."""
        try:
            request = _decode_request(text)
        except msgspec.DecodeError as error:
            return Answer((dumps({"errorMessage": f"Malformed request: {error}", "event": "error"}),))
        if request.event == "ping":
            return Answer((dumps(_with_id(request, {"event": "pong"})),))
        if request.subscription is None or not request.pair:
            return Answer(
                (dumps(_with_id(request, {"errorMessage": "Malformed request", "event": "error"})),)
            )
        frames: list[str] = []
        topics: list[str] = []
        for pair in request.pair:
            topic = f"{request.subscription.channel}:{pair}"
            refusal = self._refusal(request.subscription, pair)
            frames.append(
                dumps(_status(request, request.subscription, pair, refusal, self._channel_id(topic)))
            )
            if refusal is None:
                topics.append(topic)
                frames.extend(self._late_snapshot(topic) if request.event == "subscribe" else ())
        if request.event == "subscribe":
            return Answer(tuple(frames), subscribed=tuple(topics))
        return Answer(tuple(frames), unsubscribed=tuple(topics))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> HttpReply | Awaiting:  # noqa: ARG002 -- the protocol's
        """Refuse: v1 needs no REST."""
        return HttpReply(404, dumps({"error": ["EGeneral:Unknown method"]}))

    def _refusal(self, subscription: _Subscription, pair: str) -> str | None:
        if subscription.name not in CHANNELS:
            return "Subscription name invalid"
        if pair not in self._pairs:
            return f"Currency pair not supported {pair}"
        if subscription.name == "book" and f"{subscription.channel}:{pair}" not in self._books:
            books = (book for topic, book in self._books.items() if topic.endswith(f":{pair}"))
            depths = sorted(depth for book in books if (depth := book.depth))
            return f"Subscription depth not supported; the recording of {pair} has {depths or 'no book'}"
        return None

    def _channel_id(self, topic: str) -> int:
        return self._channel_ids.get(topic, 0)

    def _late_snapshot(self, topic: str) -> tuple[str, ...]:
        """Return the snapshot that a client needs who comes when the recorded one was sent already."""
        book = self._books.get(topic)
        if book is None or not book.known:
            return ()
        sides = {"as": [row[:3] for row in book.levels.asks()], "bs": [row[:3] for row in book.levels.bids()]}
        channel, _, pair = topic.partition(":")
        return (dumps([self._channel_id(topic), sides, channel, pair]),)


def _status(
    request: _Request, subscription: _Subscription, pair: str, refusal: str | None, channel_id: int
) -> dict[str, object]:
    wanted: dict[str, object] = {"name": subscription.name}
    if subscription.name == "book":
        wanted = {"depth": subscription.depth or DEFAULT_DEPTH, **wanted}
    elif subscription.name == "ohlc":
        wanted = {"interval": subscription.interval or DEFAULT_INTERVAL, **wanted}
    status: dict[str, object] = {"event": "subscriptionStatus", "pair": pair}
    if refusal is not None:
        status = {"errorMessage": refusal, **status, "status": "error"}
    else:
        head = {"channelID": channel_id, "channelName": subscription.channel}
        status = {**head, **status, "status": f"{request.event}d"}
    return _with_id(request, {**status, "subscription": wanted})


def _with_id(request: _Request, frame: dict[str, object]) -> dict[str, object]:
    return frame if request.reqid is None else {**frame, "reqid": request.reqid}
