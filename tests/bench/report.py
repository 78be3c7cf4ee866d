"""What a benchmark says: lines for people while it runs, one JSON line a result, and a table at the end."""

from __future__ import annotations

import os
import platform
import statistics
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NS_PER_MS: Final = 1e6
PACKAGES: Final = ("msgspec", "aiokafka", "websockets", "uvicorn", "uvloop", "msgpack", "sortedcontainers")


class Quartiles(msgspec.Struct, frozen=True):
    """Median and quartiles of per-chunk figures."""

    lower: float
    median: float
    upper: float

    def text(self, unit: str = "") -> str:
        """Return ``median (lower to upper)``."""
        return f"{self.median:.3g}{unit} ({self.lower:.3g} to {self.upper:.3g})"


class Latency(msgspec.Struct, frozen=True):
    """A distribution of durations, in ms."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measured line; `figures` for people, the rest for machines as well."""

    bench: str
    case: str
    contender: str
    figures: Mapping[str, float | int | str]
    ratio: Quartiles | None = None  # to the baseline named beside it, in the same run
    baseline: str = ""
    latency_ms: Mapping[str, Latency] = {}
    assumptions: Mapping[str, float | int | str] = {}


class Report:
    """Collects results; writes each at once, so that a broken run keeps what it measured."""

    def __init__(self, folder: Path, machine: Mapping[str, str | int]) -> None:
        self.console = Console(highlight=False)
        self.machine = machine
        self.run = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._results: list[Result] = []
        self._missed: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{self.run}.jsonl"
        self._write({"run": self.run, "machine": machine})

    def say(self, line: str) -> None:
        """Print progress."""
        self.console.print(line, markup=False, soft_wrap=True)

    def skip(self, what: str, why: str) -> None:
        """Say what was not measured."""
        self._missed.append(f"{what}: {why}")
        self.say(f"  skipped {what}: {why}")

    def add(self, result: Result) -> None:
        """Keep a result, and print it in one line."""
        self._results.append(result)
        self._write({"run": self.run, **msgspec.to_builtins(result)})
        self.say(f"  {result.case} · {result.contender}: {_figures(result)}")

    def table(self) -> None:
        """Print everything measured."""
        table = Table(title=f"run {self.run}", title_justify="left")
        for column in ("bench", "case", "contender", "measured", "ratio (quartiles)"):
            table.add_column(column, overflow="fold")
        for result in self._results:
            ratio = f"{result.ratio.text()} of {result.baseline}" if result.ratio else ""
            table.add_row(result.bench, result.case, result.contender, _figures(result), ratio)
        self.console.print(table)
        for missed in self._missed:
            self.say(f"not measured: {missed}")
        self.say(f"one JSON line a result: {self.path}")

    def _write(self, line: object) -> None:
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")


def machine_facts() -> dict[str, str | int]:
    """Return what the figures depend on, of the machine and of the software."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 0,
        "load_before": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def quartiles(values: Sequence[float]) -> Quartiles:
    """Return median and quartiles of at least two values."""
    return Quartiles(*statistics.quantiles(values, n=4, method="inclusive"))


def latency(durations_ns: Sequence[int] | np.ndarray[tuple[int], np.dtype[np.int64]]) -> Latency:
    """Return the distribution of durations given in ns."""
    ms = np.asarray(durations_ns, dtype=np.float64) / NS_PER_MS
    p50, p90, p99 = np.percentile(ms, (50, 90, 99))
    return Latency(len(ms), float(ms.mean()), float(p50), float(p90), float(p99), float(ms.max()))


def _figures(result: Result) -> str:
    return ", ".join(
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in result.figures.items()
    )


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 -- a kernel file, not a path
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except FileNotFoundError:
        names = []  # not Linux
    return names[0] if names else platform.processor() or platform.machine()
