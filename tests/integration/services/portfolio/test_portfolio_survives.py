"""The real process on a real broker, killed while fills come: positions are those of a plain replay."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING

from numpy.random import Generator, Philox

from libs.common.events import BOOK, OrderFilled, Position, RiskBudget
from libs.common.kafka import Publisher, create_topics, read
from libs.common.settings import ServiceSettings
from libs.common.topics import EXECUTION_FILLS, PORTFOLIO_POSITIONS, PORTFOLIO_RISK
from services.portfolio.positions import filled, flat
from tests.fills import a_fill
from tests.integration.libs.common.workers import PARTITIONS, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.kafka import Undecodable
    from libs.common.topics import Topic

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
FILLS = 600
KILLS = 4


async def refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)


async def newest(settings: ServiceSettings, topic: Topic) -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    async with aclosing(read(settings, [topic], on_undecodable=refuse, stop_at_end=True)) as batches:
        async for batch in batches:
            found |= {record.key: record.event for record in batch}
    return found


async def fills_of(settings: ServiceSettings) -> list[OrderFilled]:
    found = []
    async with aclosing(
        read(settings, [EXECUTION_FILLS], on_undecodable=refuse, stop_at_end=True)
    ) as batches:
        async for batch in batches:
            found += [record.event for record in batch if isinstance(record.event, OrderFilled)]
    return found


def random_fill(draw: Generator, n: int) -> OrderFilled:
    return a_fill(
        f"fill-{n}",
        symbol=SYMBOLS[int(draw.integers(len(SYMBOLS)))],
        side="buy" if draw.random() < 0.55 else "sell",
        last_qty=Decimal(int(draw.integers(1, 10_000))) / 1000,
        last_px=Decimal(int(draw.integers(5_000, 15_000))) / 100,
        fee=Decimal(int(draw.integers(0, 1000))) / 10_000,
    )


def amounts(position: Position) -> tuple[Decimal, ...]:
    """Return what fills alone decide: marks come and go."""
    return (position.quantity, position.basis, position.realized_pnl, position.fees, position.cash)


class Portfolio:
    """The service as a process, under a group instance that comes back at once."""

    def __init__(self, kafka: str, log: Path) -> None:
        self.log = log
        self._environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TOPIC_PARTITIONS": str(PARTITIONS),
            "BATCH_RECORDS": "10",
            "PORTFOLIO_PERIOD_S": "0.2",
        }

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "services.portfolio"], env=self._environment, stdout=log, stderr=log
            )


async def test_positions_after_kills_equal_a_replay_of_the_log(fresh_kafka: str, tmp_path: Path) -> None:
    settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka, topic_partitions=PARTITIONS)
    await create_topics(settings)
    portfolio = Portfolio(fresh_kafka, tmp_path / "portfolio.log")
    process = portfolio.start()
    draw = Generator(Philox(key=5))
    sent = 0

    async def some_done() -> bool:
        assert process.poll() is None, portfolio.log.read_text()[-3000:]
        positions = (await newest(settings, PORTFOLIO_POSITIONS)).values()
        return sum(p.fills for p in positions if isinstance(p, Position)) > sent // 2

    async def all_done() -> bool:
        assert process.poll() is None, portfolio.log.read_text()[-3000:]
        positions = (await newest(settings, PORTFOLIO_POSITIONS)).values()
        return sum(p.fills for p in positions if isinstance(p, Position)) >= FILLS

    try:
        async with Publisher(settings, compress=False) as publisher:
            for burst in range(KILLS + 1):
                for n in range(sent, sent + FILLS // (KILLS + 1)):
                    fill = random_fill(draw, n)
                    await publisher.send(EXECUTION_FILLS, fill.symbol.encode(), fill, time.time_ns())
                    if n % 5 == 0:  # execution may tell a fill twice
                        await publisher.send(EXECUTION_FILLS, fill.symbol.encode(), fill, time.time_ns())
                await publisher.flush()
                sent += FILLS // (KILLS + 1)
                if burst < KILLS:
                    await eventually(some_done, timeout_s=40)
                    process.kill()
                    process.wait()
                    process = portfolio.start()
        await eventually(all_done, timeout_s=60)

        replayed: dict[str, Position] = {}
        seen: set[str] = set()
        for fill in await fills_of(settings):
            if fill.exec_id not in seen:
                seen.add(fill.exec_id)
                replayed[fill.symbol] = filled(replayed.get(fill.symbol, flat(fill.symbol, 0)), fill, 0)
        kept = await newest(settings, PORTFOLIO_POSITIONS)
        assert len(seen) == FILLS
        assert {key.decode() for key in kept} == set(replayed)
        for position in kept.values():
            assert isinstance(position, Position)
            assert amounts(position) == amounts(replayed[position.symbol])

        async def risk_follows() -> bool:
            held = (await newest(settings, PORTFOLIO_POSITIONS)).values()
            earned = [p.realized_pnl + p.unrealized_pnl - p.fees for p in held if isinstance(p, Position)]
            budget = (await newest(settings, PORTFOLIO_RISK)).get(BOOK.encode())
            return isinstance(budget, RiskBudget) and budget.equity == 1_000_000 + sum(earned)

        await eventually(risk_follows, timeout_s=20)
    finally:
        process.terminate()
        code = await asyncio.to_thread(process.wait, 20)
    assert code == 0, portfolio.log.read_text()[-3000:]
