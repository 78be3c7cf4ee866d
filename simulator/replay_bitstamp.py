"""Replay of Bitstamp: the snapshot by REST, then diffs that carry nothing but their time.

Formats: bitstamp.net/websocket/v2 and bitstamp.net/api, 2026-08, and the recording of 2022-01-05.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from libs.common.instruments import canonical_symbol
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

HOSTS: Final = frozenset({"ws.bitstamp.net", "www.bitstamp.net"})
DIFFS: Final = "diff_order_book_"
_QUOTES: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "BTC", "ETH")  # so DOTUSD is no DO-TUSD
_ORDER_BOOK: Final = re.compile(r".*/api/v2/order_book/([a-z0-9]+)/?")


class _Frame(msgspec.Struct):
    event: str
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _Book(msgspec.Struct):
    at_us: int = msgspec.field(name="microtimestamp")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class _Channel(msgspec.Struct):
    channel: str = ""


class _Request(msgspec.Struct):
    event: str
    data: _Channel = msgspec.field(default_factory=_Channel)


# Not strict, for times are written as text.
_decode_frame: Final = msgspec.json.Decoder(_Frame).decode
_decode_book: Final = msgspec.json.Decoder(_Book, strict=False).decode
_decode_request: Final = msgspec.json.Decoder(_Request).decode


class _Pair(RepliedBook[_Book]):
    def apply(self, change: _Book, last: int) -> None:
        if change.at_us > last:
            self.levels.apply(change.bids, change.asks)
            self.last = change.at_us


class BitstampReplay(Replay[_Pair]):
    """Bitstamp's side of a replay."""

    venue = "bitstamp"
    socket_paths: tuple[str, ...] = ("/bitstamp", "/bitstamp/")
    rest_paths: tuple[str, ...] = (
        "/bitstamp/api/v2/order_book/{pair}",
        "/bitstamp/api/v2/order_book/{pair}/",
        "/bitstamp/api/v2/ohlc/{pair}/",
    )

    def __init__(self) -> None:
        super().__init__()
        self._channels: set[str] = set()

    def owns(self, url: str) -> bool:
        """Return whether `url` is Bitstamp's, at the exchange or at the simulator."""
        parts = urlsplit(url)
        return parts.hostname in HOSTS or f"{parts.path}/".startswith("/bitstamp/")

    def learn(self, record: Frame | RestReply) -> None:
        """Note channels, and which pairs have a snapshot ahead."""
        if isinstance(record, RestReply):
            if (found := _snapshot_in(record)) and (pair := self._pair(found[0])):
                pair.replies += 1
            return
        frame = _decode_frame(record.text)
        if frame.channel:
            self._channels.add(frame.channel)

    def play(self, record: Frame | RestReply) -> Played:
        """Apply a diff or snapshot, and say whose the frame or reply is."""
        if isinstance(record, RestReply):
            found = _snapshot_in(record)
            if found is None or (pair := self._books.get(found[0])) is None:
                return None
            pair.load(found[1].at_us, found[1].bids, found[1].asks)
            return Released(found[0], record.text)
        frame = _decode_frame(record.text)
        if frame.event not in {"data", "trade"} or not frame.channel:
            return None  # the recorder's own session
        if frame.event == "data" and frame.channel.startswith(DIFFS):
            named = self._books.get(frame.channel.removeprefix(DIFFS))
            if named is not None:
                named.update(_decode_book(frame.data))
        return Delivery(frame.channel, record.text, record.text)

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols with both diffs and a snapshot, sorted."""
        return tuple(
            sorted(pair.symbol for name, pair in self._books.items() if DIFFS + name in self._channels)
        )

    def is_book(self, topic: str) -> bool:
        """Return whether `topic` is a recorded channel of diffs."""
        return topic in self._channels and topic.startswith(DIFFS)

    def request(self, session: Session, text: str, now: int) -> Answer:  # noqa: ARG002 -- the protocol's
        """Answer subscriptions and heartbeats."""
        try:
            request = _decode_request(text)
        except msgspec.DecodeError as error:
            return Answer((_error(f"Bad message: {error}"),))
        channel = request.data.channel
        if request.event == "bts:heartbeat":
            return Answer((dumps({"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}}),))
        if request.event not in {"bts:subscribe", "bts:unsubscribe"}:
            return Answer((_error("Incorrect event."),))
        if channel not in self._channels:
            return Answer((_error("Incorrect subscription channel."),))
        if request.event == "bts:subscribe":
            said = {"event": "bts:subscription_succeeded", "channel": channel, "data": {}}
            return Answer((dumps(said),), subscribed=(channel,))
        said = {"event": "bts:unsubscription_succeeded", "channel": channel, "data": {}}
        return Answer((dumps(said),), unsubscribed=(channel,))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> HttpReply | Awaiting:  # noqa: ARG002 -- the protocol's
        """Answer with the recorded snapshot when it is ahead, else from the book."""
        name = path.rstrip("/").rpartition("/")[2]
        if "/ohlc/" in path:
            return HttpReply(200, dumps({"data": {"pair": name, "ohlc": []}}))  # no history from before it
        pair = self._books.get(name)
        if pair is None or (pair.last is None and not pair.replies):
            return HttpReply(404, dumps({"status": "error", "reason": f"no book of {name[:40]} is recorded"}))
        if pair.last is None:
            return Awaiting(name)
        body = {
            "timestamp": str(pair.last // 1_000_000),
            "microtimestamp": str(pair.last),
            "bids": pair.levels.bids(),
            "asks": pair.levels.asks(),
        }
        return HttpReply(200, dumps(body))

    def _pair(self, name: str) -> _Pair | None:
        if name not in self._books:
            symbol = self.symbol_of(name, _read_symbol)
            if symbol is None:
                return None
            self._books[name] = _Pair(symbol)
        return self._books[name]


def _read_symbol(name: str) -> str:
    return canonical_symbol(name, _QUOTES)


def _snapshot_in(reply: RestReply) -> tuple[str, _Book] | None:
    """Return pair and snapshot of a recorded reply, or None for a refusal or another route's."""
    match = _ORDER_BOOK.fullmatch(urlsplit(reply.url).path)
    if match is None:
        return None
    try:
        return match[1], _decode_book(reply.text)
    except msgspec.ValidationError:
        return None


def _error(message: str) -> str:
    return dumps({"event": "bts:error", "channel": "", "data": {"code": None, "message": message}})
