"""Lanes on a real broker: order, batches, room, and failures that are said."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from libs.common.events import BookHealth, BookState, Event, Subscribed
from libs.common.kafka import Record, Undecodable, create_topics, partition_of, read
from libs.common.kafka_lanes import StreamPublisher
from libs.common.topics import DEAD_LETTERS, L2_BOOK_HEALTH, L2_SUBSCRIPTIONS
from tests.integration.libs.common.workers import PARTITIONS, eventually, settings_of

if TYPE_CHECKING:
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

KEYS = tuple(f"binance:{base}-USDT".encode() for base in ("BTC", "ETH", "SOL", "XRP"))
TS = time.time_ns()
LONG_S = 30.0
# Kafka takes less of it than its registry says, so it refuses what a publisher hands over.
STRICTER = replace(L2_BOOK_HEALTH, name="tests.stricter.v1")


def a_subscription(n: int = 0) -> Subscribed:
    return Subscribed(venue="binance", symbol="BTC-USDT", requested_ts=n)


def a_health(reason: str) -> BookHealth:
    return BookHealth(
        venue="binance",
        symbol="BTC-USDT",
        state=BookState.LIVE,
        epoch=1,
        seq=1,
        reason=reason,
        since_ts=TS,
        ts=TS,
    )


@pytest.fixture
async def settings(fresh_kafka: str) -> ServiceSettings:
    found = settings_of(fresh_kafka)
    stricter = replace(STRICTER, max_message_bytes=1_000)
    await create_topics(found, [L2_SUBSCRIPTIONS, L2_BOOK_HEALTH, DEAD_LETTERS, stricter])
    return found


def a_publisher(
    settings: ServiceSettings, most_waiting: int = 100_000, gather_s: float = 0.0
) -> StreamPublisher:
    topics = [L2_SUBSCRIPTIONS, L2_BOOK_HEALTH, STRICTER]  # uncompressed: a long text stays long
    return StreamPublisher(settings, topics, most_waiting, compress=False, gather_s=gather_s)


async def everything(settings: ServiceSettings, topic: Topic) -> list[Record | Undecodable]:
    found: list[Record | Undecodable] = []

    async def keep(undecodable: Undecodable) -> None:
        found.append(undecodable)

    async with aclosing(read(settings, [topic], on_undecodable=keep, stop_at_end=True)) as batches:
        async for batch in batches:
            found += batch
    return found


def events_of(records: list[Record | Undecodable], key: bytes) -> list[Event | None]:
    return [record.event for record in records if isinstance(record, Record) and record.key == key]


async def test_records_of_a_key_arrive_whole_and_in_the_order_posted(settings: ServiceSettings) -> None:
    count = 5_000  # of a key: many batches a lane
    async with a_publisher(settings) as publisher:
        for n in range(count):
            for key in KEYS:
                publisher.post(L2_SUBSCRIPTIONS, key, a_subscription(n), TS)
            if n % 1000 == 0:
                await asyncio.sleep(0)  # lanes work meanwhile
        await publisher.flush()
        assert (publisher.waiting, publisher.sent, publisher.acked) == (0, 4 * count, 4 * count)
        assert publisher.lag_ns(time.time_ns()) == 0
    records = await everything(settings, L2_SUBSCRIPTIONS)
    for key in KEYS:
        assert events_of(records, key) == [a_subscription(n) for n in range(count)]
    assert all(
        record.partition == partition_of(record.key, PARTITIONS)
        for record in records
        if isinstance(record, Record)
    )


async def test_what_comes_within_a_gathering_goes_out_in_one_batch_a_lane(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes: list[tuple[str, int]] = []
    send = AIOKafkaProducer.send_batch

    def counted(self: AIOKafkaProducer, batch: object, topic: str, *, partition: int) -> object:
        lanes.append((topic, partition))
        return send(self, batch, topic, partition=partition)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", counted)
    async with a_publisher(settings, gather_s=LONG_S) as publisher:
        for n in range(20):
            for key in KEYS:
                publisher.post(L2_SUBSCRIPTIONS, key, a_subscription(n), TS)
            await asyncio.sleep(0)
        assert not lanes
        await publisher.flush()
    assert sorted(lanes) == sorted({(L2_SUBSCRIPTIONS.name, partition_of(key, PARTITIONS)) for key in KEYS})
    records = await everything(settings, L2_SUBSCRIPTIONS)
    for key in KEYS:
        assert events_of(records, key) == [a_subscription(n) for n in range(20)]


async def test_what_is_gathered_goes_out_by_itself_and_so_does_what_came_meanwhile(
    settings: ServiceSettings,
) -> None:
    async with a_publisher(settings, gather_s=0.001) as publisher:
        while not publisher.acked:  # so the last of them come while a batch is on its way
            publisher.post(L2_SUBSCRIPTIONS, KEYS[0], a_subscription(publisher.sent), TS)
            await asyncio.sleep(0)

        async def all_sent() -> bool:
            return publisher.waiting == 0

        await eventually(all_sent)
    records = await everything(settings, L2_SUBSCRIPTIONS)
    assert events_of(records, KEYS[0]) == [a_subscription(n) for n in range(publisher.sent)]


@pytest.mark.parametrize("gather_s", [0.0, 60.0])
async def test_the_end_of_the_context_waits_for_what_was_posted(
    settings: ServiceSettings, gather_s: float
) -> None:
    async with a_publisher(settings, gather_s=gather_s) as publisher:
        publisher.post(L2_SUBSCRIPTIONS, KEYS[0], a_subscription(), TS)
        publisher.post(L2_SUBSCRIPTIONS, KEYS[0], None, TS)
    assert events_of(await everything(settings, L2_SUBSCRIPTIONS), KEYS[0]) == [a_subscription(), None]


async def test_a_failed_context_says_nothing_more(settings: ServiceSettings) -> None:
    async def post_and_fail() -> None:
        async with a_publisher(settings) as publisher:
            publisher.post(L2_SUBSCRIPTIONS, KEYS[0], a_subscription(), TS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await post_and_fail()
    assert await everything(settings, L2_SUBSCRIPTIONS) == []


async def test_it_is_full_at_its_bound_and_has_room_when_half_has_left(settings: ServiceSettings) -> None:
    async with a_publisher(settings, most_waiting=10) as publisher:
        for n in range(9):
            publisher.post(L2_SUBSCRIPTIONS, KEYS[0], a_subscription(n), TS)
        assert not publisher.full
        publisher.post(L2_SUBSCRIPTIONS, KEYS[0], a_subscription(9), TS)
        assert publisher.full
        assert publisher.lag_ns(time.time_ns()) > 0
        await publisher.room()
        assert publisher.waiting <= 5
        assert not publisher.full


async def test_a_record_that_kafka_refuses_fails_the_publisher_and_nothing_overtakes_it(
    settings: ServiceSettings,
) -> None:
    async def post_too_much() -> None:
        async with a_publisher(settings) as publisher:
            publisher.post(STRICTER, KEYS[0], a_health("x" * 5_000), TS)
            publisher.post(STRICTER, KEYS[0], a_health("later"), TS)
            await publisher.watch()

    with pytest.raises(KafkaError):
        await post_too_much()
    assert await everything(settings, STRICTER) == []


async def test_dead_letters_tell_their_reason(settings: ServiceSettings) -> None:
    async with a_publisher(settings) as publisher:
        publisher.post_dead_letter(KEYS[0], b"\xff", "no JSON", "l2", TS)
    (letter,) = await everything(settings, DEAD_LETTERS)
    assert (letter.key, letter.value) == (KEYS[0], b"\xff")
    assert ("reason", b"no JSON") in letter.headers
