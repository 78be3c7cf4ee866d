"""Kraken's first WebSocket protocol, frozen and still served at the root of its host: books with checksums.

References
----------
docs.kraken.com, WebSocket v1 (subscribe, book, heartbeat, ping, systemStatus; book-checksum-v1), 2026-08:
prices have five decimals whatever the pair's tick, and the checksum is of the text as sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zlib import crc32

from libs.common.time_units import NS_PER_S
from libs.common.venues import venue_of
from simulator.schedule import NEVER
from simulator.venues.kraken_book import Window, damaged, tops_of
from simulator.venues.venue import Digits, Notice, crossing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from random import Random

    from simulator.exchange_book import BookChange, Level
    from simulator.venues.venue import Exchange, Subscribers

DEPTHS: Final = (10, 25, 100, 500, 1000)
_DEFAULT_DEPTH: Final = 10
_PRICE_PLACES: Final = 5
_HEARTBEAT_NS: Final = NS_PER_S
_HEARTBEAT: Final = '{"event":"heartbeat"}'
_NO_SYMBOL: Final = ""  # of a heartbeat: only a fault of the whole venue stops it


@dataclass(frozen=True, slots=True)
class V1Pair:
    """A pair and how its numbers are written."""

    symbol: str
    name: str  # XBT/USDT
    channel_id: int
    price: Digits
    size: Digits


@dataclass(frozen=True, slots=True)
class V1Frame:
    """One update of one depth."""

    topic: str
    pair: V1Pair
    depth: int
    ts_ns: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    top_bids: tuple[Level, ...]  # the checked levels after this message
    top_asks: tuple[Level, ...]

    def text(self) -> str:
        """Return the true message."""
        return self._render(self.bids, self.asks, self._checksum(self.top_bids))

    def corrupted(self, random: Random) -> str | None:
        """Return it with one level under the checksum damaged, or None if it changes none."""
        del random  # the least damage that shows
        true = self._checksum(self.top_bids)
        bids = damaged(self.bids, self.top_bids)
        if bids is not None:
            return self._render(bids, self.asks, true)
        asks = damaged(self.asks, self.top_asks)
        return None if asks is None else self._render(self.bids, asks, true)

    def crossed(self, random: Random) -> str:
        """Return it with a bid above the best ask and a checksum that fits."""
        bids = crossing(self.bids, self.top_asks[0][0], random, 100_000_000)
        top_bids = (bids[0], *self.top_bids)[: len(self.top_bids)]
        return self._render(bids, self.asks, self._checksum(top_bids))

    def _render(self, bids: tuple[Level, ...], asks: tuple[Level, ...], checksum: int) -> str:
        """Return the sides that change, one map each, of which the last has the checksum."""
        sides = [
            f'"{name}":{_levels(self.pair, side, self.ts_ns)}'
            for name, side in (("a", asks), ("b", bids))
            if side
        ]
        sides[-1] += f',"c":"{checksum}"'
        maps = ",".join(f"{{{side}}}" for side in sides)
        return f'[{self.pair.channel_id},{maps},"book-{self.depth}","{self.pair.name}"]'

    def _checksum(self, top_bids: tuple[Level, ...]) -> int:
        """Return the CRC32 of the best levels, asks first, as texts without point and leading zeros."""
        price, size = self.pair.price.text, self.pair.size.text
        texts = (
            text
            for side in (self.top_asks, top_bids)
            for tick, lots in side
            for text in (price(tick), size(lots))
        )
        return crc32("".join(text.replace(".", "").lstrip("0") for text in texts).encode())


def _levels(pair: V1Pair, levels: Iterable[Level], ts_ns: int) -> str:
    seconds, rest = divmod(ts_ns, NS_PER_S)
    time = f"{seconds}.{rest // 1000:06d}"
    rows = [f'["{pair.price.text(tick)}","{pair.size.text(lots)}","{time}"]' for tick, lots in levels]
    return "[" + ",".join(rows) + "]"


class V1Session:
    """A client of the root path."""

    def __init__(self, protocol: KrakenV1, number: int) -> None:
        self.topic = f"v1-connection-{number}"  # for heartbeats
        self.sent_ns = 0
        self._protocol = protocol
        self._depths: dict[str, int] = {}  # by pair

    @property
    def is_subscribed(self) -> bool:
        """Whether the venue's heartbeat of v2 is for it: never, as v1 has its own."""
        return False

    @property
    def symbols(self) -> set[str]:
        """Canonical symbols of its books."""
        return {self._protocol.symbol_of[name] for name in self._depths}

    @property
    def topics(self) -> Iterator[str]:
        """What it listens to."""
        return (_topic(depth, name) for name, depth in self._depths.items())

    def receive(self, text: str, now_ns: int) -> list[str]:
        """Answer subscribe, unsubscribe and ping."""
        self.sent_ns = now_ns
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            return [_dump({"errorMessage": "Malformed request", "event": "error"})]
        extra = {"reqid": message["reqid"]} if isinstance(message.get("reqid"), int) else {}
        if message.get("event") == "ping":
            return [_dump({"event": "pong", **extra})]
        names, asked = message.get("pair"), message.get("subscription")
        if (
            message.get("event") not in {"subscribe", "unsubscribe"}
            or not (isinstance(names, list) and names and all(isinstance(name, str) for name in names))
            or not isinstance(asked, dict)
        ):
            return [_dump({"errorMessage": "Malformed request", "event": "error", **extra})]
        return [said for name in names for said in self._change(message["event"], name, asked, extra, now_ns)]

    def close(self) -> None:
        """Forget its books."""
        self._protocol.leave(self)
        self._depths.clear()

    def _change(
        self, event: str, name: str, asked: Mapping[str, object], extra: Mapping[str, object], now_ns: int
    ) -> Iterator[str]:
        depth = asked.get("depth", _DEFAULT_DEPTH)
        about = {"event": "subscriptionStatus", "pair": name, "subscription": asked, **extra}
        refusal = None
        if asked.get("name") != "book":
            refusal = "Subscription name invalid"
        elif not isinstance(depth, int) or depth not in DEPTHS:
            refusal = "Subscription depth not supported"
        elif name not in self._protocol.symbol_of:
            refusal = f"Currency pair not supported {name[:40]}"
        elif event == "unsubscribe" and self._depths.get(name) != depth:
            refusal = "Subscription Not Found"
        if refusal is not None or not isinstance(depth, int):
            yield _dump({"errorMessage": refusal, **about, "status": "error"})
            return
        about |= {"channelName": f"book-{depth}", "channelID": self._protocol.channel_id(name)}
        yield _dump({**about, "status": f"{event}d"})
        if event == "unsubscribe":
            del self._depths[name]
            self._protocol.subscribers.remove(_topic(depth, name), self)
        elif name not in self._depths:
            self._depths[name] = depth
            self._protocol.subscribers.add(_topic(depth, name), self)
            yield self._protocol.watch(depth, name, now_ns)


