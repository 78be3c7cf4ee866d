"""Binance spot: REST depth, klines and exchangeInfo; raw and combined streams with update ids.

References
----------
github.com/binance/binance-spot-api-docs, rest-api.md and web-socket-streams.md, as of 2026-07-21.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.schedule import Schedule
from simulator.venues.binance_rest import BinanceRest
from simulator.venues.venue import (
    Notice,
    Pair,
    SessionRefusedError,
    Update,
    Venue,
    crossing,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from random import Random

    from simulator.exchange_book import BookChange, Level, Print
    from simulator.venues.venue import Exchange, Session

_WIDTH: Final = 8  # decimal places of every price and quantity
_BATCH_NS: Final = 100 * NS_PER_MS  # of @depth@100ms
_SLOW_BATCH_NS: Final = 1000 * NS_PER_MS  # of @depth
_CLIENT_MESSAGES_PER_S: Final = 5
_MAX_STREAMS: Final = 1024
_COMBINED: Final = "+"  # prefix of topics whose subscribers want {"stream":…,"data":…}


@dataclass(slots=True)
class _Pending:
    """Levels changed since the last depth message of one speed."""

    due_ns: int = 0
    first_id: int = 0  # U; 0 while nothing is pending
    final_id: int = 0  # u
    ts_ns: int = 0
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DepthFrame:
    """A diff of one stream in one envelope."""

    topic: str
    pair: Pair
    ts_ms: int
    first_id: int
    final_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    best_ask: int  # ticks

    def text(self) -> str:
        """Return the true message."""
        return self.render(self.bids)

    def corrupted(self, random: Random) -> str | None:
        """Return it with a size changed and both ids raised.

        Nothing in this protocol proves a size, so damage to a level alone would pass every client; the ids
        are hit too, which makes the message a gap.
        """
        raised = random.randint(1_000, 1_000_000)
        bids = tuple((tick, lots + random.randint(1, 9)) for tick, lots in self.bids)
        ids = replace(self, first_id=self.first_id + raised, final_id=self.final_id + raised)
        return ids.render(bids)

    def crossed(self, random: Random) -> str:
        """Return it with a bid above the best ask, its ids intact."""
        return self.render(crossing(self.bids, self.best_ask, random, 5_000))

    def render(self, bids: tuple[Level, ...]) -> str:
        """Return it with these bids."""
        data = (
            f'{{"e":"depthUpdate","E":{self.ts_ms},"s":"{self.pair.name}","U":{self.first_id},'
            f'"u":{self.final_id},"b":{_levels(self.pair, bids)},"a":{_levels(self.pair, self.asks)}}}'
        )
        return _wrapped(self.topic, data)


def _levels(pair: Pair, levels: Iterable[Level]) -> str:
    price, size = pair.price.text, pair.size.text
    return "[" + ",".join([f'["{price(tick)}","{size(lots)}"]' for tick, lots in levels]) + "]"


def _wrapped(topic: str, data: str) -> str:
    return f'{{"stream":"{topic[1:]}","data":{data}}}' if topic.startswith(_COMBINED) else data


class BinanceSession:
    """A client of /ws (raw) or /stream (combined)."""

    def __init__(self, venue: Binance, prefix: str) -> None:
        self._venue = venue
        self._prefix = prefix
        self._streams: dict[str, None] = {}
        self._second = 0
        self._messages = 0

    @property
    def is_subscribed(self) -> bool:
        """Whether it listens to anything."""
        return bool(self._streams)

    @property
    def symbols(self) -> set[str]:
        """Canonical symbols of its streams."""
        names = {stream.partition("@")[0].upper() for stream in self._streams}
        return {self._venue.symbol_of[name] for name in names if name in self._venue.symbol_of}

    def subscribe(self, streams: Iterable[str]) -> None:
        """Add streams; one that the exchange does not have is taken like any other, and stays silent.

        Raises
        ------
        ValueError
            If they are too many; nothing is subscribed then.
        """
        wanted = list(streams)
        if len(self._streams.keys() | set(wanted)) > _MAX_STREAMS:
            raise ValueError(f"a connection carries at most {_MAX_STREAMS} streams")
        for stream in wanted:
            self._streams[stream] = None
            self._venue.subscribers.add(self._prefix + stream, self)

    def receive(self, text: str, now_ns: int) -> list[str]:
        """Answer a request about streams or the property `combined`."""
        second = now_ns // NS_PER_S
        self._messages = self._messages + 1 if second == self._second else 1
        self._second = second
        if self._messages > _CLIENT_MESSAGES_PER_S:
            raise SessionRefusedError("Too many requests")
        try:
            message = json.loads(text)
        except ValueError as error:
            return [_error(3, f"Invalid JSON: {error}", None)]
        if not isinstance(message, dict):
            return [_error(2, "Invalid request: expected an object", None)]
        params, request_id = message.get("params", []), message.get("id")
        if message.get("method") in {"SET_PROPERTY", "GET_PROPERTY"}:
            return [self._property(message["method"], params, request_id)]
        if not (isinstance(params, list) and all(isinstance(stream, str) for stream in params)):
            return [_error(2, "Invalid request: params must be an array of strings", request_id)]
        return [self._change(message.get("method"), params, request_id)]

    def _change(self, method: object, streams: list[str], request_id: object) -> str:
        match method:
            case "SUBSCRIBE":
                try:
                    self.subscribe(streams)
                except ValueError as error:
                    return _error(2, f"Invalid request: {error}", request_id)
                return _result(None, request_id)
            case "UNSUBSCRIBE":
                for stream in streams:
                    self._streams.pop(stream, None)
                    self._venue.subscribers.remove(self._prefix + stream, self)
                return _result(None, request_id)
            case "LIST_SUBSCRIPTIONS":
                return _result(list(self._streams), request_id)
        known = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
        reason = f"unknown variant {str(method)[:40]}, expected one of {known}"
        return _error(2, f"Invalid request: {reason}", request_id)

    def _property(self, method: str, params: object, request_id: object) -> str:
        """Tell, or change, whether messages come in the envelope that names their stream."""
        match method, params:
            case "GET_PROPERTY", ["combined"]:
                return _result(self._prefix == _COMBINED, request_id)
            case "SET_PROPERTY", ["combined", bool(combined)]:
                streams = list(self._streams)
                self.close()
                self._prefix = _COMBINED if combined else ""
                self.subscribe(streams)
                return _result(None, request_id)
            case "SET_PROPERTY", ["combined", *_]:
                return _error(1, "Invalid value type: expected Boolean", request_id)
        return _error(0, "Unknown property", request_id)

    def shutdown_notice(self, now_ns: int) -> str:
        """Return `serverShutdown`, raw or in the envelope of the combined streams."""
        data = f'{{"e":"serverShutdown","E":{now_ns // NS_PER_MS}}}'
        return _wrapped(self._prefix + "!serverShutdown", data)

    def close(self) -> None:
        """Forget its streams."""
        for stream in self._streams:
            self._venue.subscribers.remove(self._prefix + stream, self)
        self._streams.clear()


def _result(result: object, request_id: object) -> str:
    return json.dumps({"result": result, "id": request_id}, separators=(",", ":"))


def _error(code: int, message: str, request_id: object) -> str:
    return json.dumps({"error": {"code": code, "msg": message}, "id": request_id}, separators=(",", ":"))


class Binance(Venue):
    """Binance spot over the simulated market."""

    sockets = re.compile(r"/(?:stream/?|ws(?:/.*)?)")

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._pairs = Pair.all_of(exchange, _WIDTH)
        self._fast = {symbol: _Pending() for symbol in exchange.symbols}
        self._slow = {symbol: _Pending() for symbol in exchange.symbols}
        self._aggregated = {symbol: exchange.book(symbol).trade_id for symbol in exchange.symbols}
        self._due = Schedule[str]()
        self._rest = BinanceRest(exchange, self.symbol_of)

    def connect(self, path: str, query: Mapping[str, str], now_ns: int) -> tuple[Session, list[str]]:
        """Open a session; streams may be in the path (raw) or in ``streams=`` (combined), or come later."""
        del now_ns  # this venue's greeting does not depend on the time
        combined = path.startswith("/stream")
        session = BinanceSession(self, _COMBINED if combined else "")
        named = query.get("streams", "") if combined else path.removeprefix("/ws")
        try:
            session.subscribe(stream for stream in named.split("/") if stream)
        except ValueError as error:
            raise SessionRefusedError(str(error)) from error
        return session, []

    def publish(self, change: BookChange) -> list[Update | Notice]:
        """Collect levels for the next diffs; trades and best prices go out at once."""
        pending = self._fast[change.symbol]
        if not pending.first_id:
            pending.first_id = change.update_id
        pending.final_id, pending.ts_ns = change.update_id, change.ts_ns
        pending.bids.update(change.bids)
        pending.asks.update(change.asks)
        self._due.add(change.symbol, pending.due_ns)
        if not (change.prints or change.top_moved):
            return []
        pair = self._pairs[change.symbol]
        out: list[Update | Notice] = []
        if change.prints:
            for topic in self._wanted(pair, "trade"):
                out += (Notice(pair.symbol, topic, _wrapped(topic, text)) for text in _trades(pair, change))
            aggregates = self._aggregates(pair, change)
            for topic in self._wanted(pair, "aggTrade"):
                out += (Notice(pair.symbol, topic, _wrapped(topic, text)) for text in aggregates)
        if change.top_moved:
            for topic in self._wanted(pair, "bookTicker"):
                text = self._book_ticker(pair, change.update_id)
                out.append(Notice(pair.symbol, topic, _wrapped(topic, text)))
        return out

    def flush(self, now_ns: int, *, force: bool = False) -> list[Update | Notice]:
        """Return the diffs that are due; a diff of a speed covers every update id since its last one."""
        out: list[Update | Notice] = []
        for symbol in self._fast if force else self._due.take(now_ns):
            fast, slow = self._fast[symbol], self._slow[symbol]
            if (force or now_ns >= fast.due_ns) and fast.first_id:
                slow.first_id = slow.first_id or fast.first_id
                slow.final_id, slow.ts_ns = fast.final_id, fast.ts_ns
                slow.bids.update(fast.bids)
                slow.asks.update(fast.asks)
                out += self._diff(symbol, fast, "depth@100ms", now_ns)
                fast.due_ns = now_ns - now_ns % _BATCH_NS + _BATCH_NS
            if (force or now_ns >= slow.due_ns) and slow.first_id:
                out += self._diff(symbol, slow, "depth", now_ns)
                slow.due_ns = now_ns - now_ns % _SLOW_BATCH_NS + _SLOW_BATCH_NS
            for pending in (fast, slow):
                if pending.first_id:
                    self._due.add(symbol, pending.due_ns)
        return out

    @property
    def due_ns(self) -> int:
        """When a diff is due."""
        return self._due.due_ns

    def sequence(self, symbol: str) -> int:
        """Return the last update id of the book; `flush(force=True)` first, and it is the last `u` sent."""
        return self._exchange.book(symbol).update_id

    def _diff(self, symbol: str, pending: _Pending, channel: str, now_ns: int) -> list[Update]:
        pair = self._pairs[symbol]
        frames = tuple(
            DepthFrame(
                topic,
                pair,
                now_ns // NS_PER_MS,
                pending.first_id,
                pending.final_id,
                tuple((-key, lots) for key, lots in sorted((-t, q) for t, q in pending.bids.items())),
                tuple(sorted(pending.asks.items())),
                self._exchange.book(symbol).asks.best,
            )
            for topic in self._wanted(pair, channel)
        )
        pending.first_id = 0
        pending.bids.clear()
        pending.asks.clear()
        return [Update(symbol, frames)] if frames else []

    def _aggregates(self, pair: Pair, change: BookChange) -> list[str]:
        """Return the trades of a taker at a price as one each, and count them."""
        texts = []
        for _, group in groupby(change.prints, key=lambda trade: (trade.tick, trade.taker)):
            first, *others = group
            self._aggregated[pair.symbol] += 1
            texts.append(_aggregate(pair, self._aggregated[pair.symbol], (first, *others)))
        return texts

    def _wanted(self, pair: Pair, channel: str) -> list[str]:
        stream = f"{pair.name.lower()}@{channel}"
        return [topic for topic in (stream, _COMBINED + stream) if topic in self.subscribers]

    def _book_ticker(self, pair: Pair, update_id: int) -> str:
        book = self._exchange.book(pair.symbol)
        (bid, bid_lots), (ask, ask_lots) = (
            next(side.levels(1), (0, 0)) for side in (book.bids, book.asks)
        )  # of an empty side, zeros
        return (
            f'{{"u":{update_id},"s":"{pair.name}","b":"{pair.price.text(bid)}","B":"{pair.size.text(bid_lots)}",'
            f'"a":"{pair.price.text(ask)}","A":"{pair.size.text(ask_lots)}"}}'
        )


def _trades(pair: Pair, change: BookChange) -> Iterator[str]:
    for trade in change.prints:
        ms = trade.ts_ns // NS_PER_MS
        yield (
            f'{{"e":"trade","E":{ms},"s":"{pair.name}","t":{trade.trade_id},"p":"{pair.price.text(trade.tick)}",'
            f'"q":"{pair.size.text(trade.lots)}","T":{ms},"m":{"true" if trade.taker == "sell" else "false"},'
            f'"M":true}}'
        )


def _aggregate(pair: Pair, aggregate_id: int, trades: tuple[Print, ...]) -> str:
    first, last = trades[0], trades[-1]
    ms, lots = last.ts_ns // NS_PER_MS, sum(trade.lots for trade in trades)
    return (
        f'{{"e":"aggTrade","E":{ms},"s":"{pair.name}","a":{aggregate_id},"p":"{pair.price.text(first.tick)}",'
        f'"q":"{pair.size.text(lots)}","f":{first.trade_id},"l":{last.trade_id},"T":{ms},'
        f'"m":{"true" if first.taker == "sell" else "false"},"M":true}}'
    )
