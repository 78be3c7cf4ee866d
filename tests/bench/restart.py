"""How long a start and a take-over take on the log of a system that ran for no, one and thirty days.

The log is written by `tests.aged_log` into the folder of a system, whose `make run` is then timed as in
`start`. After that each service is killed, and timed until the gateway is ready with the new one's word.
RESTART_RUNS says how often (default 3), RESTART_DAYS which ages.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from broker.native import NativeBroker
from broker.settings import BrokerSettings
from services.l2.settings import L2Settings
from tests import aged_log
from tests.bench.process_tree import process_ids
from tests.bench.processes import ROOT, free_port
from tests.bench.proofs import BY_NAME, ask, holds
from tests.bench.report import Result
from tests.bench.start import ASKING_S, POLL_S, PROVEN, READY, Start

if TYPE_CHECKING:
    from tests.bench.report import Report

BENCH: Final = "restart"
RUNS: Final = int(os.environ.get("RESTART_RUNS", "3"))
SERVICES: Final = ("l2", "venues", "router", "portfolio", "execution", "gateway")
PROVES: Final = {  # which of the ten commands shows that a service works
    "l2": "book",
    "venues": "score",
    "router": "choose",
    "portfolio": "optimize",
    "execution": "simulate",
}
AGES: Final = tuple(int(days) for days in os.environ.get("RESTART_DAYS", "0,1,30").split(","))


def _back(service: str) -> str:
    return f"{service} back after SIGKILL"


class Restart(Start):
    """A start, after which each service is killed in turn."""

    milestones = (*Start.milestones, *map(_back, SERVICES))
    patience_s = 600.0

    def _prove(self, make: int) -> None:
        super()._prove(make)
        for service in SERVICES:
            killed_ms = time.time() * 1e3
            began_s = time.monotonic()
            for pid in process_ids(make, service):
                os.kill(pid, signal.SIGKILL)
            while not self._is_back(service, killed_ms) and not self._over.wait(POLL_S):
                pass
            self.reached[_back(service)] = time.monotonic() - began_s

    def _is_back(self, service: str, killed_ms: float) -> bool:
        gateway = self._ports["GATEWAY_PORT"]
        answer = ask(gateway, "/readyz", patience_s=ASKING_S)
        told = [each for each in (answer or {}).get("services", ()) if each["service"] == service]
        proof = PROVES.get(service)
        return any(each["state"] == "ready" and each["sinceTs"] > killed_ms for each in told) and (
            proof is None or holds(BY_NAME[proof], gateway, ASKING_S)
        )


def run(report: Report) -> None:
    """Time RUNS starts on each age, and report each as a ratio to that on an empty log."""
    if not Path("/proc/self/task").exists():
        report.skip(BENCH, "finds processes by /proc")
        return
    subprocess.run(["make", "setup"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    medians: dict[int, dict[str, float]] = {}
    for days in AGES:
        starts, records = [], 0
        for number in range(1, RUNS + 1):
            with tempfile.TemporaryDirectory(prefix="bookrunner-bench-") as folder:
                ports = {name: free_port() for name in ("GATEWAY_PORT", "KAFKA_PORT", "SIMULATOR_PORT")}
                run_dir = Path(folder) / "run"
                records = _age(run_dir, ports["KAFKA_PORT"], days, report)
                start = Restart(run_dir, ports)
                start.run()
                starts.append(start)
                report.say(f"  {days} days, {number} of {RUNS}: {start.reached[READY]:.1f} s to ready")
        medians[days] = {
            phase: statistics.median(start.reached[phase] for start in starts) for phase in starts[0].reached
        }
        for phase, median_s in sorted(medians[days].items(), key=lambda each: each[1]):
            found = sorted(start.reached[phase] for start in starts)
            figures = {
                "min s": found[0],
                "median": median_s,
                "max": found[-1],
                "of an empty log's": median_s / medians[AGES[0]][phase],
            }
            if phase in (READY, PROVEN):
                figures["held at once"] = sum(not start.late for start in starts)
            report.add(
                Result(
                    bench=BENCH,
                    case=f"{days} days",
                    contender=phase,
                    figures=figures,
                    assumptions={"runs": RUNS, "records": records, "feed": "simulator, 15 books"},
                )
            )


def _age(run_dir: Path, port: int, days: int, report: Report) -> int:
    """Write the log of so many days; 0: make the topics only."""
    settings = BrokerSettings(run_dir=run_dir, port=port)
    with NativeBroker(settings) as broker:
        l2 = L2Settings(kafka_bootstrap_servers=broker.bootstrap_servers)
        return asyncio.run(aged_log.write(l2, days, report.say))
