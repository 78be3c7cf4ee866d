"""Lanes on a real broker: order, batches, room, and failures that are said."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaError
from aiokafka.producer.sender import Sender

from libs.common import kafka_lanes
from libs.common.events import BookHealth, BookState, Event, Subscribed
from libs.common.kafka import Record, Undecodable, create_topics, partition_of, read
from libs.common.kafka_lanes import StreamPublisher
from libs.common.topics import DEAD_LETTERS, L2_BOOK_HEALTH, L2_SUBSCRIPTIONS
from tests.e2e.system import until
from tests.integration.libs.common.workers import PARTITIONS, settings_of

if TYPE_CHECKING:
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

KEYS = tuple(f"binance:{base}-USDT".encode() for base in ("BTC", "ETH", "SOL", "XRP"))
TS = time.time_ns()
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


def a_publisher(settings: ServiceSettings, most_waiting: int = 100_000) -> StreamPublisher:
    topics = [L2_SUBSCRIPTIONS, L2_BOOK_HEALTH, STRICTER]
    return StreamPublisher(settings, topics, most_waiting, compress=False)  # a long text stays long


async def until_acked(publisher: StreamPublisher) -> None:
    async def acked() -> bool:
        return publisher.acked == publisher.sent

    await until("all is acknowledged", acked, 60.0)


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


async def test_what_comes_within_a_turn_leaves_in_one_request_and_in_its_order(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = 0
    send = Sender._send_produce_req  # noqa: SLF001 -- where requests begin

    async def counted(*arguments: Any) -> None:
        nonlocal requests
        requests += 1
        await send(*arguments)

    monkeypatch.setattr(Sender, "_send_produce_req", counted)
    monkeypatch.setattr(kafka_lanes, "TURN_S", 1.0)
    async with a_publisher(settings) as publisher:
        for n in range(20):
            for key in KEYS:
                publisher.post(L2_SUBSCRIPTIONS, key, a_subscription(n), TS)
                publisher.post(L2_BOOK_HEALTH, key, a_health(str(n)), TS)
                await asyncio.sleep(0)  # the loop turns, and no lane begins
        assert (requests, publisher.acked) == (0, 0)
        await until_acked(publisher)
        assert requests == 1
    assert requests == 1
    for key in KEYS:
        assert events_of(await everything(settings, L2_SUBSCRIPTIONS), key) == list(
            map(a_subscription, range(20))
        )


async def test_what_came_while_a_batch_was_under_way_leaves_with_the_next_turn(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_lanes, "TURN_S", 0.0)
    async with a_publisher(settings) as publisher:
        for n in range(50):
            publisher.post(L2_SUBSCRIPTIONS, KEYS[0], a_subscription(n), TS)
            await asyncio.sleep(0)
        await until_acked(publisher)  # though nobody flushes, and nothing more comes
    assert events_of(await everything(settings, L2_SUBSCRIPTIONS), KEYS[0]) == list(
        map(a_subscription, range(50))
    )


async def test_who_is_full_or_flushes_waits_for_no_turn(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_lanes, "TURN_S", 3600.0)
    async with a_publisher(settings, most_waiting=10) as publisher:
        for n in range(10):
            publisher.post(L2_SUBSCRIPTIONS, KEYS[0], a_subscription(n), TS)
        await asyncio.wait_for(publisher.room(), 60.0)
        publisher.post(L2_SUBSCRIPTIONS, KEYS[0], a_subscription(10), TS)
        await asyncio.wait_for(publisher.flush(), 60.0)
        assert (publisher.waiting, publisher.acked) == (0, 11)
        publisher.post(L2_SUBSCRIPTIONS, KEYS[0], None, TS)
    found = events_of(await everything(settings, L2_SUBSCRIPTIONS), KEYS[0])
    assert found == [*map(a_subscription, range(11)), None]


async def test_the_end_of_the_context_waits_for_what_was_posted(settings: ServiceSettings) -> None:
    async with a_publisher(settings) as publisher:
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
