"""Group-less reading of whole topics from a chosen place, committed and decoded; and views that follow.

The end of a log is its high watermark. A reader of committed records stops short of it while a transaction is
open, and then has not read everything, though Kafka has nothing more for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeAlias

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from libs.common.amounts import absurd_amount
from libs.common.cloudevents import headers_of
from libs.common.codec import UndecodableMessageError, UnknownMessageError, Unreadable, decode
from libs.common.holdups import Holdups
from libs.common.kafka_admin import partition_counts
from libs.common.kafka_places import bounds
from libs.common.kafka_records import FETCH_LIMITS
from libs.common.kafka_security import client_arguments, stop_consumer
from libs.common.wall_clock import WallClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence
    from types import TracebackType

    from aiokafka.structs import ConsumerRecord

    from libs.common.events import Event
    from libs.common.kafka_places import Start
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic
    from libs.common.views import View

POLL_MS: Final = 100  # an idle poll; records end it at once
SURVEY_S: Final = 0.25  # how old positions past markers, the logs' ends, and what is held up, get
PATIENCE_S: Final = 45.0  # Kafka ends a dead writer's transaction after 15 s, and looks every 10 s
MOST_RECORDS: Final = 1000  # of one poll: what is decoded at once is memory that the process never gives back
LEAST_FETCH: Final = 16 * 1024  # of a partition, bytes
# A fetch costs a third of a CPU ms here and more in Kafka, were it for a single record.
PATIENT: Final[Mapping[str, int]] = {"fetch_min_bytes": 64 * 1024, "fetch_max_wait_ms": 50}

_told: Final[set[str]] = set()  # topics of which it was said that some messages are of another version
_log = logging.getLogger(__name__)


class OpenTransactionError(KafkaError):  # type: ignore[misc]  # aiokafka carries no types
    """A transaction that somebody left open holds a log up for longer than Kafka lets one live."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record of a topic; `event` is None for a tombstone, and on a topic of raw bytes."""

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes  # empty where the writer gave none
    event: Event | None
    value: bytes | None  # as it came
    headers: tuple[tuple[str, bytes], ...] = ()


