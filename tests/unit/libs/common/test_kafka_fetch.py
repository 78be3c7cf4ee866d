"""The fetcher in sessions, before a broker that keeps them as KIP-227 says; no socket."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import asynccontextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import consumer
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11

from libs.common import kafka_records
from libs.common.kafka_fetch import PART_MS
from tests.hostile_batches import batch_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

PARTITIONS: Final = tuple(TopicPartition(topic, number) for topic in ("a.v1", "b.v1") for number in range(4))
ONE: Final = PARTITIONS[0]
HERE: Final = 1  # the broker's id
UNKNOWN: Final = 70  # FETCH_SESSION_ID_NOT_FOUND
STORAGE: Final = 56  # KAFKA_STORAGE_ERROR: its disk is away
TURNS: Final = 500  # of the loop, within which all is answered that can be


class Broker:
    """Logs, and one session; stands for a client and its cluster, too."""

    def __init__(self, spoken: tuple[int, int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._metadata_max_age_ms = 300_000
        self._partitions = dict[str, object]()
        self.cluster = self
        self.spoken = spoken  # versions
        self.logs = {each: list[bytes]() for each in PARTITIONS}
        self.places = dict[TopicPartition, int]()  # of the session, from where they are fetched
        self.told = dict[TopicPartition, int]()  # the ends of which it knows
        self.session, self.epoch = 0, 0
        self.asked: list[set[TopicPartition]] = []  # what each request named
        self.waits_ms: list[int] = []  # and how long it may wait
        self.fails = 0  # so many requests are not answered
        self.refused = dict[TopicPartition, int]()  # the error that each answer has of a partition

    def leader_for_partition(self, _partition: TopicPartition) -> int:
        return HERE

    def forget(self) -> None:
        """Lose the session, as one that has too many does."""
        self.session += 1

    def force_metadata_update(self) -> None:
        """Do nothing: the leaders stay."""

    def fail(self) -> None:
        """Leave the next request without an answer."""
        self.fails += 1

    async def send(self, _node: int, request: FetchRequest) -> Any:
        wire = request.prepare({FetchRequest.API_KEY: self.spoken})
        in_session = wire.API_VERSION == FetchRequest_v11.API_VERSION
        asked = (FetchRequest_v11 if in_session else type(wire)).decode(wire.encode())
        places = {TopicPartition(topic, each[0]): each[2] for topic, found in asked.topics for each in found}
        self.asked.append(set(places))
        self.waits_ms.append(asked.max_wait_time)
        await asyncio.sleep(0)
        if asked.session_epoch <= 0:
            self.places, self.told = {}, {}
            self.session, self.epoch = self.session + 1, 0
        elif (asked.session_id, asked.session_epoch) != (self.session, self.epoch):
            return wire.RESPONSE_TYPE.decode(BytesIO(FetchResponse_v11(0, UNKNOWN, 0, []).encode()))
        self.epoch += 1
        session = self.session
        self.places |= places
        for topic, numbers in asked.forgotten_topics_data:
            for number in numbers:
                del self.places[TopicPartition(topic, number)]
        for _ in range(2 * TURNS):
            if news := self._news():
                break
            await asyncio.sleep(0)
            if self.fails:
                self.fails -= 1
                raise KafkaConnectionError("away")
        answer = FetchResponse_v11(0, 0, session, news)
        if not in_session:  # version 10 knows no preferred replica
            lacking = [(name, [(*each[:6], each[7]) for each in found]) for name, found in news]
            answer = wire.RESPONSE_TYPE(0, 0, 0, lacking)
        return wire.RESPONSE_TYPE.decode(BytesIO(answer.encode()))

    def _news(self) -> list[tuple[str, list[tuple[Any, ...]]]]:
        news: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for partition, offset in self.places.items():
            log = self.logs[partition]
            if error_code := self.refused.get(partition):
                news[partition.topic].append((partition.partition, error_code, -1, -1, -1, [], -1, b""))
                self.told.pop(partition, None)
            elif len(log) > offset or self.told.get(partition) != len(log):
                values = [(b"key", value, ()) for value in log[offset:]]
                records = offset.to_bytes(8, "big") + batch_of(values)[8:] if values else b""
                found: tuple[Any, ...] = (partition.partition, 0, len(log), len(log), 0, [], -1, records)
                news[partition.topic].append(found)
                self.told[partition] = len(log)
        return list(news.items())


class Reading:
    """A consumer's fetcher and its subscription."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.subscription = SubscriptionState()
        self.fetcher = consumer.Fetcher(
            broker,
            self.subscription,
            fetch_max_bytes=1 << 24,
            max_partition_fetch_bytes=1 << 22,
            isolation_level="read_committed",
            auto_offset_reset="none",
            retry_backoff_ms=0,
        )

    def assign(self, *partitions: TopicPartition) -> None:
        self.subscription.assign_from_user(set(partitions))
        for each in partitions:
            self.subscription.seek(each, 0)

    def state(self, partition: TopicPartition) -> Any:
        return self.subscription.subscription.assignment.state_value(partition)

    async def take(self, *partitions: TopicPartition) -> dict[TopicPartition, list[bytes]]:
        found = await self.fetcher.fetched_records(list(partitions))
        return {each: [record.value for record in records] for each, records in found.items()}

    async def first(self) -> dict[TopicPartition, list[bytes]]:
        for _ in range(TURNS):
            if found := await self.take():
                return found
            await asyncio.sleep(0)
        raise AssertionError("no record comes")

    async def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(TURNS):
            if holds():
                return
            await asyncio.sleep(0)
        raise AssertionError("it does not come to hold")


