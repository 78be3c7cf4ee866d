"""The context shell: sources, clock and Kafka around `judge`; each source is asked by a task of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import ContextSource, ServiceState
from libs.common.kafka import Publisher, create_topics, follow, read
from libs.common.metrics import create_registry, serve
from libs.common.proxies import Proxies
from libs.common.status import Condition, heartbeat
from libs.common.time_units import NS_PER_S
from libs.common.topics import (
    CONTEXT_INPUTS,
    CONTEXT_SOURCES,
    DEAD_LETTERS,
    L2_SUBSCRIPTIONS,
    SERVICES_STATUS,
    input_key,
)
from libs.common.venue_http import VenueHttp
from libs.common.views import View
from services.context import troubles
from services.context.asking import Asker
from services.context.judging import backoff_ns, failing, judge
from services.context.monitoring import families
from services.context.offers import Offers
from services.context.source import is_canonical
from services.context.sources import SOURCES
from services.context.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Never

    from libs.common.events import ContextInput, Subscribed
    from libs.common.metrics import Family
    from services.context.judging import Reply, Verdict
    from services.context.settings import ContextSettings
    from services.context.source import Source

USED: Final = (L2_SUBSCRIPTIONS, CONTEXT_INPUTS, CONTEXT_SOURCES, DEAD_LETTERS, SERVICES_STATUS)
AMENDED_S: Final = 1.0  # between two looks at what others said

log = logging.getLogger(__name__)


class App:
    """One context process."""

    def __init__(self, settings: ContextSettings) -> None:
        self._settings = settings
        self._sources = settings.asked()
        self._inputs = Standing(SOURCES)
        self._offers = Offers([source.name for source in self._sources], self._inputs)
        self._subscriptions: View[Subscribed] = View(L2_SUBSCRIPTIONS)
        self._symbols: frozenset[str] = frozenset()  # of which some book is wanted
        self._ready, self._news = asyncio.Event(), asyncio.Event()  # the symbols are known; there are others
        self._stands: dict[str, ContextSource] = {}  # by source
        self._troubles = troubles.Troubles()

    @property
    def views(self) -> tuple[View[Any], ...]:
        """What it reads and keeps up to date."""
        return (self._subscriptions, self._inputs)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; any failure of Kafka or of an invariant ends the process."""
        settings = self._settings
        await create_topics(settings, USED)
        async with AsyncExitStack() as stack:
            self._publisher = await stack.enter_async_context(Publisher(settings))
            instance = settings.group_instance_id
            registry = create_registry(self._families)
            await stack.enter_async_context(serve(registry, settings, settings.process_of("context")))
            http = await stack.enter_async_context(VenueHttp(Proxies.of_environment()))
            await stack.enter_async_context(heartbeat(settings, "context", instance, self._condition))
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            await self._end_others()
            async with asyncio.TaskGroup() as tasks:
                coroutines = (self._follow(), self._publisher.watch(), self._amend())
                serving = [
                    tasks.create_task(each) for each in (*coroutines, *map(self._serve, self._askers(http)))
                ]
                names = ", ".join(source.name for source in self._sources)
                log.info("context_started", extra={"sources": names, "routine": True})
                await stop.wait()
                for task in serving:
                    task.cancel()
            for name in self._stands:
                await self._publisher.send(CONTEXT_SOURCES, name.encode(), None, time.time_ns())

    def _askers(self, http: VenueHttp) -> Iterable[tuple[Source, Asker]]:
        settings = self._settings
        for source in self._sources:
            yield (
                source,
                Asker(
                    source,
                    http,
                    settings.base(source),
                    timeout_s=settings.timeout_s,
                    most_bytes=settings.max_bytes,
                ),
            )

    def _condition(self) -> Condition:
        if not self._ready.is_set():
            behind = ", ".join(view.topic.name for view in self.views if not view.ready)
            return Condition(ServiceState.STARTING, detail=f"reading {behind}")
        poor = (f"{name} {each.state.value}" for name, each in self._stands.items() if each.reason)
        return Condition(ServiceState.READY, detail=", ".join(poor))

    def _families(self) -> Iterable[Family]:
        return families(tuple(self._stands.values()))

    async def _end_others(self) -> None:
        """End what an earlier process said of sources that this one does not ask."""
        told: set[bytes] = set()
        batches = read(
            self._settings, [CONTEXT_SOURCES], on_undecodable=self._publisher.reject, stop_at_end=True
        )
        async with aclosing(batches):
            async for records in batches:
                for record in records:
                    told = told - {record.key} if record.event is None else told | {record.key}
        for key in sorted(told - {source.name.encode() for source in self._sources}):
            await self._publisher.send(CONTEXT_SOURCES, key, None, time.time_ns())

    async def _follow(self) -> None:
        async with aclosing(
            follow(self._settings, self.views, on_undecodable=self._publisher.reject)
        ) as batches:
            async for _ in batches:
                if not all(view.ready for view in self.views):
                    continue
                wanted = {each.symbol for each in self._subscriptions.items.values()}
                symbols = frozenset(each for each in wanted if is_canonical(each))
                if symbols != self._symbols:
                    self._symbols = symbols
                    self._news.set()
                    self._news = asyncio.Event()
                self._ready.set()

    async def _amend(self) -> Never:
        """Leave the word to others where they say something, and take it again where they say no more."""
        await self._ready.wait()
        while True:
            await asyncio.sleep(AMENDED_S)
            await self._publish(self._offers.amend(now := time.time_ns()), now)

    async def _publish(self, inputs: Iterable[ContextInput], now: int) -> None:
        for each in inputs:
            await self._publisher.send(CONTEXT_INPUTS, input_key(each.symbol, each.name), each, now)

    async def _serve(self, asked: tuple[Source, Asker]) -> None:
        """Poll one source for ever: at its period, sooner where other symbols are wanted."""
        source, asker = asked
        failures = 0
        await self._ready.wait()
        while True:
            symbols, news = self._symbols, self._news
            verdict = await self.poll(source, asker, symbols, failures)
            failures = failures + 1 if verdict.failed else 0
            if verdict.failed:
                asker.forget()
            await self._tell(source, asker, verdict, failures)
            pause_s = verdict.pause_ns / NS_PER_S
            if verdict.failed:
                await asyncio.sleep(pause_s)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), pause_s)

    async def poll(self, source: Source, asker: Asker, symbols: frozenset[str], failures: int) -> Verdict:
        """Ask a source once, and judge what it answers; a defect of its code is its own failure."""
        began_ns = time.monotonic_ns()
        replies: dict[str, Reply] = await asker.ask(symbols)
        took_ns = time.monotonic_ns() - began_ns
        try:
            return judge(source, replies, symbols, self._settings.pace, failures, took_ns, time.time_ns())
        except Exception as error:  # a defect of one source's code stops no other
            log.exception("source_defect", extra={"source": source.name})
            reason = f"its answer met a defect in this program: {type(error).__name__}"
            return failing(reason, backoff_ns(source.name, failures, self._settings.pace))

    async def _tell(self, source: Source, asker: Asker, verdict: Verdict, failures: int) -> None:
        """Publish what the source gives where it is preferred, and how it stands."""
        now = time.time_ns()
        await self._publish(self._offers.renew(source.name, verdict.inputs, now), now)
        before = self._stands.get(source.name)
        self._stands[source.name] = stands = ContextSource(
            source=source.name,
            names=source.names,
            state=verdict.state,
            reason=verdict.reason,
            inputs=len(verdict.inputs),
            requests=asker.requests,
            failures=(0 if before is None else before.failures) + verdict.failed,
            answered_ts=now if not verdict.failed else None if before is None else before.answered_ts,
            next_ts=now + verdict.pause_ns,
            ts=now,
        )
        await self._publisher.send(CONTEXT_SOURCES, source.name.encode(), stands, now)
        self._log(stands, failures)

    def _log(self, stands: ContextSource, failures: int) -> None:
        facts = {"source": stands.source, "state": stands.state.value, "reason": stands.reason}
        match self._troubles.line(stands, failures):
            case troubles.TROUBLED:
                log.warning(troubles.TROUBLED, extra=facts)
            case troubles.RECOVERED:
                log.info(troubles.RECOVERED, extra=facts)
