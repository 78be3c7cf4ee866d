"""The shell of the host of policies: files, processes, clock and Kafka around `Hosting` and `Registrar`.

One task per running policy speaks with its process; whatever that process does ends in the core as a signal
or a quarantine. What the core says is sent in its order by one task.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import PolicyRegistered, PolicySignalled, ServiceState
from libs.common.kafka import Publisher, by_pace, create_topics, follow, partition_of
from libs.common.market_views import MarketViews
from libs.common.metrics import create_registry, serve
from libs.common.settings import PermanentError
from libs.common.status import Condition, heartbeat
from libs.common.told import EXTERNAL
from libs.common.topics import DEAD_LETTERS, POLICIES_REGISTRY, POLICIES_SIGNALS, SERVICES_STATUS, signal_key
from libs.common.views import BoundedView, View
from libs.policies.loading import UnreadableSourceError
from libs.policies.process import BrokenPolicyError
from libs.policies.sandbox import Sandbox
from services.policies.effects import Ask, Deregister, End, Register, Say, Start, Tell
from services.policies.folder import Sources
from services.policies.hosting import Hosting
from services.policies.monitoring import Counts, families
from services.policies.registrar import Registrar
from services.policies.sights import Sights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Never

    from libs.common.events import Event
    from libs.common.market_views import Newness
    from libs.common.metrics import Family
    from libs.common.topics import Topic
    from services.policies.effects import Effect
    from services.policies.settings import PoliciesSettings

SCAN_S: Final = 1.0  # between two looks at the files
TURN_S: Final = 0.05  # between two looks at what is due
IDLE_S: Final = 0.25  # the same without a policy
LOOK_S: Final = 0.5  # between two looks at signals from outside

_log = logging.getLogger(__name__)


class App:
    """One process that hosts policies."""

    def __init__(self, settings: PoliciesSettings) -> None:
        self.settings = settings
        self.hosting = Hosting(settings.rules())
        self.counts = Counts()
        self._registrar = Registrar(settings.external_rules())
        self._markets = MarketViews(settings.reference_venue, settings.minutes, settings.days)
        self._registry: View[PolicyRegistered] = View(POLICIES_REGISTRY)
        self._signals: View[PolicySignalled] = BoundedView(POLICIES_SIGNALS)
        self._sources = Sources(Path(settings.dir) if settings.dir else None, time.monotonic_ns)
        self._lives: dict[int, asyncio.Task[None]] = {}
        self._asks: dict[int, asyncio.Queue[str]] = {}
        self._outbox: asyncio.Queue[tuple[Topic, bytes, Event | None, int]] = asyncio.Queue()
        self._news: Mapping[str, Newness] = {}
        self._sights = Sights(self._markets, lambda key: partition_of(key, settings.topic_partitions))
        self._scanned = False
        self._hosts = asyncio.Event()  # some policy: until then nobody needs the market
        self._unreadable = ""

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; any failure of Kafka or of an invariant ends the process.

        Raises
        ------
        PermanentError
            If there is no such folder.
        """
        settings = self.settings
        if settings.dir and not await asyncio.to_thread(Path(settings.dir).is_dir):
            raise PermanentError("POLICIES_DIR names no folder: make it, or leave the setting empty")
        topics = [view.topic for view in self.views]
        await create_topics(settings, [*topics, DEAD_LETTERS, SERVICES_STATUS])
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(Publisher(settings, compress=False))
            self._sandbox = await stack.enter_async_context(Sandbox(memory_mib=settings.memory_mib))
            registry = create_registry(self._families)
            instance = settings.group_instance_id
            await stack.enter_async_context(serve(registry, settings, settings.process_of("policies")))
            beating = heartbeat(settings, "policies", instance, self._condition)
            await stack.enter_async_context(beating)
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            async with asyncio.TaskGroup() as self._tasks:
                serving = [
                    self._tasks.create_task(work)
                    for work in (
                        publisher.watch(),
                        self._watch_sandbox(),
                        self._follow(self._told, publisher),
                        *(
                            self._follow(each, publisher, self._hosts)
                            for each in by_pace(self._markets.views)
                        ),
                        self._serve(),
                    )
                ]
                sending = self._tasks.create_task(self._send(publisher))
                _log.info("policies_started", extra={"host": settings.host, "routine": True})
                await stop.wait()
                await self._stop(serving)
                sending.cancel()

    @property
    def views(self) -> Sequence[View[Any]]:
        """All that it reads."""
        return (*self._told, *self._markets.views)

    @property
    def _told(self) -> Sequence[View[Any]]:
        """The views of what is said of policies."""
        return (self._registry, self._signals)

    @property
    def _market_known(self) -> bool:
        return all(view.ready for view in self._markets.views)

    def _condition(self) -> Condition:
        needed = (*self._told, *(self._markets.views if self._hosts.is_set() else ()))
        behind = [view.topic.name for view in needed if not view.ready]
        if behind:
            return Condition(ServiceState.STARTING, detail=f"reading {', '.join(behind)}")
        if not self._scanned:
            return Condition(ServiceState.STARTING, detail="looking for policies")
        return Condition(ServiceState.READY, detail=self._unreadable)

    def _families(self) -> Iterable[Family]:
        externals = sum(entry.kind == EXTERNAL for entry in self._registry.items.values())
        processes = len(self._sandbox.pids)
        return families(self.counts, self.hosting.phases, processes, self.hosting.quarantines, externals)

    async def _watch_sandbox(self) -> Never:
        await asyncio.shield(self._sandbox.failed)
        raise AssertionError("failed holds exceptions only")

    async def _follow(
        self, views: Sequence[View[Any]], publisher: Publisher, needed: asyncio.Event | None = None
    ) -> None:
        if needed is not None:
            await needed.wait()
        async with aclosing(follow(self.settings, views, on_undecodable=publisher.reject)) as batches:
            async for _ in batches:
                pass

    async def _serve(self) -> Never:
        """Once the topics are read, follow the files, the signals from outside, and the market."""
        scan_s = look_s = progress = 0.0
        while True:
            await asyncio.sleep(TURN_S if self._hosts.is_set() else IDLE_S)
            if not all(view.ready for view in self._told):
                continue
            now_s = time.monotonic()
            if now_s >= scan_s:
                scan_s = now_s + SCAN_S
                await self._scan()
            if self.settings.external and now_s >= look_s:
                look_s = now_s + LOOK_S
                told = self._registrar.look(self._registry.items, self._signals.items, time.time_ns())
                self._perform(told)
            if not self._market_known:
                continue
            if (newest := sum(view.progress for view in self._markets.views)) != progress:
                progress = newest
                self._news = self._markets.news()
            self._perform(self.hosting.due(self._news, time.time_ns()))

    async def _scan(self) -> None:
        """Follow the files; while the folder cannot be read, what is hosted stays."""
        try:
            found = await asyncio.to_thread(self._sources.look)
        except UnreadableSourceError as error:
            if not self._unreadable:
                _log.warning("folder_unreadable", extra={"reason": str(error)})
            self._unreadable = str(error)
            return
        self._unreadable = ""
        now = time.time_ns()
        self._perform(self.hosting.files(found, self._registry.items, self._signals.items, now))
        self._scanned = True
        if self.hosting.phases:
            self._hosts.set()

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Register() | Deregister() | Tell():
                    self._publish(effect)
                case Start(policy_id=policy_id, life=life):
                    self._asks[life] = asyncio.Queue()
                    task = self._lives[life] = self._tasks.create_task(self._live(policy_id, life))
                    task.add_done_callback(partial(self._forget, life))
                case End(life=life):
                    if (running := self._lives.get(life)) is not None:
                        running.cancel()
                case Ask(life=life, symbol=symbol):
                    self._asks[life].put_nowait(symbol)
                case Say(event=event, facts=facts):
                    _log.warning(event, extra=dict(facts))

    def _publish(self, effect: Register | Deregister | Tell) -> None:
        match effect:
            case Register(entry=entry):
                self._post(POLICIES_REGISTRY, entry.policy_id.encode(), entry)
            case Deregister(policy_id=policy_id, signals=keys):
                for key in keys:
                    self._post(POLICIES_SIGNALS, key, None)
                self._post(POLICIES_REGISTRY, policy_id.encode(), None)
            case Tell(signal=told):
                self.counts.signals += 1
                self._post(POLICIES_SIGNALS, signal_key(told.policy_id, told.symbol), told)

    def _post(self, topic: Topic, key: bytes, event: Event | None) -> None:
        self._outbox.put_nowait((topic, key, event, time.time_ns()))

    async def _send(self, publisher: Publisher) -> Never:
        """Send in order; the end of an entry only when the ends of its signals are on the log.

        Else a host that is killed in between would leave signals that nobody knows to delete.
        """
        while True:
            topic, key, event, ts = await self._outbox.get()
            if event is None and topic is POLICIES_REGISTRY:
                await publisher.flush()
            await publisher.send(topic, key, event, ts)
            self._outbox.task_done()

    def _forget(self, life: int, _ended: asyncio.Task[None]) -> None:
        del self._lives[life], self._asks[life]

    async def _live(self, policy_id: str, life: int) -> None:
        """Run a policy in a process of its own until it breaks its contract, or is ended."""
        entry = self.hosting.entry(policy_id)
        source = None if entry is None else self._sources.source(policy_id, entry.version)
        if source is None:
            return  # it was changed just now, and the next look at the files finds it
        process = await self._sandbox.start(source.path.parent)
        try:
            said = await process.load(source, self.settings.start_s)
            self._perform(self.hosting.loaded(life, said))
            asks = self._asks[life]
            process.broken.add_done_callback(lambda _: asks.put_nowait(""))
            while symbol := await asks.get():
                sight, begun_s = self._sights.of(symbol, time.time_ns()), time.perf_counter()
                value, reason = await process.evaluate(sight.market, self.settings.deadline_s)
                self.counts.evaluated(policy_id, time.perf_counter() - begun_s)
                self._perform(self.hosting.answered(life, symbol, value, reason, sight.as_of))
            self._perform(self.hosting.broke(life, process.broken.result(), time.time_ns()))
        except BrokenPolicyError as error:
            self._perform(self.hosting.broke(life, error.fault, time.time_ns()))
        finally:
            await process.end()

    async def _stop(self, serving: Sequence[asyncio.Task[Any]]) -> None:
        """End all policies; unless they stay registered, delete what was said of them."""
        for task in serving:
            task.cancel()
        if not self.settings.keep:
            now = time.time_ns()
            self._perform(self.hosting.files({}, self._registry.items, self._signals.items, now))
        lives = list(self._lives.values())
        for task in lives:
            task.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        await self._outbox.join()
