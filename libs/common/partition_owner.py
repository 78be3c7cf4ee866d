"""The owner of one partition of a stateful service: fence, restore, then transaction after transaction."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from libs.common.cloudevents import headers_of
from libs.common.events import Event
from libs.common.kafka import BATCH_BYTES, Reader, partition_of
from libs.common.kafka_security import client_arguments
from libs.common.partition import Incoming, Partition
from libs.common.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka.structs import ConsumerRecord

    from libs.common.handling import State, Wiring
    from libs.common.monitoring import Meter
    from libs.common.partition import Effects
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

S = TypeVar("S", bound=Event)

TRANSACTION_TIMEOUT_MS: Final = 15_000  # how long a dead owner without successor can hold up readers
STOP_S: Final = 5.0
RETRY_S: Final = 0.1
IDLE_MS: Final = 1_000  # a fetch without records; records and the next tick end it at once
REPORT_S: Final = 1.0  # how old the group's offsets get; in each transaction they were 2 of its 5 requests

_log = logging.getLogger(__name__)


class PartitionOwner(Generic[S]):
    """Works on one partition number from `own` until `release`.

    After `own` has raised a `KafkaError` the transaction's outcome is unknown: the process must end, and
    nothing here tries to abort or close.
    """

    def __init__(
        self,
        wiring: Wiring[S],
        settings: ServiceSettings,
        number: int,
        consumer: AIOKafkaConsumer,
        clock: Callable[[], int],
        meter: Meter,
    ) -> None:
        self.number = number
        self.restored = False
        self.counts: Counter[str] = Counter()
        self._wiring = wiring
        self._settings = settings
        self._consumer = consumer
        self._clock = clock
        self._meter = meter
        self._inputs = {TopicPartition(topic.name, number): topic for topic in wiring.inputs}
        self._partition = Partition(wiring, number, self._place)
        self._producer: AIOKafkaProducer | None = None
        self._unreported: dict[str, int] = {}  # positions that the group's offsets do not show yet
        self._report_at = 0.0  # when they are due, on the loop's clock
        self._in_transaction = asyncio.Lock()
        self._read: dict[TopicPartition, int] = {}  # the offset up to which there is nothing more to read
        self._now = 0

    @property
    def state(self) -> State[S]:
        """The partition's state, as it is handled now."""
        return self._partition.state

    def lags(self) -> dict[str, int]:
        """Return how many offsets of each input are not handled yet, as of the last fetch."""
        ends = {partition: self._consumer.last_stable_offset(partition) or 0 for partition in self._inputs}
        return {p.topic: max(0, end - self._read.get(p, end)) for p, end in ends.items()}

    async def own(self, batch_records: int) -> None:
        """Fence, restore and process for ever, up to `batch_records` a transaction.

        Raises
        ------
        HandlerError
            If the handler raised; what came before the message is committed.
        KafkaError
            If Kafka refuses anything, or another process has taken over.
        StateLostError, UndecodableMessageError
            If the state topic does not fit the group or this service.
        """
        # 1. Fence the former owner: when this returns, its transaction is committed or aborted for good.
        began_s = perf_counter()
        producer = await self._start_producer()
        # 2. Only now are its last state and offsets final.
        await self._restore()
        # 3. Go on where it stopped.
        await self._seek()
        self.restored = True
        self._meter.restore_s.observe(perf_counter() - began_s)
        while True:
            now = self._read_clock()
            due = self._partition.next_wake
            if due is not None and due <= now:
                async with self._in_transaction:
                    await self._commit(producer, self._partition.wake(now, batch_records))
                continue
            wait_ms = IDLE_MS if due is None else min(IDLE_MS, -(-(due - now) // 1_000_000))
            batches = await self._consumer.getmany(
                *self._inputs, timeout_ms=wait_ms, max_records=batch_records
            )
            self._note(batches)
            if batches:
                async with self._in_transaction:
                    await self._commit(producer, await self._applied(batches))
            elif self._unreported and wait_ms == IDLE_MS:
                async with self._in_transaction:
                    await self._report_alone(producer)

    async def release(self, task: asyncio.Task[None]) -> None:
        """Let the running transaction end, then stop `task`, which runs `own`, and the producer."""
        async with self._in_transaction:  # held until the task has ended, so that it begins no other
            while not task.done():
                task.cancel()  # repeated: aiokafka swallows one that comes while it closes a connection
                await asyncio.wait([task], timeout=RETRY_S)
        self.restored = False
        if self._producer is not None:
            async with asyncio.timeout(STOP_S):
                if self._unreported and (task.cancelled() or task.exception() is None):
                    await self._report_alone(self._producer)
                await self._producer.stop()

    async def _start_producer(self) -> AIOKafkaProducer:
        producer = self._producer = AIOKafkaProducer(
            **client_arguments(self._settings),
            transactional_id=f"{self._wiring.service}-{self.number}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=max(
                topic.max_message_bytes for topic in (*TOPICS.values(), *self._wiring.topics)
            ),
        )
        await producer.start()
        return producer

    async def _restore(self) -> None:
        # Raw bytes: the state's log also holds the partition's own records, which the topic does not name.
        log = replace(self._wiring.state, events=())
        async with Reader(self._settings, [log], partitions={self.number}) as reader:
            while not await reader.at_end():
                for record in await reader.poll():
                    self._partition.restore(record.key, record.value)

    async def _seek(self) -> None:
        committed = {p.topic: await self._consumer.committed(p) for p in self._inputs}
        offsets = self._partition.resume(committed)
        first = await self._consumer.beginning_offsets(list(self._inputs))
        for partition, beginning in first.items():
            offset = offsets.get(partition.topic, beginning)
            if (
                offset < beginning
            ):  # the topic's retention is the promise that was broken by being away so long
                expired = {"topic": partition.topic, "partition": self.number, "records": beginning - offset}
                _log.error("input_expired", extra=expired)
                self.counts["expired"] += beginning - offset
            self._consumer.seek(partition, max(offset, beginning))
        self._reached({name: offset for name, offset in offsets.items() if offset != committed[name]})
        facts = {
            "partition": self.number,
            "keys": len(self._partition.state),
            "offsets": dict(offsets),
            "routine": True,
        }
        _log.info("partition_restored", extra=facts)

    async def _applied(self, batches: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]) -> Effects:
        incoming = [[_incoming(self._inputs[p], raw) for raw in raws] for p, raws in batches.items()]
        now, began_s = self._read_clock(), perf_counter()
        if self._wiring.threaded:
            effects = await asyncio.to_thread(self._partition.apply, incoming, now)
        else:
            effects = self._partition.apply(incoming, now)
        self._meter.handling_s.observe(perf_counter() - began_s)
        return effects

    def _note(self, batches: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]) -> None:
        """Note how far the inputs are read; a fetch that brings nothing has seen all, markers too."""
        for partition in self._inputs:
            if batches.get(partition):
                self._read[partition] = batches[partition][-1].offset + 1
            elif not batches:
                self._read[partition] = self._consumer.last_stable_offset(partition) or 0

    async def _commit(self, producer: AIOKafkaProducer, effects: Effects) -> None:
        """Write the effects in one transaction; then raise the handler's failure, if there was one."""
        if effects.outgoing or effects.offsets:
            began_s = perf_counter()
            await producer.begin_transaction()
            sends = [
                await producer.send(
                    out.topic.name,
                    out.value,
                    out.key,
                    partition=out.partition,
                    timestamp_ms=effects.now // 1_000_000,
                    headers=list(out.headers),
                )
                for out in effects.outgoing
            ]
            # The acknowledgements before the offsets: both at once collide in the broker and cost 100 ms.
            await asyncio.gather(*sends)
            self._reached(effects.offsets)
            if self._unreported and asyncio.get_running_loop().time() >= self._report_at:
                await self._report(producer)
            await producer.commit_transaction()
            self.counts["transactions"] += 1
            self._meter.transaction_s.observe(perf_counter() - began_s)
        self.counts["handled"] += effects.handled
        self.counts["stale"] += effects.stale
        self.counts["dead_letters"] += effects.dead_letters
        self._meter.committed(effects)
        if effects.failure is not None:
            raise effects.failure

    def _reached(self, offsets: Mapping[str, int]) -> None:
        """Let the group's offsets follow the position in the state's log, soon."""
        if offsets and not self._unreported:
            self._report_at = asyncio.get_running_loop().time() + REPORT_S
        self._unreported |= offsets

    async def _report(self, producer: AIOKafkaProducer) -> None:
        """Commit the group's offsets, for those who watch its lag, in the open transaction.

        So they are fenced like all else; a commit by the group's member is not, and could come late.
        """
        offsets = {TopicPartition(name, self.number): offset for name, offset in self._unreported.items()}
        await producer.send_offsets_to_transaction(offsets, self._wiring.service)
        self._unreported.clear()

    async def _report_alone(self, producer: AIOKafkaProducer) -> None:
        # Not right after another transaction: offsets first that meet CONCURRENT_TRANSACTIONS wait 100 ms.
        await producer.begin_transaction()
        await self._report(producer)
        await producer.commit_transaction()

    def _place(self, key: bytes) -> int:
        return partition_of(key, self._settings.topic_partitions)

    def _read_clock(self) -> int:
        self._now = max(self._now, self._clock())  # time never goes back for a handler
        return self._now


def _incoming(topic: Topic, raw: ConsumerRecord[bytes, bytes]) -> Incoming:
    return Incoming(
        topic=topic,
        partition=raw.partition,
        offset=raw.offset,
        timestamp_ms=raw.timestamp,
        key=raw.key or b"",
        value=raw.value,
        headers=headers_of(raw.headers),
    )
