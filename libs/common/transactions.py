"""The transactions of one transactional id, one after another: all that one writes is handed over at once.

Where the cluster has agreed on the second version of Kafka's transactions (KIP-890), one takes two requests
in turn, `Produce` and `EndTxn`, over aiokafka's connections (`Direct`). On any other aiokafka's own producer
writes it, which asks for all partitions first (`Classic`).

After any error that is raised the outcome is unknown: the process must end, and who takes over fences it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import aiokafka.producer.sender
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    DuplicateSequenceNumber,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    KafkaError,
    NoError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from libs.common import transaction_requests as requests
from libs.common.kafka import BATCH_BYTES
from libs.common.kafka_security import client_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.effects import Outgoing
    from libs.common.settings import ServiceSettings

Batches: TypeAlias = "dict[TopicPartition, bytearray]"

TRANSACTION_TIMEOUT_MS: Final = 15_000  # how long a dead owner without successor can hold up readers
REQUEST_TIMEOUT_MS: Final = 40_000
SECOND: Final = 2  # the version of transactions
# What meets CONCURRENT_TRANSACTIONS, as the markers of the transaction before are still written, is asked
# again after this long, then twice as long: at aiokafka's 20 ms a transaction takes 24 ms, at 1 ms 3.5.
GAP_S: Final = 0.001
LONGEST_GAP_S: Final = 0.1
# Kafka itself repeats what `Produce` asks of the transaction's coordinator, after its setting
# `add.partitions.to.txn.retry.backoff.ms` of 20 ms: one that comes this much after the end does not meet it.
MARKERS_S: Final = 0.0015
TOLD_S: Final = 1.0  # what waits longer is told
FENCED_CODE: Final = 90  # PRODUCER_FENCED, which aiokafka does not number
NO_LEADER: Final = -1
MAGIC: Final = 2  # the format of batches

_log = logging.getLogger(__name__)


class Transactions(Protocol):
    """Writes transactions under an id of which nobody else writes any more."""

    async def commit(
        self, records: Sequence[Outgoing], timestamp_ms: int, offsets: Mapping[TopicPartition, int]
    ) -> None:
        """Write records and the group's offsets, all or nothing; there must be some of either.

        Raises
        ------
        KafkaError
            If Kafka refuses anything; `ProducerFenced` if another process has taken over.
        """

    async def stop(self) -> None:
        """Close the connections."""


async def fence(settings: ServiceSettings, transactional_id: str, group: str, largest: int) -> Transactions:
    """End whatever transaction a former owner of the id has left open, and return the id's transactions.

    Parameters
    ----------
    group
        The consumers' group whose offsets they commit.
    largest
        The size in bytes of the largest record that any topic takes.

    Raises
    ------
    KafkaError
        If Kafka refuses.
    """
    client = AIOKafkaClient(**client_arguments(settings), request_timeout_ms=REQUEST_TIMEOUT_MS)
    direct = Direct(client, transactional_id, group)
    try:
        await client.bootstrap()
        if await direct.is_understood():
            await direct.start()
            return direct
    except BaseException:
        await client.close()
        raise
    await client.close()
    return await classic(settings, transactional_id, group, largest)


async def classic(settings: ServiceSettings, transactional_id: str, group: str, largest: int) -> Classic:
    """Fence as `fence` does, by aiokafka's producer."""
    aiokafka.producer.sender.BACKOFF_OVERRIDE = GAP_S
    producer = AIOKafkaProducer(
        **client_arguments(settings),
        transactional_id=transactional_id,
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        max_request_size=largest,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return Classic(producer, group)


class Classic:
    """By aiokafka's producer: `AddPartitionsToTxn` for all partitions, `Produce`, and `EndTxn`."""

    def __init__(self, producer: AIOKafkaProducer, group: str) -> None:
        self._producer = producer
        self._group = group

    async def commit(
        self, records: Sequence[Outgoing], timestamp_ms: int, offsets: Mapping[TopicPartition, int]
    ) -> None:
        """See `Transactions`; nothing tries to abort one that fails."""
        await self._producer.begin_transaction()
        sends = [
            await self._producer.send(
                each.topic.name,
                each.value,
                each.key,
                partition=each.partition,
                timestamp_ms=timestamp_ms,
                headers=list(each.headers),
            )
            for each in records
        ]
        # The acknowledgements before the offsets: both at once collide in the broker and cost 100 ms.
        await asyncio.gather(*sends)
        if offsets:
            await self._producer.send_offsets_to_transaction(offsets, self._group)
        await self._producer.commit_transaction()

    async def stop(self) -> None:
        """See `Transactions`."""
        await self._producer.stop()


class Direct:
    """By requests of our own, where every transaction has an epoch of its own.

    So whatever comes late of one that is over is refused, and the sequences of batches begin at 0 in each.
    What is not answered is asked again for as long as it takes: a batch has its sequence, and an end that was
    done is answered as before.
    """

    def __init__(self, client: AIOKafkaClient, transactional_id: str, group: str) -> None:
        self._client = client
        self._id = transactional_id
        self._group = group
        self._keys = {CoordinationType.TRANSACTION: transactional_id, CoordinationType.GROUP: group}
        self._coordinators: dict[CoordinationType, int] = {}  # their nodes
        self._producer = (-1, -1)  # id and epoch
        self._gap_s = GAP_S
        self._waited_s = 0.0  # in this transaction
        self._ended_s = -math.inf  # on the loop's clock

    async def is_understood(self) -> bool:
        """Tell whether the whole cluster has agreed on the second version."""
        agreed = await self._ask(CoordinationType.TRANSACTION, requests.features())
        return bool(agreed.get(requests.FEATURE, 0) >= SECOND)

    async def start(self) -> None:
        """Fence the former owner: its transaction is committed or aborted for good when this returns."""
        self._producer = await self._become(InitProducerIdRequest(self._id, TRANSACTION_TIMEOUT_MS))

    async def commit(
        self, records: Sequence[Outgoing], timestamp_ms: int, offsets: Mapping[TopicPartition, int]
    ) -> None:
        """See `Transactions`."""
        loop = asyncio.get_running_loop()
        if (early_s := self._ended_s + MARKERS_S - loop.time()) > 0:
            await asyncio.sleep(early_s)
        self._gap_s, self._waited_s = GAP_S, 0.0
        for batches in in_batches(records, timestamp_ms, self._producer):
            await self._produce(batches)
        # The acknowledgements before the offsets: both at once collide in the broker and cost 100 ms.
        if offsets:
            await self._commit_offsets(offsets)
        self._producer = await self._become(requests.commit(self._id, self._producer))
        self._ended_s = loop.time()

    async def stop(self) -> None:
        """See `Transactions`."""
        await self._client.close()

    async def _produce(self, batches: Batches) -> None:
        while batches:
            nodes: dict[int, Batches] = {}
            for partition, batch in batches.items():
                nodes.setdefault(await self._leader(partition), {})[partition] = batch
            left = await asyncio.gather(*(self._produce_at(node, those) for node, those in nodes.items()))
            batches = {partition: batch for those in left for partition, batch in those.items()}

    async def _produce_at(self, node: int, batches: Batches) -> Batches:
        """Write batches of partitions that a node leads; return those that are to be written again."""
        try:
            codes = await self._client.send(node, requests.produce(self._id, batches, REQUEST_TIMEOUT_MS))
        except KafkaError as error:
            await self._wait(error)
            return batches
        again = {partition: code for partition, code in codes.items() if not _is_written(code)}
        for partition, code in again.items():
            await self._wait(self._refusal(code, partition.topic))
        return {partition: batches[partition] for partition in again}

    async def _leader(self, partition: TopicPartition) -> int:
        """Return the node that leads a partition, however long it has none."""
        while True:
            known = await self._client._wait_on_metadata(partition.topic)  # noqa: SLF001 -- as its producer does
            if partition.partition not in known:
                raise UnknownTopicOrPartitionError(
                    f"{partition.topic} has no partition {partition.partition}"
                )
            leader: int | None = self._client.cluster.leader_for_partition(partition)
            if leader is not None and leader != NO_LEADER:
                return leader
            await self._wait(UnknownTopicOrPartitionError(f"no broker leads {partition}"))

    async def _commit_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        request = requests.commit_offsets(self._id, self._group, self._producer, offsets)
        while again := _refused(await self._ask(CoordinationType.GROUP, request)):
            for topic, code in again.items():
                await self._wait(self._refusal(code, topic), CoordinationType.GROUP)

    async def _become(self, request: object) -> tuple[int, int]:
        """Have the coordinator do this, and return as whom the next transaction is written."""
        while (answer := await self._ask(CoordinationType.TRANSACTION, request)).error_code:
            await self._wait(self._refusal(answer.error_code), CoordinationType.TRANSACTION)
        return answer.producer_id, answer.producer_epoch

    async def _ask(self, whom: CoordinationType, request: object) -> Any:  # noqa: ANN401 -- aiokafka is untyped
        """Return a coordinator's answer, however often it must be asked."""
        while True:
            try:
                if whom not in self._coordinators:
                    key = self._keys[whom]
                    self._coordinators[whom] = await self._client.coordinator_lookup(whom, key)
                node = self._coordinators[whom]
                return await self._client.send(node, request, group=ConnectionGroup.COORDINATION)
            except TransactionalIdAuthorizationFailed as error:
                raise TransactionalIdAuthorizationFailed(self._id) from error
            except GroupAuthorizationFailedError as error:
                raise GroupAuthorizationFailedError(self._group) from error
            except KafkaError as error:
                await self._wait(error, whom)

    async def _wait(self, error: KafkaError, whom: CoordinationType | None = None) -> None:
        """Wait before what met this is asked again, each time for longer; raise what does not pass."""
        if isinstance(error, ConcurrentTransactions):
            pass
        elif not error.retriable:
            raise error
        else:
            self._coordinators.pop(whom, None)
            if error.invalid_metadata:
                self._client.force_metadata_update()
        if self._waited_s < TOLD_S <= self._waited_s + self._gap_s:
            _log.warning("transaction_waits", extra={"transactional_id": self._id, "reason": str(error)})
        self._waited_s += self._gap_s
        await asyncio.sleep(self._gap_s)
        self._gap_s = min(2 * self._gap_s, LONGEST_GAP_S)

    def _refusal(self, code: int, topic: str = "") -> KafkaError:
        error = for_code(code)
        if code == FENCED_CODE or error is InvalidProducerEpoch:
            return ProducerFenced()
        if error is TopicAuthorizationFailedError:
            return error(topic)
        if error is TransactionalIdAuthorizationFailed:
            return error(self._id)
        if error is GroupAuthorizationFailedError:
            return error(self._group)
        return error(f"{topic or 'the coordinator'} answered {self._id} with error code {code}")


def _refused(codes: Mapping[TopicPartition, int]) -> Mapping[str, int]:
    """Return an error code of each topic that has one."""
    return {partition.topic: code for partition, code in codes.items() if code}


def _is_written(code: int) -> bool:
    return for_code(code) in {NoError, DuplicateSequenceNumber}


class _Batch:
    """The records of one batch; the first fits whatever its size."""

    def __init__(self, producer: tuple[int, int], sequence: int) -> None:
        self.following = sequence  # that of the record after the last
        self._first = sequence
        self._builder = DefaultRecordBatchBuilder(
            MAGIC,
            compression_type=0,
            is_transactional=True,
            producer_id=producer[0],
            producer_epoch=producer[1],
            base_sequence=sequence,
            batch_size=BATCH_BYTES,
        )

    def add(self, record: Outgoing, timestamp_ms: int) -> bool:
        """Add a record, and tell whether there was room for it."""
        offset = self.following - self._first
        headers = list(record.headers)
        added = self._builder.append(offset, timestamp_ms, record.key, record.value, headers) is not None
        self.following += added
        return added

    def encoded(self) -> bytearray:
        """Return its bytes; nothing is added after that."""
        built: bytearray = self._builder.build()
        return built


def in_batches(records: Sequence[Outgoing], timestamp_ms: int, producer: tuple[int, int]) -> list[Batches]:
    """Return what a producer, by id and epoch, writes in turn: of each partition a batch, in its order."""
    places: dict[TopicPartition, list[_Batch]] = {}
    for record in records:
        place = TopicPartition(record.topic.name, record.partition)
        batches = places.setdefault(place, [_Batch(producer, 0)])
        if not batches[-1].add(record, timestamp_ms):
            batches.append(_Batch(producer, batches[-1].following))
            batches[-1].add(record, timestamp_ms)
    turns = range(max(map(len, places.values()), default=0))
    return [
        {place: batches[turn].encoded() for place, batches in places.items() if turn < len(batches)}
        for turn in turns
    ]
