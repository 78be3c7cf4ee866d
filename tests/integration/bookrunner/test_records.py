"""`subscribe` on a real broker: from any moment on, committed records only, whatever is among them."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer

from bookrunner import events, subscribe
from libs.common.codec import encode
from libs.common.kafka import Publisher, by_symbol, create_topics
from libs.common.settings import ServiceSettings
from libs.common.topics import POLICIES_SIGNALS, TOPICS, signal_key
from tests.newer import of_unknown_type

if TYPE_CHECKING:
    from bookrunner import Record, Subscription

NOW = time.time_ns() // 1_000_000 * 1_000_000
MINUTE = 60 * 10**9
KEY = signal_key("x_mine", "BTC-USDT")


def a_signal(n: int, symbol: str = "BTC-USDT") -> events.PolicySignalled:
    return events.PolicySignalled(
        policy_id="x_mine",
        symbol=symbol,
        value=n / 100,
        inputs_ts=NOW + n * MINUTE,
        valid_until_ts=NOW + (n + 1) * MINUTE,
    )


@pytest.fixture
async def kafka(fresh_kafka: str) -> str:
    await create_topics(ServiceSettings(kafka_bootstrap_servers=fresh_kafka), TOPICS.values())
    return fresh_kafka


async def publish(kafka: str, *minutes: int) -> None:
    async with Publisher(ServiceSettings(kafka_bootstrap_servers=kafka)) as publisher:
        for n in minutes:
            await publisher.send_and_wait(POLICIES_SIGNALS, KEY, a_signal(n), NOW + n * MINUTE)


async def write(kafka: str, *values: bytes | None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, partitioner=by_symbol)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(POLICIES_SIGNALS.name, value, KEY, timestamp_ms=NOW // 1_000_000)
    finally:
        await producer.stop()


async def all_of(subscription: Subscription) -> list[Record]:
    async with asyncio.timeout(20), subscription:
        return [record async for record in subscription]


async def test_what_is_kept_is_read_from_the_beginning_to_what_is_there_now(kafka: str) -> None:
    await publish(kafka, -3, -2, -1)
    records = await all_of(subscribe("policies.signals.v1", since="beginning", until="latest", servers=kafka))
    assert [record.event for record in records] == [a_signal(n) for n in (-3, -2, -1)]
    assert [record.ts for record in records] == [NOW + n * MINUTE for n in (-3, -2, -1)]
    assert {(record.topic, record.key, record.fault) for record in records} == {
        ("policies.signals.v1", "x_mine:BTC-USDT", "")
    }
    offsets = [record.offset for record in records]
    assert offsets == list(range(offsets[0], offsets[0] + 3))


async def test_a_replay_begins_and_ends_at_the_times_named(kafka: str) -> None:
    await publish(kafka, -5, -4, -3, -2, -1)
    moment = datetime.fromtimestamp(NOW / 10**9, UTC).replace(microsecond=NOW // 1_000 % 1_000_000)
    since, until = moment - timedelta(minutes=4), moment - timedelta(minutes=2)
    by_datetime = await all_of(subscribe("signals", since=since, until=until, servers=kafka))
    by_ns = await all_of(subscribe("signals", since=NOW - 4 * MINUTE, until=NOW - 2 * MINUTE, servers=kafka))
    assert by_datetime == by_ns
    assert [record.event for record in by_ns] == [a_signal(-4), a_signal(-3)]


async def test_a_replay_until_a_moment_to_come_waits_for_it(kafka: str) -> None:
    until = time.time_ns() + 2 * 10**9
    reading = asyncio.create_task(all_of(subscribe("signals", since="beginning", until=until, servers=kafka)))
    await publish(kafka, -1)
    records = await reading
    assert time.time_ns() >= until
    assert [record.event for record in records] == [a_signal(-1)]


async def test_what_comes_from_now_on_is_yielded_and_nothing_older(kafka: str) -> None:
    await publish(kafka, -2)
    async with asyncio.timeout(20), subscribe("signals", servers=kafka) as records:
        first = asyncio.ensure_future(anext(records))
        while not first.done():  # it begins where the log ended when it got there
            await publish(kafka, -1)
            await asyncio.wait([first], timeout=0.3)
        assert first.result().event == a_signal(-1)


async def test_what_a_transaction_aborts_is_never_seen(kafka: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id="signals", partitioner=by_symbol)
    await producer.start()
    try:
        for n in (-3, -2):
            await producer.begin_transaction()
            await producer.send_and_wait(
                POLICIES_SIGNALS.name, encode(a_signal(n)), KEY, timestamp_ms=NOW // 1_000_000
            )
            await (producer.abort_transaction() if n == -3 else producer.commit_transaction())
    finally:
        await producer.stop()
    await publish(kafka, -1)
    records = await all_of(subscribe("signals", since="beginning", until="latest", servers=kafka))
    assert [record.event for record in records] == [a_signal(-2), a_signal(-1)]


async def test_a_tombstone_and_what_cannot_be_read_are_yielded_and_counted(kafka: str) -> None:
    await write(kafka, b"rubbish", of_unknown_type(a_signal(-2)), None, encode(a_signal(-1)))
    subscription = subscribe("signals", since="beginning", until="latest", servers=kafka)
    rubbish, later, tombstone, signal = await all_of(subscription)
    assert (rubbish.event, rubbish.newer, rubbish.value) == (None, False, b"rubbish")
    assert rubbish.fault.startswith("policies.signals.v1: ")
    assert (later.event, later.newer) == (None, True)
    assert later.fault
    assert (tombstone.event, tombstone.fault, tombstone.value) == (None, "", None)
    assert signal.event == a_signal(-1)
    assert subscription.undecodable == {"policies.signals.v1": 1}
    assert subscription.newer == {"policies.signals.v1": 1}


async def test_only_the_keys_named_are_yielded(kafka: str) -> None:
    async with Publisher(ServiceSettings(kafka_bootstrap_servers=kafka)) as publisher:
        for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT"):
            key = signal_key("x_mine", symbol)
            await publisher.send_and_wait(POLICIES_SIGNALS, key, a_signal(-1, symbol), NOW)
    records = await all_of(
        subscribe("signals", since="beginning", until="latest", keys=["x_mine:ETH-USDT"], servers=kafka)
    )
    assert [record.event for record in records] == [a_signal(-1, "ETH-USDT")]
