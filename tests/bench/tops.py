"""What a top costs venues, all in: CPU of its process beside one that only follows the same topics.

TOPS_TREES names checkouts, separated by commas (default: this one), each measured in turn by its own
interpreter; TOPS_BOOKS how many books (default 15,500); TOPS_S how long, seconds (20). Each book has
TOPS_RATE (10) tops and a health a second, and its metrics must come about as often, or no figure is printed.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from libs.common.kafka import create_topics, follow
from libs.common.settings import ServiceSettings
from libs.common.topic_usage import topic_usage
from libs.common.topics import L2_BOOK_TOPS, TOPICS, VENUES_METRICS
from libs.common.views import View
from tests.bench.processes import (
    ROOT,
    ProcessEndedError,
    cpu_ns,
    folder_and_broker,
    started,
    started_in,
    until,
)
from tests.bench.report import Result, quartiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import VenueMetrics
    from libs.common.kafka import Undecodable
    from tests.bench.processes import Process
    from tests.bench.report import Report

BENCH: Final = "tops"
FOLLOWER: Final = "a bare follower"
TOPS_A_SECOND: Final = float(os.environ.get("TOPS_RATE", "10"))  # of a book
PATIENCE_S: Final = 180.0
SETTLE_S: Final = 5.0
SLICES: Final = 5
LEAST_METRICS: Final = 0.5  # a second and book


def run(report: Report) -> None:
    """Measure each number of books on each tree."""
    trees = [Path(tree).resolve() for tree in os.environ.get("TOPS_TREES", str(ROOT)).split(",")]
    seconds = float(os.environ.get("TOPS_S", "20"))
    for books in map(int, os.environ.get("TOPS_BOOKS", "15,500").split(",")):
        for tree in trees:
            with folder_and_broker(report.say) as (folder, broker):
                uvloop.run(_measure(report, broker.bootstrap_servers, folder, tree, books, seconds))


async def _measure(
    report: Report, servers: str, folder: Path, tree: Path, books: int, seconds: float
) -> None:
    settings = ServiceSettings(kafka_bootstrap_servers=servers)
    await create_topics(settings, tuple(TOPICS.values()))
    environment = {"KAFKA_BOOTSTRAP_SERVERS": servers}
    metrics: View[VenueMetrics] = View(VENUES_METRICS)
    (folder / "follower").mkdir()
    rate = f"{TOPS_A_SECOND:g}"
    with (
        started("tests.bench.many_books", folder, str(books), rate, **environment) as market,
        started("tests.bench.many_books", folder / "follower", "follow", **environment) as follower,
        started_in(tree, "services.venues", folder, **environment) as venues,
    ):
        following = asyncio.create_task(_follow(settings, metrics))
        try:

            async def measured() -> bool:
                return len(metrics.items) >= books

            try:
                await until("every book is measured", measured, PATIENCE_S, market, venues)
            except ProcessEndedError as error:
                report.skip(f"{BENCH} of {books} books, {tree}", str(error).partition("\n")[0])
                return
            await asyncio.sleep(SETTLE_S)
            told, written, began_s = _told(metrics), await _written(settings), time.monotonic()
            slices = [await _slice(seconds / SLICES, venues, follower) for _ in range(SLICES)]
            told, tops = _told(metrics) - told, await _written(settings) - written
            tops_per_s = tops / (time.monotonic() - began_s)  # under the rate where the machine is busy
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    if told < LEAST_METRICS * books * seconds:
        report.skip(f"{BENCH} of {books} books, {tree}", f"it is late: {told} metrics in {seconds:g} s")
        return
    pairs = [(each[venues.pid], each[follower.pid]) for each in slices]
    for name, cpus in ((str(tree), [ours for ours, _ in pairs]), (FOLLOWER, [bare for _, bare in pairs])):
        share = quartiles(cpus)
        report.add(
            Result(
                bench=BENCH,
                case=f"{books} books",
                contender=name,
                figures={"CPU us a top": share.median / tops_per_s * 1e6, "% of a core": 100 * share.median},
                ratio=quartiles([ours / bare for ours, bare in pairs]) if name != FOLLOWER else None,
                baseline=FOLLOWER if name != FOLLOWER else "",
                assumptions={"tops a second": tops_per_s, "healths a second": books, "seconds": seconds},
            )
        )


async def _slice(seconds: float, *watched: Process) -> Mapping[int, float]:
    """Return the CPU seconds per second of each process."""
    before, begun_ns = {each.pid: cpu_ns(each.pid) for each in watched}, time.monotonic_ns()
    await asyncio.sleep(seconds)
    elapsed_ns = time.monotonic_ns() - begun_ns
    return {pid: (cpu_ns(pid) - used_ns) / elapsed_ns for pid, used_ns in before.items()}


async def _written(settings: ServiceSettings) -> int:
    """Return how many tops there are."""
    usage = (await topic_usage(settings, (L2_BOOK_TOPS.name,)))[L2_BOOK_TOPS.name]
    if usage is None:
        raise ProcessEndedError("a partition of the tops has no leader")
    return usage.offsets


def _told(metrics: View[VenueMetrics]) -> int:
    return sum(metrics.position(partition) for partition in range(64))


async def _follow(settings: ServiceSettings, metrics: View[VenueMetrics]) -> None:
    async for _ in follow(settings, [metrics], on_undecodable=_refuse):
        pass


async def _refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)
