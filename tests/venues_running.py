"""A venues process beside a market that publishes books, commands that ask it, and ears for its answers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaProducer

from libs.common.cloudevents import CloudEvent
from libs.common.kafka import Publisher, Record, Undecodable, create_topics, follow, read
from libs.common.settings import ServiceSettings
from libs.common.topics import (
    EXECUTION_FILLS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    SERVICES_STATUS,
    TOPICS,
    VENUES_COMMANDS,
    VENUES_METRICS,
    VENUES_SCORES,
    book_key,
)
from libs.common.views import View
from tests.venue_market import a_fill, a_health, a_score, a_top

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from libs.common.events import ServiceStatus, VenueMetrics

PARTITIONS = 4
VENUES = {"binance": 0.5, "bybit": 1.0, "okx": 2.0}  # half spreads
PATIENCE_S = 60.0


def settings_of(kafka: str) -> ServiceSettings:
    return ServiceSettings(kafka_bootstrap_servers=kafka, topic_partitions=PARTITIONS)


class Process:
    """The venues service, which may be killed and started again."""

    def __init__(
        self, kafka: str, folder: Path, module: str = "services.venues", instance: str = "0"
    ) -> None:
        self._module = module
        self._environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TOPIC_PARTITIONS": str(PARTITIONS),
            "GROUP_INSTANCE_ID": instance,
        }
        self.log = folder / f"venues-{instance}.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", self._module]
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill_and_restart(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


class Market:
    """Books that move ten times a second, and everything that was said about them."""

    def __init__(self, kafka: str) -> None:
        self.settings = settings_of(kafka)
        self.answers: defaultdict[str, list[Record]] = defaultdict(list)
        self.metrics: View[VenueMetrics] = View(VENUES_METRICS)
        self.statuses: View[ServiceStatus] = View(SERVICES_STATUS)
        self.gaps = 0  # of every venue
        self.lag_ms: float | None = 5.0  # of every top; None: only healths are told
        self.behind_ns = 0  # the clock of what publishes tops
        self.asked = 0
        self.seq = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        await create_topics(self.settings, tuple(TOPICS.values()))
        async with Publisher(self.settings) as self._publisher:
            tasks = [
                asyncio.create_task(work) for work in (self._publish(), self._hear(), self._follow_metrics())
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                failures = [error for error in ended if isinstance(error, Exception)]
                if failures:
                    raise ExceptionGroup("the market failed", failures)

    async def ask(self, number: int, symbol: str = "BTC-USDT", reply_key: str | None = None) -> str:
        command = a_score(number, symbol=symbol, reply_key=reply_key)
        told = CloudEvent(
            UUID(command.command_id), "ScoreVenues", "/tests", time.time_ns(), "conversation", None
        )
        await self._publisher.send_and_wait(
            VENUES_COMMANDS, symbol.encode(), command, time.time_ns(), told.headers()
        )
        return command.command_id

    async def fill(self) -> None:
        fill = a_fill()
        await self._publisher.send_and_wait(EXECUTION_FILLS, fill.symbol.encode(), fill, time.time_ns())

    async def ask_nonsense(self) -> None:
        nonsense = a_fill()  # a message, but none of this topic
        await self._publisher.send_and_wait(VENUES_COMMANDS, b"BTC-USDT", nonsense, time.time_ns())

    async def ask_garbage(self, garbage: bytes) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.settings.kafka_bootstrap_servers) as producer:
            await producer.send_and_wait(VENUES_COMMANDS.name, garbage, b"BTC-USDT")

    async def _publish(self) -> None:
        while True:
            self.seq += 1
            now = time.time_ns()
            for venue, half_spread in VENUES.items():
                key = book_key(venue, "BTC-USDT")
                if self.lag_ms is not None:
                    moved = half_spread + self.seq % 5 / 10
                    top = a_top(venue, half_spread=moved, now=now, seq=self.seq, lag_ms=self.lag_ms)
                    await self._publisher.send(L2_BOOK_TOPS, key, top, now - self.behind_ns)
                if self.seq % 10 == 1:
                    health = a_health(venue, now=now, since_ts=now - 60_000_000_000, gaps=self.gaps)
                    await self._publisher.send(L2_BOOK_HEALTH, key, health, now)
            await asyncio.sleep(0.1)

    async def _hear(self) -> None:
        async for batch in read(self.settings, [VENUES_SCORES], on_undecodable=refuse):
            for record in batch:
                answer = msgspec.msgpack.decode(record.value or b"")
                self.answers[answer["command_id"]].append(record)

    async def _follow_metrics(self) -> None:
        async for _ in follow(self.settings, [self.metrics, self.statuses], on_undecodable=refuse):
            pass


async def refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)


async def until(what: str, holds: Callable[[], bool], process: Process) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline or process.process.poll() is not None:
            raise AssertionError(f"not within {PATIENCE_S:g} s: {what}\n{process.log.read_text()[-4000:]}")
        await asyncio.sleep(0.02)
