"""The l2 shell: sockets, REST, clock and Kafka around `handle`.

Everything `handle` returns for topics goes through one queue in its order, so a reader never sees a keyframe
before the delta it contains. When Kafka is slow the queue fills, then the sockets are no longer read, and the
exchanges feel it; nothing is dropped here.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections import deque
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Final

import aiohttp

from libs.common.events import BookDelta, BookHealth, BookSnapshot, BookTop, Candle, Event, Subscribed, Trade
from libs.common.kafka import Publisher, create_topics, follow
from libs.common.metrics import create_registry, serve
from libs.common.topics import (
    L2_BOOK_DELTAS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    L2_SUBSCRIPTIONS,
    L2_TRADES,
    Topic,
    book_key,
)
from libs.common.views import View
from services.l2.connection import fetch, run_socket
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookUnwanted,
    BookWanted,
    CloseSocket,
    DeadLetter,
    Effect,
    Fetch,
    Forget,
    OpenSocket,
    SocketClosed,
    Tick,
)
from services.l2.monitoring import families
from services.l2.session import Policy

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from libs.common.kafka import Record
    from services.l2.messages import L2Message, Output
    from services.l2.settings import L2Settings

log = logging.getLogger(__name__)

TICK_S: Final = 0.025
MAX_QUEUED: Final = 20_000  # outputs waiting for Kafka; beyond, the sockets wait too
TOPIC_OF: Final[dict[type[Event], Topic]] = {
    BookSnapshot: L2_BOOK_DELTAS,
    BookDelta: L2_BOOK_DELTAS,
    BookTop: L2_BOOK_TOPS,
    BookHealth: L2_BOOK_HEALTH,
    Trade: L2_TRADES,
    Candle: L2_CANDLES,
}


class App:
    """One l2 process."""

    def __init__(self, settings: L2Settings) -> None:
        self.settings = settings
        self.state = State(FEEDS, settings.bases, policy_of(settings))
        self.queue: deque[Event | DeadLetter | Forget] = deque()
        self.frames = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._sockets: dict[str, asyncio.Task[None]] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._last_state: dict[str, str] = {}

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; any failure of Kafka or of an invariant ends the process."""
        await create_topics(self.settings)
        async with AsyncExitStack() as stack:
            registry = create_registry(lambda: families(self.state, self.frames, len(self.queue)))
            metrics = serve(registry, host=self.settings.metrics_host, port=self.settings.l2_metrics_port)
            await stack.enter_async_context(metrics)
            self._http = await stack.enter_async_context(aiohttp.ClientSession())
            self._publisher = await stack.enter_async_context(Publisher(self.settings, compress=True))
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            async with asyncio.TaskGroup() as self._tasks:
                serving = [
                    self._tasks.create_task(coroutine)
                    for coroutine in (
                        self._publish(),
                        self._tick(),
                        self._subscriptions(),
                        self._publisher.watch(),
                    )
                ]
                log.info("l2_started", extra={"feed": self.settings.feed, "books": self.settings.l2_books})
                await stop.wait()
                await self._stop(serving)

    async def report(self, message: L2Message) -> None:
        """Give the core a message, do what it says, and wait while Kafka is behind."""
        self._perform(handle(self.state, message, time.time_ns()))
        if len(self.queue) > MAX_QUEUED:
            self._room.clear()
            await self._room.wait()

    def _perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Effect):
                self._act(output)
            else:
                if isinstance(output, BookHealth):
                    self._log_change(output)
                self.queue.append(output)
        if self.queue:
            self._emptied.clear()
            self._filled.set()

    def _act(self, effect: Effect) -> None:
        match effect:
            case OpenSocket(key=key):
                socket = run_socket(effect, self._report_frame, self.settings.l2_max_frame_bytes)
                self._sockets[key] = self._tasks.create_task(socket)
            case CloseSocket(key=key):
                if socket_task := self._sockets.pop(key, None):
                    socket_task.cancel()
            case Fetch():
                self._spawn(fetch(effect, self.report, self._http))
            case DeadLetter(key=key, reason=reason):
                log.warning("bad_frame", extra={"book": key, "reason": reason, "bytes": len(effect.raw)})
                self.queue.append(effect)
            case Forget():
                self.queue.append(effect)
            case _:
                raise AssertionError(f"no one performs {effect}")

    async def _report_frame(self, message: L2Message) -> None:
        self.frames += 1
        await self.report(message)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self._tasks.create_task(coroutine)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _publish(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self.queue:
                await self._send(self.queue.popleft())
                if len(self.queue) < MAX_QUEUED // 2:
                    self._room.set()
            self._emptied.set()

    async def _send(self, item: Event | DeadLetter | Forget) -> None:
        match item:
            case BookDelta() | BookTop() | BookSnapshot() | Trade():
                key = book_key(item.venue, item.symbol)
                await self._publisher.send(TOPIC_OF[type(item)], key, item, item.received_ts)
            case BookHealth():
                await self._publisher.send(L2_BOOK_HEALTH, book_key(item.venue, item.symbol), item, item.ts)
            case Candle():
                key = book_key(item.venue, item.symbol)
                await self._publisher.send(L2_CANDLES, key, item, time.time_ns())
            case DeadLetter():
                await self._publisher.dead_letter(item.key.encode(), item.raw, item.reason, "l2")
            case Forget():
                for topic in (L2_BOOK_TOPS, L2_BOOK_HEALTH):
                    await self._publisher.send(topic, item.key.encode(), None, time.time_ns())
            case _:
                raise AssertionError(f"no topic for {item}")

    async def _tick(self) -> None:
        gc.collect()
        gc.freeze()  # what lives for ever need not be looked at again
        while True:
            await asyncio.sleep(TICK_S)
            await self.report(Tick())

    async def _subscriptions(self) -> None:
        """Keep the books that `l2.subscriptions.v1` names, the configured ones among them."""
        view: View[Subscribed] = View(L2_SUBSCRIPTIONS)
        started = False
        async with aclosing(follow(self.settings, [view], on_undecodable=self._publisher.reject)) as batches:
            async for records in batches:
                if started:
                    for record in records:
                        await self._heed(record)
                elif view.ready:
                    started = True
                    await self._reconcile(view)
                    for subscribed in tuple(view.items.values()):
                        await self._want(subscribed)

    async def _reconcile(self, view: View[Subscribed]) -> None:
        """Bring the subscriptions made by settings to what the settings say now; requests stay."""
        now = time.time_ns()
        configured = {book_key(*book): book for book in self.settings.books()}
        for key, subscribed in view.items.items():
            if subscribed.source == "settings" and key not in configured:
                await self._publisher.send(L2_SUBSCRIPTIONS, key, None, now)
        for key, (venue, symbol) in configured.items():
            if key not in view.items:
                wish = Subscribed(venue=venue, symbol=symbol, requested_ts=now, source="settings")
                await self._publisher.send(L2_SUBSCRIPTIONS, key, wish, now)
        await self._publisher.flush()

    async def _heed(self, record: Record) -> None:
        if isinstance(record.event, Subscribed):
            await self._want(record.event)
        elif record.event is None:
            venue, _, symbol = record.key.decode().partition(":")
            await self.report(BookUnwanted(venue, symbol))

    async def _want(self, subscribed: Subscribed) -> None:
        if subscribed.venue not in self.state.feeds:
            log.error("no_feed", extra={"venue": subscribed.venue, "known": ", ".join(self.state.feeds)})
            return
        await self.report(BookWanted(subscribed.venue, subscribed.symbol))

    async def _stop(self, serving: list[asyncio.Task[None]]) -> None:
        """Say of every book that its feed ended, and let what is queued reach Kafka."""
        log.info("l2_stopping")
        for task in (*self._sockets.values(), *self._requests, *serving[1:]):
            task.cancel()
        for session in self.state.sessions.values():
            await self.report(SocketClosed(session.key, session.connection, "l2 is stopping"))
        if self.queue:
            await self._emptied.wait()
        await self._publisher.flush()
        serving[0].cancel()

    def _log_change(self, health: BookHealth) -> None:
        key = f"{health.venue}:{health.symbol}"
        before = self._last_state.get(key)
        self._last_state[key] = health.state
        if health.state == before or (before is None and health.state == "DISCONNECTED"):
            return  # a book that was never connected is no news
        level = logging.INFO if health.state in {"LIVE", "SYNCING"} else logging.WARNING
        event = f"book_{health.state.lower()}"
        facts = {
            "venue": health.venue,
            "symbol": health.symbol,
            "epoch": health.epoch,
            "reason": health.reason,
        }
        log.log(level, event, extra=facts)


def policy_of(settings: L2Settings) -> Policy:
    """Return the settings of the core, in its units."""
    return Policy(
        keyframe_ns=int(settings.l2_keyframe_s * 1e9),
        top_interval_ns=settings.l2_top_interval_ms * 1_000_000,
        heartbeat_ns=int(settings.l2_heartbeat_s * 1e9),
        sync_timeout_ns=int(settings.l2_sync_timeout_s * 1e9),
        buffer_messages=settings.l2_buffer_messages,
        backoff_min_ns=int(settings.l2_backoff_min_s * 1e9),
        backoff_max_ns=int(settings.l2_backoff_max_s * 1e9),
        history_days=settings.l2_history_days,
        history_minutes=settings.l2_history_minutes,
    )
