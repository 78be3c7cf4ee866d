"""From ``make run`` to "ready": when each phase of a start was reached, and whose CPU it took.

What is installed is not part of it. Each run has ports and a folder of its own and is started twice: the
first time on an empty folder, then on the data that this left. START_RUNS says how often (default 5).
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from broker import readiness
from tests.bench.process_tree import cpu_by_process
from tests.bench.processes import ROOT, TETHER, ProcessEndedError, free_port
from tests.bench.proofs import BY_NAME, PROOFS, ask, holds
from tests.bench.report import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.bench.report import Report

RUNS: Final = int(os.environ.get("START_RUNS", "5"))
POLL_S: Final = 0.1
ASKING_S: Final = 1.0  # for an answer to what is asked again and again
STOP_S: Final = 60.0
IMPORTS: Final = 3  # of which the median counts
BENCH: Final = "start"
READY: Final = "ready is printed"
PROVEN: Final = "ten commands hold"
MODULES: Final = (
    "broker",
    "simulator",
    *(
        f"services.{name}"
        for name in ("l2", "venues", "router", "portfolio", "execution", "context", "policies", "gateway")
    ),
)


class Start:
    """One `make run` and the moments of its phases, seconds after its beginning."""

    milestones: Sequence[str] = (READY, PROVEN)  # beside the phases
    patience_s = 180.0

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self.reached: dict[str, float] = {}
        self.cpu: dict[str, Mapping[str, float]] = {}  # at a phase, by process
        self.late: list[str] = []  # commands that did not hold at the first try
        self._ports = ports
        self._folder = folder
        self._lines: list[str] = []
        self._over = threading.Event()

    def run(self) -> None:
        """Start, watch until the ten commands hold, and stop.

        Raises
        ------
        ProcessEndedError
            If it ends by itself, or is not ready in time.
        """
        self._began = time.monotonic()
        with self._make() as make:
            watchers = [
                threading.Thread(target=self._watch, args=phase, daemon=True)
                for phase in self._phases().items()
            ]
            reader = threading.Thread(target=self._read, args=(make,), daemon=True)
            for thread in (*watchers, reader):
                thread.start()
            awaited = {*self._phases(), *self.milestones}
            while awaited - self.reached.keys() and self._now() < self.patience_s and make.poll() is None:
                self._over.wait(POLL_S)
            missing = awaited - self.reached.keys()
            self._over.set()
            for thread in watchers:
                thread.join()
        reader.join()
        if missing:
            raise ProcessEndedError(
                f"not reached: {', '.join(sorted(missing))}\n{''.join(self._lines[-30:])}"
            )

    @contextmanager
    def _make(self) -> Iterator[subprocess.Popen[str]]:
        arguments = [f"{name}={value}" for name, value in self._ports.items()]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("KAFKA_")}
        tether = [sys.executable, str(TETHER), "SIGTERM", str(os.getpid())]
        with subprocess.Popen(
            [*tether, "make", "run", *arguments, f"RUN_DIR={self._folder}"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        ) as make:
            try:
                yield make
            finally:
                os.killpg(make.pid, signal.SIGINT)  # as a terminal's Ctrl-C does
                try:
                    make.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    os.killpg(make.pid, signal.SIGKILL)  # what is tethered to the supervisor ends with it

    def _phases(self) -> dict[str, Callable[[], object]]:
        gateway = self._ports["GATEWAY_PORT"]

        def proof(name: str) -> Callable[[], bool]:
            return lambda: self._listens("GATEWAY_PORT") and holds(BY_NAME[name], gateway, ASKING_S)

        def live(enough: Callable[[Sequence[bool]], bool]) -> Callable[[], bool]:
            return lambda: enough([book["state"] == "LIVE" for book in ask(gateway, "/api/l2") or []])

        return {
            "Kafka answers": lambda: readiness.answers("127.0.0.1", self._ports["KAFKA_PORT"]),
            "simulator listens": lambda: self._listens("SIMULATOR_PORT"),
            "gateway listens": lambda: self._listens("GATEWAY_PORT"),
            "a book is LIVE": live(any),
            "all books are LIVE": live(lambda books: bool(books) and all(books)),
            "registry is filled": proof("registry"),
            "a choice": proof("choose"),
            "a score": proof("score"),
            "risk is there": lambda: ask(gateway, "/api/portfolio/risk"),
        }

    def _watch(self, phase: str, reached: Callable[[], object]) -> None:
        while not self._over.is_set():
            if reached():
                self.reached[phase] = self._now()
                return
            self._over.wait(POLL_S)

    def _read(self, make: subprocess.Popen[str]) -> None:
        for line in make.stdout or ():
            self._lines.append(line)
            if "bookrunner is ready" in line and READY not in self.reached:
                self.reached[READY] = self._now()
                self.cpu[READY] = cpu_by_process(make.pid)
                threading.Thread(target=self._prove, args=(make.pid,), daemon=True).start()

    def _prove(self, make: int) -> None:
        gateway = self._ports["GATEWAY_PORT"]
        waiting = [proof for proof in PROOFS if not holds(proof, gateway)]
        self.late = [proof.name for proof in waiting]
        while waiting and not self._over.is_set():
            self._over.wait(POLL_S)
            waiting = [proof for proof in waiting if not holds(proof, gateway)]
        self.cpu[PROVEN] = cpu_by_process(make)
        self.reached[PROVEN] = self._now()

    def _listens(self, name: str) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._ports[name]), ASKING_S).close()
        except OSError:
            return False
        return True

    def _now(self) -> float:
        return time.monotonic() - self._began


def run(report: Report) -> None:
    """Start RUNS systems twice each, and report both kinds of start and the cost of the imports."""
    if not Path("/proc/self/task").exists():
        report.skip(BENCH, "finds processes by /proc")
        return
    subprocess.run(["make", "setup"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    imports = {module.rpartition(".")[2]: _import_s(module) for module in MODULES}
    starts: dict[str, list[Start]] = {"first start": [], "second start": []}
    for number in range(1, RUNS + 1):
        with tempfile.TemporaryDirectory(prefix="bookrunner-bench-") as folder:
            for kind, done in starts.items():
                names = ("GATEWAY_PORT", "KAFKA_PORT", "SIMULATOR_PORT")
                start = Start(Path(folder) / "run", {name: free_port() for name in names})
                start.run()
                done.append(start)
                report.say(f"  {kind} {number} of {RUNS}: {_sentence(start)}")
    for kind, done in starts.items():
        _tell(report, kind, done, imports)


def _import_s(module: str) -> float:
    """Return the CPU seconds from an interpreter's start until the process would begin its work."""
    command, found = [sys.executable, "-c", f"import {module}.__main__"], []
    for _ in range(IMPORTS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=ROOT, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(found)


def _sentence(start: Start) -> str:
    late = f"; not at the first try: {', '.join(start.late)}" if start.late else ""
    return (
        f"ready after {start.reached[READY]:.1f} s and {sum(start.cpu[READY].values()):.1f} s of CPU, "
        f"ten commands after {start.reached[PROVEN]:.1f} s{late}"
    )


def _tell(report: Report, kind: str, starts: Sequence[Start], imports: Mapping[str, float]) -> None:
    assumptions: dict[str, float | int | str] = {
        "runs": len(starts),
        "feed": "simulator, 15 books",
        "asked": f"every phase every {POLL_S:g} s, from beside the system and on its cores",
        "load_at_the_end": f"{os.getloadavg()[0]:.1f}",
    }

    def add(contender: str, **figures: float | str) -> None:
        named = {name.replace("_", " "): value for name, value in figures.items()}
        report.add(
            Result(bench=BENCH, case=kind, contender=contender, figures=named, assumptions=assumptions)
        )

    seconds = {name: sorted(start.reached[name] for start in starts) for name in starts[0].reached}
    for name, found in sorted(seconds.items(), key=lambda phase: statistics.median(phase[1])):
        add(name, min_s=found[0], median=statistics.median(found), max=found[-1])
    late = ", ".join(sorted({name for start in starts for name in start.late}))
    add("first try of the ten", held_in=sum(not start.late for start in starts), late=late or "none")
    ready, proven = (_median_cpu([start.cpu[phase] for start in starts]) for phase in (READY, PROVEN))
    for name in sorted(proven, key=lambda name: -proven[name]):
        of_imports = {"of_it_imports": imports[name]} if name in imports else {}
        share = f"{ready.get(name, 0.0) / sum(ready.values()):.0%}"
        add(name, CPU_s_at_ready=ready.get(name, 0.0), share=share, at_ten=proven[name], **of_imports)
    add("all processes", CPU_s_at_ready=sum(ready.values()), at_ten=sum(proven.values()))


def _median_cpu(of_starts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(cpu.get(name, 0.0) for cpu in of_starts) for name in of_starts[0]}
