"""The contenders of the hot path: each takes a depth frame and returns MessagePack bytes.

`PurePath` and `NaivePath` do the same work and must return the same message, the top ten levels a side after
each frame. `ServicePath` is what the l2 service runs: the session with its checks, and the encoding of
whatever it returned, which is every delta and a top of fifty levels each 100 ms.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgpack
from sortedcontainers import SortedDict

from libs.common.codec import encode
from libs.common.events import BookTop, Event
from libs.common.order_book import OrderBook
from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.l2.app import policy_of
from services.l2.feeds import FEEDS
from services.l2.feeds.feed import Step
from services.l2.feeds.venue_messages import VenueDelta
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookWanted,
    Fetch,
    FrameReceived,
    OpenSocket,
    ReplyReceived,
    SocketOpened,
    Tick,
)
from services.l2.settings import L2Settings
from tests.bench.depth_stream import SYMBOL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.depth_stream import Book, DepthStream

VENUE: Final = "binance"
TOP: Final = 10


class Path(Protocol):
    """A contender, standing on the snapshot of its stream."""

    def run(self, frames: Sequence[bytes], received_ts: Sequence[int]) -> bytes:
        """Take frames in their order, and return the last message."""

    def book(self) -> Book:
        """Return the book after the frames so far."""


class PathError(RuntimeError):
    """A contender met a stream it cannot follow; then there is no time to print."""


class PurePath:
    """The project's feed, book and codec, without session and checks."""

    def __init__(self, stream: DepthStream) -> None:
        self._feed = FEEDS[VENUE]
        self._book = OrderBook()
        snapshot = self._feed.parse_snapshot(stream.snapshot)
        self._book.load(snapshot.bids, snapshot.asks)
        self._position = snapshot.sequence

    def run(self, frames: Sequence[bytes], received_ts: Sequence[int]) -> bytes:
        """Parse, apply, read the top, encode."""
        parse, step, book, said = self._feed.parse, self._feed.step, self._book, b""
        for raw, ts in zip(frames, received_ts, strict=True):
            for delta in parse(raw, SYMBOL):
                if not isinstance(delta, VenueDelta) or step(self._position, delta) is not Step.APPLY:
                    raise PathError(f"this does not follow {self._position}: {delta}")
                book.apply(delta.bids, delta.asks)
                self._position = delta.last
                said = encode(
                    BookTop(
                        venue=VENUE,
                        symbol=SYMBOL,
                        epoch=1,
                        seq=1,
                        venue_seq=delta.last,
                        bids=book.bids(TOP),
                        asks=book.asks(TOP),
                        features=None,
                        venue_ts=delta.venue_ts,
                        received_ts=ts,
                    )
                )
        return said

    def book(self) -> Book:
        """Return the whole book."""
        return self._book.bids(), self._book.asks()


class ServicePath:
    """The core of the l2 service as its shell calls it, and the encoding that its publisher does."""

    def __init__(self, stream: DepthStream) -> None:
        self._state = State(FEEDS, lambda venue: (f"ws://{venue}", f"http://{venue}"), policy_of(_settings()))
        self._key = f"{VENUE}:{SYMBOL}"
        self._connection = 0
        now = stream.received_ts[0] - 2 * NS_PER_S
        for output in handle(self._state, BookWanted(VENUE, SYMBOL), now):
            if isinstance(output, OpenSocket):
                self._connection = output.connection
        handle(self._state, SocketOpened(self._key, self._connection), now)
        now += NS_PER_S + NS_PER_MS  # a quiet stream need not speak before its snapshot is fetched
        asked = [output for output in handle(self._state, Tick(), now) if isinstance(output, Fetch)]
        request = next(fetch for fetch in asked if fetch.purpose == "snapshot").request
        handle(self._state, ReplyReceived(self._key, request, "snapshot", 200, stream.snapshot), now)
        self._require_live()

    def run(self, frames: Sequence[bytes], received_ts: Sequence[int]) -> bytes:
        """Let the service handle each frame, and encode every event it returns."""
        state, key, connection, said = self._state, self._key, self._connection, b""
        for raw, ts in zip(frames, received_ts, strict=True):
            for output in handle(state, FrameReceived(key, connection, raw), ts):
                if isinstance(output, Event):
                    said = encode(output)
        self._require_live()
        return said

    def book(self) -> Book:
        """Return the whole book."""
        book = self._state.sessions[self._key].maintainer.book
        return book.bids(), book.asks()

    def _require_live(self) -> None:
        maintainer = self._state.sessions[self._key].maintainer
        if not maintainer.live:
            raise PathError(f"the service lost the book: {maintainer.reason}")


