"""`World`: the system as processes on a Kafka of its own, restarted as a supervisor would."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
from pydantic import SecretStr

from tests.chaos.shifted_clock import ShiftedClock
from tests.e2e.system import folder_of_policies, free_port
from tests.kafka_cluster import native_broker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.chaos.schedule import Book, Request

ROOT: Final = Path(__file__).parents[2]
SHIFTED: Final = "tests.chaos.shifted_clock"
DECIDING: Final = ("router", "venues", "portfolio", "execution")
OPTIONAL: Final = ("policies", "context")
TETHER: Final = ROOT / "broker" / "tether.py"
PARTITIONS: Final = 4
OLD_RECORDS: Final = {"log.message.timestamp.before.max.ms": SecretStr(str(2**62))}  # of a clock set back
RESTART_S: Final = 1.0  # a supervisor's pause
STOP_S: Final = 10.0  # for all together; without a broker none of them ends by itself
WATCH_S: Final = 0.1
BLOCKED_S: Final = 5  # of l2's pause for a venue that blocks it: ten minutes would outlast the run
HTTP_TIMEOUT_S: Final = 10.0


class Supervised:
    """One ``python -m MODULES`` that is started again whenever it ends, with its output in a file."""

    def __init__(
        self, name: str, modules: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.start_at_s = 0.0  # monotonic, while it does not run
        self._environment = os.environ | environment
        command = [sys.executable, str(TETHER), "SIGKILL", str(os.getpid()), sys.executable, "-m", *modules]
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, now_s: float) -> int | None:
        """Start what is due; return the exit code if it ended by itself."""
        if self._process is None:
            if now_s >= self.start_at_s:
                self._start()
            return None
        code = self._process.poll()
        if code is not None:
            self._process, self.start_at_s = None, now_s + RESTART_S
        return code

    def kill(self, away_s: float, now_s: float) -> None:
        """End it as a crash would, for a while."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
        self._process, self.start_at_s = None, now_s + away_s

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        self.start_at_s = float("inf")
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, deadline_s: float) -> None:
        """Wait for its end, and kill it at the deadline (monotonic)."""
        if self._process is not None:
            try:
                self._process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the run, which then stops each in order
            )


