"""Records of topics from a real broker: each is answered as it stands there, and what is gone is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from libs.common.codec import decode, encode
from libs.common.events import EquityMarked, Trade
from libs.common.topics import L2_TRADES, PORTFOLIO_EQUITY
from services.gateway.stream.sse import json_ready
from tests.full_valued import full
from tests.integration.services.gateway.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiokafka.structs import ConsumerRecord

COUNT: Final = 600
PARTITIONS: Final = 8
VENUES: Final = (b"binance:BTC-USDT", b"okx:BTC-USDT", b"kraken:ETH-USDT")


@pytest.fixture
async def gateway(fresh_kafka: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess(fresh_kafka, tmp_path / "gateway.log") as process:
        yield process


async def write_trades(kafka: str, now_ms: int) -> None:
    """Write trades of the last minute over all partitions, some in transactions, a tombstone and rubbish."""
    value = encode(full(Trade))
    async with AIOKafkaProducer(bootstrap_servers=kafka, transactional_id="of-records") as writer:
        for first in range(0, COUNT, 50):
            await writer.begin_transaction()
            for number in range(first, first + 50):
                at = now_ms - 60_000 + 100 * number
                key = VENUES[number % 3]
                headers = [("ce_id", str(number).encode())]
                await writer.send(L2_TRADES.name, value, key, number % PARTITIONS, at, headers)
            await (writer.abort_transaction if first % 200 == 0 else writer.commit_transaction)()
    async with AIOKafkaProducer(bootstrap_servers=kafka) as writer:
        await writer.send_and_wait(L2_TRADES.name, None, VENUES[0], 3, now_ms)
        await writer.send_and_wait(L2_TRADES.name, b"\xc1", None, 3, now_ms + 1)


async def everything(kafka: str, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    """Return all committed records of a topic, by time."""
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed") as consumer:
        consumer.assign(partitions)
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, begins[partition])
        found = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for raws in (await consumer.getmany(timeout_ms=200)).values():
                found += raws
    return sorted(found, key=lambda raw: (raw.timestamp, raw.partition, raw.offset))


def name_of(raw: ConsumerRecord[bytes, bytes]) -> str:
    return f"{raw.topic}:{raw.partition}:{raw.offset}"


async def answered(gateway: GatewayProcess, path: str) -> Any:
    status, told = await gateway.get(path)
    assert status == 200, told
    return told


async def test_every_record_is_answered_by_its_place_and_in_its_stretch(gateway: GatewayProcess) -> None:
    kafka, now_ms = gateway.settings.kafka_bootstrap_servers, time.time_ns() // 1_000_000
    await write_trades(kafka, now_ms - 5_000)
    written = await everything(kafka, L2_TRADES.name)
    assert len(written) == COUNT * 3 // 4 + 2  # what was aborted was never said
    route = f"/api/records/{L2_TRADES.name}"
    told = await answered(gateway, f"{route}?from=-10m&limit=5000")
    assert [(each["id"], each["timestamp"]) for each in told] == [
        (name_of(raw), raw.timestamp) for raw in written
    ]
    kinds = {each["data"]["type"] for each in told}
    assert kinds == {"Trade", "Tombstone", "Undecodable"}
    newest = await answered(gateway, f"{route}?limit=7")
    assert newest == told[-7:]
    for raw in (written[0], written[len(written) // 2], *written[-2:]):
        one = await answered(gateway, f"{route}/{raw.partition}/{raw.offset}")
        assert (one["id"], one["timestamp"]) == (name_of(raw), raw.timestamp)
        assert one["headers"] == {name: value.decode() for name, value in raw.headers}
        assert one["key"] == (raw.key or b"").decode()
    trade = await answered(gateway, f"{route}/{written[0].partition}/{written[0].offset}")
    assert trade["data"] == json_ready(decode(L2_TRADES, written[0].value))


async def test_the_last_of_each_key_and_step_is_kept_and_a_stretch_ends_where_it_is_said(
    gateway: GatewayProcess,
) -> None:
    kafka, now_ms = gateway.settings.kafka_bootstrap_servers, time.time_ns() // 1_000_000
    async with AIOKafkaProducer(bootstrap_servers=kafka) as writer:
        for number in range(3000):
            key = b"default" if number % 3 else b"other"
            at = now_ms - 3_000_000 + 1000 * number
            await writer.send(PORTFOLIO_EQUITY.name, encode(full(EquityMarked)), key, 2, at)
    written = await everything(kafka, PORTFOLIO_EQUITY.name)
    begin, end = now_ms - 2_000_000, now_ms - 1_000_000
    steps = {
        (raw.key, raw.timestamp // 60_000): name_of(raw) for raw in written if begin <= raw.timestamp <= end
    }
    route = f"/api/records/{PORTFOLIO_EQUITY.name}?from={begin}&to={end}&every=1m"
    told = await answered(gateway, route)
    assert sorted(each["id"] for each in told) == sorted(steps.values())
    of_one = await answered(gateway, f"{route}&key=other&limit=5")
    assert [each["id"] for each in of_one] == [name for (key, _), name in steps.items() if key == b"other"][
        -5:
    ]


async def test_what_retention_took_is_404_with_what_is_kept(gateway: GatewayProcess) -> None:
    kafka = gateway.settings.kafka_bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=kafka) as writer:
        for _ in range(10):
            await writer.send_and_wait(L2_TRADES.name, encode(full(Trade)), VENUES[0], 4)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(L2_TRADES.name, 4): RecordsToDelete(before_offset=6)})
    finally:
        await admin.close()
    route = f"/api/records/{L2_TRADES.name}/4"
    for offset, said in ((5, "no longer there"), (10, "not yet there")):
        status, problem = await gateway.get(f"{route}/{offset}")
        assert (status, problem["type"], problem["kept"]) == (404, "/docs#no-record", {"from": 6, "to": 9})
        assert said in problem["detail"]
    for offset in range(6, 10):
        assert (await answered(gateway, f"{route}/{offset}"))["offset"] == offset
    assert len(await answered(gateway, f"/api/records/{L2_TRADES.name}")) == 4
