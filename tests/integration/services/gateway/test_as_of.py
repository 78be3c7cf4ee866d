"""Past books from a real broker: what was published is what is answered, at every moment."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from libs.common.kafka import Publisher, partition_of
from libs.common.order_book import OrderBook
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_HEALTH, book_key
from tests.e2e.system import until
from tests.integration.services.gateway.process import GatewayProcess
from tests.unit.services.gateway.world import KEY, a_book_health, a_delta_row, a_keyframe_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.events import Level
    from services.gateway.reading.as_of import Row

BOOK = "/api/l2/binance/BTCUSDT"
OTHER = b"kraken:BTC-USDT"  # in the same partition
EPOCH_MS = 50_000  # the second begins so long after the first
SPAN_MS = 100_000


@pytest.fixture
async def gateway(fresh_kafka: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess(fresh_kafka, tmp_path / "gateway.log", AS_OF_LOOK_BACK_S="5") as process:
        yield process


@pytest.fixture
async def publisher(gateway: GatewayProcess) -> AsyncIterator[Publisher]:
    async with Publisher(gateway.settings) as publisher:
        yield publisher


def a_life(start: int, epoch: int, duration_ms: int) -> list[Row]:
    """Return an epoch of deltas every 100 ms, two in some milliseconds, and a keyframe every 2 s."""
    book = OrderBook()
    book.load([(100.0 - i, 1.0 + i) for i in range(200)], [(101.0 + i, 2.0 + i) for i in range(200)])
    seq = 1
    rows = [a_keyframe_row(start, epoch, seq, dict(book.bids()), dict(book.asks()), reason="resync")]
    for now in range(start + 100, start + duration_ms, 100):
        for _ in range(2 if now % 700 == 0 else 1):
            seq += 1
            bids: list[Level] = [(100.0 - seq % 60, float(seq % 7))]
            asks: list[Level] = [(101.0 + seq % 60, float(seq % 5))]
            book.apply(bids, asks)
            rows.append(a_delta_row(now, epoch, seq, bids, asks))
        if (now - start) % 2000 == 0:
            rows.append(a_keyframe_row(now, epoch, seq, dict(book.bids()), dict(book.asks())))
    return rows


def two_lives() -> list[Row]:
    """Return a book's last 100 s with a loss in the middle; it ends a second ago."""
    start = time.time_ns() // 1_000_000 - SPAN_MS - 1_000
    return [
        *a_life(start, start, EPOCH_MS - 2_000),
        *a_life(start + EPOCH_MS, start + EPOCH_MS, SPAN_MS - EPOCH_MS),
    ]


async def publish(publisher: Publisher, rows: list[Row], key: bytes = KEY) -> None:
    """Publish the rows, each followed by one of another book in the same partition."""
    for row in rows:
        for at in (key, OTHER):
            await publisher.send(L2_BOOK_DELTAS, at, row.event, row.timestamp_ms * 1_000_000)
    await publisher.flush()


def rebuilt(rows: list[Row], at_ms: int) -> dict[str, Any]:
    """Fold everything, in plain dicts."""
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    seen = [row.event for row in rows if row.timestamp_ms <= at_ms and row.event is not None]
    for event in seen:
        if event.seq == 1:
            bids, asks = {}, {}
        for side, changes in ((bids, event.bids), (asks, event.asks)):
            side.update(changes)
    return {
        "epoch": seen[-1].epoch,
        "seq": seen[-1].seq,
        "bids": [[p, q] for p, q in sorted(bids.items(), reverse=True) if q][:50],
        "asks": [[p, q] for p, q in sorted(asks.items()) if q][:50],
    }