class KrakenV1:
    """The first protocol over the books of Kraken."""

    def __init__(self, exchange: Exchange, subscribers: Subscribers) -> None:
        self.subscribers = subscribers
        spell = venue_of("kraken-v1").spell
        self.symbol_of = {spell(symbol): symbol for symbol in exchange.symbols}
        self._exchange = exchange
        self._pairs = {
            symbol: V1Pair(
                symbol,
                name,
                336 + index,
                Digits.of(exchange.instruments[symbol].tick, _PRICE_PLACES),
                Digits.of(exchange.instruments[symbol].lot),
            )
            for index, (name, symbol) in enumerate(self.symbol_of.items())
        }
        self._windows: dict[str, tuple[Window, Window]] = {}  # by topic, while it has subscribers
        self._sessions: dict[V1Session, None] = {}
        self._connections = 0

    def connect(self, now_ns: int) -> tuple[V1Session, list[str]]:
        """Open a session; the venue says its status first."""
        self._connections += 1
        session = V1Session(self, self._connections)
        self._sessions[session] = None
        self.subscribers.add(session.topic, session)
        connection = now_ns + self._connections
        status = {"connectionID": connection, "event": "systemStatus", "status": "online", "version": "1.9.6"}
        return session, [_dump(status)]

    def leave(self, session: V1Session) -> None:
        """Forget a session."""
        for topic in (*session.topics, session.topic):
            self.subscribers.remove(topic, session)
        self._sessions.pop(session, None)

    def channel_id(self, name: str) -> int:
        """Return the number that a pair's messages begin with."""
        return self._pairs[self.symbol_of[name]].channel_id

    def watch(self, depth: int, name: str, now_ns: int) -> str:
        """Begin to follow a book as it is now; return the snapshot that says so, which has no checksum."""
        pair = self._pairs[self.symbol_of[name]]
        book = self._exchange.book(pair.symbol)
        self._windows[_topic(depth, name)] = (Window(book.bids, depth), Window(book.asks, depth))
        sides = (
            f'"{side}":{_levels(pair, levels.levels(depth), now_ns)}'
            for side, levels in (("as", book.asks), ("bs", book.bids))
        )
        return f'[{pair.channel_id},{{{",".join(sides)}}},"book-{depth}","{name}"]'

    def frames(self, change: BookChange) -> list[V1Frame]:
        """Return a change as each depth that is followed sees it."""
        pair, frames, tops = self._pairs[change.symbol], list[V1Frame](), None
        for depth in DEPTHS:
            topic = _topic(depth, pair.name)
            windows = self._windows.get(topic)
            if windows is None:
                continue
            if topic not in self.subscribers:
                del self._windows[topic]
                continue
            bids, asks = windows[0].changes(change.bids), windows[1].changes(change.asks)
            if bids or asks:
                tops = tops or tops_of(self._exchange.book(change.symbol))
                frames.append(V1Frame(topic, pair, depth, change.ts_ns, bids, asks, *tops))
                for session in self.subscribers.of(topic):
                    if isinstance(session, V1Session):
                        session.sent_ns = change.ts_ns
        return frames

    def heartbeats(self, now_ns: int) -> Iterator[Notice]:
        """Yield one for each session that listens to something and was sent nothing for a second."""
        for session in self._sessions:
            if session.symbols and now_ns - session.sent_ns >= _HEARTBEAT_NS:
                session.sent_ns = now_ns
                yield Notice(_NO_SYMBOL, session.topic, _HEARTBEAT)

    @property
    def due_ns(self) -> int:
        """When a session has been sent nothing for a second; `NEVER` while none listens."""
        listening = (session.sent_ns for session in self._sessions if session.symbols)
        return min(listening, default=NEVER - _HEARTBEAT_NS) + _HEARTBEAT_NS


def _topic(depth: int, name: str) -> str:
    return f"v1-book-{depth}:{name}"


def _dump(message: Mapping[str, object]) -> str:
    return json.dumps(message, separators=(",", ":"))
