"""Guards that keep Faust 0.15.3 from skipping commands, and from waiting for ever unnoticed; a shell.

**The recovery.** After a restart Faust un-pauses the streams and only then seeks them to the
committed offsets, with the fetcher already running: what it takes in between is lost, or comes later and is
refused as old (2 of 5 runs with kills ended wrong). `mend_recovery` stops the flow first, and waits until no
fetch can be in flight (123 kills without a loss).

**The fetch that outlives a rebalance.** Faust lends a fetch its set of active partitions and empties that
set when the group rebalances, and no partition means all to aiokafka. So a fetch begun before takes, after
the seek, what the tables are to be read from, and it is dropped: the recovery waits for ever for records
that lie behind it (1 in some 60 take-overs, more on a busy machine). `mend_recovery` ends the fetch before.

**The fetch that nobody makes.** Whatever Faust waits for, a commit above all, it takes no records meanwhile
and says so after five minutes. `mend_recovery` keeps what each partition was last told, for `last_answer`.

**The hole guard.** The second line. Offsets of a topic are contiguous but for what retention deleted and the
markers of transactions, which no reader sees. So between two records that Faust delivers there is nothing, or
it has skipped something. `HoleGuard` looks into each hole with a reader of its own and, if a record lies in
it, raises, before the record behind the hole is acknowledged; the process then ends and begins at the
committed offset.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakKeyDictionary

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from libs.common.kafka_security import client_arguments, stop_consumer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import faust
    from faust.transport.consumer import Consumer, RecordMap

    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

MENDED_VERSION: Final = "0.15.3"
FETCH_S: Final = 1.1  # a fetch in flight waits 1.0 s at most
POLL_MS: Final = 100
FETCH_WAIT_MS: Final = 10  # how long a fetch that nobody waits for any more holds up the next look


class UnknownFaustError(Exception):
    """The mend fits one version of Faust only."""


class SkippedRecordsError(Exception):
    """Faust delivered a record though it had not delivered those before it."""


def mend_recovery() -> None:
    """Replace the end of Faust's recovery, for all apps of this process.

    Raises
    ------
    UnknownFaustError
        If another version is installed than the one this was tested with.
    """
    found = version("faust-streaming")
    if found != MENDED_VERSION:
        raise UnknownFaustError(
            f"faust-streaming is {found}, but its recovery is mended for {MENDED_VERSION}"
        )
    Recovery.on_recovery_completed = _on_recovery_completed  # type: ignore[method-assign]  # the mend
    AIOKafkaConsumerThread._fetch_records = _fetch_records  # type: ignore[method-assign]  # noqa: SLF001 -- as above
    AIOKafkaConsumerThread._seek_wait = _seek_wait  # type: ignore[method-assign]  # noqa: SLF001 -- as above


class PromptTables(TableManager):
    """Faust's tables without the second that it gives an app to declare them: ours are there already."""

    mundane_level = "debug"  # that it starts and stops is no news

    async def on_start(self) -> None:
        """Start the recovery at once."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


_completed = Recovery.on_recovery_completed


async def _on_recovery_completed(self: Recovery, generation_id: int = 0) -> None:
    self.app.consumer.stop_flow()
    await self.sleep(FETCH_S)
    await _completed(self, generation_id)


_fetch = AIOKafkaConsumerThread._fetch_records  # noqa: SLF001 -- what is mended
_seek = AIOKafkaConsumerThread._seek_wait  # noqa: SLF001 -- as above
_answered: WeakKeyDictionary[AIOKafkaConsumerThread, Mapping[TopicPartition, object]] = WeakKeyDictionary()
_fetching: WeakKeyDictionary[AIOKafkaConsumerThread, asyncio.Future[RecordMap]] = WeakKeyDictionary()


async def _fetch_records(
    self: AIOKafkaConsumerThread,
    consumer: AIOKafkaConsumer,
    active_partitions: set[TP],
    timeout: float | None = None,  # noqa: ASYNC109 -- Faust's
    max_records: int | None = None,
) -> RecordMap:
    fetch = _fetch(self, consumer, active_partitions, timeout=timeout, max_records=max_records)
    fetching = _fetching[self] = asyncio.ensure_future(fetch)
    try:
        await asyncio.wait([fetching])
    finally:
        fetching.cancel()
    fetched = [each for each in consumer.assignment() if each in active_partitions]  # another thread's set
    _answered[self] = {each: consumer.last_poll_timestamp(each) for each in fetched}
    return {} if fetching.cancelled() else fetching.result()


async def _seek_wait(
    self: AIOKafkaConsumerThread, consumer: AIOKafkaConsumer, partitions: Mapping[TP, int]
) -> None:
    if (fetching := _fetching.get(self)) is not None:
        fetching.cancel()  # it waits for records: what it takes it returns without waiting
        await asyncio.wait([fetching])
    await _seek(self, consumer, partitions)


def last_answer(app: faust.App, topic: Topic, partition: int) -> object:
    """Return what differs after each answered fetch of a partition, None where Faust wants none of it now."""
    thread = cast("Consumer", app.consumer)._thread  # type: ignore[attr-defined]  # noqa: SLF001 -- it tells it nowhere else
    return _answered.get(thread, {}).get(TopicPartition(topic.name, partition))


class HoleGuard:
    """Watches the offsets of one topic as Faust delivers them."""

    def __init__(self, app: faust.App, settings: ServiceSettings, topic: Topic) -> None:
        self._app = app
        self._settings = settings
        self._topic = topic
        self._next: dict[int, int] = {}
        self._reader: AIOKafkaConsumer | None = None  # stands by: to start one takes longer than to score
        self.holes = 0

    def keep_only(self, partitions: Collection[int]) -> None:
        """Forget the other partitions: another member goes on from there, and we may get them back."""
        for partition in self._next.keys() - partitions:
            del self._next[partition]

    async def check(self, partition: int, offset: int) -> None:
        """Take note of a delivered record, before it is handled.

        Raises
        ------
        SkippedRecordsError
            If a record lies between this and what was delivered, or committed, before.
        """
        due = self._next.get(partition)
        if due is None:
            due = await self._committed(partition)
        if offset > due:
            self.holes += 1
            skipped = await self._first_between(partition, due, offset)
            if skipped is not None:
                where = f"{self._topic.name}/{partition}"
                raise SkippedRecordsError(f"{where}: {offset} came, but {skipped} was never delivered")
        self._next[partition] = max(due, offset + 1)

    async def close(self) -> None:
        """End the reader."""
        if self._reader is not None:
            await stop_consumer(self._reader)
            self._reader = None

    async def _committed(self, partition: int) -> int:
        """Return where Faust began: the group's offset, or the first that retention has left."""
        committed = cast("Consumer", self._app.consumer)._committed_offset  # noqa: SLF001 -- it tells it nowhere else
        place = TopicPartition(self._topic.name, partition)
        beginning: int = (await (await self._started()).beginning_offsets([place]))[place]
        return max(committed.get(TP(*place)) or 0, beginning)

    async def _first_between(self, partition: int, first: int, end: int) -> int | None:
        """Return the offset of a record in [first, end), None where there are only markers."""
        place = TopicPartition(self._topic.name, partition)
        reader = await self._started()
        reader.assign([place])
        reader.seek(place, first)
        try:
            while await reader.position(place) < end:
                for records in (await reader.getmany(place, timeout_ms=POLL_MS)).values():
                    for record in records:
                        return int(record.offset) if record.offset < end else None
            return None
        finally:
            reader.pause(place)  # it is to fetch nothing until the next hole

    async def _started(self) -> AIOKafkaConsumer:
        if self._reader is None:
            reader = AIOKafkaConsumer(
                **client_arguments(self._settings),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                fetch_max_wait_ms=FETCH_WAIT_MS,
            )
            await reader.start()
            self._reader = reader
        return self._reader
