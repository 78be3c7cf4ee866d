"""Transactions of strangers, several open at once, and what the logs hold for who reads committed records."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from libs.common.codec import encode
from tests.kafka_cluster import native_broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiokafka.structs import ConsumerRecord

    from libs.common.events import Event
    from libs.common.topics import Topic

PATIENT_MS: Final = 10_000
# Kafka looks for transactions past their time-out every 10 s; a test has no time for that.
_EAGER: Final = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": SecretStr("200")}


@contextmanager
def eager_broker(folder: Path) -> Iterator[str]:
    """Yield the bootstrap servers of a Kafka that ends transactions soon after their time-out."""
    with native_broker(folder, properties=_EAGER) as broker:
        yield broker.bootstrap_servers


class Stranger:
    """One writer with one transaction, on one partition; left open, Kafka ends it after `timeout_ms`."""

    def __init__(
        self, kafka: str, name: str, topic: Topic, partition: int, timeout_ms: int = PATIENT_MS
    ) -> None:
        self.topic = topic
        self.partition = partition
        self._producer = AIOKafkaProducer(
            bootstrap_servers=kafka, transactional_id=name, transaction_timeout_ms=timeout_ms
        )

    async def begin(self) -> None:
        """Begin; Kafka hears of it with the first record."""
        await self._producer.start()
        await self._producer.begin_transaction()

    async def write(self, key: bytes, event: Event) -> None:
        """Write into the transaction, unless Kafka has ended it."""
        with suppress(KafkaError):
            await self._producer.send_and_wait(self.topic.name, encode(event), key, partition=self.partition)

    async def end(self, *, commit: bool) -> None:
        """Commit or abort, unless Kafka has ended it."""
        with suppress(KafkaError):
            await (self._producer.commit_transaction() if commit else self._producer.abort_transaction())
        await self.leave()

    async def leave(self) -> None:
        """Go away, whatever is open."""
        await self._producer.stop()


async def visible(
    kafka: str, topic: Topic, partitions: int, *, committed: bool = True
) -> list[ConsumerRecord[bytes, bytes]]:
    """Return what stands before the first open transaction; with `committed` false, all that was written."""
    isolation: Any = "read_committed" if committed else "read_uncommitted"
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level=isolation, enable_auto_commit=False)
    found: list[ConsumerRecord[bytes, bytes]] = []
    await consumer.start()
    try:
        assigned = [TopicPartition(topic.name, number) for number in range(partitions)]
        consumer.assign(assigned)
        ends = await consumer.end_offsets(assigned)
        for partition, beginning in (await consumer.beginning_offsets(assigned)).items():
            consumer.seek(partition, beginning)
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
    finally:
        await consumer.stop()
    return found
