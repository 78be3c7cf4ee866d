"""Coinbase Advanced Trade: one WebSocket whose frames are counted per connection, and the public REST routes.

References
----------
docs.cdp.coinbase.com, Advanced Trade WebSocket (overview, channels, level2, market-trades), as of 2026-08.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS
from simulator.venues.coinbase_frames import (
    BookFrame,
    BookNews,
    envelope,
    heartbeat_events,
    trade_events,
)
from simulator.venues.coinbase_rest import CoinbaseRest
from simulator.venues.venue import Notice, Pair, Update, Venue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simulator.exchange_book import BookChange, Print
    from simulator.venues.venue import Exchange, RestRequest, Session

_CHANNELS: Final = ("heartbeats", "level2", "market_trades")
_TRADES_KEPT: Final = 100  # of a trade snapshot
_TRADES_NS: Final = 250 * NS_PER_MS  # "updates are collected over the last 250 ms and sent together"
_HEARTBEAT_NS: Final = 1000 * NS_PER_MS
_NO_SYMBOL: Final = ""  # of a heartbeat: only a fault of the whole venue stops it


class CoinbaseSession:
    """A client, and the count of the frames it was sent."""

    def __init__(self, venue: Coinbase, number: int) -> None:
        self.topic = f"connection-{number}"  # its own, as no two connections see the same text
        self._venue = venue
        self._sent = 0
        self._products: dict[str, dict[str, None]] = {}  # by channel, in the order of subscription

    @property
    def is_subscribed(self) -> bool:
        """Whether it listens to anything."""
        return bool(self._products)

    @property
    def symbols(self) -> set[str]:
        """Canonical symbols of its channels."""
        known = self._venue.symbol_of
        return {known[name] for names in self._products.values() for name in names if name in known}

    def next_number(self) -> int:
        """Count a frame, whether or not it arrives, and return its number."""
        self._sent += 1
        return self._sent - 1

    def receive(self, text: str, now_ns: int) -> list[str]:
        """Answer subscribe and unsubscribe."""
        try:
            message = json.loads(text)
        except ValueError:
            return [_error("malformed request")]
        if not isinstance(message, dict) or message.get("type") not in {"subscribe", "unsubscribe"}:
            return [_error("type is subscribe or unsubscribe")]
        channel, names = message.get("channel"), message.get("product_ids", [])
        if channel not in _CHANNELS:
            return [_error(f"{str(channel)[:40]} is not a channel; there are {', '.join(_CHANNELS)}")]
        if channel == "heartbeats":
            names = ["heartbeats"]  # products are ignored, and the answer names the channel itself
        elif not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            return [_error("product_ids is a list of product ids")]
        elif unknown := [name for name in names if name not in self._venue.symbol_of]:
            return [_error(f"{unknown[0][:40]} is not a valid product")]
        if message["type"] == "subscribe":
            return [*self._subscribe(channel, names, now_ns), self._subscriptions(now_ns)]
        self._unsubscribe(channel, names)
        return [self._subscriptions(now_ns)]

    def close(self) -> None:
        """Forget its channels."""
        for channel, names in list(self._products.items()):
            self._unsubscribe(channel, list(names))
        self._venue.subscribers.remove(self.topic, self)

    def _subscribe(self, channel: str, names: list[str], now_ns: int) -> Iterator[str]:
        self._venue.subscribers.add(self.topic, self)
        for name in names:
            self._products.setdefault(channel, {})[name] = None
            yield from self._venue.join(self, channel, name, now_ns)

    def _unsubscribe(self, channel: str, names: list[str]) -> None:
        held = self._products.get(channel, {})
        for name in names:
            held.pop(name, None)
            self._venue.leave(self, channel, name)
        if not held:
            self._products.pop(channel, None)

    def _subscriptions(self, now_ns: int) -> str:
        held = {channel: list(names) for channel, names in sorted(self._products.items())}
        events = json.dumps([{"subscriptions": held}], separators=(",", ":"))
        return envelope("subscriptions", self.next_number(), now_ns, events)


def _error(message: str) -> str:
    return json.dumps({"type": "error", "message": message}, separators=(",", ":"))


class Coinbase(Venue):
    """Coinbase over the simulated market.

    The protocol's only number is the connection's, so `sequence` counts the changes of a product's book, each
    of which is one book message.
    """

    sockets = re.compile(r"/")
    # each connection's has its own number: see `flush`

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._products = Pair.all_of(exchange)
        self._first_id = {symbol: exchange.book(symbol).update_id for symbol in exchange.symbols}
        self._listeners: dict[tuple[str, str], dict[CoinbaseSession, None]] = {}  # by channel and product
        self._told: dict[str, deque[Print]] = {s: deque(maxlen=_TRADES_KEPT) for s in exchange.symbols}
        self._untold: dict[str, list[Print]] = {symbol: [] for symbol in exchange.symbols}
        self._trades_ns = 0  # when trades are told next
        self._heartbeat_ns = 0
        self._heartbeats = 0
        self._rest: CoinbaseRest = CoinbaseRest(exchange, self._products, self._told)

    def connect(self, path: str, query: Mapping[str, str], now_ns: int) -> tuple[Session, list[str]]:
        """Open a session; the venue says nothing before it is asked."""
        del path, query, now_ns  # one path, no parameters
        self._connections += 1
        return CoinbaseSession(self, self._connections), []

    def join(self, session: CoinbaseSession, channel: str, name: str, now_ns: int) -> Iterator[str]:
        """Let a session follow a channel of a product, and return the snapshot it begins with."""
        self._listeners.setdefault((channel, name), {})[session] = None
        if channel == "heartbeats":
            return
        product = self._products[self.symbol_of[name]]
        if channel == "level2":
            book = self._exchange.book(product.symbol)
            bids, asks = tuple(book.bids.levels()), tuple(book.asks.levels())
            news = BookNews(product, "snapshot", now_ns, bids, asks, book.asks.best)
            yield BookFrame(session.topic, session.next_number(), news, news.events(bids)).text()
        else:
            events = trade_events(product, "snapshot", self._told[product.symbol])
            yield envelope("market_trades", session.next_number(), now_ns, events)

    def leave(self, session: CoinbaseSession, channel: str, name: str) -> None:
        """End that; what is not followed is ignored."""
        listeners = self._listeners.get((channel, name), {})
        listeners.pop(session, None)
        if not listeners:
            self._listeners.pop((channel, name), None)

    def publish(self, change: BookChange) -> list[Update | Notice]:
        """Return the change, numbered for each connection; trades wait for the next `flush`."""
        self._untold[change.symbol].extend(change.prints)
        product = self._products[change.symbol]
        listeners = self._listeners.get(("level2", product.name))
        if not listeners:
            return []
        best_ask = self._exchange.book(change.symbol).asks.best
        bids, asks = tuple(change.bids), tuple(change.asks)
        news = BookNews(product, "update", change.ts_ns, bids, asks, best_ask)
        events = news.events(bids)
        frames = tuple(BookFrame(session.topic, session.next_number(), news, events) for session in listeners)
        return [Update(change.symbol, frames)]

    def flush(self, now_ns: int, *, force: bool = False) -> list[Update | Notice]:
        """Return the trades and heartbeats that are due."""
        out: list[Update | Notice] = []
        if force or now_ns >= self._trades_ns:
            self._trades_ns = now_ns + _TRADES_NS
            for symbol, trades in self._untold.items():
                out += self._tell(symbol, trades, now_ns)
                self._told[symbol].extend(trades)
                trades.clear()
        if now_ns >= self._heartbeat_ns:
            self._heartbeat_ns = now_ns + _HEARTBEAT_NS
            self._heartbeats += 1
            events = heartbeat_events(self._heartbeats, now_ns)
            for session in self._listeners.get(("heartbeats", "heartbeats"), ()):
                text = envelope("heartbeats", session.next_number(), now_ns, events)
                out.append(Notice(_NO_SYMBOL, session.topic, text))
        return out

    @property
    def due_ns(self) -> int:
        """When a heartbeat is due, or trades are."""
        return min(self._heartbeat_ns, self._trades_ns) if any(self._untold.values()) else self._heartbeat_ns

    def rest_symbol(self, request: RestRequest) -> str | None:
        """Return the canonical symbol a request is about, if it is about one."""
        return self._rest.symbol_of(request)

    def sequence(self, symbol: str) -> int:
        """Return the number of changes of the product's book since the start."""
        return self._exchange.book(symbol).update_id - self._first_id[symbol]

    def _tell(self, symbol: str, trades: list[Print], now_ns: int) -> Iterator[Notice]:
        product = self._products[symbol]
        listeners = self._listeners.get(("market_trades", product.name))
        if not (trades and listeners):
            return
        events = trade_events(product, "update", trades)
        for session in listeners:
            text = envelope("market_trades", session.next_number(), now_ns, events)
            yield Notice(symbol, session.topic, text)
