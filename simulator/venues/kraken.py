"""Kraken: WebSocket v2 with checksummed books, the first protocol and the public REST routes beside it.

References
----------
docs.kraken.com/exchange, spot WebSocket v2 (book, trade, instrument, status, heartbeat, ping) and the guide
book-checksum-v2, as of 2026-08.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import TYPE_CHECKING, Final

from simulator.venues.kraken_book import BookFrame, Window, rfc3339, tops_of
from simulator.venues.kraken_rest import KrakenRest
from simulator.venues.kraken_v1 import KrakenV1
from simulator.venues.venue import Notice, Pair, Update, Venue, decimals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulator.exchange_book import BookChange, Print
    from simulator.venues.venue import Exchange, Frame, RestRequest, Session

_DEPTHS: Final = (10, 25, 100, 500, 1000)
_TRADES_KEPT: Final = 50  # of a trade snapshot


class KrakenSession:
    """A client of /v2."""

    def __init__(self, venue: Kraken, connection_id: int) -> None:
        self.connection_id = connection_id
        self._venue = venue
        self._topics: dict[tuple[str, str], str] = {}  # (channel, pair) to topic

    @property
    def is_subscribed(self) -> bool:
        """Whether it listens to anything."""
        return bool(self._topics)

    @property
    def symbols(self) -> set[str]:
        """Canonical symbols of its channels."""
        return {self._venue.symbol_of[name] for _, name in self._topics if name}

    def receive(self, text: str, now_ns: int) -> list[str]:
        """Answer subscribe, unsubscribe and ping."""
        try:
            message = json.loads(text)
        except ValueError:
            return [_failure("Malformed request", None, {}, now_ns)]
        params = message.get("params", {}) if isinstance(message, dict) else None
        if not isinstance(params, dict):
            return [_failure("Malformed request", None, {}, now_ns)]
        method, req_id = message.get("method"), message.get("req_id")
        extra = {"req_id": req_id} if isinstance(req_id, int) else {}
        match method:
            case "ping":
                return [_dump({"method": "pong", **extra, **_times(now_ns)})]
            case "subscribe" | "unsubscribe":
                return list(self._change(method, params, extra, now_ns))
            case _:
                return [_failure("Method not found", None, extra, now_ns)]

    def close(self) -> None:
        """Forget its channels."""
        for topic in self._topics.values():
            self._venue.subscribers.remove(topic, self)
        self._topics.clear()

    def _change(
        self, method: str, params: Mapping[str, object], extra: Mapping[str, object], now_ns: int
    ) -> Iterable[str]:
        channel = params.get("channel")
        if channel == "instrument":
            yield from self._instrument(method, extra, now_ns)
            return
        symbols, depth = params.get("symbol"), params.get("depth", 10)
        if channel not in {"book", "trade"}:
            yield _failure(f"Channel {str(channel)[:40]!r} not supported", method, extra, now_ns)
        elif not (isinstance(symbols, list) and symbols and all(isinstance(name, str) for name in symbols)):
            yield _failure("Missing or malformed field: symbol", method, extra, now_ns)
        elif channel == "book" and depth not in _DEPTHS:
            yield _failure(f"Subscription depth not supported; use one of {_DEPTHS}", method, extra, now_ns)
        else:
            for name in symbols:
                yield from self._change_pair(method, str(channel), name, params, extra, now_ns)

    def _change_pair(
        self,
        method: str,
        channel: str,
        name: str,
        params: Mapping[str, object],
        extra: Mapping[str, object],
        now_ns: int,
    ) -> Iterable[str]:
        extra = {**extra, "symbol": name}
        if name not in self._venue.symbol_of:
            yield _failure(f"Currency pair not supported {name[:40]}", method, extra, now_ns)
            return
        depth = params.get("depth", 10)
        topic = f"book-{depth}:{name}" if channel == "book" else f"{channel}:{name}"
        held = self._topics.get((channel, name))
        result = {"channel": channel, "symbol": name, **({"depth": depth} if channel == "book" else {})}
        if method == "unsubscribe":
            if held != topic:
                yield _failure("Subscription Not Found", method, extra, now_ns)
                return
            del self._topics[channel, name]
            self._venue.subscribers.remove(topic, self)
            yield _success(method, result, extra, now_ns)
            return
        if held is not None:
            yield _failure("Already subscribed", method, extra, now_ns)
            return
        wants_snapshot = params.get("snapshot", channel == "book") is True
        yield _success(method, {**result, "snapshot": wants_snapshot}, extra, now_ns)
        self._topics[channel, name] = topic
        self._venue.subscribers.add(topic, self)
        first = self._venue.watch(topic, now_ns)
        if wants_snapshot:
            yield first

    def _instrument(self, method: str, extra: Mapping[str, object], now_ns: int) -> Iterable[str]:
        key, topic = ("instrument", ""), "instrument"
        if method == "subscribe":
            self._topics[key] = topic
            self._venue.subscribers.add(topic, self)
            yield _success(method, {"channel": "instrument", "snapshot": True}, extra, now_ns)
            yield self._venue.instrument_message()
        elif self._topics.pop(key, None) is None:
            yield _failure("Subscription Not Found", method, extra, now_ns)
        else:
            self._venue.subscribers.remove(topic, self)
            yield _success(method, {"channel": "instrument"}, extra, now_ns)


def _dump(message: Mapping[str, object]) -> str:
    return json.dumps(message, separators=(",", ":"))


def _times(now_ns: int) -> dict[str, str]:
    return {"time_in": rfc3339(now_ns), "time_out": rfc3339(now_ns)}


def _success(method: str, result: object, extra: Mapping[str, object], now_ns: int) -> str:
    only_id = {key: value for key, value in extra.items() if key == "req_id"}
    return _dump({"method": method, "result": result, "success": True, **_times(now_ns), **only_id})


def _failure(error: str, method: str | None, extra: Mapping[str, object], now_ns: int) -> str:
    named = {"method": method} if method else {}
    return _dump({"error": error, **named, "success": False, **extra, **_times(now_ns)})


class Kraken(Venue):
    """Kraken spot over the simulated market.

    Its protocol has no sequence, so `sequence` counts the changes of a pair's full book, each of which is one
    book message to a subscriber who sees all of it.
    """

    sockets = re.compile(r"/(?:v2/?)?")
    heartbeat: str | None = '{"channel":"heartbeat"}'

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._pairs = Pair.all_of(exchange)
        self._first_id = {symbol: exchange.book(symbol).update_id for symbol in exchange.symbols}
        self._windows: dict[str, tuple[Window, Window]] = {}  # by topic, while it has subscribers
        self._trades: dict[str, deque[Print]] = {s: deque(maxlen=_TRADES_KEPT) for s in exchange.symbols}
        self.system = "online"
        self._v1 = KrakenV1(exchange, self.subscribers)
        self._rest: KrakenRest = KrakenRest(exchange)

    def connect(self, path: str, query: Mapping[str, str], now_ns: int) -> tuple[Session, list[str]]:
        """Open a session; the venue says its status first."""
        del query  # takes no parameter
        if path == "/":
            return self._v1.connect(now_ns)
        self._connections += 1
        session = KrakenSession(self, now_ns + self._connections)
        return session, [self.status_message(session)]

    def status_message(self, session: KrakenSession) -> str:
        """Return how the engine is, as it is told to each client."""
        status = {
            "version": "2.0.10",
            "system": self.system,
            "api_version": "v2",
            "connection_id": session.connection_id,
        }
        return _dump({"channel": "status", "type": "update", "data": [status]})

    def publish(self, change: BookChange) -> list[Update | Notice]:
        """Return the change as each depth sees it, and its trades."""
        pair, out = self._pairs[change.symbol], list[Update | Notice]()
        self._trades[change.symbol].extend(change.prints)
        frames: list[Frame] = [*self._v1.frames(change)]
        book, tops = self._exchange.book(change.symbol), None
        for depth in _DEPTHS:
            topic = f"book-{depth}:{pair.name}"
            windows = self._windows.get(topic)
            if windows is None:
                continue
            if topic not in self.subscribers:
                del self._windows[topic]
                continue
            bids, asks = windows[0].changes(change.bids), windows[1].changes(change.asks)
            if bids or asks:
                tops = tops or tops_of(book)
                frames.append(BookFrame(topic, pair, "update", change.ts_ns, bids, asks, *tops))
        if frames:
            out.append(Update(change.symbol, tuple(frames)))
        topic = f"trade:{pair.name}"
        if change.prints and topic in self.subscribers:
            out.append(Notice(change.symbol, topic, self._trade_message(pair, "update", change.prints)))
        return out

    def flush(self, now_ns: int, *, force: bool = False) -> list[Update | Notice]:
        """Return the heartbeats of the first protocol; each change is sent at once."""
        del force
        return list(self._v1.heartbeats(now_ns))

    @property
    def due_ns(self) -> int:
        """When a heartbeat of the first protocol is due."""
        return self._v1.due_ns

    def rest_symbol(self, request: RestRequest) -> str | None:
        """Return the canonical symbol a request is about, if it is about one."""
        return self._rest.symbol_of(request.query.get("pair", ""))

    def sequence(self, symbol: str) -> int:
        """Return the number of changes of the pair's book since the start."""
        return self._exchange.book(symbol).update_id - self._first_id[symbol]

    def watch(self, topic: str, now_ns: int) -> str:
        """Begin to follow a topic from the book as it is now; return the snapshot that says so."""
        channel, _, name = topic.partition(":")
        pair = self._pairs[self.symbol_of[name]]
        if channel == "trade":
            return self._trade_message(pair, "snapshot", self._trades[pair.symbol])
        book, depth = self._exchange.book(pair.symbol), int(channel.removeprefix("book-"))
        self._windows[topic] = (Window(book.bids, depth), Window(book.asks, depth))
        bids, asks = tuple(book.bids.levels(depth)), tuple(book.asks.levels(depth))
        return BookFrame(topic, pair, "snapshot", now_ns, bids, asks, *tops_of(book)).text()

    def instrument_message(self) -> str:
        """Return the instrument snapshot."""
        assets = sorted({asset for symbol in self._exchange.symbols for asset in symbol.split("-")})
        data = {
            "assets": [
                {"id": asset, "status": "enabled", "precision": 10, "precision_display": 5}
                for asset in assets
            ],
            "pairs": [self._instrument(symbol) for symbol in self._exchange.symbols],
        }
        return _dump({"channel": "instrument", "type": "snapshot", "data": data})

    def _instrument(self, symbol: str) -> dict[str, object]:
        instrument, (base, quote) = self._exchange.instruments[symbol], symbol.split("-")
        return {
            "symbol": self._exchange.spelling[symbol],
            "base": base,
            "quote": quote,
            "status": "online",
            "qty_precision": decimals(instrument.lot),
            "qty_increment": float(instrument.lot),
            "price_precision": decimals(instrument.tick),
            "price_increment": float(instrument.tick),
            "tick_size": float(instrument.tick),
            "cost_precision": 5,
            "cost_min": str(instrument.min_notional),
            "qty_min": float(instrument.min_qty),
            "marginable": False,
            "has_index": False,
        }

    def _trade_message(self, pair: Pair, kind: str, trades: Iterable[Print]) -> str:
        data = ",".join(
            f'{{"symbol":"{pair.name}","side":"{trade.taker}","price":{pair.price.text(trade.tick)},'
            f'"qty":{pair.size.text(trade.lots)},"ord_type":"market","trade_id":{trade.trade_id},'
            f'"timestamp":"{rfc3339(trade.ts_ns)}"}}'
            for trade in trades
        )
        return f'{{"channel":"trade","type":"{kind}","data":[{data}]}}'
