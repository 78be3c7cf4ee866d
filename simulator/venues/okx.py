"""OKX v5: the public WebSocket with its chained books and its text pings.

References
----------
okx.com/docs-v5/en, overview (WebSocket, connect, subscribe), WS order book channel, WS trades channel and the
WebSocket error codes, as of 2026-07-07.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.schedule import Schedule
from simulator.venues.okx_book import OkxPair, Window, plain
from simulator.venues.okx_rest import OkxRest
from simulator.venues.venue import Notice, TopicSession, Update, Venue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulator.exchange_book import BookChange, Print
    from simulator.venues.venue import Exchange, RestRequest, Session

_CHANNELS: Final = frozenset({"books", "trades"})
_VIP_CHANNELS: Final = frozenset({"books-l2-tbt", "books50-l2-tbt"})


class OkxSession(TopicSession):
    """A client of /ws/v5/public."""

    separator = ":"

    def __init__(self, venue: Okx, connection: int) -> None:
        super().__init__(venue, connection)
        self._venue = venue

    def receive(self, text: str, now_ns: int) -> list[str]:
        """Answer ping, subscribe and unsubscribe."""
        if text == "ping":
            return ["pong"]
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        args = message.get("args") if isinstance(message, dict) else None
        if (
            not isinstance(message, dict)
            or message.get("op") not in {"subscribe", "unsubscribe"}
            or not (isinstance(args, list) and args and all(isinstance(arg, dict) for arg in args))
        ):
            return [self._error("60012", f"Invalid request: {text[:200]}", {})]
        extra = {"id": message["id"]} if isinstance(message.get("id"), str) else {}
        return [reply for arg in args for reply in self._change(message["op"], arg, extra, now_ns)]

    def _change(
        self, op: str, arg: Mapping[str, object], extra: Mapping[str, object], now_ns: int
    ) -> Iterable[str]:
        channel, name = str(arg.get("channel", "")), str(arg.get("instId", ""))
        if channel in _VIP_CHANNELS:
            tiers = "Only users who are VIP4 and above in trading fee tier are allowed to subscribe to"
            yield self._error("64003", f"{tiers} {channel} channel", extra)
            return
        if channel not in _CHANNELS or name not in self._venue.symbol_of:
            what = f"channel:{channel[:40]},instId:{name[:40]} doesn't exist"
            advice = "Please use the correct URL, channel and parameters referring to API document."
            yield self._error("60018", f"Wrong URL or {what}. {advice}", extra)
            return
        topic = f"{channel}:{name}"
        yield self._event(op, {"arg": {"channel": channel, "instId": name}}, extra)
        if op == "unsubscribe":
            self._leave(topic)
        elif topic not in self._topics:
            if channel == "books":
                yield self._venue.watch(name, now_ns)
            self._join(topic)

    def shutdown_notice(self, now_ns: int) -> str:
        """Return notice 64008, which precedes an upgrade of the service."""
        del now_ns  # it says no time
        text = "The connection will soon be closed for a service upgrade. Please reconnect."
        return self._event("notice", {"code": "64008", "msg": text}, {})

    def _error(self, code: str, text: str, extra: Mapping[str, object]) -> str:
        return self._event("error", {"code": code, "msg": text}, extra)

    def _event(self, event: str, fields: Mapping[str, object], extra: Mapping[str, object]) -> str:
        said = {**extra, "event": event, **fields, "connId": self._connection}
        return json.dumps(said, separators=(",", ":"))


class Okx(Venue):
    """OKX spot over the simulated market.

    A subscriber's book carries the `seqId` of the last message sent; a change that shows in no window sends
    none.
    """

    sockets = re.compile(r"/ws/v5/public/?")
    ping_s = math.inf  # it is the client who pings, in text
    pong_timeout_s = math.inf

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._pairs = OkxPair.all_of(exchange)
        self._windows = {symbol: Window(self._pairs[symbol], exchange.book(symbol)) for symbol in self._pairs}
        self._due = Schedule[str]()
        self._glance_ns = 0
        self._rest = OkxRest(exchange, self.symbol_of, lambda symbol: self._windows[symbol].next_id)

    def rest_symbol(self, request: RestRequest) -> str | None:
        """Return the canonical symbol a request is about: of a pair, or of a perpetual on it."""
        return self.symbol_of.get(request.query.get("instId", "").removesuffix("-SWAP"))

    def connect(self, path: str, query: Mapping[str, str], now_ns: int) -> tuple[Session, list[str]]:
        """Open a session; the venue says nothing first."""
        del path, query, now_ns  # one path, no parameters, no greeting
        self._connections += 1
        return OkxSession(self, self._connections), []

    def publish(self, change: BookChange) -> list[Update | Notice]:
        """Collect levels for the next batch; trades go out at once, one message each."""
        pair = self._pairs[change.symbol]
        if f"books:{pair.name}" in self.subscribers:
            self._windows[change.symbol].touch(change)
            self._wait(change.symbol)
        topic = f"trades:{pair.name}"
        if topic not in self.subscribers:
            return []
        return [
            Notice(change.symbol, topic, _trade_message(pair, trade, change.update_id))
            for trade in change.prints
        ]

    def flush(self, now_ns: int, *, force: bool = False) -> list[Update | Notice]:
        """Return the batches and keep-alives that are due."""
        out: list[Update | Notice] = []
        for symbol in self._looked_at(now_ns, force=force):
            if f"books:{self._pairs[symbol].name}" in self.subscribers:
                frame = self._windows[symbol].update(now_ns, force=force)
                if frame is not None:
                    out.append(Update(symbol, (frame,)))
                self._wait(symbol)
        return out

    @property
    def due_ns(self) -> int:
        """When a message is due, or all are looked at."""
        return min(self._due.due_ns, self._glance_ns)

    def _looked_at(self, now_ns: int, *, force: bool) -> Iterable[str]:
        """Return whose windows may have a message: what is due, and each second all, to keep them alive."""
        due = self._due.take(now_ns)
        if not force and now_ns < self._glance_ns:
            return due
        self._glance_ns = now_ns + NS_PER_S
        return self._windows

    def _wait(self, symbol: str) -> None:
        if (due_ns := self._windows[symbol].due_ns) is not None:
            self._due.add(symbol, due_ns)

    def sequence(self, symbol: str) -> int:
        """Return the `seqId` of a subscriber's book; without one, that of a snapshot taken now."""
        window = self._windows[symbol]
        subscribed = f"books:{self._pairs[symbol].name}" in self.subscribers
        return window.seq_id if subscribed else window.next_id

    def watch(self, name: str, now_ns: int) -> str:
        """Return the snapshot for a session that is about to subscribe to a pair's book."""
        window = self._windows[self.symbol_of[name]]
        if f"books:{name}" not in self.subscribers:
            window.load(now_ns)
        return window.snapshot(now_ns).text()


def _trade_message(pair: OkxPair, trade: Print, seq_id: int) -> str:
    return (
        f'{{"arg":{{"channel":"trades","instId":"{pair.name}"}},"data":[{{"instId":"{pair.name}",'
        f'"tradeId":"{trade.trade_id}","px":"{plain(pair.price.text(trade.tick))}",'
        f'"sz":"{plain(pair.size.text(trade.lots))}","side":"{trade.taker}",'
        f'"ts":"{trade.ts_ns // NS_PER_MS}",'
        f'"count":"1","source":"0","seqId":{seq_id}}}]}}'
    )