@asynccontextmanager
async def reading(spoken: tuple[int, int]) -> AsyncIterator[Reading]:
    kafka_records.mend_records()
    found = Reading(Broker(spoken))
    try:
        found.assign(*PARTITIONS)
        yield found
    finally:
        await found.fetcher.close()


def run(scenario: Callable[[Reading], Awaitable[None]], spoken: tuple[int, int] = (4, 17)) -> None:
    async def whole() -> None:
        async with reading(spoken) as found, asyncio.timeout(60):
            await scenario(found)

    asyncio.run(whole())


def test_after_the_first_request_only_what_was_read_is_named() -> None:
    async def scenario(found: Reading) -> None:
        broker = found.broker
        await found.until(lambda: len(broker.asked) == 2)
        broker.logs[ONE].append(b"1")
        assert await found.first() == {ONE: [b"1"]}
        await found.until(lambda: len(broker.asked) == 3)
        assert broker.asked == [set(PARTITIONS), set(), {ONE}]

    run(scenario)


def test_all_are_heard_of_by_an_answer_that_has_no_news_of_them() -> None:
    async def scenario(found: Reading) -> None:
        broker = found.broker
        await found.until(lambda: len(broker.asked) == 2)
        for each in PARTITIONS:
            assert (found.state(each).highwater, found.state(each).lso) == (0, 0)
            found.state(each).timestamp = None
        broker.logs[ONE].append(b"1")
        await found.first()
        assert (found.state(ONE).highwater, found.state(ONE).lso) == (1, 1)
        assert all(found.state(each).timestamp for each in PARTITIONS)

    run(scenario)


def test_a_partition_that_kafka_refuses_is_not_heard_of_until_it_is_given_again() -> None:
    async def scenario(found: Reading) -> None:
        broker = found.broker
        await found.until(lambda: broker.epoch == 2)
        broker.logs[ONE] += [b"1"]
        broker.refused[ONE] = STORAGE
        await found.until(lambda: broker.epoch >= 4)
        for each in PARTITIONS:
            found.state(each).timestamp = None
        asked = len(broker.asked)
        await found.until(lambda: len(broker.asked) >= asked + 3)
        assert [each for each in PARTITIONS if found.state(each).timestamp is None] == [ONE]
        assert found.state(ONE).highwater == 0
        broker.refused.clear()
        assert await found.first() == {ONE: [b"1"]}
        await found.until(lambda: found.state(ONE).timestamp is not None)
        assert found.state(ONE).highwater == 1

    run(scenario)


def test_an_end_that_is_told_while_its_reader_seeks_is_not_lost() -> None:
    async def scenario(found: Reading) -> None:
        broker = found.broker
        broker.logs[ONE] += [b"0", b"1", b"2"]
        await found.until(lambda: len(broker.asked) == 1)
        found.subscription.seek(ONE, 3)
        await found.until(lambda: len(broker.asked) == 2)
        assert found.state(ONE).highwater == 3

    run(scenario)


