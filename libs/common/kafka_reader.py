"""Group-less reading of whole topics from a chosen place, committed and decoded; and views that follow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common.cloudevents import headers_of
from libs.common.codec import UndecodableMessageError, decode
from libs.common.kafka_admin import partition_counts
from libs.common.kafka_security import client_arguments, stop_consumer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence
    from types import TracebackType

    from aiokafka.structs import ConsumerRecord

    from libs.common.events import Event
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic
    from libs.common.views import View

POLL_MS: Final = 100  # an idle poll; records end it at once
SURVEY_S: Final = 0.1  # how old positions past markers, and the logs' ends, get while records come and come
MIB: Final = 1024 * 1024

Start: TypeAlias = Literal["beginning", "end"] | int | Mapping[TopicPartition, int]
"""Where to begin: a place, a time (ns UTC), or offsets; a partition without one begins at its beginning."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a topic; `event` is None for a tombstone, and on a topic of raw bytes."""

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes  # empty where the writer gave none
    event: Event | None
    value: bytes | None  # as it came
    headers: tuple[tuple[str, bytes], ...] = ()


class Undecodable(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose bytes are no message of its topic."""

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    reason: str

    @property
    def source(self) -> str:
        """Where the record stands."""
        return f"{self.topic.name}/{self.partition}/{self.offset}"


OnUndecodable: TypeAlias = Callable[[Undecodable], Awaitable[None]]
"""What becomes of bytes that are no message: `Publisher.reject`, or a line on a screen."""


def decoded(topic: Topic, raw: ConsumerRecord[bytes, bytes]) -> Record | Undecodable:
    """Return the record with its message, or why it has none."""
    common: dict[str, Any] = {
        "topic": topic,
        "partition": raw.partition,
        "offset": raw.offset,
        "timestamp_ms": raw.timestamp,
        "key": raw.key or b"",
        "value": raw.value,
        "headers": headers_of(raw.headers),
    }
    if raw.value is None or not topic.events:
        return Record(event=None, **common)
    try:
        return Record(event=decode(topic, raw.value), **common)
    except UndecodableMessageError as error:
        return Undecodable(reason=str(error), **common)


class Reader:
    """A consumer of whole topics that belongs to no group; a context manager that finds its place."""

    def __init__(
        self,
        settings: ServiceSettings,
        topics: Sequence[Topic],
        *,
        start: Start = "beginning",
        partitions: Collection[int] | None = None,
    ) -> None:
        self._settings = settings
        self._topics = {topic.name: topic for topic in topics}
        self._start = start
        self._only = partitions
        self.ends: Mapping[TopicPartition, int] = {}  # at the start

    async def __aenter__(self) -> Self:
        counts = await partition_counts(self._settings, self._topics.values())
        self.assignment = [
            TopicPartition(name, partition)
            for name, count in counts.items()
            for partition in range(count)
            if self._only is None or partition in self._only
        ]
        self._consumer = AIOKafkaConsumer(
            **client_arguments(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # raise when retention overtakes the reader; skip nothing
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * MIB,
            fetch_max_bytes=32 * MIB,
        )
        try:
            await self._consumer.start()
            self._consumer.assign(self.assignment)
            self.ends = await self._consumer.end_offsets(self.assignment)
            for partition, offset in (await self._starts()).items():
                self._consumer.seek(partition, offset)
        except BaseException:
            await stop_consumer(self._consumer)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await stop_consumer(self._consumer)

    async def poll(self) -> list[Record | Undecodable]:
        """Return what has come, in the order of each partition; empty if nothing does for 100 ms.

        Raises
        ------
        KafkaError
            If the position is no longer in the log, or Kafka refuses the reader.
        """
        batches = await self._consumer.getmany(timeout_ms=POLL_MS)
        return [
            decoded(self._topics[partition.topic], raw) for partition, raws in batches.items() for raw in raws
        ]

    async def position(self, partition: TopicPartition) -> int:
        """Return the next offset to be read; transaction markers take offsets too."""
        position: int = await self._consumer.position(partition)
        return position

    def newest_end(self, partition: TopicPartition) -> int:
        """Return the newest end of the partition that a fetch has told."""
        return self._consumer.last_stable_offset(partition) or self.ends[partition]

    async def at_end(self) -> bool:
        """Return whether everything that was there at the start has been read."""
        return all([await self.position(partition) >= end for partition, end in self.ends.items()])

    async def _starts(self) -> Mapping[TopicPartition, int]:
        match self._start:
            case "end":
                return self.ends
            case int(ts):
                found = await self._consumer.offsets_for_times(
                    dict.fromkeys(self.assignment, ts // 1_000_000)
                )
                return {p: self.ends[p] if at is None else at.offset for p, at in found.items()}
            case "beginning":
                beginnings: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets(
                    self.assignment
                )
                return beginnings
            case offsets:
                return {**await self._consumer.beginning_offsets(self.assignment), **offsets}


async def read(
    settings: ServiceSettings,
    topics: Sequence[Topic],
    *,
    on_undecodable: OnUndecodable,
    start: Start = "beginning",
    partitions: Collection[int] | None = None,
    stop_at_end: bool = False,
) -> AsyncGenerator[list[Record], None]:
    """Yield batches of decoded records, for ever or up to the end found at the start.

    Parameters
    ----------
    on_undecodable
        Awaited for each record whose bytes are no message of its topic, before the batch is yielded.
    partitions
        Read these only (`partition_of` a key), not all.

    Raises
    ------
    MissingTopicError
        If a topic does not exist.
    KafkaError
        If Kafka refuses the reader, or retention overtakes it.

    Notes
    -----
    Leave the loop early through ``contextlib.aclosing``, so that the consumer is closed at once.
    """
    async with Reader(settings, topics, start=start, partitions=partitions) as reader:
        while not (stop_at_end and await reader.at_end()):
            records = await _sorted_out(await reader.poll(), on_undecodable)
            if records:
                yield records


async def follow(
    settings: ServiceSettings, views: Sequence[View[Any]], *, on_undecodable: OnUndecodable
) -> AsyncGenerator[list[Record], None]:
    """Fold the views' topics from the beginning and for ever; yield what was folded, an empty list when idle.

    An undecodable record leaves the older message of its key in the view, after `on_undecodable`. Raises what
    `read` raises, and OffsetRegressionError when the log was recreated under the view.
    """
    by_name = {view.topic.name: view for view in views}
    clock = asyncio.get_running_loop().time
    async with Reader(settings, [view.topic for view in views]) as reader:
        for name, view in by_name.items():
            view.begin({p.partition: end for p, end in reader.ends.items() if p.topic == name})
        surveyed_s = clock()
        while True:
            records = await _sorted_out(await reader.poll(), on_undecodable)
            for record in records:
                by_name[record.topic.name].fold(record.partition, record.offset, record.key, record.event)
            behind = not all(view.ready for view in views)
            if behind or not records or clock() - surveyed_s >= SURVEY_S:
                for partition in reader.assignment:
                    view = by_name[partition.topic]
                    view.advance(partition.partition, await reader.position(partition))
                    view.extend(partition.partition, reader.newest_end(partition))
                surveyed_s = clock()
            yield records


async def follow_for_ever(
    settings: ServiceSettings, views: Sequence[View[Any]], *, on_undecodable: OnUndecodable
) -> None:
    """Follow the views where nobody looks at the single records; for a task of its own."""
    async with aclosing(follow(settings, views, on_undecodable=on_undecodable)) as batches:
        async for _ in batches:
            pass


async def _sorted_out(found: list[Record | Undecodable], on_undecodable: OnUndecodable) -> list[Record]:
    records = []
    for item in found:
        if isinstance(item, Record):
            records.append(item)
        else:
            await on_undecodable(item)
    return records
