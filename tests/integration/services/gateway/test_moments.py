"""The state of moments from a real broker, against naive folds of its logs and against `?at=`."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer

from libs.common.kafka import Publisher, by_symbol, read
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_TOPS, book_key
from services.gateway.reading.moment_state import STATE
from tests.e2e.system import until
from tests.integration.services.gateway.process import GatewayProcess
from tests.integration.services.gateway.test_as_of import a_life
from tests.moment_stories import KINDS, Step, Written, assert_told, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

BOOKS = [(venue, symbol) for symbol in ("BTC-USDT", "ETH-USDT") for venue in ("binance", "kraken")]
LIFE_MS = 90_000
STEPS = 1_500
PIECES = 40
MOMENTS = 40
OWN = b"gateway:"  # the heartbeats of the process itself, whose times are none of the stories


@pytest.fixture
async def gateway(fresh_kafka: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess(fresh_kafka, tmp_path / "gateway.log") as process:
        yield process


async def tell_stories(gateway: GatewayProcess) -> None:
    """Write what services would within the last minutes; the end of it in transactions, some of them aborted.

    Kafka stamps a transaction's marker with its own clock, so these are written as they come.
    """
    draw = random.Random(7)
    waits = (0, 1, 40, 200, 400, -900)
    story = [Step(draw.choice(KINDS), draw.randrange(4), draw.choice(waits)) for _ in range(STEPS)]
    log = written(story, gateway.settings.topic_partitions)
    shift_ms = now_ms() - max(each.ms for each in log)
    servers = gateway.settings.kafka_bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers, partitioner=by_symbol) as producer:
        for each in log[:-PIECES]:
            await producer.send(each.topic.name, each.value, each.key, timestamp_ms=each.ms + shift_ms)
    named = {"transactional_id": "stories", "partitioner": by_symbol}
    async with AIOKafkaProducer(bootstrap_servers=servers, **named) as producer:
        for count, each in enumerate(log[-PIECES:]):
            await producer.begin_transaction()
            await producer.send(each.topic.name, each.value, each.key, timestamp_ms=now_ms())
            await (producer.abort_transaction() if count % 5 == 2 else producer.commit_transaction())


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def tell_books(gateway: GatewayProcess, end_ms: int) -> None:
    async with Publisher(gateway.settings) as publisher:
        rows = [
            (row, book_key(venue, symbol))
            for place, (venue, symbol) in enumerate(BOOKS)
            for row in a_life(end_ms - LIFE_MS + 7 * place, end_ms + place, LIFE_MS - 13 * place)
        ]
        for row, key in sorted(rows, key=lambda each: each[0].timestamp_ms):
            await publisher.send(L2_BOOK_DELTAS, key, row.event, row.timestamp_ms * 1_000_000)


async def logs_of(gateway: GatewayProcess) -> list[Written]:
    """Return all records that are committed, also those that are no message.

    But of partitions that hold heartbeats of the process: what was told there with earlier times stands after
    later ones.
    """
    found: list[Written] = []

    async def undecodable(each: Any) -> None:
        found.append(
            Written(each.topic, each.partition, each.offset, each.key, each.value, each.timestamp_ms)
        )

    async for batch in read(gateway.settings, STATE, on_undecodable=undecodable, stop_at_end=True):
        for each in batch:
            await undecodable(each)
    own = {(each.topic, each.partition) for each in found if each.key.startswith(OWN)}
    rest = (each for each in found if (each.topic, each.partition) not in own)
    return sorted(rest, key=lambda each: (each.topic.name, each.partition, each.offset))


def of_stories(answer: Mapping[str, Any], log: list[Written]) -> list[Any]:
    """Return the records of an answer that stand where those of the log do."""
    slots = {(each.topic.name, str(each.partition)) for each in log}
    return [
        each
        for each in answer["records"]
        if (each["topic"], each["id"].split(":")[1]) in slots or each["topic"] == L2_BOOK_TOPS.name
    ]


async def test_random_moments_are_the_naive_folds_of_the_logs_and_their_books_those_of_at(
    gateway: GatewayProcess,
) -> None:
    end_ms = now_ms() - 1_000
    await tell_books(gateway, end_ms)
    await tell_stories(gateway)
    told_ms = now_ms()
    log = await logs_of(gateway)

    async def later() -> bool:
        return now_ms() > told_ms + 3_000

    await until("the last moment is past", later)
    draw, alike, proven = random.Random(11), 0, 0
    for _ in range(MOMENTS):
        at_ms = draw.randrange(end_ms - LIFE_MS, told_ms)
        status, answer = await gateway.get(f"/api/at?ts={at_ms}")
        assert status == 200, answer
        others = of_stories(answer, log)
        rest = [each for each in others if each["topic"] != L2_BOOK_TOPS.name]
        alike += assert_told({"records": rest}, log, at_ms)
        tops = {each["key"]: each["data"] for each in others if each["topic"] == L2_BOOK_TOPS.name}
        proven += await as_asked_one_by_one(gateway, tops, at_ms)
    assert alike > 10 * MOMENTS
    assert proven > 2 * MOMENTS


async def as_asked_one_by_one(gateway: GatewayProcess, tops: dict[str, Any], at_ms: int) -> int:
    """Compare the books of a moment with what is answered for each; return how many are known."""
    for venue, symbol in BOOKS:
        status, book = await gateway.get(f"/api/l2/{venue}/{symbol}?at={at_ms}&depth=50")
        top = tops.get(f"{venue}:{symbol}")
        assert status == (404 if top is None else 200), (book, at_ms)
        if top is not None:
            same = ("bids", "asks", "epoch", "seq", "receivedTs")
            assert {name: top[name] for name in same} == {name: book[name] for name in same}
            assert top["features"] is not None
    return len(tops)


async def test_now_is_what_the_logs_have_and_what_a_client_leaves_hurts_nobody(
    gateway: GatewayProcess,
) -> None:
    await tell_stories(gateway)
    log = await logs_of(gateway)
    for _ in range(3):  # a slider that is dragged gives up most of what it asks for
        asking = asyncio.create_task(gateway.get(f"/api/at?ts={now_ms() - 1_000}"))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def alike() -> bool:
        status, answer = await gateway.get("/api/at")
        assert status == 200, answer
        return assert_told({"records": of_stories(answer, log)}, log, now_ms()) > 10

    await until("the views have read all", alike)
