"""`soak`: the whole system as `make run` starts it, trading, with a fault now and then, watched for long."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
import numpy as np

from libs.cli.run_folder import RunFolder
from tests.bench.processes import ROOT, TETHER, free_port
from tests.chaos.schedule import WIRE_KINDS, schedule
from tests.e2e.system import folder_of_policies
from tests.soak.samples import BEHIND, DESCRIPTORS, RSS, Looks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.chaos.schedule import Request
    from tests.soak.samples import Sample

KILLED: Final = ("l2", "venues", "router", "portfolio", "execution", "context", "policies", "gateway")
EACH_KILLED: Final = 1  # times in a run
FAULT_GAP_S: Final = 30.0  # mean; that of a schedule of chaos is .7
CHAOS_GAP_S: Final = 0.7
LOOK_S: Final = 10.0
START_S: Final = 600.0
HEALED_S: Final = 120.0
STOP_S: Final = 120.0
POLL_S: Final = 0.5
# Kafka lets its heap fill for long before it looks for what is dead in it: so all of it is there at once,
# and what grows is beside it.
HEAP: Final = {"KAFKA_HEAP_MB": "512", "KAFKA_JAVA_OPTIONS": "-Xms512m -XX:+AlwaysPreTouch"}


class SoakError(RuntimeError):
    """The system did not start, or ended."""


class Soaked(msgspec.Struct, frozen=True):
    """What was seen."""

    samples: list[Sample]
    faults: int
    kills: int
    broken: list[str]  # promises


class System:
    """`make run` with ports and a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = RunFolder(folder / "run")
        self._log = folder / "run.log"
        ports = {name: str(free_port()) for name in ("GATEWAY_PORT", "SIMULATOR_PORT", "KAFKA_PORT")}
        self.gateway = f"http://127.0.0.1:{ports['GATEWAY_PORT']}"
        self.simulator = f"http://127.0.0.1:{ports['SIMULATOR_PORT']}"
        environment = {name: text for name, text in os.environ.items() if not name.startswith("KAFKA_")}
        environment |= ports | HEAP
        environment |= {"RUN_DIR": str(self.run_dir.root), "AUTOPILOT": "1", "FEED": "simulator"}
        environment["POLICIES_DIR"] = folder_of_policies(folder)
        command = [
            sys.executable,
            str(TETHER),
            "SIGTERM",
            str(os.getpid()),
            sys.executable,
            "-m",
            "libs.cli.run",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def require_running(self) -> None:
        """Raise what it said last if it has ended."""
        if self._process.poll() is not None:
            raise SoakError(f"the system ended: {self._log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """End all of it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # what is tethered to the supervisor ends with it
            self._process.wait()


async def soak(folder: Path, minutes: float, seed: int, say: Callable[[str], None]) -> Soaked:
    """Run for so long; `say` gets a line of progress at every look."""
    system = System(folder)
    try:
        timeout = aiohttp.ClientTimeout(total=POLL_S * 10)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            await _until(system, lambda: _ready(system, http), "it was ready", START_S)
            return await Watched(system, http, folder, minutes * 60, seed, say).run()
    finally:
        system.stop()


class Watched:
    """A system that runs, and what is seen of it."""

    def __init__(
        self,
        system: System,
        http: aiohttp.ClientSession,
        folder: Path,
        seconds: float,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self._system = system
        self._http = http
        self._path = folder / "samples.jsonl"
        self._seconds = seconds
        self._say = say
        self._faults = self._kills = 0
        self._killed_pids: set[int] = set()
        self._samples: list[Sample] = []
        self.broken: list[str] = []
        self._seed = seed

    async def run(self) -> Soaked:
        """Look on, with faults and kills, and return what was seen."""
        books = [(book["venue"], book["symbol"]) for book in await self._get("/api/l2") or ()]
        if not books:
            raise SoakError("the gateway tells of no book")
        faults = list(faults_of(self._seed, self._seconds, books))
        kills = list(kills_of(self._seed, self._seconds))
        looks = Looks(self._system.run_dir, self._system.gateway, self._http)
        began_s = time.monotonic()
        next_look_s = 0.0
        while (at_s := time.monotonic() - began_s) < self._seconds:
            self._system.require_running()
            while faults and faults[0][0] <= at_s:
                await self.fault(faults.pop(0)[1])
            while kills and kills[0][0] <= at_s:
                self._kill(kills.pop(0)[1])
            if at_s >= next_look_s:
                next_look_s += LOOK_S
                self._keep(await looks.look(at_s))
            await asyncio.sleep(POLL_S)
        await self._control("DELETE")
        try:
            await _until(self._system, self.healed, "it had healed", HEALED_S)
        except SoakError as error:
            self.broken.append(str(error))
        return Soaked(self._samples, self._faults, self._kills, self.broken)

    async def fault(self, requests: Sequence[Request]) -> None:
        """Have the simulator begin a fault."""
        for request in requests:
            await self._control("POST", request)
        self._faults += 1

    async def _control(self, method: str, request: Request | None = None) -> None:
        """Have the simulator begin a fault or end all; what it does not do breaks a promise, not the run."""
        try:
            async with self._http.request(
                method, f"{self._system.simulator}/control/faults", json=request
            ) as reply:
                said = await reply.text() if reply.status >= 300 else ""
        except (aiohttp.ClientError, TimeoutError) as error:
            said = str(error) or type(error).__name__
        if said:
            self.broken.append(f"the simulator did not take {method} {request or 'of all faults'}: {said}")

    def _kill(self, name: str) -> None:
        for process in self._system.run_dir.running():
            if process.name == name:
                self._killed_pids.add(process.pid)
                with suppress(ProcessLookupError):  # it has just ended by itself
                    os.kill(process.pid, signal.SIGKILL)
                self._kills += 1

    def _keep(self, sample: Sample) -> None:
        if self._samples:
            for name, pid in self._samples[-1].pids.items():
                if sample.pids.get(name) != pid and pid not in self._killed_pids:
                    self.broken.append(
                        f"{name} (process {pid}) ended by itself {sample.at_s:.0f} s after the start"
                    )
                    self._killed_pids.add(pid)
        self._samples.append(sample)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(sample) + b"\n")
        sums: dict[str, float] = {}
        for what, _, value in sample.values:
            sums[what] = sums.get(what, 0.0) + value
        self._say(
            f"{sample.at_s / 60:.1f} of {self._seconds / 60:g} min, {self._faults} faults, "
            f"{self._kills} kills, RSS {sums.get(RSS, 0.0):,.0f} MiB, "
            f"{sums.get(DESCRIPTORS, 0.0):,.0f} descriptors, {sums.get(BEHIND, 0.0):,.0f} messages behind, "
            f"{len(self.broken)} promises broken"
        )

    async def healed(self) -> bool:
        """Tell whether all books are LIVE and every route does its work."""
        books = await self._get("/api/l2")
        live = bool(books) and all(book["state"] == "LIVE" for book in books)
        return live and await _ready(self._system, self._http)

    async def _get(self, path: str) -> Any:
        try:
            async with self._http.get(f"{self._system.gateway}{path}") as reply:
                return await reply.json() if reply.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None


def faults_of(
    seed: int, seconds: float, books: Sequence[tuple[str, str]]
) -> Iterator[tuple[float, Sequence[Request]]]:
    """Yield faults of the wire as chaos has them, at a low rate: seconds, and the simulator's requests."""
    slower = FAULT_GAP_S / CHAOS_GAP_S
    for action in schedule(seed, seconds / slower, books, 1):
        if action.kind in WIRE_KINDS:
            yield action.at_s * slower, action.requests


def kills_of(seed: int, seconds: float) -> Iterator[tuple[float, str]]:
    """Yield when each service is killed, in a drawn order."""
    random = np.random.Generator(np.random.Philox(key=[seed, len(KILLED)]))
    order = [KILLED[place] for _ in range(EACH_KILLED) for place in random.permutation(len(KILLED))]
    for number, name in enumerate(order, 1):
        yield number * seconds / (len(order) + 1), name


async def _ready(system: System, http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get(f"{system.gateway}/readyz") as reply:
            return reply.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _until(system: System, holds: Callable[[], Any], what: str, patience_s: float) -> None:
    deadline_s = time.monotonic() + patience_s
    while not await holds():
        system.require_running()
        if time.monotonic() > deadline_s:
            raise SoakError(f"not within {patience_s:g} s: {what}")
        await asyncio.sleep(POLL_S)
