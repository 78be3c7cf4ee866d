"""`MomentLog`: the logs that the state of a moment is read from, any stretch of them, on one connection.

A shell: a consumer that belongs to no group and is paused everywhere but where it is told to read. To connect
takes longer than to read a moment, so what one request has used waits a while for the next one.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from libs.common.kafka_security import stop_consumer
from services.gateway.http.problems import TOO_MANY, ProblemError
from services.gateway.reading.log_consumer import log_consumer
from services.gateway.reading.lookups import Raw

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Collection,
        Coroutine,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager

    from libs.common.topics import Topic
    from services.gateway.settings import GatewaySettings

POLL_MS: Final = 100
CHUNK: Final = 256  # records between two chances for other requests
WAIT_MS: Final = 20  # how long a fetch waits at the end of a log: what is read next waits for it
IDLE_S: Final = 30.0  # for how long a consumer waits for the next request
MOST_IDLE: Final = 2
STATE_BYTES: Final = 128 * 1024  # of a partition, in one fetch
DELTAS_BYTES: Final = 1024 * 1024

S = TypeVar("S")
T = TypeVar("T")
Slot: TypeAlias = tuple[str, int]
"""A topic's name and the number of a partition."""


class Span(NamedTuple):
    """Offsets from the first up to, not including, the stop."""

    first: int
    stop: int


class Spot(NamedTuple):
    """Where a record stands, and its time."""

    offset: int
    timestamp_ms: int


class MomentLog(Protocol):
    """Some topics' logs."""

    async def edges(self, slots: Collection[Slot]) -> Mapping[Slot, Span]:
        """Return what is kept of each partition, committed."""

    async def spots(self, times: Mapping[Slot, int]) -> Mapping[Slot, Spot | None]:
        """Return the first record with such a time (ms) or a later one; None where there is none."""

    def read(
        self, spans: Mapping[Slot, Span], enough: Callable[[Slot], bool] | None = None
    ) -> AsyncGenerator[tuple[Slot, Sequence[Raw]], None]:
        """Yield the records of these stretches, in the order of each partition, until `enough` of it."""


OpenLogs: TypeAlias = "Callable[[], AbstractAsyncContextManager[tuple[MomentLog, MomentLog]]]"
"""Lends the logs of the state and of the books' deltas."""


@dataclass(eq=False)
class Spent:
    """What a request has read, and may."""

    settings: GatewaySettings
    records: int = 0
    size: int = 0  # bytes kept

    def read(self, records: int, size: int) -> None:
        """Count what was read.

        Raises
        ------
        ProblemError
            503 if that is more than one request may.
        """
        self.records += records
        self.size += size
        most = self.settings
        if self.records > most.at_max_records:
            raise _too_long(f"{most.at_max_records} records (AT_MAX_RECORDS)")
        if self.size > most.at_max_bytes:
            raise _too_long(f"{most.at_max_bytes} bytes (AT_MAX_BYTES)")


def _too_long(what: str) -> ProblemError:
    return ProblemError(TOO_MANY, f"The moment needs more than {what} of the log.", retry_after_s=1)


