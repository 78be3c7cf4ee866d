"""`BookLog`: where one book's records stand in Kafka, read from any place in small chunks.

A shell: a consumer that belongs to no group and reads the symbol's partition only. Records of other books are
counted, not decoded.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aiokafka import TopicPartition

from libs.common.codec import UndecodableMessageError, decode
from libs.common.events import BookDelta, BookSnapshot
from libs.common.kafka import partition_of
from libs.common.kafka_security import stop_consumer
from libs.common.topics import L2_BOOK_DELTAS
from services.gateway.reading.as_of import Row
from services.gateway.reading.log_consumer import log_consumer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aiokafka import AIOKafkaConsumer

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
    consumer = log_consumer(settings, FETCH_BYTES)
    try:
        await consumer.start()
        consumer.assign([partition])
        begin = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        yield _KafkaBookLog(consumer, partition, key, begin, end)
    finally:
        await stop_consumer(consumer)


@dataclass(eq=False)
class _KafkaBookLog:
    consumer: AIOKafkaConsumer
    partition: TopicPartition
    key: bytes
    begin: int
    end: int
    position: int | None = None  # of the consumer, once known

    async def offset_at(self, timestamp_ms: int) -> int:
        found = await self.consumer.offsets_for_times({self.partition: timestamp_ms})
        at = found[self.partition]
        return self.end if at is None else at.offset

    async def chunk(self, position: int, stop: int) -> Chunk:
        if position != self.position:
            self.consumer.seek(self.partition, position)
        batches = await self.consumer.getmany(self.partition, timeout_ms=POLL_MS, max_records=CHUNK)
        raws = batches.get(self.partition, [])
        # Asked for, as transaction markers take offsets too.
        self.position = await self.consumer.position(self.partition)
        ours = [raw for raw in raws if raw.key == self.key and raw.offset < stop]
        rows = [Row(raw.timestamp, book_event(raw.value), raw.offset) for raw in ours]
        return Chunk(rows, len(raws), self.position, sum(len(raw.value or b"") for raw in ours))


def book_event(value: bytes | None) -> BookEvent | None:
    """Return the message of a record of deltas, None if its bytes are none."""
    if value is None:
        return None
    try:
        event = decode(L2_BOOK_DELTAS, value)
    except UndecodableMessageError:
        return None  # a hole, which the answer tells
    return event if isinstance(event, BookSnapshot | BookDelta) else None
