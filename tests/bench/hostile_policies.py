"""A thousand hostile policies beside one good one: how long until all are quarantined, and what it costs.

HOSTILE_POLICIES says how many (default 1000). They take turns at everything that `tests.policies_world`
knows; each is a file of its own. The good policy is asked each second as its book changes, and each time its
signal is another, so each is published: how late they are is what the hostile ones do to it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from libs.common.events import PolicyState
from libs.common.time_units import NS_PER_S
from tests.bench.processes import folder_and_broker
from tests.bench.report import Result, latency
from tests.e2e.system import until
from tests.policies_world import GOOD, HOSTILE, alive, descendants, host, world, write

if TYPE_CHECKING:
    from tests.bench.report import Report
    from tests.policies_world import Host, World

BENCH: Final = "hostile_policies"
ALONE_S: Final = 10.0  # the good one alone, before
PATIENCE_S: Final = 600.0
LOOK_S: Final = 1.0
MOST: Final = 64
GOOD_ONE: Final = "import random\n" + GOOD.replace("market.features.obi", "random.random()")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Use:
    """What the host and its processes use, looked at again and again."""

    def __init__(self, hosting: Host) -> None:
        self._root = hosting.process.pid
        self.peak_mib = 0.0  # shared pages divided among those that share them
        self.peak_processes = 0
        self._before_s = self.cpu_s()

    def used_s(self) -> float:
        """Return the CPU seconds since the beginning, those of ended processes included."""
        return self.cpu_s() - self._before_s

    def cpu_s(self) -> float:
        """Return the CPU seconds of all of them so far; the zygote has those of the ended ones."""
        used = 0.0
        for pid in [self._root, *descendants(self._root)]:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            used += sum(int(field) for field in fields[11:15]) / _TICKS
        return used

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            pids = [self._root, *descendants(self._root)]
            self.peak_processes = max(self.peak_processes, len(alive(pids)) - 2)
            self.peak_mib = max(self.peak_mib, sum(map(_pss_mib, pids)))
            await asyncio.sleep(LOOK_S)


def run(report: Report) -> None:
    """Host them all, and report."""
    if not sys.platform.startswith("linux"):
        report.skip(BENCH, "finds what processes use by /proc")
        return
    with folder_and_broker(report.say) as (folder, broker):
        asyncio.run(_measure(report, folder, broker.bootstrap_servers))


async def _measure(report: Report, folder: Path, kafka: str) -> None:
    count = int(os.environ.get("HOSTILE_POLICIES", "1000"))
    files = folder / "policies"
    files.mkdir()
    write(files, "good", GOOD_ONE, on_tops=True)
    environment = {"POLICIES_MOST": str(MOST), "POLICIES_START_S": "2"}
    async with world(kafka) as market:
        with host(kafka, files, **environment) as hosting:
            seen = market.seen

            async def good() -> bool:
                return seen.is_in("good", PolicyState.RUNNING)

            await until("the good one runs", good, PATIENCE_S)
            await asyncio.sleep(ALONE_S)
            alone_ns = time.time_ns()
            use = Use(hosting)
            watching = asyncio.create_task(use.watch())
            kinds = list(HOSTILE.values())
            names = [f"h{n}" for n in range(count)]
            for n, name in enumerate(names):
                write(files, name, f"{kinds[n % len(kinds)][0]}\n# {n}\n")

            async def quarantined() -> bool:
                return all(seen.is_in(name, PolicyState.QUARANTINED) for name in names)

            begun_s = time.monotonic()
            await until("all are quarantined", quarantined, PATIENCE_S)
            took_s = time.monotonic() - begun_s
            watching.cancel()
            signals = sum(len(seen.signals_of(name)) for name in names)
            left = hosting.descendants()
            figures: dict[str, float | int | str] = {
                "until_all_quarantined_s": took_s,
                "signals_of_hostile": signals,
                "cpu_s": use.used_s(),
                "peak_mib": use.peak_mib,
                "peak_processes": use.peak_processes,
                "processes_left": len(left) - 2,
                "good_gap_max_s": _gap_s(market, alone_ns),
                "good_gap_max_alone_s": _gap_s(market, 0, alone_ns),
            }
            hosting.stop()
            figures["processes_after_stop"] = len(alive(left))
            lateness = {
                "good, alone": latency(_late_ns(market, 0, alone_ns)),
                "good, beside them": latency(_late_ns(market, alone_ns)),
            }
            assumptions = {"most": MOST, "kinds": len(kinds)}
            case = f"{count} hostile policies beside a good one"
            result = Result(
                bench=BENCH,
                case=case,
                contender="policies",
                figures=figures,
                latency_ms=lateness,
                assumptions=assumptions,
            )
            report.add(result)


def _late_ns(market: World, since_ns: int, until_ns: int = 2**62) -> list[int]:
    """Return from the moment of each of the good one's signals until it was read, ns."""
    wanted = {id(each) for each in market.seen.signals_of("good") if since_ns <= each.inputs_ts < until_ns}
    return [
        arrived - record.event.inputs_ts  # type: ignore[union-attr]  # a signal
        for record, arrived in zip(market.seen.records, market.seen.arrived_ns, strict=True)
        if id(record.event) in wanted
    ]


def _gap_s(market: World, since_ns: int, until_ns: int = 2**62) -> float:
    """Return the longest time between two of the good one's signals, seconds."""
    moments = [each.inputs_ts for each in market.seen.signals_of("good")]
    inside = [moment for moment in moments if since_ns <= moment < until_ns]
    return max((second - first) / NS_PER_S for first, second in pairwise(inside))


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