class NaivePath:
    """The first thing one would write: json, a `SortedDict` a side, msgpack."""

    def __init__(self, stream: DepthStream) -> None:
        snapshot = json.loads(stream.snapshot)
        self._bids = SortedDict((-float(price), float(size)) for price, size in snapshot["bids"])
        self._asks = SortedDict((float(price), float(size)) for price, size in snapshot["asks"])
        self._position = snapshot["lastUpdateId"]

    def run(self, frames: Sequence[bytes], received_ts: Sequence[int]) -> bytes:
        """Parse, apply, read the top, encode."""
        bids, asks, said = self._bids, self._asks, b""
        for raw, ts in zip(frames, received_ts, strict=True):
            data = json.loads(raw)["data"]
            if not data["U"] <= self._position + 1 <= data["u"]:
                raise PathError(f"{data['U']}..{data['u']} does not follow {self._position}")
            for levels, side, sign in ((data["b"], bids, -1), (data["a"], asks, 1)):
                for price, size in levels:
                    key, amount = sign * float(price), float(size)
                    if amount:
                        side[key] = amount
                    else:
                        side.pop(key, None)
            self._position = data["u"]
            top_bids = [(-key, size) for key, size in islice(bids.items(), TOP)]
            said = _packed(data, ts, top_bids, list(islice(asks.items(), TOP)))
        return said

    def book(self) -> Book:
        """Return the whole book."""
        return tuple((-key, size) for key, size in self._bids.items()), tuple(self._asks.items())


class OrjsonPath:
    """A reference of the field: orjson, `float`, sorted lists, msgspec; only where orjson is installed."""

    installed: Final = importlib.util.find_spec("orjson") is not None

    def __init__(self, stream: DepthStream) -> None:
        self._loads = importlib.import_module("orjson").loads
        snapshot = self._loads(stream.snapshot)
        self._sides: list[tuple[list[float], list[float]]] = []
        for levels, sign in ((snapshot["bids"], 1), (snapshot["asks"], -1)):
            ordered = sorted((sign * float(price), float(size)) for price, size in levels)
            self._sides.append(([key for key, _ in ordered], [size for _, size in ordered]))

    def run(self, frames: Sequence[bytes], received_ts: Sequence[int]) -> bytes:
        """Parse, apply, read the top, encode."""
        loads, said = self._loads, b""
        (bid_keys, bid_sizes), (ask_keys, ask_sizes) = self._sides
        for raw, ts in zip(frames, received_ts, strict=True):
            data = loads(raw)["data"]
            _set_levels(bid_keys, bid_sizes, data["b"], 1)
            _set_levels(ask_keys, ask_sizes, data["a"], -1)
            said = encode(
                BookTop(
                    venue=VENUE,
                    symbol=SYMBOL,
                    epoch=1,
                    seq=1,
                    venue_seq=data["u"],
                    bids=tuple(zip(bid_keys[: -TOP - 1 : -1], bid_sizes[: -TOP - 1 : -1], strict=True)),
                    asks=tuple(
                        (-k, s)
                        for k, s in zip(ask_keys[: -TOP - 1 : -1], ask_sizes[: -TOP - 1 : -1], strict=True)
                    ),
                    features=None,
                    venue_ts=data["E"] * NS_PER_MS,
                    received_ts=ts,
                )
            )
        return said

    def book(self) -> Book:
        """Return the whole book."""
        (bid_keys, bid_sizes), (ask_keys, ask_sizes) = self._sides
        bids = tuple(zip(reversed(bid_keys), reversed(bid_sizes), strict=True))
        return bids, tuple(
            (-key, size) for key, size in zip(reversed(ask_keys), reversed(ask_sizes), strict=True)
        )


def _set_levels(keys: list[float], sizes: list[float], levels: list[list[str]], sign: int) -> None:
    for price, size in levels:
        key, amount = sign * float(price), float(size)
        at = bisect_left(keys, key)
        known = at < len(keys) and keys[at] == key
        if known and amount:
            sizes[at] = amount
        elif known:
            del keys[at], sizes[at]
        elif amount:
            keys.insert(at, key)
            sizes.insert(at, amount)


def _packed(data: dict[str, Any], ts: int, bids: list[Any], asks: list[Any]) -> bytes:
    packed: bytes = msgpack.packb(
        {
            "type": "BookTop",
            "venue": VENUE,
            "symbol": SYMBOL,
            "epoch": 1,
            "seq": 1,
            "venue_seq": data["u"],
            "bids": bids,
            "asks": asks,
            "features": None,
            "venue_ts": data["E"] * NS_PER_MS,
            "received_ts": ts,
        }
    )
    return packed


def _settings() -> L2Settings:
    return L2Settings(history_days=0, history_minutes=0)
