"""Bybit v5 spot: the public WebSocket with its counted topics and its JSON pings.

References
----------
bybit-exchange/docs, `v5/ws/connect.mdx` and `v5/websocket/public/{orderbook,trade}.mdx`, as of 2026-07-24;
the texts of refusals as the exchange sent them in 2026.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.schedule import Schedule
from simulator.venues.bybit_book import BATCH_NS, BybitPair, Window
from simulator.venues.bybit_rest import BybitRest
from simulator.venues.venue import Notice, TopicSession, Update, Venue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from simulator.exchange_book import BookChange, Print
    from simulator.venues.bybit_book import BookFrame
    from simulator.venues.venue import Exchange, Session

_MAX_ARGS: Final = 10  # in one request, for spot


class BybitSession(TopicSession):
    """A client of /v5/public/spot."""

    separator = "."

    def __init__(self, venue: Bybit, connection: int) -> None:
        super().__init__(venue, connection)
        self._venue = venue

    def receive(self, text: str, now_ns: int) -> list[str]:
        """Answer ping, subscribe and unsubscribe; a request that cannot be met whole is refused whole."""
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            return [self._answer({"op": ""}, f"Failed to decode incoming data:{text[:100]}", success=False)]
        if message.get("op") == "ping":
            return [self._answer(message, "pong")]
        if message.get("op") not in {"subscribe", "unsubscribe"}:
            return [self._answer(message, "error:invalid op", success=False)]
        args = message.get("args")
        topics = [str(arg)[:100] for arg in args] if isinstance(args, list) else []
        if refusal := self._refusal(message["op"], topics):
            return [self._answer(message, refusal, success=False)]
        acknowledgement = self._answer(message, message["op"])
        if message["op"] == "unsubscribe":
            for topic in topics:
                self._leave(topic)
            return [acknowledgement]
        return [acknowledgement, *self._subscribe(topics, now_ns)]

    def _refusal(self, op: str, topics: Sequence[str]) -> str | None:
        if not topics:
            return "error:args is empty"
        if len(topics) > _MAX_ARGS:
            return f"args size >{_MAX_ARGS}"
        for number, topic in enumerate(topics):
            if not self._venue.has(topic):
                return f"error:handler not found,topic:{topic}"
            if op == "subscribe" and (topic in self._topics or topic in topics[:number]):
                return f"error:already subscribed,topic:{topic}"
        return None

    def _subscribe(self, topics: Sequence[str], now_ns: int) -> Iterator[str]:
        for topic in topics:
            snapshot = self._venue.watch(topic, now_ns)
            if snapshot is not None:
                yield snapshot
            self._join(topic)

    def _answer(self, request: Mapping[str, object], text: str, *, success: bool = True) -> str:
        said: dict[str, object] = {"success": success, "ret_msg": text, "conn_id": self._connection}
        if isinstance(request.get("req_id"), str):
            said["req_id"] = request["req_id"]
        return json.dumps(said | {"op": str(request.get("op", ""))[:40]}, separators=(",", ":"))


class Bybit(Venue):
    """Bybit spot over the simulated market.

    A subscriber's book carries the `u` of the last message of its topic; a change that shows in no window
    sends none.
    """

    sockets = re.compile(r"/v5/public/spot/?")
    ping_s = math.inf  # it is the client who pings, in JSON
    pong_timeout_s = math.inf

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._pairs = BybitPair.all_of(exchange)
        self._windows = {
            symbol: tuple(Window(pair, depth, exchange.book(symbol)) for depth in BATCH_NS)
            for symbol, pair in self._pairs.items()
        }
        self._by_topic = {window.topic: window for windows in self._windows.values() for window in windows}
        self._due = Schedule[Window]()
        self._glance_ns = 0
        self._trade_topics = {f"publicTrade.{name}" for name in self.symbol_of}
        self._rest = BybitRest(exchange, self._pairs, self._deepest)

    def connect(self, path: str, query: Mapping[str, str], now_ns: int) -> tuple[Session, list[str]]:
        """Open a session; the venue says nothing first."""
        del path, query, now_ns  # one path, no parameters, no greeting
        self._connections += 1
        return BybitSession(self, self._connections), []

    def publish(self, change: BookChange) -> list[Update | Notice]:
        """Note levels for the next messages; trades go out at once, all of one taker in one message."""
        for window in self._windows[change.symbol]:
            if window.topic in self.subscribers:
                window.touch(change)
                self._wait(window)
        pair = self._pairs[change.symbol]
        topic = f"publicTrade.{pair.name}"
        if not change.prints or topic not in self.subscribers:
            return []
        return [Notice(change.symbol, topic, _trade_message(pair, change))]

    def flush(self, now_ns: int, *, force: bool = False) -> list[Update | Notice]:
        """Return the messages that are due."""
        out: list[Update | Notice] = []
        for window in self._looked_at(now_ns, force=force):
            if window.topic in self.subscribers:
                frame = window.update(now_ns, force=force)
                if frame is not None:
                    out.append(Update(frame.pair.symbol, (frame,)))
                self._wait(window)
        return out

    @property
    def due_ns(self) -> int:
        """When a message is due, or all are looked at."""
        return min(self._due.due_ns, self._glance_ns)

    def _looked_at(self, now_ns: int, *, force: bool) -> Iterable[Window]:
        """Return what may have a message: what is due, and each second all, as any may restart."""
        due = self._due.take(now_ns)
        if not force and now_ns < self._glance_ns:
            return due
        self._glance_ns = now_ns + NS_PER_S
        return self._by_topic.values()

    def _wait(self, window: Window) -> None:
        if (due_ns := window.due_ns) is not None:
            self._due.add(window, due_ns)

    def sequence(self, symbol: str) -> int:
        """Return the `u` of a subscriber's book of 50 levels, else of another depth.

        Without any subscriber it is that of a snapshot of 50 levels taken now.
        """
        top, *deeper = self._windows[symbol]
        for window in (*deeper, top):
            if window.topic in self.subscribers:
                return window.update_id
        return deeper[0].update_id + 1

    def has(self, topic: str) -> bool:
        """Return whether there is such a topic."""
        return topic in self._by_topic or topic in self._trade_topics

    def watch(self, topic: str, now_ns: int) -> str | None:
        """Return the snapshot for a session that is about to subscribe; None for trades."""
        window = self._by_topic.get(topic)
        if window is None:
            return None
        if topic not in self.subscribers:
            window.load(now_ns)
        return window.snapshot(now_ns).text()

    def _deepest(self, symbol: str, now_ns: int) -> BookFrame:
        """Return what the subscribers of the deepest topic hold; without any, the book as it is now."""
        window = self._windows[symbol][-1]
        if window.topic not in self.subscribers:
            window.reload(now_ns)
        return window.snapshot(now_ns)


def _trade_message(pair: BybitPair, change: BookChange) -> str:
    trades = ",".join([_trade(pair, trade, change.update_id) for trade in change.prints])
    head = f'"topic":"publicTrade.{pair.name}","ts":{change.ts_ns // NS_PER_MS},"type":"snapshot"'
    return f'{{{head},"data":[{trades}]}}'


def _trade(pair: BybitPair, trade: Print, cross_id: int) -> str:
    return (
        f'{{"i":"{trade.trade_id}","T":{trade.ts_ns // NS_PER_MS},"p":"{pair.price_text(trade.tick)}",'
        f'"v":"{pair.size_text(trade.lots)}","S":"{trade.taker.capitalize()}","seq":{cross_id},'
        f'"s":"{pair.name}","BT":false,"RPI":false}}'
    )
