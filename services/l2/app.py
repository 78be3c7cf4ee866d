"""The l2 shell: sockets, REST, clock and Kafka around `handle`.

Everything `handle` returns for topics is posted in its order, so a reader never sees a keyframe before the
delta it contains. When Kafka is slow the publisher fills, then the sockets are no longer read, and the
exchanges feel it; nothing is dropped here.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Final

from libs.common.events import BookHealth, Event, ServiceState, Subscribed
from libs.common.kafka import create_topics, read
from libs.common.kafka_lanes import StreamPublisher
from libs.common.metrics import create_registry, serve
from libs.common.proxies import Proxies
from libs.common.status import Condition, heartbeat
from libs.common.time_units import MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.common.topics import (
    DEAD_LETTERS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_SUBSCRIPTIONS,
    SERVICES_STATUS,
    book_key,
)
from libs.common.wall_clock import WallClock
from services.l2.connection import fetch, open_http, run_socket
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle, stop
from services.l2.messages import (
    ClockSet,
    CloseSocket,
    DeadLetter,
    Effect,
    FalseStamp,
    Fetch,
    Forget,
    FrameReceived,
    MessageIgnored,
    NoFeed,
    OpenSocket,
    RenewalFailed,
    Renewed,
    TermsChanged,
    TermsUnknown,
    Tick,
    TradesMissing,
)
from services.l2.monitoring import Flow, Recoveries, families
from services.l2.ownership import SESSION_MS, Ownership
from services.l2.policy import Policy
from services.l2.posting import PUBLISHED, posted
from services.l2.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from libs.common.events import InstrumentTerms
    from libs.common.metrics import Family
    from services.l2.messages import L2Message, Output
    from services.l2.settings import L2Settings

log = logging.getLogger(__name__)

TICK_S: Final = 0.025
PULSE_S: Final = 0.1
STALL_S: Final = 0.8 * SESSION_MS / 1000
SIDES: Final = {"LIVE", "ONE_SIDED"}
TURNS: Final = (MINUTE_NS, 4)  # logged within a minute, ns
MAX_QUEUED: Final = 20_000  # records waiting for Kafka; beyond, the sockets wait too
USED: Final = (*PUBLISHED, L2_SUBSCRIPTIONS, DEAD_LETTERS, SERVICES_STATUS)


class StalledError(Exception):
    """The process did not run for so long that it must not go on as if it had."""


class App:
    """One l2 process."""

    def __init__(self, settings: L2Settings) -> None:
        self.settings = settings
        self.state = State(FEEDS, settings.bases, policy_of(settings))
        self.frames = 0
        self._recoveries = Recoveries()
        self._alive = time.monotonic()
        self._clock = WallClock()
        self._proxies = Proxies.of_environment()
        self._sockets: dict[tuple[str, int], asyncio.Task[None]] = {}  # by book and connection
        self._requests: set[asyncio.Task[None]] = set()
        self._last_state: dict[str, str] = {}
        self._turns: dict[str, Seldom] = {}  # by book, between LIVE and ONE_SIDED
        self._all_live = False  # whether that was said
        self._stopping = False

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; any failure of Kafka or of an invariant ends the process."""
        await create_topics(self.settings, USED)
        async with AsyncExitStack() as stack:
            gather_s = self.settings.gather_ms / 1000
            publisher = StreamPublisher(self.settings, PUBLISHED, MAX_QUEUED, gather_s=gather_s)
            self._publisher = await stack.enter_async_context(publisher)
            self._ownership = Ownership(self.settings, self._publisher, self.report)
            registry = create_registry(self._families)
            instance = self.settings.instance or f"l2-{os.getpid()}"
            await stack.enter_async_context(serve(registry, self.settings, instance))
            self._http = await stack.enter_async_context(open_http(self._proxies))
            beating = heartbeat(self.settings, "l2", self.state.policy.owner, self.condition)
            await stack.enter_async_context(beating)
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            self._alive = time.monotonic()
            async with asyncio.TaskGroup() as self._tasks:
                serving = [
                    self._tasks.create_task(coroutine)
                    for coroutine in (self._pulse(), self._tick(), self._own(), self._publisher.watch())
                ]
                books = len(self.settings.books())
                log.info("l2_started", extra={"feed": self.settings.feed, "books": books})
                await stop.wait()
                self._stop(serving)

    def condition(self) -> Condition:
        """Return what the process is ready for."""
        if self._ownership.rebalances == 0:
            return Condition(ServiceState.STARTING, detail="joining its group")
        return Condition(ServiceState.READY, self._ownership.partitions)

    async def report(self, message: L2Message) -> None:
        """Give the core a message, do what it says, and wait while Kafka is behind.

        Raises
        ------
        StalledError
            If this process stood still for most of its session: its books may have another owner, so nothing
            more may be published.
        """
        if self._stopping:
            return  # books that an assignment still brings are the next owner's: no socket may open for them
        self._check_stall()
        self.frames += isinstance(message, FrameReceived)
        now = self._clock.read()
        if stepped_ns := self._clock.stepped_ns():
            log.warning("clock_stepped", extra={"seconds": stepped_ns / NS_PER_S})
            self._perform(handle(self.state, ClockSet(stepped_ns), now), now)
            self._ownership.recall()
        self._perform(handle(self.state, message, now), now)
        if self._publisher.full:
            await self._publisher.room()

    def _perform(self, outputs: list[Output], now: int) -> None:
        for output in outputs:
            if isinstance(output, Effect):
                self._act(output, now)
            else:
                self._post(output, now)

    def _post(self, event: Event, now: int) -> None:
        if isinstance(event, BookHealth):
            self._log_change(event)
            self._recoveries.saw(event, now)
        topics, key, ts = posted(event, now)
        for topic in topics:
            self._publisher.post(topic, key, event, ts)

    def _act(self, effect: Effect, now: int) -> None:
        match effect:
            case OpenSocket(key=key, connection=connection):
                socket = run_socket(effect, self.report, self.settings.max_frame_bytes, self._proxies)
                self._sockets[key, connection] = task = self._tasks.create_task(socket)
                task.add_done_callback(lambda ended: self._forget_socket(key, connection, ended))
            case CloseSocket(key=key, connection=connection):
                if socket_task := self._sockets.pop((key, connection), None):
                    socket_task.cancel()
            case Fetch():
                self._spawn(fetch(effect, self.report, self._http))
            case DeadLetter(key=key, reason=reason):
                log.warning("bad_frame", extra={"book": key, "reason": reason, "bytes": len(effect.raw)})
                self._publisher.post_dead_letter(key.encode(), effect.raw, reason, "l2", now)
            case Forget(key=key):
                for topic in (L2_BOOK_TOPS, L2_BOOK_HEALTH):
                    self._publisher.post(topic, key.encode(), None, now)
            case _:
                self._say(effect)

    def _forget_socket(self, key: str, connection: int, ended: asyncio.Task[None]) -> None:
        if self._sockets.get((key, connection)) is ended:  # else a book that is wanted again has another
            del self._sockets[key, connection]

    def _say(self, effect: Effect) -> None:
        match effect:
            case TradesMissing(key=key):
                facts = {"book": key, "before": effect.before, "missing": effect.missing}
                log.warning("trades_missing", extra=facts)
            case Renewed(key=key):
                log.info("book_renewed", extra={"book": key, "why": effect.why})
            case RenewalFailed(key=key):
                facts = {"book": key, "why": effect.why, "reason": effect.reason}
                log.warning("renewal_failed", extra=facts)
            case TermsUnknown(key=key):
                facts = {"book": key, "reason": effect.reason, "right": "those before hold, else the table's"}
                log.info("terms_unknown", extra={**facts, "routine": True})
            case TermsChanged(key=key):
                facts = {"book": key, "before": written(effect.before), "after": written(effect.after)}
                log.warning("terms_changed", extra=facts)
            case FalseStamp(key=key):
                log.warning("false_stamp", extra={"book": key, "stamp": effect.stamp})
            case MessageIgnored(key=key):
                log.info("message_ignored", extra={"book": key, "what": effect.what})
            case NoFeed(key=key):
                log.error("no_feed", extra={"book": key, "feeds": ", ".join(self.state.feeds)})
            case _:
                raise AssertionError(f"no one performs {effect}")

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self._tasks.create_task(coroutine)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _tick(self) -> None:
        gc.collect()
        gc.freeze()  # what lives for ever need not be looked at again
        while True:
            await asyncio.sleep(TICK_S)
            if not self._publisher.full:  # else frames wait in the sockets, and a book would seem silent
                await self.report(Tick())

    async def _own(self) -> None:
        """Bring the configured subscriptions to the topic, then keep the books that the group gives us."""
        await self._reconcile()
        await self._ownership.run()

    def _families(self) -> Iterable[Family]:
        now, publisher = time.time_ns(), self._publisher
        flow = Flow(
            clock_steps=self._clock.steps,
            frames=self.frames,
            queued=publisher.waiting,
            published=publisher.acked,
            lag_ns=publisher.lag_ns(now),
            left_out=self._ownership.left_out,
            too_large=publisher.too_large,
        )
        return families(self.state, flow, self._recoveries, now)

    async def _reconcile(self) -> None:
        """Bring the subscriptions made by settings to what the settings say now; requests stay."""
        wanted: dict[bytes, Subscribed] = {}
        topics = [L2_SUBSCRIPTIONS]
        batches = read(self.settings, topics, on_undecodable=self._publisher.reject, stop_at_end=True)
        async with aclosing(batches):
            async for records in batches:
                for record in records:
                    if isinstance(record.event, Subscribed):
                        wanted[record.key] = record.event
                    else:
                        wanted.pop(record.key, None)
        now = time.time_ns()
        configured = {book_key(*book): book for book in self.settings.books()}
        for key, subscribed in wanted.items():
            if subscribed.source == "settings" and key not in configured:
                await self._publisher.send(L2_SUBSCRIPTIONS, key, None, now)
                self._act(Forget(key.decode("utf-8", "replace")), now)
        for key, (venue, symbol) in configured.items():
            if key not in wanted:
                wish = Subscribed(venue=venue, symbol=symbol, requested_ts=now, source="settings")
                await self._publisher.send(L2_SUBSCRIPTIONS, key, wish, now)
        await self._publisher.flush()

    async def _pulse(self) -> None:
        """Notice when this process stood still for so long that others may own its books."""
        while True:
            self._check_stall()  # or this task would be the first to run again, and hide it
            self._alive = time.monotonic()
            await asyncio.sleep(PULSE_S)

    def _check_stall(self) -> None:
        stalled = time.monotonic() - self._alive
        if stalled > STALL_S:
            raise StalledError(f"stood still for {stalled:.1f} s; the books may have another owner")

    def _stop(self, serving: list[asyncio.Task[None]]) -> None:
        """Say of every book that its feed ended; the publisher's context waits until Kafka has it."""
        log.info("l2_stopping")
        self._stopping = True
        self._check_stall()
        now = time.time_ns()
        self._perform(stop(self.state, "l2 is stopping", now), now)
        for task in (*self._sockets.values(), *self._requests, *serving):
            task.cancel()

    def _log_change(self, health: BookHealth) -> None:
        key = f"{health.venue}:{health.symbol}"
        before = self._last_state.get(key)
        self._last_state[key] = health.state
        if health.state == before or (before is None and health.state == "DISCONNECTED"):
            return  # a book that was never connected is no news
        if {before, health.state} == SIDES and not self._turns.setdefault(key, Seldom(*TURNS)).due(health.ts):
            return  # a thin market may lose and regain its side with every message
        calm = self._stopping or health.state in {"LIVE", "SYNCING"}
        level = logging.INFO if calm else logging.WARNING
        event = f"book_{health.state.lower()}"
        facts = {
            "venue": health.venue,
            "symbol": health.symbol,
            "epoch": health.epoch,
            "reason": health.reason,
            # A book that falls and recovers is news; that each comes at the start and goes at the end is not.
            "routine": self._stopping or not (self._all_live or health.state == "REFUSED"),
        }
        log.log(level, event, extra=facts)
        states = list(self._last_state.values())
        served = [state for state in states if state != "REFUSED"]
        if not self._all_live and len(states) >= len(self.state.sessions) and set(served) == {"LIVE"}:
            self._all_live = True
            log.info("all_books_live", extra={"books": len(served), "refused": len(states) - len(served)})


