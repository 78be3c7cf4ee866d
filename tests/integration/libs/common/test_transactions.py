"""Both ways of writing a transaction keep the same promises on a real Kafka."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced

from libs.common.effects import Outgoing
from libs.common.kafka import BATCH_BYTES, Reader, create_topics
from libs.common.topics import Key, Topic
from libs.common.transactions import Classic, Direct, classic, fence
from tests.integration.libs.common.workers import eventually, settings_of
from tests.kafka_cluster import native_broker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from libs.common.settings import ProcessorSettings
    from libs.common.transactions import Transactions

LOGS: Final = tuple(
    Topic(f"bookrunner-tests.{name}.v1", (), Key.ORIGINAL, ("tests",)) for name in ("told", "state")
)
TOLD, STATE = LOGS
LARGEST: Final = 1_048_576
TRANSACTION: Final = (0, 28, 26)  # what one asks: Produce, TxnOffsetCommit, EndTxn
NOW_MS: Final = time.time_ns() // 1_000_000

Begin: TypeAlias = "Callable[[ProcessorSettings, str], Awaitable[Transactions]]"
Fence: TypeAlias = "Callable[[ProcessorSettings, str, str, int], Awaitable[Transactions]]"


@pytest.fixture
def settings(fresh_kafka: str) -> ProcessorSettings:
    return settings_of(fresh_kafka)


@pytest.fixture(params=["direct", "classic"])
def begin(request: pytest.FixtureRequest) -> Begin:
    """Return how a group's transactions are begun, of either version."""
    begun = {"direct": fence, "classic": classic}[request.param]
    return lambda settings, group: begun(settings, f"{group}-0", group, LARGEST)


def records(number: int, *, size: int = 1) -> list[Outgoing]:
    """Return a record of each log and of two partitions, all of one transaction."""
    value = b"%d" % number + b" " * size
    return [
        Outgoing(TOLD, 0, b"k", value, (("id", b"%d" % number),)),
        Outgoing(TOLD, 1, b"k", value),
        Outgoing(STATE, 0, b"k", value),
    ]


async def committed(settings: ProcessorSettings) -> dict[tuple[str, int], list[int]]:
    """Return the numbers of what a reader of committed records sees, by log and partition."""
    found: dict[tuple[str, int], list[int]] = {}
    async with Reader(settings, [replace(log, events=()) for log in LOGS]) as reader:
        while not await reader.at_end():
            for record in await reader.poll():
                place = record.topic.name.split(".")[1], record.partition
                found.setdefault(place, []).append(int(record.value or b"-1"))
    return found


def everywhere(*numbers: int) -> dict[tuple[str, int], list[int]]:
    return {("told", 0): list(numbers), ("told", 1): list(numbers), ("state", 0): list(numbers)}


async def test_a_kafka_of_ours_is_written_to_by_the_second_version(settings: ProcessorSettings) -> None:
    transactions = await fence(settings, "ours-0", "ours", LARGEST)
    assert isinstance(transactions, Direct)
    await transactions.stop()