class World:
    """Broker, simulator and all services, on a clock that can be set; and the simulator's control routes.

    Parameters
    ----------
    folder
        Takes the logs and, while it runs, Kafka's data.
    rate
        Messages per second of the simulated exchanges.
    levels
        A side of each of their books; 0 is their own.
    """

    def __init__(self, folder: Path, kafka_folder: Path, workers: int, rate: float, levels: int = 0) -> None:
        self.gateway_url = f"http://127.0.0.1:{(gateway_port := free_port())}"
        self.simulator_url = f"http://127.0.0.1:{(simulator_port := free_port())}"
        self.broker = native_broker(kafka_folder, properties=OLD_RECORDS)
        self.folder = folder
        self.clock = ShiftedClock(kafka_folder / "clock")
        self.workers = tuple(f"l2-{number}" for number in range(1, workers + 1))
        self.books: tuple[Book, ...] = ()
        self.ended: list[str] = []  # processes that ended by themselves
        self._load = {"SIMULATOR_RATE": str(rate), "SIMULATOR_LEVELS": str(levels)}
        self._ports = {"GATEWAY_PORT": str(gateway_port), "SIMULATOR_PORT": str(simulator_port)}
        self._supervised: dict[str, Supervised] = {}
        self._kafka_thread = ThreadPoolExecutor(1)  # Java dies with the thread that started it

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.broker.bootstrap_servers

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)
        self._http = aiohttp.ClientSession(timeout=timeout)
        self._watching = asyncio.create_task(self._watch())
        try:
            await self._on_kafka_thread(self.broker.start)
            await self._start_system()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_failure: object) -> None:
        self._watching.cancel()
        await asyncio.wait([self._watching])
        await self._http.close()
        for process in self._supervised.values():
            process.ask_to_stop()
        deadline_s = time.monotonic() + STOP_S
        for process in self._supervised.values():
            process.stop(deadline_s)
        self._kafka_thread.submit(self.broker.stop).result()
        self._kafka_thread.shutdown()
        self.clock.close()

    def now(self) -> int:
        """Return the time as the services read it, ns UTC."""
        return self.clock.now()

    def kill(self, name: str, away_s: float) -> None:
        """Kill -9 a process; the supervisor starts it again after `away_s`."""
        self._supervised[name].kill(away_s, time.monotonic())

    async def kill_broker(self, away_s: float) -> None:
        """Kill -9 Kafka, and return when it answers again on its data."""
        await self._on_kafka_thread(self.broker.kill)
        await asyncio.sleep(away_s)
        await self._on_kafka_thread(self.broker.start)

    async def control(self, method: str, path: str, body: Request | None = None) -> Any:
        """Speak to the simulator's control routes."""
        async with self._http.request(method, f"{self.simulator_url}/control/{path}", json=body) as reply:
            if reply.status >= 300:
                raise RuntimeError(f"{method} /control/{path} {body}: {reply.status} {await reply.text()}")
            return json.loads(await reply.read())

    async def gateway(self, path: str) -> Any:
        """Return the JSON of the gateway's 200, None for anything else."""
        try:
            async with self._http.get(f"{self.gateway_url}{path}") as reply:
                return json.loads(await reply.read()) if reply.status == 200 else None
        except (aiohttp.ClientConnectionError, TimeoutError):
            return None

    async def readyz(self) -> tuple[int, Any]:
        """Return the status and the JSON of ``/readyz``; 0 and nothing where no answer comes."""
        try:
            async with self._http.get(f"{self.gateway_url}/readyz") as reply:
                return reply.status, json.loads(await reply.read())
        except (aiohttp.ClientError, TimeoutError):
            return 0, {}

    async def post(self, path: str, body: object, key: str) -> int:
        """Send a command to the gateway; return the status, 0 where no answer comes."""
        headers = {"Idempotency-Key": key}
        try:
            async with self._http.post(f"{self.gateway_url}{path}", json=body, headers=headers) as reply:
                return reply.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    def require_running(self) -> None:
        """Raise what ended the supervision, if anything did."""
        if self._watching.done():
            self._watching.result()

    async def _start_system(self) -> None:
        common = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            **self._ports,
            "SIMULATOR_URL": self.simulator_url,
            "TOPIC_PARTITIONS": str(PARTITIONS),
        }
        # Its own outages would be faults that nobody ordered.
        self._add("simulator", ("simulator",), common | self._load | {"SIMULATOR_OUTAGES": "0"})
        while not self.books:
            try:
                listed = await self.control("GET", "books")
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(WATCH_S)
                continue
            self.books = tuple((book["venue"], book["symbol"]) for book in listed["books"])
        wanted = {"L2_BOOKS": ",".join(map(":".join, self.books)), "L2_BLOCKED_S": str(BLOCKED_S)}
        for worker in self.workers:
            self._add(worker, (SHIFTED, "services.l2"), common | wanted | {"L2_INSTANCE": worker})
        common["POLICIES_DIR"] = folder_of_policies(self.folder)
        for name in ("gateway", *DECIDING, *OPTIONAL):
            self._add(name, (SHIFTED, f"services.{name}"), common)

    def _add(self, name: str, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._supervised[name] = Supervised(
            name, modules, {**environment, **self.clock.environment}, self.folder
        )

    async def _watch(self) -> None:
        while True:
            for process in tuple(self._supervised.values()):
                code = process.watch(time.monotonic())
                if code is not None:
                    words = process.log.read_text(errors="replace")[-400:].strip().splitlines()
                    said = f": {words[-1][:300]}" if words else ""
                    self.ended.append(f"{process.name} ended by itself with exit code {code}{said}")
            await asyncio.sleep(WATCH_S)

    async def _on_kafka_thread(self, work: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._kafka_thread, work)
