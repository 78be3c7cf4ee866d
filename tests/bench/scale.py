"""What a book costs, at few and many books, slow and fast, on one and several processes of each service.

Each case is a system of its own: Kafka, simulator, l2, venues, router, portfolio, execution and one gateway
on the same cores, nobody trading. Measured from when all books are LIVE and all routes ready. The first case
is the baseline; a ratio is a service's CPU a book to that of the first case, chunk by chunk. What a case
takes is then fitted by processes, books and messages (`scale_model`), and told with the error of each point
as the fit of all others predicts it.

Settings: SCALE_BOOKS (15,60,150,500), SCALE_RATES (2,20: messages a second and book), SCALE_WORKERS (1,2,4;
those above 1 at the most books and the first rate), SCALE_SECONDS (30).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import uvloop

from tests.bench.processes import ProcessEndedError, folder_and_broker
from tests.bench.report import Result, quartiles
from tests.bench.scale_model import LEAST_POINTS, Point, errors, fit
from tests.bench.scale_system import SHARED, Look, Scaled, books_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.report import Quartiles, Report

BENCH: Final = "scale"
BOOKS: Final = tuple(map(int, os.environ.get("SCALE_BOOKS", "15,60,150,500").split(",")))
RATES: Final = tuple(map(float, os.environ.get("SCALE_RATES", "2,20").split(",")))
WORKERS: Final = tuple(map(int, os.environ.get("SCALE_WORKERS", "1,2,4").split(",")))
SECONDS: Final = float(os.environ.get("SCALE_SECONDS", "30"))
SETTLE_S: Final = 10.0
CHUNKS: Final = 6
BUSY: Final = 0.85  # of a core: what one thread cannot go much beyond
ALL_BUSY: Final = 0.9  # of all cores
LATE_S: Final = 1.0
SIMULATED: Final = 3_000  # messages a second, of which the simulator makes no more on a core
FAR: Final = ((10_000, 2.0), (10_000, 20.0))  # books and messages a second each, to which the fit is carried
PARTS: Final = ("kafka", "simulator", *SHARED, "gateway")
EVERYWHERE: Final = frozenset(SHARED) - {"l2"}  # each process reads all tops, whichever partitions it owns


class Case(NamedTuple):
    """One system."""

    books: int
    rate: float  # messages a second and book, as aimed
    workers: int

    def __str__(self) -> str:
        each = "" if self.workers == 1 else f", {self.workers} processes a service"
        return f"{self.books} books, {self.rate:g} messages/s each{each}"


class Measured(NamedTuple):
    """What a case took."""

    case: Case
    seconds: float
    looks: Sequence[Look]

    def chunks(self, part: str) -> list[float]:
        """Return the CPU of a part's processes in each chunk, cores."""
        used = [_sum(look.cpu_s, part) for look in self.looks]
        each_s = self.seconds / (len(used) - 1)
        return [(after - before) / each_s for before, after in pairwise(used)]

    def cores(self, part: str) -> float:
        """Return the CPU of a part's processes, cores."""
        found = self.chunks(part)
        return sum(found) / len(found)

    def busiest(self) -> tuple[str, float]:
        """Return the process that used the most of its core."""
        first, last = self.looks[0].cpu_s, self.looks[-1].cpu_s
        used = {name: (last[name] - first[name]) / self.seconds for name in last}
        name = max(used, key=used.__getitem__)
        return name, used[name]

    @property
    def messages_per_s(self) -> float:
        """Messages of books that l2 accepted."""
        return (self.looks[-1].messages - self.looks[0].messages) / self.seconds

    def bottleneck(self, cores: int) -> str:
        """Return what there is no more of; nothing if there is of all."""
        name, used = self.busiest()
        late = max(max(look.publish_lag_s, look.input_age_s) for look in self.looks)
        behind = f", {late:.1f} s behind" if late > LATE_S else ""
        if name != "kafka" and used >= BUSY:
            return f"{name}: {used:.0%} of a core{behind}"
        if (total := sum(map(self.cores, PARTS))) >= ALL_BUSY * cores:
            return f"the machine: {total:.1f} of {cores} cores{behind}"
        return f"other work on the machine{behind}" if behind else "none"


def run(report: Report) -> None:
    """Measure every case, and fit."""
    asked = [Case(books, rate, 1) for rate in RATES for books in BOOKS]
    asked += [Case(max(BOOKS), RATES[0], workers) for workers in WORKERS if workers > 1]
    cases = [case for case in asked if case.books * case.rate <= SIMULATED]
    for case in asked:
        if case not in cases:
            report.skip(str(case), f"the simulator makes {SIMULATED:,}/s at most")
    measured = []
    for case in cases:
        report.say(f"{BENCH}: {case}")
        try:
            with folder_and_broker(report.say) as (folder, broker):
                found = uvloop.run(_measure(Scaled(broker, folder, books_of(case.books), *case[1:]), case))
        except ProcessEndedError as error:
            report.skip(str(case), f"it was not ready, or ended: {str(error)[:300]}")
            continue
        if found.messages_per_s <= 0:
            report.skip(str(case), "l2 accepted no message")
            continue
        measured.append(found)
        _tell(report, found, measured[0])
    _tell_fit(report, measured)