async def test_a_cluster_that_has_not_agreed_on_it_is_written_to_by_the_first(
    settings: ProcessorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_topics(settings, LOGS)
    monkeypatch.setattr("libs.common.transaction_requests.FEATURE", "transaction.version.of.another")
    transactions = await fence(settings, "first-0", "first", LARGEST)
    assert isinstance(transactions, Classic)
    await transactions.commit(records(1), NOW_MS, {})
    await transactions.stop()
    assert await committed(settings) == everywhere(1)


async def test_what_is_committed_is_read_whole_and_in_order(
    settings: ProcessorSettings, begin: Begin
) -> None:
    await create_topics(settings, LOGS)
    transactions = await begin(settings, "whole")
    for number in range(20):
        await transactions.commit(records(number), NOW_MS, {})
    await transactions.stop()
    assert await committed(settings) == everywhere(*range(20))


async def test_a_transaction_may_hold_more_than_one_batch_of_a_partition(
    settings: ProcessorSettings, begin: Begin
) -> None:
    await create_topics(settings, LOGS)
    transactions = await begin(settings, "large")
    numbers = range(9)
    large = [each for number in numbers for each in records(number, size=BATCH_BYTES // 3)]
    await transactions.commit(large, NOW_MS, {})
    await transactions.commit(records(9), NOW_MS, {})
    await transactions.stop()
    assert await committed(settings) == everywhere(*range(10))


async def test_the_groups_offsets_are_committed_with_records_or_alone(
    settings: ProcessorSettings, begin: Begin, tmp_path: Path
) -> None:
    await create_topics(settings, LOGS)
    group, place = f"offsets-{tmp_path.name}", TopicPartition(TOLD.name, 0)
    transactions = await begin(settings, group)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([place])
    try:
        await transactions.commit(records(1), NOW_MS, {place: 7})
        await eventually(partial(_has_committed, consumer, place, 7))
        await transactions.commit((), NOW_MS, {place: 9})
        await eventually(partial(_has_committed, consumer, place, 9))
    finally:
        await consumer.stop()
        await transactions.stop()


async def _has_committed(consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> bool:
    return bool(await consumer.committed(place) == offset)


async def test_who_was_taken_over_from_commits_nothing_more(
    settings: ProcessorSettings, begin: Begin
) -> None:
    await create_topics(settings, LOGS)
    former = await begin(settings, "taken")
    await former.commit(records(1), NOW_MS, {})
    latter = await begin(settings, "taken")
    with pytest.raises(KafkaError) as raised:
        await former.commit(records(2), NOW_MS, {})
    assert isinstance(raised.value, ProducerFenced)
    await latter.commit(records(3), NOW_MS, {})
    for each in (latter, former):
        await each.stop()
    assert await committed(settings) == everywhere(1, 3)


@pytest.mark.parametrize(("before", "end"), [(fence, "_become"), (classic, "_producer.commit_transaction")])
async def test_who_takes_over_ends_what_the_former_owner_had_written_but_not_committed(
    settings: ProcessorSettings, begin: Begin, before: Fence, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of either version, as where a process is replaced by an older or a newer one."""
    await create_topics(settings, LOGS)
    former = await before(settings, "ended-0", "ended", LARGEST)
    never = asyncio.Event()
    with monkeypatch.context() as patched:
        *way, last = end.split(".")
        patched.setattr(reduce(getattr, way, former), last, lambda *_request: never.wait())
        writing = asyncio.ensure_future(former.commit(records(1), NOW_MS, {}))
        latter = await _once_written(settings, writing, begin)
    await latter.commit(records(2), NOW_MS, {})
    writing.cancel()
    for each in (latter, former):
        await each.stop()
    assert await committed(settings) == everywhere(2)


async def _once_written(
    settings: ProcessorSettings, writing: asyncio.Task[None], begin: Begin
) -> Transactions:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)  # reads uncommitted
    await consumer.start()
    places = [TopicPartition(TOLD.name, 0), TopicPartition(TOLD.name, 1), TopicPartition(STATE.name, 0)]
    try:
        await eventually(partial(_is_written, consumer, places))
    finally:
        await consumer.stop()
    assert not writing.done()
    return await begin(settings, "ended")


async def _is_written(consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> bool:
    return all(end == 1 for end in (await consumer.end_offsets(places)).values())


async def test_connections_that_end_at_any_request_lose_and_double_nothing(
    settings: ProcessorSettings, tmp_path: Path
) -> None:
    """Of each kind of request, all connections end before one of three, and another one's answer is lost."""
    await create_topics(settings, LOGS)
    place = TopicPartition(TOLD.name, 0)
    transactions = await fence(settings, f"cut-{tmp_path.name}-0", f"cut-{tmp_path.name}", LARGEST)
    assert isinstance(transactions, Direct)
    client = transactions._client  # noqa: SLF001 -- its connections are what ends
    send, sent_of = client.send, Counter[object]()

    async def cut(node: int, request: object, **named: object) -> object:
        kind = getattr(request, "key", type(request))
        sent_of[kind] += 1
        connections = [each for each in client._conns.values() if each.connected()]  # noqa: SLF001 -- as above
        if sent_of[kind] % 3 == 1:
            for each in connections:
                each.close()
        sent = asyncio.ensure_future(send(node, request, **named))
        if sent_of[kind] % 3 == 2:
            await sent  # Kafka has done it
            raise KafkaConnectionError
        return await sent

    client.send = cut
    for number in range(12):
        await transactions.commit(records(number), NOW_MS, {place: number + 1})
    client.send = send
    await transactions.stop()
    assert await committed(settings) == everywhere(*range(12))
    assert all(sent_of[key] > 12 for key in TRANSACTION), "the test cut nothing"


async def test_a_kafka_that_is_killed_and_comes_back_is_written_to_as_if_it_had_not(tmp_path: Path) -> None:
    with native_broker(tmp_path) as broker:
        settings = settings_of(broker.bootstrap_servers)
        await create_topics(settings, LOGS)
        transactions = await fence(settings, "killed-0", "killed", LARGEST)
        await transactions.commit(records(0), NOW_MS, {})
        broker.kill()
        writing = asyncio.ensure_future(transactions.commit(records(1), NOW_MS, {}))
        await asyncio.to_thread(broker.start)
        await writing
        await transactions.commit(records(2), NOW_MS, {})
        await transactions.stop()
        assert await committed(settings) == everywhere(0, 1, 2)
