"""What the default system costs while nobody asks it for anything: CPU, memory and requests of each process.

IDLE_TREES names checkouts, separated by commas (default: this one); each is started in turn by its own
interpreter, with ports and a folder of its own, IDLE_ROUNDS times (default 1). From IDLE_SETTLE_S (60) after
it is ready, IDLE_S (60) are measured. Requests to Kafka are counted in the clients, wake-ups by the kernel.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path
from struct import iter_unpack
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.process_tree import named
from tests.bench.processes import ROOT, TETHER, ProcessEndedError, cpu_seconds, free_port
from tests.bench.proofs import ask
from tests.bench.report import Result, quartiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.report import Report

BENCH: Final = "idle"
READY_S: Final = 400.0  # beside others, who may be many
STOP_S: Final = 60.0
LOOK_S: Final = 0.5
PORTS: Final = ("GATEWAY_PORT", "SIMULATOR_PORT", "KAFKA_PORT", "KAFKA_CONTROLLER_PORT")
COUNTED: Final = ROOT / "tests" / "bench" / "counted"
API_KEYS: Final = {0: "produce", 1: "fetch", 26: "end a transaction"}  # the rest are "other"
KIB_OF_MIB: Final = 1024


class Cost(NamedTuple):
    """What one process used while it was watched."""

    cpu: float  # % of a core
    wakes: float  # a second: how often its threads went to sleep
    rss: float  # MiB
    pss: float  # MiB; what processes share is divided among them
    requests: Mapping[str, float]  # to Kafka, a second


class _Sample(NamedTuple):
    at_s: float
    cpu_s: Mapping[int, float]
    wakes: Mapping[int, int]
    requests: Mapping[int, Counter[str]]


def run(report: Report) -> None:
    """Start each tree in turn, watch it, and report each process and the whole."""
    if not Path("/proc/self/smaps_rollup").exists():
        report.skip(BENCH, "finds what processes use by /proc")
        return
    trees = [Path(tree).resolve() for tree in os.environ.get("IDLE_TREES", str(ROOT)).split(",")]
    rounds = int(os.environ.get("IDLE_ROUNDS", "1"))
    settle_s, watch_s = (float(os.environ.get(*each)) for each in (("IDLE_SETTLE_S", "60"), ("IDLE_S", "60")))
    costs: dict[Path, list[Mapping[str, Cost]]] = {tree: [] for tree in trees}
    for number in range(rounds):
        for tree in trees:
            report.say(f"  {tree}, {number + 1} of {rounds}: starts")
            with (
                tempfile.TemporaryDirectory(prefix="bookrunner-bench-") as folder,
                _system(tree, Path(folder)) as root,
            ):
                time.sleep(settle_s)
                costs[tree].append(_watch(root, Path(folder), watch_s))
                whole = _sum(list(costs[tree][-1].values()))
                report.say(f"  {tree}: {whole.cpu:.1f} % of a core, {whole.rss:,.0f} MiB")
    assumptions: dict[str, float | int | str] = {
        "feed": "simulator, 15 books",
        "rounds": rounds,
        "watched_s": watch_s,
        "load_at_the_end": f"{os.getloadavg()[0]:.1f}",
    }
    for tree in trees:
        _tell(report, tree, costs[tree], costs[trees[0]] if tree != trees[0] else None, assumptions)


@contextmanager
def _system(tree: Path, folder: Path) -> Iterator[int]:
    """Run the default system of a checkout, ready; yield the id of its first process.

    Raises
    ------
    ProcessEndedError
        If it ends by itself, or is not ready in time.
    """
    python = str(tree / ".venv" / "bin" / "python")
    requests = folder / "requests"
    requests.mkdir()
    ports = {name: str(free_port()) for name in PORTS}
    environment = {name: text for name, text in os.environ.items() if not name.startswith("KAFKA_")}
    environment |= ports | {
        "RUN_DIR": str(folder / "run"),
        "REQUESTS_DIR": str(requests),
        "PYTHONPATH": str(COUNTED),
    }
    log = folder / "run.log"
    with log.open("wb") as output:
        system = subprocess.Popen(
            [sys.executable, str(TETHER), "SIGTERM", str(os.getpid()), python, "-m", "libs.cli.run"],
            cwd=tree,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + READY_S
        while ask(int(ports["GATEWAY_PORT"]), "/readyz") is None:
            if system.poll() is not None or time.monotonic() > deadline:
                words = log.read_text(errors="replace")[-2000:]
                raise ProcessEndedError(f"{tree} was not ready within {READY_S:g} s:\n{words}")
            time.sleep(LOOK_S)
        yield system.pid
    finally:
        system.send_signal(signal.SIGTERM)
        try:
            system.wait(STOP_S)
        except subprocess.TimeoutExpired:
            system.kill()  # what is tethered to the supervisor ends with it
            system.wait()


def _watch(root: int, folder: Path, seconds: float) -> Mapping[str, Cost]:
    """Return what each process of the system uses for so long, by what it is."""
    names = dict(named(root))
    before = _sample(names, folder)
    time.sleep(seconds)
    after = _sample(names, folder)
    if gone := [names[pid] for pid in before.cpu_s.keys() - after.cpu_s.keys()]:
        raise ProcessEndedError(f"ended while they were watched: {', '.join(gone)}")
    spent_s = after.at_s - before.at_s
    found: defaultdict[str, list[Cost]] = defaultdict(list)
    for pid in before.cpu_s:
        memory = _memory_mib(pid)
        asked = after.requests[pid] - before.requests[pid]
        found[names[pid]].append(
            Cost(
                cpu=100 * (after.cpu_s[pid] - before.cpu_s[pid]) / spent_s,
                wakes=(after.wakes[pid] - before.wakes[pid]) / spent_s,
                rss=memory["Rss"],
                pss=memory["Pss"],
                requests={kind: count / spent_s for kind, count in asked.items()},
            )
        )
    return {name: _sum(of_name) for name, of_name in found.items()}


def _sum(costs: Sequence[Cost]) -> Cost:
    requests: Counter[str] = Counter()
    for cost in costs:
        requests.update(cost.requests)
    cpu, wakes, rss, pss = (sum(figures) for figures in list(zip(*costs, strict=True))[:4])
    return Cost(cpu, wakes, rss, pss, requests)


def _sample(pids: Mapping[int, str], folder: Path) -> _Sample:
    cpu_s = {pid: used for pid in pids if (used := cpu_seconds(pid)) is not None}
    return _Sample(
        time.monotonic(),
        cpu_s,
        {pid: _wakes(pid) for pid in cpu_s},
        {pid: _asked(folder, pid) for pid in pids},
    )


def _wakes(pid: int) -> int:
    """Return how often the threads of a process gave the core up of themselves: proc(5), status."""
    return sum(
        int(line.split()[1])
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )


def _asked(folder: Path, pid: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    path = folder / "requests" / str(pid)
    if path.exists():
        for key, (count,) in enumerate(iter_unpack("<Q", path.read_bytes())):
            counts[API_KEYS.get(key, "other")] += count
    return counts


def _memory_mib(pid: int) -> Mapping[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {
        name: int(size.split()[0]) / KIB_OF_MIB for name, _, size in (line.partition(":") for line in lines)
    }


def _tell(
    report: Report,
    tree: Path,
    rounds: Sequence[Mapping[str, Cost]],
    baseline: Sequence[Mapping[str, Cost]] | None,
    assumptions: Mapping[str, float | int | str],
) -> None:
    names = sorted(rounds[0], key=lambda name: -rounds[0][name].cpu)
    wholes = [_sum(list(each.values())) for each in rounds]
    rows = [("all processes", wholes), *((name, [each[name] for each in rounds]) for name in names)]
    for name, costs in rows:
        ratio = None
        if baseline and len(baseline) > 1 and name == "all processes":
            firsts = [_sum(list(each.values())) for each in baseline]
            ratio = quartiles([new.cpu / old.cpu for new, old in zip(costs, firsts, strict=True)])
        report.add(
            Result(
                bench=BENCH,
                case=f"idle system of {tree}",
                contender=name,
                figures=_figures(costs),
                ratio=ratio,
                baseline="the first tree's CPU" if ratio else "",
                assumptions=assumptions,
            )
        )


def _figures(costs: Sequence[Cost]) -> Mapping[str, float]:
    def median(figures: Sequence[float]) -> float:
        return statistics.median(figures)

    asked = sorted({kind for cost in costs for kind, rate in cost.requests.items() if rate})
    return {
        "CPU % of a core": median([cost.cpu for cost in costs]),
        "RSS MiB": median([cost.rss for cost in costs]),
        "PSS MiB": median([cost.pss for cost in costs]),
        "wake-ups/s": median([cost.wakes for cost in costs]),
        **{f"{kind}/s": median([cost.requests.get(kind, 0.0) for cost in costs]) for kind in asked},
    }
