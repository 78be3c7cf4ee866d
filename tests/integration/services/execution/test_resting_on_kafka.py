"""Orders that rest, on a real broker: nothing is written while they do, and each is filled once."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common.events import OrderFilled, PaperOrderPlaced, SubmitPaperOrder
from libs.common.kafka import read
from libs.common.topics import (
    EXECUTION_AUDIT,
    EXECUTION_COMMANDS,
    EXECUTION_FILLS,
    EXECUTION_ORDERS,
    EXECUTION_PLANS,
    EXECUTION_RECORDS,
    EXECUTION_STATE,
)
from tests.integration.libs.common.workers import eventually
from tests.integration.services.execution.peers import PARTITIONS, ExecutionProcess, Peers, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.kafka import Publisher, Undecodable
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

ORDERS = 300
BEATS = 50  # of the books, ten a second
WRITTEN = (
    EXECUTION_STATE,
    EXECUTION_RECORDS,
    EXECUTION_ORDERS,
    EXECUTION_FILLS,
    EXECUTION_PLANS,
    EXECUTION_AUDIT,
)


async def test_resting_orders_write_nothing_and_survive_a_crossing_while_nobody_worked_them(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = settings_of(fresh_kafka)
    service = ExecutionProcess(fresh_kafka, tmp_path / "execution.log")
    peers = Peers(settings, "p_sma")
    low = [str(uuid5(NAMESPACE_URL, f"low {n}")) for n in range(ORDERS)]
    high = str(uuid5(NAMESPACE_URL, "high"))
    async with peers.running() as publisher:
        service.start()
        try:
            for name in low:
                await submit(publisher, name, "50000")
            await submit(publisher, high, "59000")
            await eventually(lambda: placed(settings, ORDERS + 1), timeout_s=60)
            await beats(peers, 10)  # the last transaction is over
            before, cpu_s, began_s = await ends(fresh_kafka), service.cpu_s(), time.monotonic()
            await beats(peers, BEATS)
            passed_s = time.monotonic() - began_s
            after = await ends(fresh_kafka)
            written = {name: after[name] - before[name] for name in after if after[name] != before[name]}
            busy = (service.cpu_s() - cpu_s) / passed_s
            rates = f"{sum(written.values()) / passed_s:.0f} records a second, CPU {busy:.1%}"
            assert written == {}, rates
            service.kill()
            peers.price = 58_990.0  # through the one, and so it stays
            await beats(peers, 3)
            service.start()
            await eventually(lambda: filled(settings, {high}), timeout_s=60)
            peers.price = 49_900.0
            await eventually(lambda: filled(settings, {high, *low}), timeout_s=60)
        finally:
            service.kill()
    fills = Counter(fill.exec_id for fill in await log(settings, EXECUTION_FILLS))
    assert set(fills.values()) == {1}
    bought = sum(fill.last_qty for fill in await log(settings, EXECUTION_FILLS))
    assert bought == (ORDERS + 1) * Decimal("0.01")


async def submit(publisher: Publisher, name: str, price: str) -> None:
    command = SubmitPaperOrder(
        command_id=name,
        symbol="BTC-USDT",
        side="buy",
        order_qty=Decimal("0.01"),
        venue="binance",
        ord_type="limit",
        price=Decimal(price),
        time_in_force="gtc",
    )
    await publisher.send(EXECUTION_COMMANDS, b"BTC-USDT", command, time.time_ns())


async def placed(settings: ServiceSettings, count: int) -> bool:
    return sum(isinstance(e, PaperOrderPlaced) for e in await log(settings, EXECUTION_PLANS)) == count


async def filled(settings: ServiceSettings, names: set[str]) -> bool:
    done = (fill for fill in await log(settings, EXECUTION_FILLS) if isinstance(fill, OrderFilled))
    return {fill.cl_ord_id for fill in done if fill.leaves_qty == 0} == names


async def beats(peers: Peers, count: int) -> None:
    until = peers.beats + count

    async def told() -> bool:
        return peers.beats >= until

    await eventually(told)


async def ends(kafka: str) -> dict[str, int]:
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as consumer:
        partitions = [TopicPartition(topic.name, n) for topic in WRITTEN for n in range(PARTITIONS)]
        found = await consumer.end_offsets(partitions)
    sums: Counter[str] = Counter()
    for partition, end in found.items():
        sums[partition.topic] += end
    return dict(sums)


async def log(settings: ServiceSettings, *topics: Topic) -> list[Any]:
    found: list[Any] = []
    async with aclosing(read(settings, topics, on_undecodable=refuse, stop_at_end=True)) as batches:
        async for batch in batches:
            found += [record.event for record in batch]
    return found


async def refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)
