"""What a transaction asks of Kafka, told by a client that answers as the test says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    InvalidTxnState,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.transaction import InitProducerIdRequest, InitProducerIdResponse_v0
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from libs.common.effects import Outgoing
from libs.common.kafka import BATCH_BYTES
from libs.common.topics import Key, Topic
from libs.common.transaction_requests import Ended, Request
from libs.common.transactions import MARKERS_S, Direct, in_batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka.client import AIOKafkaClient

TOLD: Final = Topic("told.v1", (), Key.ORIGINAL, ("tests",))
STATE: Final = Topic("state.v1", (), Key.ORIGINAL, ("tests",))
HOME, LOG = TopicPartition("told.v1", 3), TopicPartition("state.v1", 0)
BESIDE: Final = TopicPartition("told.v1", 5)  # led by the node that leads the log
RECORDS: Final = (Outgoing(TOLD, 3, b"k", b"told", (("id", b"1"),)), Outgoing(STATE, 0, b"s", b"state"))
NAMES: Final = {0: "Produce", 22: "InitProducerId", 26: "EndTxn", 28: "TxnOffsetCommit"}


class Cluster:
    """Two nodes, each of which leads one of the partitions; the first coordinates all."""

    leaders: Final = {HOME: 1, LOG: 2, BESIDE: 2}

    def leader_for_partition(self, partition: TopicPartition) -> int | None:
        return self.leaders.get(partition)


class Client:
    """Answers that all is well, or first what the test has put on its list; notes what was asked."""

    def __init__(self, **answers: list[Any]) -> None:
        self.asked: list[str] = []
        self.sent: list[tuple[int, Any]] = []
        self.looked_up: list[str] = []
        self.cluster = Cluster()
        self._answers = answers
        self._epoch = 7

    async def coordinator_lookup(self, _kind: object, key: str) -> int:
        self.looked_up.append(key)
        return 1

    async def _wait_on_metadata(self, topic: str) -> set[int]:
        return {partition.partition for partition in Cluster.leaders if partition.topic == topic}

    def force_metadata_update(self) -> None:
        self.asked.append("Metadata")

    async def send(self, node: int, request: Any, group: object = None) -> Any:
        del group
        key = request.API_KEY if isinstance(request, InitProducerIdRequest) else request.key
        name = NAMES.get(key, "ApiVersions")
        self.asked.append(name)
        self.sent.append((node, request))
        if scripted := self._answers.get(name):
            answer = scripted.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if name == "Produce":
            return {partition: 0 for partition in self.cluster.leaders if _leads(self, node, partition)}
        if name == "TxnOffsetCommit":
            return {HOME: 0}
        if name == "EndTxn":
            self._epoch += 1
            return Ended(0, 5, self._epoch)
        return InitProducerIdResponse_v0(0, 0, 5, self._epoch)


def _leads(client: Client, node: int, partition: TopicPartition) -> bool:
    return client.cluster.leader_for_partition(partition) == node


async def started(client: Client) -> Direct:
    direct = Direct(cast("AIOKafkaClient", client), "router-3", "router")
    await direct.start()
    client.asked.clear()
    client.sent.clear()
    return direct


def epochs(client: Client) -> list[int]:
    """Return the epochs of the batches and ends that were sent, in their order."""
    found = []
    for _, request in client.sent:
        assert isinstance(request, Request)
        if request.key == 26:
            found.append(int.from_bytes(request.body[-4:-2], "big"))
    return found


async def test_a_transaction_is_a_produce_to_each_leader_and_an_end() -> None:
    client = Client()
    direct = await started(client)
    await direct.commit(RECORDS, 1, {})
    assert client.asked == ["Produce", "Produce", "EndTxn"]
    assert [node for node, _ in client.sent] == [1, 2, 1]


async def test_the_groups_offsets_come_between_the_records_and_the_end_and_take_one_request() -> None:
    client = Client()
    direct = await started(client)
    await direct.commit(RECORDS[:1], 1, {HOME: 9})
    assert client.asked == ["Produce", "TxnOffsetCommit", "EndTxn"]
    client.asked.clear()
    await direct.commit((), 1, {HOME: 9})
    assert client.asked == ["TxnOffsetCommit", "EndTxn"]


async def test_each_transaction_is_written_in_the_epoch_that_the_end_before_it_told() -> None:
    client = Client()
    direct = await started(client)
    for _ in range(3):
        await direct.commit(RECORDS, 1, {})
    assert epochs(client) == [7, 8, 9]


async def test_an_end_without_an_answer_is_asked_again_in_its_own_epoch() -> None:
    client = Client(EndTxn=[KafkaConnectionError(), Ended(16, -1, -1), Ended(51, -1, -1)])
    direct = await started(client)
    await direct.commit(RECORDS, 1, {})
    await direct.commit(RECORDS, 1, {})
    assert epochs(client) == [7, 7, 7, 7, 8]
    assert client.looked_up == ["router-3", "router-3", "router-3"], "who coordinates is asked once it fails"


async def test_only_the_batches_that_are_not_written_are_written_again() -> None:
    client = Client(Produce=[{HOME: 0}, {LOG: 6}, {LOG: 51}, {LOG: 46}])
    direct = await started(client)
    await direct.commit(RECORDS, 1, {})
    assert client.asked == ["Produce", "Produce", "Metadata", "Produce", "Produce", "EndTxn"]
    assert [node for node, _ in client.sent] == [1, 2, 2, 2, 1]
    bodies = [request.body for node, request in client.sent if node == 2]
    assert bodies[0] == bodies[1] == bodies[2], "with the sequence of the first time"


async def test_of_one_request_only_the_partition_that_failed_is_written_again() -> None:
    client = Client(Produce=[{LOG: 6, BESIDE: 0}, {LOG: 0}])
    direct = await started(client)
    await direct.commit((Outgoing(TOLD, 5, b"k", b"told"), RECORDS[1]), 1, {})
    assert client.asked == ["Produce", "Metadata", "Produce", "EndTxn"]
    first, second = (request.body for _, request in client.sent[:2])
    assert b"told.v1" in first
    assert b"state.v1" in first
    assert b"told.v1" not in second
    assert b"state.v1" in second


async def test_a_produce_without_an_answer_is_asked_again_as_it_was() -> None:
    client = Client(Produce=[KafkaConnectionError()])
    direct = await started(client)
    await direct.commit(RECORDS[:1], 1, {})
    assert client.asked == ["Produce", "Metadata", "Produce", "EndTxn"]
    assert client.sent[0][1].body == client.sent[1][1].body


@pytest.mark.parametrize(
    ("answers", "raised"),
    [
        ({"Produce": [{HOME: 47}]}, ProducerFenced),
        ({"Produce": [{HOME: 90}]}, ProducerFenced),
        ({"EndTxn": [Ended(47, -1, -1)]}, ProducerFenced),
        ({"EndTxn": [Ended(90, -1, -1)]}, ProducerFenced),
        ({"TxnOffsetCommit": [{HOME: 47}]}, ProducerFenced),
        ({"Produce": [{HOME: 29}]}, TopicAuthorizationFailedError),
        ({"Produce": [{HOME: 10}]}, MessageSizeTooLargeError),
        ({"EndTxn": [Ended(48, -1, -1)]}, InvalidTxnState),
    ],
)
async def test_what_kafka_refuses_is_raised_and_nothing_is_committed(
    answers: dict[str, list[Any]], raised: type[Exception]
) -> None:
    client = Client(**answers)
    direct = await started(client)
    with pytest.raises(raised):
        await direct.commit(RECORDS[:1], 1, {HOME: 9})
    assert client.asked[-1] == next(iter(answers)), "nothing is asked after a refusal"


@pytest.mark.parametrize("request_of", ["Produce", "TxnOffsetCommit"])
async def test_a_topic_that_may_not_be_touched_is_named(request_of: str) -> None:
    direct = await started(Client(**{request_of: [{HOME: 29}]}))
    with pytest.raises(TopicAuthorizationFailedError, match=r"told\.v1"):
        await direct.commit(RECORDS[:1], 1, {HOME: 9})


async def test_a_code_that_the_client_does_not_know_is_named() -> None:
    direct = await started(Client(Produce=[{HOME: 120}]))
    with pytest.raises(Exception, match=r"told\.v1 answered router-3 with error code 120"):
        await direct.commit(RECORDS[:1], 1, {})


async def test_a_partition_that_does_not_exist_is_named() -> None:
    client = Client()
    direct = await started(client)
    with pytest.raises(UnknownTopicOrPartitionError, match=r"told\.v1 has no partition 4"):
        await direct.commit((Outgoing(TOLD, 4, b"k", b"x"),), 1, {})
    assert client.asked == []


async def test_a_transaction_begins_no_sooner_after_another_than_its_markers_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    direct = await started(Client())
    now_s = 100.0
    monkeypatch.setattr("asyncio.sleep", sleep)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s)
    await direct.commit(RECORDS, 1, {})
    assert slept == []
    await direct.commit(RECORDS, 1, {})
    assert slept == [pytest.approx(MARKERS_S)]
    now_s += MARKERS_S
    await direct.commit(RECORDS, 1, {})
    assert slept == [pytest.approx(MARKERS_S)]


@pytest.mark.parametrize(
    ("answer", "understood"),
    [({"transaction.version": 2}, True), ({"transaction.version": 1}, False), ({}, False)],
)
async def test_the_second_version_is_used_where_the_whole_cluster_has_agreed_on_it(
    answer: dict[str, int],
    understood: bool,  # noqa: FBT001 -- a case of the table
) -> None:
    client = Client(ApiVersions=[CoordinatorNotAvailableError(), answer])
    direct = Direct(cast("AIOKafkaClient", client), "router-3", "router")
    assert await direct.is_understood() is understood


RECORD: Final = st.builds(
    Outgoing,
    topic=st.sampled_from((TOLD, STATE)),
    partition=st.integers(0, 2),
    key=st.binary(min_size=1, max_size=9),
    value=st.one_of(
        st.none(),
        st.binary(max_size=50),
        st.integers(1, 2 * BATCH_BYTES).map(lambda size: b"x" * size),
    ),
    headers=st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3).map(tuple),
)


@given(st.lists(RECORD, max_size=30))
def test_batches_hold_every_record_once_in_the_order_of_its_partition(records: Sequence[Outgoing]) -> None:
    sequences: dict[TopicPartition, int] = {}
    held: dict[TopicPartition, list[tuple[object, ...]]] = {}
    for batches in in_batches(records, 1_234, (5, 7)):
        for place, encoded in batches.items():
            memory = MemoryRecords(bytes(encoded))
            batch = memory.next_batch()
            assert not memory.has_next(), "a request takes one batch per partition"
            assert batch.validate_crc()
            assert batch.is_transactional
            assert (batch.producer_id, batch.producer_epoch) == (5, 7)
            assert batch.base_sequence == sequences.get(place, 0)
            inside = [(each.key, each.value, tuple(each.headers), each.timestamp) for each in batch]
            assert len(inside) == 1 or len(encoded) <= BATCH_BYTES
            sequences[place] = batch.base_sequence + len(inside)
            held.setdefault(place, []).extend(inside)
    expected: dict[TopicPartition, list[tuple[object, ...]]] = {}
    for each in records:
        place = TopicPartition(each.topic.name, each.partition)
        expected.setdefault(place, []).append((each.key, each.value, each.headers, 1_234))
    assert held == expected


def test_nothing_to_write_is_no_batch() -> None:
    assert in_batches((), 1, (5, 7)) == []
