"""`BookLog`: where one book's records stand in Kafka, read from any place in small chunks.

A shell: a consumer that belongs to no group and reads the symbol's partition only. Records of other books are
counted, not decoded.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common.codec import UndecodableMessageError, decode
from libs.common.events import BookDelta, BookSnapshot
from libs.common.kafka import partition_of
from libs.common.kafka_security import client_arguments, stop_consumer
from libs.common.topics import L2_BOOK_DELTAS
from services.gateway.reading.as_of import Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from services.gateway.reading.as_of import BookEvent
    from services.gateway.settings import GatewaySettings

CHUNK: Final = 32  # records between two chances for other requests
FETCH_BYTES: Final = 1024 * 1024  # what one rebuild holds in memory of what it has not looked at
POLL_MS: Final = 100


class Chunk(NamedTuple):
    """Some records of a partition, of which `rows` are the book's."""

    rows: Sequence[Row]
    records: int
    position: int  # of the next one
    size: int = 0  # bytes of the rows, as they stand in the log


class BookLog(Protocol):
    """The partition in which a book's records stand; offsets of `begin` up to, not including, `end`."""

    begin: int
    end: int

    async def offset_at(self, timestamp_ms: int) -> int:
        """Return the first offset with this timestamp or a later one, else `end`."""

    async def chunk(self, position: int, stop: int) -> Chunk:
        """Return a few records from `position` on and before `stop`."""


@asynccontextmanager
async def open_book_log(settings: GatewaySettings, key: bytes) -> AsyncIterator[BookLog]:
    """Connect to Kafka, and yield the log of the book under `key`."""
    # Every topic has this many partitions: the start of the gateway fails otherwise.
    partition = TopicPartition(L2_BOOK_DELTAS.name, partition_of(key, settings.topic_partitions))
    consumer = AIOKafkaConsumer(
        **client_arguments(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",  # raise when retention overtakes the reader; skip nothing
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    try:
        await consumer.start()
        consumer.assign([partition])
        begin = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        yield _KafkaBookLog(consumer, partition, key, begin, end)
    finally:
        await stop_consumer(consumer)


class _KafkaBookLog:
    def __init__(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, key: bytes, begin: int, end: int
    ) -> None:
        self.begin = begin
        self.end = end
        self._consumer = consumer
        self._partition = partition
        self._key = key
        self._position: int | None = None

    async def offset_at(self, timestamp_ms: int) -> int:
        """Return the first offset with this timestamp or a later one, else `end`."""
        found = await self._consumer.offsets_for_times({self._partition: timestamp_ms})
        at = found[self._partition]
        return self.end if at is None else at.offset

    async def chunk(self, position: int, stop: int) -> Chunk:
        """Return a few records from `position` on and before `stop`."""
        if position != self._position:
            self._consumer.seek(self._partition, position)
        batches = await self._consumer.getmany(self._partition, timeout_ms=POLL_MS, max_records=CHUNK)
        raws = batches.get(self._partition, [])
        self._position = await self._consumer.position(
            self._partition
        )  # transaction markers take offsets too
        ours = [raw for raw in raws if raw.key == self._key and raw.offset < stop]
        rows = [Row(raw.timestamp, _event(raw.value)) for raw in ours]
        return Chunk(rows, len(raws), self._position, sum(len(raw.value or b"") for raw in ours))


def _event(value: bytes | None) -> BookEvent | None:
    if value is None:
        return None
    try:
        event = decode(L2_BOOK_DELTAS, value)
    except UndecodableMessageError:
        return None  # a hole, which the answer tells
    return event if isinstance(event, BookSnapshot | BookDelta) else None
