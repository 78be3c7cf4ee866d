"""`TopicLog`: some partitions of a topic in Kafka, read from any place to any other in small pieces.

A shell: a consumer that belongs to no group. Nothing is decoded here: most of what is read is passed by.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from aiokafka import TopicPartition

from libs.common.kafka_security import stop_consumer
from services.gateway.reading.log_consumer import log_consumer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from aiokafka import AIOKafkaConsumer

    from libs.common.topics import Topic
    from services.gateway.reading.record_history import Raw
    from services.gateway.settings import GatewaySettings

PIECE: Final = 256  # records between two chances for other requests: they are not decoded
FETCH_BYTES: Final = 1024 * 1024  # of a partition, as it is stored, which one reader holds in memory
POLL_MS: Final = 100


class TopicLog(Protocol):
    """Partitions of a topic; each has offsets from `begins` up to, not including, `ends`."""

    begins: Mapping[int, int]
    ends: Mapping[int, int]

    async def offsets_at(self, timestamp_ms: int) -> Mapping[int, int]:
        """Return each partition's first offset with this timestamp or a later one, else its end."""

    def read(self, ranges: Mapping[int, range]) -> AsyncGenerator[Sequence[Raw], None]:
        """Yield the records at these offsets of the partitions, a few at once, of each in order."""


OpenTopicLog: TypeAlias = "Callable[[Topic, Collection[int]], AbstractAsyncContextManager[TopicLog]]"


@asynccontextmanager
async def open_topic_log(
    settings: GatewaySettings, topic: Topic, numbers: Collection[int]
) -> AsyncIterator[TopicLog]:
    """Connect to Kafka, and yield the log of these partitions of a topic."""
    partitions = {number: TopicPartition(topic.name, number) for number in numbers}
    consumer = log_consumer(settings, FETCH_BYTES)
    try:
        await consumer.start()
        consumer.assign(list(partitions.values()))
        consumer.pause(*partitions.values())  # until it is said what is to be read
        begins = await consumer.beginning_offsets(partitions.values())
        ends = await consumer.end_offsets(partitions.values())
        by_number = [{number: of[each] for number, each in partitions.items()} for of in (begins, ends)]
        yield _KafkaTopicLog(consumer, partitions, *by_number)
    finally:
        await stop_consumer(consumer)


@dataclass(eq=False)
class _KafkaTopicLog:
    consumer: AIOKafkaConsumer
    partitions: Mapping[int, TopicPartition]
    begins: Mapping[int, int]
    ends: Mapping[int, int]

    async def offsets_at(self, timestamp_ms: int) -> Mapping[int, int]:
        found = await self.consumer.offsets_for_times(dict.fromkeys(self.partitions.values(), timestamp_ms))
        at = {number: found[partition] for number, partition in self.partitions.items()}
        return {number: self.ends[number] if each is None else each.offset for number, each in at.items()}

    async def read(self, ranges: Mapping[int, range]) -> AsyncGenerator[Sequence[Raw], None]:
        stops = {self.partitions[number]: offsets.stop for number, offsets in ranges.items() if offsets}
        for partition in stops:
            self.consumer.seek(partition, ranges[partition.partition].start)
        self.consumer.resume(*stops)
        while stops:
            batches = await self.consumer.getmany(*stops, timeout_ms=POLL_MS, max_records=PIECE)
            for partition, raws in batches.items():
                yield [raw for raw in raws if raw.offset < stops[partition]]
            # Asked for, as transaction markers take offsets too.
            ended = [each for each in stops if await self.consumer.position(each) >= stops[each]]
            self.consumer.pause(*ended)
            for partition in ended:
                del stops[partition]
            await asyncio.sleep(0)  # a poll of what is there already lets nobody else run