async def _measure(system: Scaled, case: Case) -> Measured:
    async with system:
        await asyncio.sleep(SETTLE_S)
        began_s, looks = time.monotonic(), [await system.look()]
        for number in range(1, CHUNKS + 1):
            await asyncio.sleep(max(0.0, began_s + SECONDS * number / CHUNKS - time.monotonic()))
            looks.append(await system.look())
    return Measured(case, time.monotonic() - began_s, looks)


def _tell(report: Report, found: Measured, base: Measured) -> None:
    case, first, last = found.case, found.looks[0], found.looks[-1]
    assumptions: Mapping[str, float | int | str] = {
        "books": "Binance, Kraken, OKX, Coinbase and Bybit of the simulator, 500 to 1,000 levels a side",
        "processes": "all on the same cores, the simulator too; nobody trades",
        "chunks": f"{CHUNKS} of {SECONDS / CHUNKS:g} s, after {SETTLE_S:g} s",
        "load_at_the_end": f"{os.getloadavg()[0]:.1f}",
    }
    for part in PARTS:
        rss = _sum(last.rss_mib, part)
        report.add(
            Result(
                bench=BENCH,
                case=str(case),
                contender=part,
                figures={
                    "CPU": f"{found.cores(part):.1%}",
                    "CPU ms/s a book": found.cores(part) * 1e3 / case.books,
                    "RSS MiB": rss,
                    "MiB a book more": _more(rss, case, _sum(base.looks[-1].rss_mib, part), base.case),
                },
                ratio=_to_base(found, base, part),
                baseline=f"{base.case}: CPU a book",
                assumptions=assumptions,
            )
        )
    cores = os.cpu_count() or 1
    total = sum(map(found.cores, PARTS))
    report.add(
        Result(
            bench=BENCH,
            case=str(case),
            contender="the whole",
            figures={
                "CPU": f"{total:.1%}",
                "CPU ms/s a book": total * 1e3 / case.books,
                "RSS MiB": sum(last.rss_mib.values()),
                "messages/s": found.messages_per_s,
                "tops/s": (last.tops - first.tops) / found.seconds,
                "records/s": (last.written - first.written) / found.seconds,
                "LIVE at least": min(look.live for look in found.looks),
                "publish lag max s": max(look.publish_lag_s for look in found.looks),
                "age of venues' input max s": max(look.input_age_s for look in found.looks),
                "behind max": max(sum(look.behind.values()) for look in found.looks),
                "busiest": "{} {:.0%}".format(*found.busiest()),
                "bottleneck": found.bottleneck(cores),
            },
            ratio=_to_base(found, base, *PARTS),
            baseline=f"{base.case}: CPU a book",
            assumptions=assumptions,
        )
    )


def _tell_fit(report: Report, measured: Sequence[Measured]) -> None:
    """Fit each part, and carry it to where nobody has measured."""
    if len(measured) <= LEAST_POINTS:
        report.skip("the fit", f"{len(measured)} cases; more than {LEAST_POINTS} are needed")
        return
    for part in PARTS:
        points = points_of(measured, part)
        if len(points) <= LEAST_POINTS:
            report.skip(f"the fit of {part}", f"{len(points)} cases took any time")
            continue
        costs, missed = fit(points), sorted(map(abs, errors(points)))
        far: dict[str, float | int | str] = {}
        for books, rate in FAR:
            used = costs.of(0, books, books * rate)
            each = " a process" if part in EVERYWHERE else ""
            far[f"{books:,} books at {rate:g}/s, cores{each}"] = used
        report.add(
            Result(
                bench=BENCH,
                case="fit",
                contender=part,
                figures={
                    "% of a core a process": costs.a * 100,
                    "CPU us/s a book": costs.b * 1e6,
                    "CPU us a message": costs.c * 1e6,
                    "misses a point by, median": f"{missed[len(missed) // 2]:.0%}",
                    "at most": f"{missed[-1]:.0%}",
                    **far,
                },
            )
        )


def points_of(measured: Sequence[Measured], part: str) -> list[Point]:
    """Return what a part took by what it did; books and messages that each process reads count for each."""
    points = []
    for found in measured:
        workers = found.case.workers if part in SHARED else 1
        each = workers if part in EVERYWHERE else 1
        if (cores := found.cores(part)) > 0:
            points.append(Point(workers, each * found.case.books, each * found.messages_per_s, cores))
    return points


def _sum(of: Mapping[str, float], part: str) -> float:
    """Return the sum over the processes of a part, which are named like it or like it and a number."""
    return sum(value for name, value in of.items() if name.partition("-")[0] == part)


def _more(rss: float, case: Case, base_rss: float, base: Case) -> float | str:
    if case.books == base.books or case.workers != base.workers:
        return "-"
    return (rss - base_rss) / (case.books - base.books)


def _to_base(found: Measured, base: Measured, *parts: str) -> Quartiles | None:
    """Return the CPU a book, chunk by chunk, to the baseline's mean."""
    of_base = sum(map(base.cores, parts)) / base.case.books
    chunks: defaultdict[int, float] = defaultdict(float)
    for part in parts:
        for number, cores in enumerate(found.chunks(part)):
            chunks[number] += cores / found.case.books
    if not of_base:
        return None
    return quartiles([cores / of_base for cores in chunks.values()])
