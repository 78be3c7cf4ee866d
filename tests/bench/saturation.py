"""Where l2 saturates: floods of rising rate over six books, then a minute above the limit.

A broker, an exchange and l2, all on the same two cores. The exchange is an open loop: a message carries the
time at which it was due as its venue time, so the lag of a delta counts everything since, back pressure on
the exchange's sockets included. Deltas are read after the flood, when their reader costs nobody anything;
every one that was said must be there, in order, or no figure is printed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec
import uvloop

from libs.common.kafka import Reader
from libs.common.settings import ServiceSettings
from libs.common.topics import L2_BOOK_TOPS
from tests.bench.chunks import on_cores
from tests.bench.processes import cpu_seconds, folder_and_broker
from tests.bench.report import Result, latency
from tests.flood import EXCHANGE, L2, Flooded, rss_mib
from tests.flood_exchange import BOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.bench.report import Report
    from tests.flood import Gauges

BENCH: Final = "saturation"
RATES: Final = (1_000, 5_000, 10_000, 20_000, 30_000, 40_000)  # messages a second, all books together
STEP_S: Final = 10.0
LONG_S: Final = 60.0
LONG_RATE: Final = 25_000
LOOK_S: Final = 0.2  # between two looks at the gauges
DRAIN_S: Final = 180.0


class Step(msgspec.Struct, frozen=True):
    """What one flood did to l2."""

    rate: int
    messages: int
    begun_ns: int
    ended_ns: int  # when all was on Kafka
    cpu_s: Mapping[str, float]  # by process
    queued: int  # most
    publish_lags_ns: list[int]  # one a look
    rss_mib: list[float]  # one a look
    tops: int

    @property
    def seconds(self) -> float:
        return (self.ended_ns - self.begun_ns) / 1e9


class LostMessagesError(RuntimeError):
    """Not everything that was said reached Kafka; then there is no figure to print."""


def run(report: Report) -> None:
    """Measure the steps, and a minute above the limit."""
    report.say(f"{BENCH}: {STEP_S:g} s a rate up to {RATES[-1]:,}/s, then {LONG_S:g} s of {LONG_RATE:,}/s")
    with on_cores(0, 1) as cores, folder_and_broker(report.say) as (folder, broker):
        uvloop.run(_measure(report, folder, broker.bootstrap_servers, broker.pid, cores))


async def _measure(report: Report, folder: Path, kafka: str, broker_pid: int, cores: str) -> None:
    async with Flooded(kafka, folder) as system:
        pids = {"l2": system.pid(L2), "kafka": broker_pid, "exchange": system.pid(EXCHANGE)}
        steps = []
        for rate, seconds in (*((rate, STEP_S) for rate in RATES), (LONG_RATE, LONG_S)):
            steps.append(await _step(system, pids, rate, seconds))
            report.say(f"  {rate:,}/s offered, all on Kafka after {steps[-1].seconds:.1f} s")
        books, said = await system.rebuilt(), (await system.said()).said
    missing = {key: count - books[key].deltas for key, count in said.items() if books[key].deltas != count}
    if missing:
        raise LostMessagesError(f"of the messages of {missing} not each is one delta on Kafka")
    lags = sorted(lag for book in books.values() for lag in book.lags_ns)
    for step in steps:
        report.add(_result(step, [lag for at, lag in lags if step.begun_ns <= at < step.ended_ns], cores))


async def _step(system: Flooded, pids: Mapping[str, int], rate: int, seconds: float) -> Step:
    """Flood, and wait until all of it is on Kafka, so that no step inherits the last one's debt."""
    said, tops = (await system.said()).total, await _tops(system)
    accepted = (await _gauges(system)).messages
    cpu = {name: cpu_seconds(pid) or 0.0 for name, pid in pids.items()}
    looks: list[Gauges] = []
    rss: list[float] = []
    begun = time.time_ns()
    await system.flood(rate, seconds)
    messages = round(rate / BOOKS * seconds) * BOOKS
    deadline = time.monotonic() + DRAIN_S + seconds
    while not looks or looks[-1].messages < accepted + messages or looks[-1].queued > BOOKS:
        if time.monotonic() > deadline:
            raise LostMessagesError(
                f"{rate}/s for {seconds} s were not on Kafka {DRAIN_S:g} s later: {looks[-1]}"
            )
        await asyncio.sleep(LOOK_S)
        looks.append(await _gauges(system))
        rss.append(rss_mib(pids["l2"]))
    ended = time.time_ns()
    return Step(
        rate=rate,
        messages=(await system.said()).total - said,
        begun_ns=begun,
        ended_ns=ended,
        cpu_s={name: (cpu_seconds(pid) or 0.0) - cpu[name] for name, pid in pids.items()},
        queued=max(look.queued for look in looks),
        publish_lags_ns=[int(look.publish_lag_s * 1e9) for look in looks],
        rss_mib=rss,
        tops=await _tops(system) - tops,
    )


def _result(step: Step, lags: list[int], cores: str) -> Result:
    whole, publish = latency(lags), latency(step.publish_lags_ns)
    quarter = max(1, len(step.rss_mib) // 4)
    return Result(
        bench=BENCH,
        case=f"{step.rate:,}/s offered for {step.messages / step.rate:.0f} s",
        contender="l2",
        figures={
            "all on Kafka after s": step.seconds,
            "accepted/s": round(step.messages / step.seconds),
            "due to l2 p50 ms": whole.p50,
            "p99 ms": whole.p99,
            "queue max": step.queued,
            "publish lag p50 ms": publish.p50,
            "publish lag p99 ms": publish.p99,
            "RSS MiB": f"{min(step.rss_mib[:quarter]):.0f} to {max(step.rss_mib[-quarter:]):.0f}",
            "tops/s/book": step.tops / step.seconds / BOOKS,
            "l2 CPU us/message": step.cpu_s["l2"] / step.messages * 1e6,
            **{f"{name} CPU": f"{used / step.seconds:.0%}" for name, used in step.cpu_s.items()},
        },
        latency_ms={"due to l2": whole, "publish lag": publish},
        assumptions={
            "messages": "Binance 20.7 levels, 553 bytes; Kraken v2 depth 10 with checksum; half each",
            "processes": f"{cores}; broker, exchange and l2 share them",
            "lag": "of every delta, from the time at which its message was due",
            "publish lag": f"age of the oldest record without acknowledgement, every {LOOK_S:g} s",
        },
    )


async def _tops(system: Flooded) -> int:
    """Return how many tops were ever written."""
    settings = ServiceSettings(kafka_bootstrap_servers=system.kafka)
    async with Reader(settings, [L2_BOOK_TOPS]) as reader:
        return sum(reader.ends.values())


async def _gauges(system: Flooded) -> Gauges:
    gauges = await system.gauges()
    if gauges is None:
        raise LostMessagesError("l2 does not answer")
    return gauges
