"""`BookLog`: where one book's records stand in Kafka, read from any place in small chunks.

A shell: a consumer that belongs to no group and reads the symbol's partition only. Records of other books are
counted, not decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common.codec import UndecodableMessageError, decode
from libs.common.events import BookDelta, BookSnapshot
from libs.common.kafka import partition_of
from libs.common.kafka_security import client_arguments, stop_consumer
from libs.common.topics import L2_BOOK_DELTAS
from services.gateway.reading.as_of import Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

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


class KafkaBookLog:
    """A `BookLog` on Kafka; a context manager that connects."""

    def __init__(self, settings: GatewaySettings, key: bytes) -> None:
        self._settings = settings
        self._key = key
        self._position: int | None = None
        self.begin = 0
        self.end = 0

    async def __aenter__(self) -> Self:
        # Every topic has this many partitions: the start of the gateway fails otherwise.
        partition = partition_of(self._key, self._settings.topic_partitions)
        self._partition = TopicPartition(L2_BOOK_DELTAS.name, partition)
        self._consumer = AIOKafkaConsumer(
            **client_arguments(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # raise when retention overtakes the reader; skip nothing
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        try:
            await self._consumer.start()
            self._consumer.assign([self._partition])
            self.begin = (await self._consumer.beginning_offsets([self._partition]))[self._partition]
            self.end = (await self._consumer.end_offsets([self._partition]))[self._partition]
        except BaseException:
            await stop_consumer(self._consumer)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await stop_consumer(self._consumer)

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