def written(terms: InstrumentTerms) -> str:
    """Return terms as a line of the log has them."""
    least = f"at least {terms.min_qty:f} and worth {terms.min_notional:f}"
    return f"tick {terms.tick:f}, lot {terms.lot:f}, {least}"


def policy_of(settings: L2Settings) -> Policy:
    """Return the settings of the core, in its units."""
    return Policy(
        keyframe_ns=int(settings.keyframe_s * NS_PER_S),
        top_interval_ns=settings.top_interval_ms * NS_PER_MS,
        heartbeat_ns=int(settings.heartbeat_s * NS_PER_S),
        sync_timeout_ns=int(settings.sync_timeout_s * NS_PER_S),
        buffer_messages=settings.buffer_messages,
        backoff_min_ns=int(settings.backoff_min_s * NS_PER_S),
        backoff_max_ns=int(settings.backoff_max_s * NS_PER_S),
        blocked_ns=int(settings.blocked_s * NS_PER_S),
        given_up_ns=int(settings.given_up_s * NS_PER_S),
        history_days=settings.history_days,
        history_minutes=settings.history_minutes,
        asks_instruments=settings.feed_kind != "replay",
        feed=settings.feed_kind,
        owner=settings.instance or f"{socket.gethostname()}-{os.getpid()}",
    )
