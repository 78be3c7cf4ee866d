"""A reader with a pace takes little at once, of everything that stands in the log, and loses nothing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from libs.common import kafka_reader
from libs.common.kafka import Pace, Publisher, Reader, Record, create_topics, read
from libs.common.settings import ServiceSettings
from libs.common.topics import L2_BOOK_TOPS
from tests.unit.services.gateway.world import a_book_top

if TYPE_CHECKING:
    from libs.common.kafka import Undecodable

RECORDS = 2_000
KEYS = [f"binance:{base}-USDT".encode() for base in ("BTC", "ETH", "SOL", "XRP")]
PACE = Pace(buffer_bytes=64 * 1024, records=32)


async def a_log(kafka: str) -> ServiceSettings:
    settings = ServiceSettings(kafka_bootstrap_servers=kafka)
    await create_topics(settings)
    async with Publisher(settings) as publisher:
        for seq in range(RECORDS):
            await publisher.send(L2_BOOK_TOPS, KEYS[seq % 4], a_book_top(seq=seq), time.time_ns())
        await publisher.flush()
    return settings


async def _none_is_expected(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)


@pytest.mark.parametrize("pace", [PACE, None])
async def test_a_poll_returns_no_more_than_the_pace_and_every_record_comes_in_order(
    fresh_kafka: str, pace: Pace | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_reader, "MOST_RECORDS", PACE.records)  # where there is no pace
    settings = await a_log(fresh_kafka)
    sizes: list[int] = []
    found: dict[bytes, list[int]] = {key: [] for key in KEYS}
    async with Reader(settings, [L2_BOOK_TOPS], pace=pace) as reader:
        while not await reader.at_end():
            records = await reader.poll()
            sizes.append(len(records))
            for record in records:
                assert isinstance(record, Record)
                found[record.key].append(record.offset)
    assert max(sizes) == PACE.records
    assert sum(sizes) == RECORDS
    assert all(offsets == sorted(offsets) and len(offsets) == RECORDS // 4 for offsets in found.values())


async def test_what_is_not_wanted_is_passed_by_at_a_pace_that_lets_others_run(
    fresh_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await a_log(fresh_kafka)
    keys: list[bytes] = []
    ran, ran_before_poll = [True], []
    poll = Reader.poll

    async def watched(reader: Reader) -> list[Record | Undecodable]:
        ran_before_poll.append(ran[0])
        ran[0] = False
        return await poll(reader)

    async def somebody_else() -> None:
        while True:
            ran[0] = True
            await asyncio.sleep(0)

    monkeypatch.setattr(Reader, "poll", watched)
    other = asyncio.create_task(somebody_else())
    async for batch in read(
        settings,
        [L2_BOOK_TOPS],
        on_undecodable=_none_is_expected,
        stop_at_end=True,
        wanted=lambda _topic, key: key == KEYS[0],
        pace=PACE,
    ):
        keys += [record.key for record in batch]
    other.cancel()
    assert keys == [KEYS[0]] * (RECORDS // 4)
    assert len(ran_before_poll) >= RECORDS // PACE.records
    assert all(ran_before_poll)


def test_the_fetches_of_all_partitions_share_the_buffer_and_each_may_fetch_something() -> None:
    assert Pace(1024 * 1024, 1).fetches(8)["max_partition_fetch_bytes"] == 128 * 1024
    assert Pace(64 * 1024, 1).fetches(1_000)["max_partition_fetch_bytes"] == 16 * 1024
    assert Pace(64 * 1024, 1).fetches(0) == {
        "max_partition_fetch_bytes": 64 * 1024,
        "fetch_max_bytes": 64 * 1024,
    }
