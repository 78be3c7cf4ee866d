"""What a backtest costs: the whole system a raw frame, a book message and a decision, beside others' engines.

Whole system means every service's real core with its codec, partitions, views and audit, in one process. Ours
reads its source while it runs, where others' engines have objects that stand ready and decide nothing.
"""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # carries no type marker

from backtest.sources.bars import Bars, DaysOfCandles
from backtest.sources.books import Books
from backtest.sources.frames import Frames
from backtest.sources.simulator import SimulatedMarket, default_settings
from backtest.world import Trading, World
from libs.common.time_units import DAY_NS, MINUTE_NS
from simulator.replay_catalogue import catalogue_of
from tests.bench import backtest_peers
from tests.bench.backtest_days import BEGIN, minutes_of, write_book, write_candles
from tests.bench.report import Result
from tests.recordings import ABSENT, BINANCE_SPOT, DATA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backtest.source import Source
    from tests.bench.report import Report

BENCH: Final = "backtest"
CHANGES: Final = 20  # of a book message
SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
MESSAGES: Final = 6600  # of a book
A_MINUTE: Final = 600  # of them
BARS_NS: Final = 40 * MINUTE_NS
YEAR_NS: Final = 365 * DAY_NS
SIMULATED_NS: Final = 15 * MINUTE_NS
SHORT_NS: Final = 8 * MINUTE_NS
TIMES: Final = 10  # as long
MIB: Final = 1024  # of KiB, as Linux tells of memory


class Taken(NamedTuple):
    """What a run took behind its first minute."""

    cpu_s: float
    decisions: int


def run(report: Report) -> None:
    """Measure all."""
    report.say("backtest: CPU time of one process, BLAS on one thread")
    case = f"a book message of {CHANGES} changes"
    others = backtest_peers.measure(report, case, CHANGES)
    with threadpool_limits(1, "blas"), TemporaryDirectory() as folder:
        _frames(report)
        _messages(report, case, Path(folder) / "books", others)
        _bars(report, Path(folder) / "bars")
        _simulated(report)
        _memory(report, Path(folder) / "memory")


def _frames(report: Report) -> None:
    """Let a recording of one book pass, as l2 would have had it."""
    if not DATA.is_dir():
        report.skip("raw frames", ABSENT)
        return
    frames = (
        catalogue_of(tuple(map(str, BINANCE_SPOT))).records * 9 // 10
    )  # of its 11 minutes the first apart
    taken = _run(Frames(BINANCE_SPOT), Trading(("BTC-USDT",)))
    report.add(
        Result(
            bench=BENCH,
            case="a raw frame of a recording",
            contender="whole system",
            figures={"us": taken.cpu_s / frames * 1e6, "frames": frames, "decisions": taken.decisions},
            assumptions={
                "recording": "Binance BTC-USDT spot, quotes, trades and depth, read and unpacked on the way",
                "decisions": "one a minute, among five policies",
                "aim us": 25,
            },
        )
    )


def _messages(report: Report, case: str, root: Path, others: Mapping[str, float]) -> None:
    """Let a day's file of one book pass, its tops told as l2 tells them, and again told only when asked."""
    write_candles(root, minutes_of(MESSAGES))
    write_book(root, MESSAGES, CHANGES)
    for told, always in (("all told", True), ("told when asked", False)):
        taken = _run(Books(root, symbols=["BTC-USDT"], always=always), Trading(("BTC-USDT",)))
        us = taken.cpu_s / (MESSAGES - A_MINUTE) * 1e6
        report.add(
            Result(
                bench=BENCH,
                case=case,
                contender=f"whole system, {told}",
                figures={
                    "us": us,
                    "messages": MESSAGES,
                    "decisions": taken.decisions,
                    **{f"times {name}": us / other for name, other in others.items()},
                },
                assumptions={
                    "from": "a Parquet day, read on the way",
                    "messages": "10 a second, of a book of 400 levels",
                    "decisions": "one a minute, among five policies",
                    "aim us": 8,
                },
            )
        )


def _bars(report: Report, root: Path) -> None:
    """Let some hours of bars pass, and say what a year of them would take."""
    minutes = BARS_NS // MINUTE_NS
    write_candles(root, minutes)
    taken = _run(Bars(DaysOfCandles(root), BEGIN, BEGIN + BARS_NS), Trading(SYMBOLS))
    report.add(
        Result(
            bench=BENCH,
            case="bars of a minute",
            contender="whole system",
            figures={
                "decisions/s": taken.decisions / taken.cpu_s,
                "ms a decision": taken.cpu_s / max(1, taken.decisions) * 1e3,
                "decisions": taken.decisions,
                "min a year": taken.cpu_s * YEAR_NS / BARS_NS / 60,
            },
            assumptions={
                "simulated min": minutes,
                "symbols": len(SYMBOLS),
                "decisions": "one a minute and symbol, among five policies",
                "year": "extrapolated, without its start",
                "aim min": 2,
            },
        )
    )


def _simulated(report: Report) -> None:
    """Let the seeded market run with its venues' protocols, and say what a day of it takes."""
    taken = _run(_market(SIMULATED_NS), Trading(SYMBOLS))
    report.add(
        Result(
            bench=BENCH,
            case="the seeded market",
            contender="whole system",
            figures={
                "ms a decision": taken.cpu_s / max(1, taken.decisions) * 1e3,
                "decisions": taken.decisions,
                "min a day": taken.cpu_s * DAY_NS / SIMULATED_NS / 60,
            },
            assumptions={
                "simulated min": SIMULATED_NS // MINUTE_NS,
                "symbols": len(SYMBOLS),
                "decisions": "one a minute and symbol, among five policies",
                "day": "extrapolated, without its start",
                "aim min": 2,
            },
        )
    )


def _memory(report: Report, root: Path) -> None:
    """Let short and long runs tell how much memory their processes had at most."""
    if not Path("/proc/self/status").exists():
        report.skip("memory", "the system does not tell")
        return
    write_candles(root, TIMES * SHORT_NS // MINUTE_NS)
    context = multiprocessing.get_context("spawn")
    most = []
    for ns in (SHORT_NS, TIMES * SHORT_NS):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            most.append(pool.submit(_most_mib, root, ns).result())
    report.add(
        Result(
            bench=BENCH,
            case=f"memory of a run {TIMES} times as long",
            contender="whole system",
            figures={"MiB short": most[0], "MiB long": most[1], "ratio": most[1] / most[0]},
            assumptions={"short, simulated min": SHORT_NS // MINUTE_NS, "source": "bars of three symbols"},
        )
    )


def _most_mib(root: Path, ns: int) -> float:
    _run(Bars(DaysOfCandles(root), BEGIN, BEGIN + ns), Trading(SYMBOLS))
    return _most_resident_mib()


def _market(ns: int) -> SimulatedMarket:
    return SimulatedMarket(default_settings(1, SYMBOLS), BEGIN, BEGIN + ns)


def _run(source: Source, trading: Trading) -> Taken:
    """Let a source pass; its first minute, in which what was known before is told, is not counted."""
    with World(source, trading) as world:
        world.run(source.provenance.begin_ts + MINUTE_NS)
        before, began = world.trader.sent, time.process_time()
        world.run()
        taken = time.process_time() - began
        return Taken(taken, world.trader.sent - before)


def _most_resident_mib() -> float:
    """Return how much memory this process had at most; that of `getrusage` has what its parent had, too."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / MIB
