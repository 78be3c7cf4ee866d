"""The exactly-once shell of stateful services: consume, handle, produce, in one transaction per batch.

Per partition number that the group gives this process, a `PartitionOwner` fences the former owner, restores
the state from the service's compacted state topic, and processes: the records from its position on are
handled, and events, state and position are committed in one transaction. Ticks that are due have a
transaction of their own. The group's offsets, which only watchers of its lag read, follow within a second.

Any `KafkaError`, being fenced included, ends the process: state, outputs and position then come back
together. A command that the handler raises on is refused and kept; any other message that it raises on stops
its partition, after a commit of what came before, until an operator says to leave it out; the others go on.
Group members are static, so that a process restarted within the session is back at once and its peers never
pause.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from broker.terminal import CANNOT_RUN
from libs.common import log, metrics
from libs.common.events import Event, ServiceState
from libs.common.handling import nothing_early
from libs.common.kafka import Publisher, by_pace, create_topics, follow
from libs.common.kafka_security import client_arguments, stop_consumer
from libs.common.membership import static_member
from libs.common.metrics import Family
from libs.common.monitoring import Meter, Unmonitored
from libs.common.partition_owner import RETRY_S, PartitionOwner
from libs.common.status import Condition, heartbeat
from libs.common.topics import DEAD_LETTERS, SERVICES_STATUS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence

    from libs.common.handling import Wiring
    from libs.common.monitoring import Monitor
    from libs.common.settings import ProcessorSettings
    from libs.common.views import View

S = TypeVar("S", bound=Event)
_OnRebalance: TypeAlias = "Callable[[Iterable[TopicPartition]], Coroutine[None, None, None]]"

SESSION_MS: Final = 6_000  # the broker's minimum; a dead member without successor is replaced after it
REBALANCE_MS: Final = 60_000  # a revoked partition may first finish a long computation
HEARTBEAT_MS: Final = 1_000
STOP_S: Final = 10.0
SHOWN: Final = 3  # of what holds the process up
EXIT_FAILED: Final = 3

_log = logging.getLogger(__name__)


class CoPartitionError(Exception):
    """The group gave this process a partition of one input, but not that of another."""


class Processor(Generic[S]):
    """Runs one `Wiring` as a member of its group; after `run` has raised, the process must end.

    Parameters
    ----------
    clock
        The wall clock in ns UTC, read once per transaction and handed to the handler as ``now``.
    monitor
        Hears what was committed.
    """

    def __init__(
        self,
        wiring: Wiring[S],
        settings: ProcessorSettings,
        clock: Callable[[], int] = time.time_ns,
        monitor: Monitor | None = None,
    ) -> None:
        self._wiring = wiring
        self._settings = settings
        self._clock = clock
        self._meter = Meter(wiring, monitor or Unmonitored())
        self._owners: dict[int, tuple[PartitionOwner[S], asyncio.Task[None]]] = {}
        self._stopping = asyncio.Event()
        self._counts: Counter[str] = Counter()  # of owners that are gone
        self._background: list[asyncio.Task[None]] = []
        self._assigned = False  # by the group, at least once

    @property
    def owned(self) -> frozenset[int]:
        """The partition numbers that are restored and worked on."""
        return frozenset(number for number, (owner, _) in self._owners.items() if owner.restored)

    @property
    def stopped_partitions(self) -> Mapping[int, str]:
        """The partition numbers whose handler raised, and at what."""
        return {number: owner.stopped_at for number, (owner, _) in self._owners.items() if owner.stopped_at}

    @property
    def counts(self) -> Counter[str]:
        """What was done since the start: transactions, handled, stale, dead_letters, expired."""
        return sum((owner.counts for owner, _ in self._owners.values()), Counter(self._counts))

    def condition(self) -> Condition:
        """Return what the process is ready for."""
        stopped = self.stopped_partitions
        held = self._held_up()
        owned = tuple(sorted(self.owned - held.keys()))
        behind = [view.topic.name for view in self._wiring.views if not view.ready]
        restoring = [number for number in self._owners if number not in (*owned, *stopped)]
        if stopped or held:
            raised = [f"a handler raised at {at}" for at in stopped.values()]
            stands = tuple(sorted({*stopped, *held}))
            return Condition(ServiceState.DEGRADED, owned, stands, _some([*raised, *held.values()]))
        if behind:
            held_up = [
                f"{view.topic.name} {said}" for view in self._wiring.views for said in view.held_up.values()
            ]
            detail = f"reading {_some([*held_up, *behind])}"
            return Condition(ServiceState.STARTING, owned, detail=detail)
        if not self._assigned:
            return Condition(ServiceState.STARTING, owned, detail="joining its group")
        if restoring:
            return Condition(ServiceState.STARTING, owned, detail=f"restoring {_partitions(restoring)}")
        if lack := self._wiring.lack():
            return Condition(ServiceState.DEGRADED, owned, detail=lack)
        return Condition(ServiceState.READY, owned)

    def _held_up(self) -> dict[int, str]:
        return {number: said for number, (owner, _) in self._owners.items() if (said := owner.held_up())}

    def stop(self) -> None:
        """Ask `run` to finish its transactions and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Process until `stop`.

        Raises
        ------
        ExceptionGroup
            Of what went wrong: `KafkaError`, `StateLostError`.
        """
        if not await self._finished(
            create_topics(self._settings, (*self._wiring.topics, DEAD_LETTERS, SERVICES_STATUS))
        ):
            return
        instance = self._settings.group_instance_id
        async with (
            heartbeat(self._settings, self._wiring.service, instance, self.condition),
            AsyncExitStack() as stack,
            asyncio.TaskGroup() as self._tasks,
        ):
            if self._wiring.views:
                publisher = await stack.enter_async_context(Publisher(self._settings, compress=False))
                ready = asyncio.Event()
                self._in_background(publisher.watch())
                for views in by_pace(self._wiring.views):
                    self._in_background(self._follow_views(views, publisher, ready))
                if await self._finished(ready.wait()):
                    await self._finished(self._announce(publisher))
            if not self._stopping.is_set():
                await self._process()
            await self._end_background()

    async def _process(self) -> None:
        self._consumer = AIOKafkaConsumer(
            **client_arguments(self._settings),
            group_id=self._wiring.service,
            group_instance_id=static_member(
                self._wiring.service,
                self._settings.group_instance_id,
                self._wiring.inputs,
                self._settings.topic_partitions,
            ),
            partition_assignment_strategy=(RangePartitionAssignor,),  # gives equal numbers of all inputs
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=REBALANCE_MS,
        )
        inputs = [topic.name for topic in self._wiring.inputs]
        self._consumer.subscribe(inputs, listener=_Listener(self._own_all, self._release_all))
        await self._consumer.start()
        self._in_background(self._hear_coordinator())
        await self._stopping.wait()
        await self._end_background()
        await self._release_all()
        await stop_consumer(self._consumer)

    async def _end_background(self) -> None:
        left = set(self._background)
        while left:
            for task in left:
                task.cancel()  # repeated: aiokafka swallows one that comes while it closes a connection
            _, left = await asyncio.wait(left, timeout=RETRY_S)
        self._background.clear()

    async def _follow_views(
        self, views: Sequence[View[Any]], publisher: Publisher, ready: asyncio.Event
    ) -> None:
        async with aclosing(follow(self._settings, views, on_undecodable=publisher.reject)) as batches:
            async for _ in batches:
                if self._wiring.early is not nothing_early:
                    for owner, _ in self._owners.values():
                        owner.look()
                if not ready.is_set() and all(view.ready for view in self._wiring.views):
                    ready.set()

    async def _announce(self, publisher: Publisher) -> None:
        """Write what the service says of itself; a process that starts beside another repeats it."""
        for said in self._wiring.announce():
            await publisher.send_and_wait(said.topic, said.key, said.event, self._clock())

    async def _hear_coordinator(self) -> None:
        """Raise what the group's coordinator has to say, also while this process owns no partition.

        Asks for records of no partition: a call for all would take, and lose, those meant for the owners.
        """
        told: frozenset[int] = frozenset()
        while True:
            await self._consumer.getmany(TopicPartition("", 0), timeout_ms=HEARTBEAT_MS)
            if len(self._owners) == len(self.owned) and self.owned != told:
                told = self.owned
                _log.info("partitions_owned", extra={"partitions": len(told)})

    async def _own_all(self, assigned: Iterable[TopicPartition]) -> None:
        topics: dict[int, set[str]] = {}
        for partition in assigned:
            topics.setdefault(partition.partition, set()).add(partition.topic)
        for number, names in sorted(topics.items()):
            if len(names) < len(self._wiring.inputs):
                self._start(_raise(CoPartitionError(f"partition {number} came with {sorted(names)} only")))
                return
            owner = PartitionOwner(
                self._wiring, self._settings, number, self._consumer, self._clock, self._meter
            )
            self._owners[number] = (owner, self._start(owner.own(self._settings.batch_records)))
        self._assigned = True

    async def _release_all(self, _revoked: Iterable[TopicPartition] = ()) -> None:
        owners, self._owners = self._owners, {}
        for owner, _ in owners.values():
            self._counts += owner.counts
        releases = [self._start(owner.release(task)) for owner, task in owners.values()]
        if releases:  # as tasks: aiokafka logs and drops what a listener raises, the task group does not
            await asyncio.wait(releases)

    async def _finished(self, work: Coroutine[None, None, object]) -> bool:
        """Await `work`, or give it up when asked to stop; return whether it was finished."""
        working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()  # raises what it raised
                return True
            return False
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.wait({working, stopping})

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        self._background.append(self._start(work))

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def families(self) -> Iterable[Family]:
        """Return the metrics."""
        owners = [owner for owner, _ in self._owners.values() if owner.restored]
        lags: Counter[str] = Counter({topic.name: 0 for topic in self._wiring.inputs})
        for owner in owners:
            lags.update(owner.lags())
        left_out = Counter(left_out=sum(view.left_out for view in self._wiring.views))
        yield from self._meter.families(self.counts + left_out, lags, [owner.state for owner in owners])
        stopped = len(self.stopped_partitions)
        yield self._gauge("partitions_owned", "Partitions worked on", len(self.owned))
        yield self._gauge("partitions_stopped", "Partitions whose handler raised", stopped)
        held, what = len(self._held_up()), "Partitions that stand: an open transaction, or no answer of Kafka"
        yield self._gauge("partitions_held_up", what, held)

    def _gauge(self, what: str, meaning: str, value: int) -> Family:
        labels = {(self._wiring.service,): value}
        return Family(f"bookrunner_processor_{what}", meaning, "gauge", ("service",), labels)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, own: _OnRebalance, release: _OnRebalance) -> None:
        self._own = own
        self._release = release

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._own(assigned)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._release(revoked)


async def _raise(error: Exception) -> None:
    raise error


def _some(lines: list[str]) -> str:
    more = f", and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def _partitions(numbers: Collection[int]) -> str:
    return f"partition{'s' if len(numbers) > 1 else ''} {', '.join(map(str, sorted(numbers)))}"


def run(wiring: Wiring[S], settings: ProcessorSettings, monitor: Monitor | None = None) -> None:
    """Run a service as a process of its own: logs, metrics, signals, and a hard end when it fails."""
    log.configure(wiring.service, settings)
    instance = settings.process_of(wiring.service)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Processor(wiring, settings, monitor=monitor), settings, instance))


async def _serve(processor: Processor[S], settings: ProcessorSettings, instance: str) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, processor, loop)
    try:
        registry = metrics.create_registry(processor.families)
        async with metrics.serve(registry, settings, instance):
            await processor.run()
    except Exception as error:  # noqa: BLE001 -- any failure ends the process, whose state is unknown
        if (sentence := log.permanent_cause(error)) is not None:
            _log.critical("%s%s", CANNOT_RUN, sentence)
            _end(os.EX_CONFIG)
        _log.critical("processor_failed", exc_info=True)
        _end(EXIT_FAILED)


def _stop(processor: Processor[S], loop: asyncio.AbstractEventLoop) -> None:
    processor.stop()
    loop.call_later(STOP_S, _end, 1)  # a stop can hang while Kafka is away; a restart makes a hard end safe


def _end(code: int) -> None:
    logging.shutdown()
    os._exit(code)