class Undecodable(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record whose bytes are no message of its topic."""

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    reason: str
    unknown: bool = False  # it is a message, and another version may know it

    @property
    def source(self) -> str:
        """Where the record stands."""
        return f"{self.topic.name}/{self.partition}/{self.offset}"


class Pace(NamedTuple):
    """How much a reader takes at once."""

    buffer_bytes: int  # fetched ahead, as it stands in the log, over all partitions; one batch more at most
    records: int  # of one poll

    def fetches(self, partitions: int) -> Mapping[str, int]:
        """Return the limits of its fetches; a batch that is larger comes whole nevertheless."""
        share = max(LEAST_FETCH, self.buffer_bytes // max(1, partitions))
        return {"max_partition_fetch_bytes": share, "fetch_max_bytes": self.buffer_bytes}


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
    if raw.value is None or not (topic.events or isinstance(raw.value, Unreadable)):
        return Record(event=None, **common)
    try:
        event = decode(topic, raw.value)
    except UndecodableMessageError as error:
        return Undecodable(reason=str(error), unknown=isinstance(error, UnknownMessageError), **common)
    if (wrong := absurd_amount(event)) is not None:
        return Undecodable(reason=f"{topic.name}: {wrong}", **common)
    return Record(event=event, **common)


class Reader:
    """A consumer of whole topics that belongs to no group; a context manager that finds its place."""

    def __init__(
        self,
        settings: ServiceSettings,
        topics: Sequence[Topic],
        *,
        start: Start = "beginning",
        partitions: Collection[int] | None = None,
        wanted: Callable[[str, bytes], bool] = lambda _topic, _key: True,
        pace: Pace | None = None,
        patient: bool = False,
    ) -> None:
        self._settings = settings
        self._patience = PATIENT if patient else {}
        self._topics = {topic.name: topic for topic in topics}
        self._start = start
        self._only = partitions
        self._wanted = wanted
        self._pace = pace
        self.ends: Mapping[TopicPartition, int] = {}  # at the start, what open transactions wrote included
        self._holdups = {name: Holdups() for name in self._topics}

    async def __aenter__(self) -> Self:
        counts = await partition_counts(self._settings, self._topics.values())
        self.assignment = [
            TopicPartition(name, partition)
            for name, count in counts.items()
            for partition in range(count)
            if self._only is None or partition in self._only
        ]
        starts, self.ends = await bounds(self._settings, self.assignment, self._start)
        paced = None if self._pace is None else self._pace.fetches(len(self.assignment))
        limits = FETCH_LIMITS if paced is None else {**FETCH_LIMITS, **paced}
        self._consumer = AIOKafkaConsumer(
            **client_arguments(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # raise when retention overtakes the reader; skip nothing
            isolation_level="read_committed",
            **limits,
            **self._patience,
        )
        try:
            await self._consumer.start()
            self._consumer.assign(self.assignment)
            for partition, offset in starts.items():
                self._consumer.seek(partition, offset)
            # What aiokafka knows of each partition: to ask it looks through the assignment each time.
            assigned = self._consumer._subscription.subscription.assignment  # noqa: SLF001 -- as said
            self._states = {partition: assigned.state_value(partition) for partition in self.assignment}
        except BaseException:
            await stop_consumer(self._consumer)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await stop_consumer(self._consumer)

    async def poll(self) -> list[Record | Undecodable]:
        """Return what has come and is wanted, in the order of each partition; waits for 100 ms at most.

        Without a pace these are `MOST_RECORDS` at most.

        Raises
        ------
        KafkaError
            If the position is no longer in the log, or Kafka refuses the reader.
        """
        most = MOST_RECORDS if self._pace is None else self._pace.records
        batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=most)
        found = [
            decoded(self._topics[partition.topic], raw)
            for partition, raws in batches.items()
            for raw in raws
            if self._wanted(partition.topic, raw.key or b"")
        ]
        await asyncio.sleep(0)  # a poll of what is there already lets nobody else run
        return found

    async def position(self, partition: TopicPartition) -> int:
        """Return the next offset to be read; transaction markers take offsets too."""
        state = self._states[partition]
        position: int = (
            state.position if state.has_valid_position else await self._consumer.position(partition)
        )
        return position

    def newest_end(self, partition: TopicPartition) -> int:
        """Return the newest end that a fetch has told, what open transactions wrote included."""
        return self._states[partition].highwater or self.ends[partition]

    async def at_end(self) -> bool:
        """Return whether everything that was there at the start has been read.

        While a transaction is open that had begun by then, it has not.
        """
        return await self.has_reached(self.ends)

    async def has_reached(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Return whether everything before these offsets has been read."""
        return all([await self.position(partition) >= end for partition, end in offsets.items()])

    def raise_for_transactions(self) -> None:
        """Say which transactions keep the end of a log out of reach.

        Raises
        ------
        OpenTransactionError
            If one does.
        """
        held = [
            f"{name}-{number} is {why}"
            for name, topic in self._topics.items()
            for number, why in self.in_transactions(topic).items()
        ]
        if held:
            raise OpenTransactionError("; ".join(held))

    def held_up(self, topic: Topic) -> Mapping[int, str]:
        """Return what to say of each partition whose end is out of reach, as of the last fetches."""
        return self._looked(topic).told(asyncio.get_running_loop().time())

    def in_transactions(self, topic: Topic) -> Mapping[int, str]:
        """Return what to say of each partition whose end an open transaction keeps out of reach."""
        return self._looked(topic).in_transactions(asyncio.get_running_loop().time())

    def _looked(self, topic: Topic) -> Holdups:
        now_s = asyncio.get_running_loop().time()
        holdups = self._holdups[topic.name]
        for partition, state in self._states.items():
            if partition.topic == topic.name:
                holdups.note(partition.partition, state.lso, state.highwater, now_s)
                holdups.note_answer(partition.partition, state.timestamp, now_s)
        return holdups


async def read(  # noqa: PLR0913 -- what is read, and how
    settings: ServiceSettings,
    topics: Sequence[Topic],
    *,
    on_undecodable: OnUndecodable,
    start: Start = "beginning",
    partitions: Collection[int] | None = None,
    stop_at_end: bool = False,
    wanted: Callable[[str, bytes], bool] = lambda _topic, _key: True,
    pace: Pace | None = None,
) -> AsyncGenerator[list[Record], None]:
    """Yield batches of decoded records, for ever or up to the end found at the start.

    Parameters
    ----------
    on_undecodable
        Awaited for each record whose bytes are no message of its topic, before the batch is yielded; what
        only another version knows is left out.
    partitions
        Read these only (`partition_of` a key), not all.
    wanted
        Tells by topic and key whether a record is worth decoding; one that is not is passed by.
    pace
        How much is taken at once.

    Raises
    ------
    MissingTopicError
        If a topic does not exist.
    KafkaError
        If Kafka refuses the reader, or retention overtakes it.
    OpenTransactionError
        With `stop_at_end`, if a transaction stays open longer than Kafka lets one live.

    Notes
    -----
    Leave the loop early through ``contextlib.aclosing``, so that the consumer is closed at once.
    """
    clock = asyncio.get_running_loop().time
    async with Reader(
        settings, topics, start=start, partitions=partitions, wanted=wanted, pace=pace
    ) as reader:
        moved_s = clock()
        while not (stop_at_end and await reader.at_end()):
            records = await _sorted_out(await reader.poll(), on_undecodable)
            if records:
                yield records
                moved_s = clock()
            elif stop_at_end and clock() - moved_s > PATIENCE_S:
                reader.raise_for_transactions()


async def follow(
    settings: ServiceSettings, views: Sequence[View[Any]], *, on_undecodable: OnUndecodable
) -> AsyncGenerator[list[Record], None]:
    """Fold the views' topics for ever, from where each view begins; yield what was folded, if only nothing.

    Where all are patient, what comes within `PATIENT` is fetched together; see `by_pace`.
    An undecodable record leaves the older message of its key in the view, after `on_undecodable`. Raises what
    `read` raises, and OffsetRegressionError when the log was recreated under the view.
    """
    by_name = {view.topic.name: view for view in views}
    clock, wall_clock = asyncio.get_running_loop().time, WallClock()
    start = {name: view.start(time.time_ns()) for name, view in by_name.items()}

    def wanted(topic: str, key: bytes) -> bool:
        return by_name[topic].wants(key)

    topics, patient = [view.topic for view in views], all(view.patient for view in views)
    async with Reader(settings, topics, start=start, wanted=wanted, patient=patient) as reader:
        for name, view in by_name.items():
            view.begin({p.partition: end for p, end in reader.ends.items() if p.topic == name})
        surveyed_s = clock()
        while True:
            found = await reader.poll()
            for item in found:
                if isinstance(item, Undecodable) and item.unknown:
                    by_name[item.topic.name].left_out += 1
            records = await _sorted_out(found, on_undecodable)
            _follow_clock(wall_clock, views)
            for record in records:
                by_name[record.topic.name].fold(record.partition, record.offset, record.key, record.event)
            behind = not all(view.ready for view in views)
            if behind or clock() - surveyed_s >= SURVEY_S:
                for partition in reader.assignment:
                    view = by_name[partition.topic]
                    view.advance(partition.partition, await reader.position(partition))
                    view.extend(partition.partition, reader.newest_end(partition))
                for view in views:
                    view.held_up = reader.held_up(view.topic)
                surveyed_s = clock()
            yield records


def by_pace(views: Sequence[View[Any]]) -> list[list[View[Any]]]:
    """Return the views that may be followed together: those that are patient, and the others."""
    groups = ([view for view in views if view.patient is patient] for patient in (True, False))
    return [group for group in groups if group]


def _follow_clock(wall_clock: WallClock, views: Sequence[View[Any]]) -> None:
    wall_clock.read()
    if stepped_ns := wall_clock.stepped_ns():
        for view in views:
            view.step_clock(stepped_ns)


async def _sorted_out(found: list[Record | Undecodable], on_undecodable: OnUndecodable) -> list[Record]:
    records = []
    for item in found:
        if isinstance(item, Record):
            records.append(item)
        elif not item.unknown:
            await on_undecodable(item)
        elif item.topic.name not in _told:
            _told.add(item.topic.name)
            _log.warning("unknown_messages_left_out", extra={"at": item.source, "reason": item.reason})
    return records
