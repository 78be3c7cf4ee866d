"""One run: its world goes on slice by slice, and what it wrote becomes numbers, a page and files."""

from __future__ import annotations

import gc
import hashlib
import time
from collections import Counter
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from backtest.command.folder import POLICIES, REPORT, SUMMARY, write
from backtest.command.parameters import profile_of
from backtest.command.policies import keep_sources
from backtest.command.progress import Standing
from backtest.command.report import head_of, warnings_of
from backtest.command.request import Market, command_of
from backtest.command.summary import MarketFacts, RunFacts, Summary, encoded
from backtest.command.written import Written
from backtest.world import Trading, World
from libs.cli.errors import CommandError
from libs.common.events import ExecutionRecord, ExecutionStatus
from libs.common.time_units import DAY_NS, NS_PER_MS, NS_PER_S
from libs.common.topics import (
    EXECUTION_AUDIT,
    EXECUTION_RECORDS,
    PORTFOLIO_EQUITY,
    ROUTER_CHOICES,
    ROUTER_SNAPSHOTS,
)
from libs.performance.measure import performance_of
from libs.performance.page import page
from libs.performance.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backtest.bus import Record
    from backtest.command.request import Request
    from backtest.command.stopping import Flag
    from backtest.source import Source

LEAST_SLICE_NS: Final = NS_PER_S
MOST_SLICE_NS: Final = DAY_NS
SHORT_S: Final = 0.05  # a slice that takes less of a person's time is followed by one of twice its length
LONG_S: Final = 0.2  # and one that takes more by one of half
COLLECTED_AFTER: Final = 50_000  # new objects; Python's own is 700

TOLD: Final = (PORTFOLIO_EQUITY, EXECUTION_RECORDS, ROUTER_CHOICES, ROUTER_SNAPSHOTS)  # what a tape is of
WITHOUT: Final = (ExecutionStatus.SKIPPED, ExecutionStatus.FAILED)
SEEN: Final = 10_000  # executions without an order, the newest
DEFAULT_VENUE: Final = "binance"
REFERENCES: Final = (  # settings that name the venue whose prices count
    "EXECUTION_REFERENCE_VENUE",
    "POLICIES_REFERENCE_VENUE",
    "PORTFOLIO_VENUE",
    "ROUTER_REFERENCE_VENUE",
)


class Run(NamedTuple):
    """What a run left behind."""

    summary: Summary
    tape: Tape
    warnings: tuple[str, ...]


def perform(
    request: Request,
    source: Source,
    policies_dir: Path,
    out: Path | None,
    show: Callable[[Standing], None],
    stop: Flag,
) -> Run:
    """Make a run and write its folder.

    Parameters
    ----------
    request
        As `resolved` with the source.
    out
        None: only what is returned is wanted.
    show
        Told how far it is, after each slice.
    stop
        Once set, the run ends at the next slice, with what there is until then.

    Raises
    ------
    CommandError
        If the folder cannot be written.
    """
    if out is not None:
        keep_sources(request.own, policies_dir, out / POLICIES)
    trading = Trading(request.symbols, request.interval_ns, request.urgency, request.policies)
    given = request.settings | {"PORTFOLIO_CAPITAL": request.capital}
    if request.own:
        given["POLICIES_DIR"] = str(policies_dir.absolute()) if policies_dir.is_dir() else ""
    tape, audit, skipped, seen = Tape(), hashlib.sha256(), Counter[str](), dict[str, None]()

    def take(record: Record) -> None:
        if record.topic is EXECUTION_AUDIT:
            audit.update(record.value or b"")
        elif record.topic in TOLD:
            event = record.event
            tape.take(event)
            if (
                isinstance(event, ExecutionRecord)
                and event.status in WITHOUT
                and event.execution_id not in seen
            ):
                skipped[event.reason] += 1
                seen[event.execution_id] = None  # its record is told again with its reward
                if len(seen) > SEEN:
                    del seen[next(iter(seen))]

    with (
        _collecting_seldom(),
        Written(out) as written,
        World(source, trading, profile_of(given), request.seed) as world,
    ):
        world.bus.tap(take)
        world.bus.tap(written.take)
        partial = not _advance(world, _end_of(request, source), show, stop)
    warnings = tuple(warnings_of(world, skipped, tape))
    summary = Summary(
        bookrunner=version("bookrunner"),
        command=command_of(request),
        market=_market(source),
        run=_facts(request),
        partial=partial,
        until_ms=world.now // NS_PER_MS,
        records=world.bus.written,
        audit=audit.hexdigest(),
        performance=performance_of(tape, warnings=warnings),
    )
    if out is not None:
        leave(summary, out)
    return Run(summary, tape, warnings)


def leave(summary: Summary, out: Path) -> None:
    """Write what people and programs read of a run."""
    write(out / REPORT, page(head_of(summary), summary.performance, summary.sweep))
    write(out / SUMMARY, encoded(summary))


def resolved(request: Request, source: Source) -> Request:
    """Return a request with what its market says: the time, the symbols, whose prices count.

    Raises
    ------
    CommandError
        If the market has none of its symbols.
    """
    provenance = source.provenance
    there = list(dict.fromkeys(symbol for _, symbol in provenance.books))
    if missing := [each for each in request.symbols if each not in there]:
        raise CommandError(f"there is no book of {', '.join(missing)}; there are {', '.join(there)}")
    venues = list(dict.fromkeys(venue for venue, _ in provenance.books))
    settings = dict.fromkeys(REFERENCES, venues[0]) if DEFAULT_VENUE not in venues else {}
    played = request.market is Market.RECORDING  # as a whole, so that its name says its time
    return msgspec.structs.replace(
        request,
        symbols=request.symbols or tuple(there),
        begin_ts=None if played else provenance.begin_ts,
        end_ts=request.end_ts if played else _end_of(request, source),
        settings=dict(sorted((settings | request.settings).items())),
    )


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Look for cycles seldom: messages have none, and are many."""
    usual = gc.get_threshold()
    gc.set_threshold(COLLECTED_AFTER, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _end_of(request: Request, source: Source) -> int:
    end = source.provenance.end_ts
    return end if request.end_ts is None else min(end, request.end_ts)


def _advance(world: World, end: int, show: Callable[[Standing], None], stop: Flag) -> bool:
    """Let time pass until a moment, or until the flag is set; return whether it came."""
    begin = world.now
    slice_ns = LEAST_SLICE_NS
    while world.now < end and not stop.is_set():
        before = time.perf_counter()
        world.run(min(end, world.now + slice_ns))
        took = time.perf_counter() - before
        if took < SHORT_S:
            slice_ns = min(2 * slice_ns, MOST_SLICE_NS)
        elif took > LONG_S:
            slice_ns = max(slice_ns // 2, LEAST_SLICE_NS)
        show(Standing(world.now, world.now - begin, end - begin, world.trader.sent))
    return world.now >= end


def _market(source: Source) -> MarketFacts:
    provenance = source.provenance
    return MarketFacts(
        fidelity=provenance.fidelity,
        synthetic=provenance.synthetic,
        books=tuple(f"{venue}:{symbol}" for venue, symbol in provenance.books),
        begin_ms=provenance.begin_ts // NS_PER_MS,
        end_ms=provenance.end_ts // NS_PER_MS,
        notes=provenance.notes,
    )


def _facts(request: Request) -> RunFacts:
    return RunFacts(
        symbols=request.symbols,
        policies=request.policies,
        versions=request.own,
        interval_s=request.interval_ns / NS_PER_S,
        urgency=request.urgency,
        seed=request.seed,
        capital=request.capital,
        settings=request.settings,
    )
