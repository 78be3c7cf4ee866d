"""Kafka for everything but transactions: where a key goes, how topics come to be, publishing and reading."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from libs.common.codec import encode
from libs.common.dead_letters import dead_letter
from libs.common.kafka_admin import (
    KafkaAwayError,
    MissingTopicError,
    TopicCreationError,
    TopicMismatchError,
    UnreachableError,
    await_answer,
    create_topics,
    partition_counts,
)
from libs.common.kafka_reader import Pace, Reader, Record, Undecodable, by_pace, follow, read
from libs.common.kafka_security import client_arguments
from libs.common.message_sizes import TooLargeError, check_size
from libs.common.time_units import NS_PER_MS
from libs.common.topics import DEAD_LETTERS, TOPICS, Topic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Never

    from aiokafka.structs import RecordMetadata

    from libs.common.cloudevents import Headers
    from libs.common.events import Event
    from libs.common.settings import ServiceSettings

__all__ = [
    "KafkaAwayError",
    "MissingTopicError",
    "Pace",
    "Publisher",
    "Reader",
    "Record",
    "TooLargeError",
    "TopicCreationError",
    "TopicMismatchError",
    "Undecodable",
    "UnreachableError",
    "UnsentError",
    "await_answer",
    "by_pace",
    "by_symbol",
    "create_topics",
    "follow",
    "partition_counts",
    "partition_of",
    "read",
]

BATCH_BYTES: Final = 128 * 1024  # twice the throughput of 16 KiB, and a linger gains nothing (measured)
MAX_REMEMBERED: Final = 40  # bytes: a book, or a UUID
STOP_S: Final = 5.0  # how long a stop waits for the last acknowledgements


class UnsentError(Exception):
    """The publisher was stopped while Kafka had not acknowledged everything."""


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of `key`: murmur2 of what follows its last colon, as Java clients compute it.

    So ``binance:BTC-USDT`` and ``BTC-USDT`` meet in one partition. Short keys are remembered: callers make up
    longer ones.
    """
    return (_hashed(key) if len(key) <= MAX_REMEMBERED else _murmur2(key)) % partitions


def _murmur2(key: bytes) -> int:
    return int(murmur2(key.rpartition(b":")[2])) & 0x7FFF_FFFF


_hashed: Final = lru_cache(maxsize=16_384)(_murmur2)


def by_symbol(key: bytes, all_partitions: Sequence[int], _available: Sequence[int]) -> int:
    """Choose a record's partition by `partition_of`; an aiokafka partitioner."""
    return all_partitions[partition_of(key, len(all_partitions))]


class Publisher:
    """An idempotent producer of events; a context manager that connects, and at its end flushes.

    Nothing is lost in silence: the first failure of a record whose acknowledgement nobody awaited is set on
    `failed`, and raised again when the context ends.
    """

    def __init__(self, settings: ServiceSettings, *, compress: bool = True) -> None:
        self._settings = settings
        self._compression = "zstd" if compress else None  # zstd: worth its CPU on market data only
        self._failure: BaseException | None = None
        self.sent = 0
        self.acked = 0

    async def __aenter__(self) -> Self:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._producer = AIOKafkaProducer(
            **client_arguments(self._settings),
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=max(topic.max_message_bytes for topic in TOPICS.values()),
            compression_type=self._compression,
            partitioner=by_symbol,
        )
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await self._producer.stop()
        except TimeoutError:
            unsent = UnsentError(f"{self.sent - self.acked} records were not acknowledged in {STOP_S} s")
            raise unsent from error
        finally:
            self.failed.cancel()
        if self._failure is not None and error is None:
            raise self._failure

    async def send(
        self, topic: Topic, key: bytes, event: Event | None, ts: int, headers: Headers = ()
    ) -> asyncio.Future[RecordMetadata]:
        """Hand a record over without awaiting its acknowledgement; None is a tombstone.

        Waits only while the partition's batch is full. `ts` (ns UTC) is the event's own time.

        Raises
        ------
        TooLargeError
            If the topic takes no record of this size; the publisher goes on.
        """
        value = None if event is None else encode(event)
        check_size(topic, key, value, headers)
        return await self._hand_over(topic.name, key, value, ts // NS_PER_MS, headers)

    async def send_and_wait(
        self, topic: Topic, key: bytes, event: Event | None, ts: int, headers: Headers = ()
    ) -> RecordMetadata:
        """Send a record and return where Kafka keeps it.

        Raises
        ------
        KafkaError
            If Kafka refused it.
        TooLargeError
            If the topic takes no record of this size; the publisher goes on.
        """
        value = None if event is None else encode(event)
        check_size(topic, key, value, headers)
        sending = await self._producer.send(
            topic.name, value, key, timestamp_ms=ts // NS_PER_MS, headers=list(headers)
        )
        self.sent += 1
        metadata: RecordMetadata = await sending
        self.acked += 1
        return metadata

    async def dead_letter(
        self, key: bytes, raw: bytes, reason: str, source: str, headers: Headers = ()
    ) -> None:
        """Keep bytes that are no message; what is over the topic's limit is cut, and its headers say so."""
        letter_key, value, letter_headers = dead_letter(key, raw, reason, source, headers)
        await self._hand_over(DEAD_LETTERS.name, letter_key, value, None, letter_headers)

    async def reject(self, undecodable: Undecodable) -> None:
        """Keep an undecodable record on the dead letters; an `on_undecodable` of `read` and `follow`."""
        await self.dead_letter(
            undecodable.key,
            undecodable.value or b"",
            undecodable.reason,
            undecodable.source,
            undecodable.headers,
        )

    async def watch(self) -> Never:
        """Wait until a send fails, and raise that failure; for a task of the owning shell."""
        await asyncio.shield(self.failed)  # cancelling the watcher must not cancel the future
        raise AssertionError("failed holds exceptions only")

    async def flush(self) -> None:
        """Wait until all records handed over are acknowledged or failed."""
        await self._producer.flush()

    async def _hand_over(
        self, topic: str, key: bytes, value: bytes | None, timestamp_ms: int | None, headers: Headers
    ) -> asyncio.Future[RecordMetadata]:
        sending: asyncio.Future[RecordMetadata] = await self._producer.send(
            topic, value, key, timestamp_ms=timestamp_ms, headers=list(headers)
        )
        self.sent += 1
        sending.add_done_callback(self._settle)
        return sending

    def _settle(self, sending: asyncio.Future[RecordMetadata]) -> None:
        error = KafkaError("the send was cancelled") if sending.cancelled() else sending.exception()
        if error is None:
            self.acked += 1
        elif self._failure is None:
            self._failure = error
            if not self.failed.done():
                self.failed.set_exception(error)
                self.failed.exception()  # raised by __aexit__ too: unawaited, it needs no second complaint