async def test_at_every_moment_of_an_epoch_the_book_is_what_its_messages_made_of_it(
    gateway: GatewayProcess, publisher: Publisher
) -> None:
    rows = two_lives()
    await publish(publisher, rows)
    times = sorted({row.timestamp_ms for row in rows})
    second = rows[0].timestamp_ms + EPOCH_MS
    last_of_first = max(t for t in times if t < second)
    asked = {t + step for t in times[:: len(times) // 12] for step in (-1, 0, 1, 50)}
    asked |= {times[0], last_of_first - 1, second, second + 1, times[-1] - 1}
    for at in sorted(asked):
        if at < times[0] or last_of_first <= at < second or at >= times[-1]:
            continue
        status, book = await gateway.get(f"{BOOK}?at={at}&depth=50")
        assert status == 200, book
        assert {name: book[name] for name in ("epoch", "seq", "bids", "asks")} == rebuilt(rows, at), at
        assert (book["at"], book["state"], book["venue"]) == (at, "LIVE", "binance")
        assert book["receivedTs"] <= at


async def test_between_epochs_before_the_log_and_in_the_future_the_answer_names_what_is_known(
    gateway: GatewayProcess, publisher: Publisher
) -> None:
    rows = two_lives()
    await publish(publisher, rows)
    first, last = rows[0].timestamp_ms, rows[-1].timestamp_ms
    second = first + EPOCH_MS
    before = max(row.timestamp_ms for row in rows if row.timestamp_ms < second)
    for at in (before, second - 1):
        status, problem = await gateway.get(f"{BOOK}?at={at}")
        assert (status, problem["type"]) == (404, "/docs#not-known-then")
        assert problem["nearby"] == {"before": before - 1, "after": second}
    for at in (first - 1, 0, time.time_ns() // 1_000_000 + 60_000):
        status, problem = await gateway.get(f"{BOOK}?at={at}")
        assert (status, problem["retained"]) == (404, {"from": first, "to": last - 1})
    for at in (first, before - 1, second, last - 1):
        assert (await gateway.get(f"{BOOK}?at={at}"))[0] == 200
    status, problem = await gateway.get(f"/api/l2/okx/ETHUSDT?at={second}")
    assert (status, "retained" in problem) == (404, False)


async def test_what_retention_deletes_is_404_from_then_on_and_the_rest_is_answered(
    gateway: GatewayProcess, publisher: Publisher
) -> None:
    rows = two_lives()
    await publish(publisher, rows)
    old = rows[0].timestamp_ms + 1_000
    assert (await gateway.get(f"{BOOK}?at={old}"))[0] == 200
    partition = TopicPartition(L2_BOOK_DELTAS.name, partition_of(KEY, gateway.settings.topic_partitions))
    kept = next(n for n, row in enumerate(rows) if row.timestamp_ms >= rows[0].timestamp_ms + 4_000)
    admin = AIOKafkaAdminClient(bootstrap_servers=gateway.settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records({partition: RecordsToDelete(before_offset=2 * kept)})
    finally:
        await admin.close()
    status, problem = await gateway.get(f"{BOOK}?at={old}")
    assert status == 404
    oldest = problem["retained"]["from"]
    assert oldest in (rows[0].timestamp_ms + 4_000, rows[0].timestamp_ms + 6_000)
    assert (await gateway.get(f"{BOOK}?at={oldest - 1}"))[0] == 404
    _, book = await gateway.get(f"{BOOK}?at={oldest}&depth=50")
    assert book["bids"] == rebuilt(rows, oldest)["bids"]


async def test_a_live_book_is_known_up_to_now_however_quiet_it_is(
    gateway: GatewayProcess, publisher: Publisher
) -> None:
    now = time.time_ns() // 1_000_000
    quiet = [
        a_keyframe_row(now - 90_000, now - 90_000, 1, {1.0: 1.0}, {2.0: 1.0}),
        a_delta_row(now - 80_000, now - 90_000, 2, bids=[(1.5, 3.0)]),
    ]
    await publish(publisher, quiet)
    assert (await gateway.get(f"{BOOK}?at={now - 1_000}"))[0] == 404
    health = a_book_health(epoch=now - 90_000, ts=time.time_ns())
    await publisher.send_and_wait(L2_BOOK_HEALTH, book_key("binance", "BTC-USDT"), health, health.ts)

    async def known() -> Any:
        status, book = await gateway.get(f"{BOOK}?at={now - 1_000}")
        return status == 200 and book

    book = await until("the owner's word arrives", known)
    assert (book["seq"], book["bids"]) == (2, [[1.5, 3.0], [1.0, 1.0]])


async def test_bytes_that_are_no_message_hide_the_book_until_the_next_keyframe(
    gateway: GatewayProcess, publisher: Publisher
) -> None:
    start = time.time_ns() // 1_000_000 - 20_000
    rows = a_life(start, start, 10_000)
    await publish(publisher, rows[:30])
    producer = AIOKafkaProducer(bootstrap_servers=gateway.settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        partition = partition_of(KEY, gateway.settings.topic_partitions)
        hole = rows[29].timestamp_ms + 50
        await producer.send_and_wait(L2_BOOK_DELTAS.name, b"\xc1", KEY, partition, timestamp_ms=hole)
    finally:
        await producer.stop()
    await publish(publisher, rows[30:])
    healed = next(row.timestamp_ms for row in rows[30:] if row.event and hasattr(row.event, "reason"))
    status, problem = await gateway.get(f"{BOOK}?at={hole}")
    assert (status, problem["nearby"]["before"]) == (404, rows[29].timestamp_ms - 1)
    assert (await gateway.get(f"{BOOK}?at={healed - 1}"))[0] == 404
    assert (await gateway.get(f"{BOOK}?at={healed}"))[1]["bids"] == rebuilt(rows, healed)["bids"][:20]


async def test_rebuilds_beyond_the_limit_are_503_and_live_books_are_answered_meanwhile(
    fresh_kafka: str, tmp_path: Path
) -> None:
    limits = {"AS_OF_MAX_REBUILDS": "1"}
    async with GatewayProcess(fresh_kafka, tmp_path / "gateway.log", **limits) as gateway:
        async with Publisher(gateway.settings) as publisher:
            rows = two_lives()
            await publish(publisher, rows)
        at = rows[0].timestamp_ms + 40_000

        async def both() -> bool:
            async with gateway.http.get(f"{BOOK}?at={at}") as one, gateway.http.get("/api/l2") as listed:
                assert listed.status == 200
                return one.status == 200

        assert await both()
        statuses = await _at_once(gateway.url, f"{BOOK}?at={at}", 8)
        assert set(statuses) == {200, 503}
        assert await both(), "its place is free again"


async def _at_once(url: str, path: str, count: int) -> list[int]:
    async with aiohttp.ClientSession(url) as http:

        async def one() -> int:
            async with http.get(path) as answer:
                if answer.status == 503:
                    assert answer.headers["Retry-After"] == "1"
                return answer.status

        return list(await asyncio.gather(*(one() for _ in range(count))))