def test_a_session_that_kafka_has_lost_is_begun_anew() -> None:
    async def scenario(found: Reading) -> None:
        broker = found.broker
        await found.until(lambda: broker.epoch == 2)
        broker.forget()
        broker.logs[ONE].append(b"1")
        assert await found.first() == {ONE: [b"1"]}
        await found.until(lambda: len(broker.asked) == 4)
        assert broker.asked == [set(PARTITIONS), set(), {ONE}, set(PARTITIONS)]

    run(scenario)


def test_after_a_fetch_without_an_answer_the_session_is_begun_anew() -> None:
    async def scenario(found: Reading) -> None:
        broker = found.broker
        await found.until(lambda: len(broker.asked) == 2)
        broker.fail()
        await found.until(lambda: len(broker.asked) == 3)
        assert broker.asked == [set(PARTITIONS), set(), set(PARTITIONS)]

    run(scenario)


def test_who_is_assigned_partitions_anew_is_told_where_all_of_them_end() -> None:
    async def scenario(found: Reading) -> None:
        broker = found.broker
        await found.until(lambda: len(broker.asked) == 2)
        broker.logs[ONE].append(b"1")
        await found.until(lambda: broker.told[ONE] == 1)
        for _ in range(5):
            await asyncio.sleep(0)  # the record waits here, so that nothing is asked for
        found.assign(*PARTITIONS)
        assert await found.first() == {ONE: [b"1"]}
        assert [found.state(each).highwater for each in PARTITIONS] == [1] + [0] * (len(PARTITIONS) - 1)
        assert broker.asked == [set(PARTITIONS), set(), set(PARTITIONS)]

    run(scenario)


def test_a_fetch_that_leaves_a_partition_out_is_short_as_that_waits_for_its_end() -> None:
    async def scenario(found: Reading) -> None:
        broker = found.broker
        await found.until(lambda: broker.epoch == 2)
        found.subscription.pause(ONE)
        broker.logs[PARTITIONS[1]].append(b"1")
        await found.first()
        await found.until(lambda: broker.epoch == 3)
        found.subscription.resume(ONE)
        broker.logs[PARTITIONS[1]].append(b"2")
        await found.first()
        await found.until(lambda: broker.epoch == 4)
        assert broker.waits_ms == [500, 500, PART_MS, 500]

    run(scenario)


def test_a_kafka_without_sessions_is_asked_for_all_each_time() -> None:
    async def scenario(found: Reading) -> None:
        broker = found.broker
        broker.logs[ONE].append(b"1")
        assert await found.first() == {ONE: [b"1"]}
        await found.until(lambda: len(broker.asked) == 2)
        assert broker.asked == [set(PARTITIONS)] * 2

    run(scenario, spoken=(4, 10))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_befalls_a_reader_it_gets_each_record_once_and_in_order(seed: int) -> None:
    draw = random.Random(seed)

    async def scenario(found: Reading) -> None:
        broker, subscription = found.broker, found.subscription
        read: dict[TopicPartition, list[bytes]] = {each: [] for each in PARTITIONS}

        def append(partition: TopicPartition) -> None:
            broker.logs[partition] += [
                b"%d" % (len(broker.logs[partition]) + n) for n in range(draw.randint(1, 3))
            ]

        def seek_back(partition: TopicPartition) -> None:
            to = draw.randint(0, len(read[partition]))
            subscription.seek(partition, to)
            del read[partition][to:]

        def assign_anew(_: TopicPartition) -> None:
            found.assign(*PARTITIONS)
            for each in PARTITIONS:
                read[each].clear()

        events: list[tuple[int, Callable[[TopicPartition], object]]] = [
            (8, append),
            (2, subscription.pause),
            (2, subscription.resume),
            (2, seek_back),
            (1, lambda _: broker.forget()),
            (1, lambda _: broker.fail()),
            (1, assign_anew),
        ]
        weights = [weight for weight, _ in events]
        for _ in range(120):
            ((_, happens),) = draw.choices(events, weights)
            happens(draw.choice(PARTITIONS))
            for _ in range(draw.randint(0, 30)):
                await asyncio.sleep(0)
            for each, values in (await found.take(*draw.sample(PARTITIONS, draw.randint(1, 8)))).items():
                read[each] += values
        for each in PARTITIONS:
            subscription.resume(each)
        while read != broker.logs:
            for each, values in (await found.take()).items():
                read[each] += values
            assert all(broker.logs[each][: len(read[each])] == read[each] for each in PARTITIONS)
            await asyncio.sleep(0)
        assert all(found.state(each).highwater == len(broker.logs[each]) for each in PARTITIONS)

    run(scenario)
