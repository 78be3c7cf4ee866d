"""`TopicReader`: a group-less reader of Kafka for the terminal, which looks and never commits."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from libs.cli.errors import CommandError
from libs.cli.starts import At, Beginning, End, Offset
from libs.common.kafka import MissingTopicError, partition_counts, partition_of
from libs.common.kafka_security import client_arguments, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from aiokafka import ConsumerRecord
    from aiokafka.admin import AIOKafkaAdminClient

    from libs.cli.starts import Start
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

CONNECT_TIMEOUT_S: Final = 10.0
MAX_PARTITION_BYTES: Final = 8 * 1024 * 1024  # a keyframe may be this large


def not_reachable(settings: ServiceSettings, error: BaseException) -> CommandError:
    """Return the one line for a Kafka that does not answer."""
    # Of the usual case aiokafka says only, at length, what was tried.
    reason = "" if isinstance(error, KafkaConnectionError | TimeoutError) else f" ({error})"
    return CommandError(
        f"Kafka does not answer on {settings.kafka_bootstrap_servers}{reason}: "
        "start it with `make run`, or set KAFKA_BOOTSTRAP_SERVERS"
    )


@asynccontextmanager
async def connected(
    client: AIOKafkaConsumer | AIOKafkaAdminClient, settings: ServiceSettings
) -> AsyncIterator[None]:
    """Start a client and close it afterwards.

    Raises
    ------
    CommandError
        If Kafka does not answer, or turns us away.
    """
    closed = client.stop if isinstance(client, AIOKafkaConsumer) else client.close
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await client.start()
            await asyncio.sleep(
                0
            )  # aiokafka cannot stop a client whose tasks have not taken their first step
    except (KafkaError, OSError, TimeoutError) as error:
        await closed()
        if (refused := await refusal(settings)) is not None:
            raise CommandError(str(refused)) from error
        raise not_reachable(settings, error) from error
    try:
        yield
    finally:
        await closed()


class TopicReader:
    """Reads raw records of some partitions from a start that the caller chooses."""

    def __init__(self, consumer: AIOKafkaConsumer, settings: ServiceSettings) -> None:
        self._consumer = consumer
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: ServiceSettings) -> AsyncIterator[TopicReader]:
        """Connect; see `connected`."""
        consumer = AIOKafkaConsumer(
            **client_arguments(settings),
            client_id="bookrunner-cli",
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=MAX_PARTITION_BYTES,
            fetch_max_wait_ms=100,
        )
        async with connected(consumer, settings):
            yield cls(consumer, settings)

    async def partitions(self, topic: Topic, key: bytes | None = None) -> list[TopicPartition]:
        """Return the partitions of a topic, or the one in which `key` is kept.

        Raises
        ------
        CommandError
            If Kafka has no such topic.
        """
        try:
            count = (await partition_counts(self._settings, [topic]))[topic.name]
        except MissingTopicError as error:
            raise CommandError(
                f"Kafka has no topic {topic.name} yet: start the services with `make run`, "
                "or create it with `bookrunner topics --create`"
            ) from error
        numbers = range(count) if key is None else [partition_of(key, count)]
        return [TopicPartition(topic.name, number) for number in numbers]

    async def bounds(
        self, partitions: Iterable[TopicPartition]
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        """Return the first offset kept and the offset behind the last, of each partition."""
        listed = list(partitions)
        return await self._consumer.beginning_offsets(listed), await self._consumer.end_offsets(listed)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset behind the last, of each partition."""
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(list(partitions))
        return ends

    async def offsets(self, places: Mapping[TopicPartition, Start]) -> Mapping[TopicPartition, int]:
        """Return the offset of a place in each partition, within what is kept."""
        first, ends = await self.bounds(places)
        moments = {tp: place.timestamp_ms for tp, place in places.items() if isinstance(place, At)}
        found = await self._consumer.offsets_for_times(moments) if moments else {}
        offsets = {}
        for tp, place in places.items():
            match place:
                case Beginning():
                    offsets[tp] = first[tp]
                case End():
                    offsets[tp] = ends[tp]
                case At():
                    offsets[tp] = found[tp].offset if found[tp] is not None else ends[tp]
                case Offset(number):
                    offsets[tp] = min(max(number, first[tp]), ends[tp])
        return offsets

    async def begin(self, starts: Mapping[TopicPartition, Start]) -> Mapping[TopicPartition, int]:
        """Read these partitions from these starts on; return the end offsets of this moment.

        A second call may begin anew, with the same partitions only: the fetcher can swallow the order to
        stop that comes close after another `assign`, and then never ends.
        """
        ends = await self.end_offsets(starts)
        offsets = await self.offsets(starts)
        if self._consumer.assignment() != frozenset(starts):
            self._consumer.assign(list(starts))
        for tp, offset in offsets.items():
            self._consumer.seek(tp, offset)
        return ends

    async def behind(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether a partition has not yet been read up to these ends; a position steps over holes."""
        return any([await self._consumer.position(tp) < end for tp, end in ends.items()])

    async def batch(self, timeout_ms: int = 100) -> Sequence[ConsumerRecord]:
        """Return what has come: each partition in order, across partitions by time."""
        batches = await self._consumer.getmany(timeout_ms=timeout_ms)
        return sorted(
            (record for records in batches.values() for record in records),
            key=lambda record: (
                record.timestamp
            ),  # stable: a partition's own order stays where times are equal
        )
