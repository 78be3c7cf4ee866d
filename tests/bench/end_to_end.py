"""End to end: an exchange's socket to l2, Kafka, the gateway and its JSON, at 1,000 messages/s on two cores.

A real broker, l2 and gateway as processes, and a load exchange of its own, all on the same two cores together
with the observers, whose cost is thus inside every figure.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import aiohttp
import uvloop
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_TOPS
from tests.bench.chunks import on_cores
from tests.bench.hops import BOOKS, MEASURED_S, RATE, ROUND_TRIP_TOPIC, WARM_UP_S, Measured, tell
from tests.bench.load_exchange import SYMBOLS, read_log
from tests.bench.observers import Observers
from tests.bench.processes import cpu_seconds, folder_and_broker, free_port, started, until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.bench.processes import Process
    from tests.bench.report import Report

VENUES: Final = ("binance", "kraken")  # those of the load exchange
READY_S: Final = 60.0
CATCH_UP_S: Final = 2.0  # after the last message was sent


def run(report: Report) -> None:
    """Measure one run, and say where its time went."""
    report.say(f"end_to_end: {RATE:,} messages/s over {BOOKS} books, {WARM_UP_S} + {MEASURED_S} s")
    with on_cores(0, 1) as cores, folder_and_broker(report.say) as (folder, broker):
        measured = uvloop.run(_Run(report, folder, broker.bootstrap_servers).measure(broker.pid))
    tell(report, measured, cores)


class _Run:
    def __init__(self, report: Report, folder: Path, kafka: str) -> None:
        self._report = report
        self._folder = folder
        self._kafka = kafka
        self._exchange_port, gateway_port = free_port(), free_port()
        self._gateway = f"http://127.0.0.1:{gateway_port}"
        self._log = folder / "sent.json"
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "LOG_LEVEL": "WARNING",
            "GATEWAY_PORT": str(gateway_port),
            "FEED": "simulator",
            "SIMULATOR_URL": f"http://127.0.0.1:{self._exchange_port}",
            "L2_BOOKS": ",".join(
                f"{venue}:{symbol}" for symbol in SYMBOLS for venue in ("binance", "kraken")
            ),
            "L2_HISTORY_DAYS": "0",
            "L2_HISTORY_MINUTES": "0",
        }
        self._seen = Observers(kafka, self._gateway)

    async def measure(self, broker_pid: int) -> Measured:
        arguments = (str(self._exchange_port), str(RATE), str(WARM_UP_S + MEASURED_S), str(self._log))
        with ExitStack() as stack:
            load = stack.enter_context(started("tests.bench.load_exchange", self._folder, *arguments))
            gateway = stack.enter_context(started("services.gateway", self._folder, **self._environment))
            await until("the gateway is ready", self._gateway_ready, READY_S, gateway)
            await until("the load exchange listens", self._exchange_listens, READY_S, load)
            await self._create_round_trip_topic()
            watching = self._watch()
            try:
                l2 = stack.enter_context(started("services.l2", self._folder, **self._environment))
                needed = (load, gateway, l2)
                pids = {"kafka": broker_pid, "observers": os.getpid()}
                pids |= {process.module: process.pid for process in needed}
                cpu = await self._until_all_is_sent(pids, needed, watching)
                return Measured(read_log(self._log), self._seen, cpu, await self._books())
            finally:
                watching.cancel()
                await asyncio.wait([watching])

    def _watch(self) -> asyncio.Task[None]:
        async def watch() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._seen.see_deltas(L2_BOOK_DELTAS.name))
                tasks.create_task(self._seen.see_tops(L2_BOOK_TOPS.name))
                tasks.create_task(self._seen.see_stream(L2_BOOK_DELTAS.name))
                tasks.create_task(self._seen.make_round_trips(ROUND_TRIP_TOPIC))

        return asyncio.create_task(watch())

    async def _until_all_is_sent(
        self, pids: Mapping[str, int], needed: tuple[Process, ...], watching: asyncio.Task[None]
    ) -> dict[str, float]:
        """Return the CPU that each process used meanwhile, in parts of a core."""

        async def flowing() -> bool:
            if watching.done():
                watching.result()
            return bool(self._seen.deltas)

        async def sent() -> bool:
            if watching.done():
                watching.result()
            return self._log.exists()

        await until("deltas flow", flowing, READY_S, *needed)
        self._report.say("  deltas flow")
        await asyncio.sleep(WARM_UP_S)
        before, begun = {name: cpu_seconds(pid) for name, pid in pids.items()}, time.monotonic()
        await until("all is sent", sent, MEASURED_S + READY_S, *needed)
        elapsed = time.monotonic() - begun
        after = {name: cpu_seconds(pid) for name, pid in pids.items()}
        await asyncio.sleep(CATCH_UP_S)
        return {
            name: (used - earlier) / elapsed
            for name, used in after.items()
            if used is not None and (earlier := before[name]) is not None
        }

    async def _gateway_ready(self) -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self._gateway}/readyz") as reply:
                return reply.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def _exchange_listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._exchange_port)
        except ConnectionError:
            return False
        writer.close()
        return True

    async def _create_round_trip_topic(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(ROUND_TRIP_TOPIC, num_partitions=1, replication_factor=1)])
        finally:
            await admin.close()

    async def _books(self) -> list[dict[str, int | str]]:
        async with aiohttp.ClientSession() as http, http.get(f"{self._gateway}/api/l2") as reply:
            books: list[dict[str, int | str]] = await reply.json()
            return books