class KafkaMomentLog:
    """A consumer of whole topics, and what it is asked for."""

    def __init__(self, settings: GatewaySettings, topics: Collection[Topic], fetch_bytes: int) -> None:
        self._slots = [
            TopicPartition(topic.name, number)
            for topic in topics
            for number in range(settings.topic_partitions)
        ]
        self._consumer = log_consumer(settings, fetch_bytes, fetch_max_wait_ms=WAIT_MS)

    async def start(self) -> None:
        """Connect, and read nothing yet."""
        await self._consumer.start()
        self._consumer.assign(self._slots)
        for slot in self._slots:
            self._consumer.seek(slot, 0)
        self.rest()

    def rest(self) -> None:
        """Read nothing until told again."""
        self._consumer.pause(*self._slots)

    async def stop(self) -> None:
        """Disconnect."""
        await stop_consumer(self._consumer)

    async def edges(self, slots: Collection[Slot]) -> Mapping[Slot, Span]:
        """Return what is kept of each partition; see `MomentLog`."""
        wanted = [TopicPartition(*slot) for slot in slots]
        begins, ends = await asyncio.gather(
            self._consumer.beginning_offsets(wanted), self._consumer.end_offsets(wanted)
        )
        return {slot: Span(begins[slot], ends[slot]) for slot in wanted}

    async def spots(self, times: Mapping[Slot, int]) -> Mapping[Slot, Spot | None]:
        """Return the first record that is not before a time; see `MomentLog`."""
        wanted = {TopicPartition(*slot): time_ms for slot, time_ms in times.items()}
        found = await self._consumer.offsets_for_times(wanted)
        return {slot: None if at is None else Spot(at.offset, at.timestamp) for slot, at in found.items()}

    async def read(
        self, spans: Mapping[Slot, Span], enough: Callable[[Slot], bool] | None = None
    ) -> AsyncGenerator[tuple[Slot, Sequence[Raw]], None]:
        """Yield the records of these stretches; see `MomentLog`."""
        stops = {TopicPartition(*slot): span.stop for slot, span in spans.items() if span.first < span.stop}
        for slot in stops:
            self._consumer.seek(slot, spans[slot].first)
        if stops:
            self._consumer.resume(*stops)
        try:
            while stops:
                batches = await self._consumer.getmany(*stops, timeout_ms=POLL_MS, max_records=CHUNK)
                for slot, raws in batches.items():
                    yield (
                        slot,
                        [
                            Raw(raw.offset, raw.timestamp, raw.key or b"", raw.value)
                            for raw in raws
                            if raw.offset < stops[slot]
                        ],
                    )
                await asyncio.sleep(0)
                for slot in list(stops):
                    # Asked for, as transaction markers take offsets too.
                    if (enough and enough(slot)) or await self._consumer.position(slot) >= stops[slot]:
                        del stops[slot]
                        self._consumer.pause(slot)
        finally:
            if stops:
                self._consumer.pause(*stops)


class MomentLogs:
    """Lends pairs of logs, of the state and of the books' deltas, and keeps a few for the next request."""

    def __init__(
        self,
        settings: GatewaySettings,
        state: Collection[Topic],
        deltas: Topic,
        stopwatch: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._topics = (state, (deltas,))
        self._stopwatch = stopwatch  # s
        self._idle: list[tuple[float, Sequence[KafkaMomentLog]]] = []  # since when; the last used at the end
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[tuple[MomentLog, MomentLog], None]:
        """Lend a pair; one that Kafka failed is not lent again."""
        pair = self._idle.pop()[1] if self._idle else await self._opened()
        state, deltas = pair
        try:
            yield state, deltas
        except (KafkaError, OSError):
            self._stop(pair)
            raise
        except BaseException:
            self._keep(pair)
            raise
        self._keep(pair)

    def _keep(self, pair: Sequence[KafkaMomentLog]) -> None:
        for each in pair:
            each.rest()
        self._idle.append((self._stopwatch(), pair))
        asyncio.get_running_loop().call_later(IDLE_S + 1, self._sweep)
        self._sweep()

    async def close(self) -> None:
        """Close all that waits."""
        for _, pair in self._idle:
            self._stop(pair)
        self._idle.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _opened(self) -> Sequence[KafkaMomentLog]:
        state, deltas = self._topics
        pair = (
            KafkaMomentLog(self._settings, state, STATE_BYTES),
            KafkaMomentLog(self._settings, deltas, DELTAS_BYTES),
        )
        try:
            await asyncio.gather(*(each.start() for each in pair))
        except BaseException:
            self._stop(pair)
            raise
        return pair

    def _sweep(self) -> None:
        """Close what nobody has used for a while, and what is more than may wait."""
        now_s = self._stopwatch()
        while self._idle and (len(self._idle) > MOST_IDLE or now_s - self._idle[0][0] >= IDLE_S):
            self._stop(self._idle.pop(0)[1])

    def _stop(self, pair: Sequence[KafkaMomentLog]) -> None:
        task = asyncio.create_task(_stopped(pair), name="moment logs close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _stopped(pair: Sequence[KafkaMomentLog]) -> None:
    await asyncio.gather(*(each.stop() for each in pair), return_exceptions=True)


async def both(one: Coroutine[Any, Any, S], other: Coroutine[Any, Any, T]) -> tuple[S, T]:
    """Return what both return, done at once; where one fails, the other is given up first."""
    tasks = asyncio.ensure_future(one), asyncio.ensure_future(other)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
