"""Runs that differ in parameters, or in time, on all cores; each is what it would be alone."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from queue import Empty
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from backtest.command.folder import POINTS
from backtest.command.market import source_of
from backtest.command.plan import Plan, stretches
from backtest.command.progress import RunProgress, Standing
from backtest.command.run import Run, leave, perform, resolved
from backtest.command.stopping import STOPS, stopping
from libs.cli.errors import CommandError
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.performance.figures import Figure, known, unknown
from libs.performance.measure import performance_of
from libs.performance.over_time import YEAR_NS
from libs.performance.ratios import Trials
from libs.performance.sweep import Fold, Sweep, SweepPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from backtest.command.request import Request
    from backtest.command.summary import Summary

LOOK_S: Final = 0.1  # between two looks at how far the runs are


class Task(NamedTuple):
    """A run of a plan: of a point, over the whole time or over a stretch of it."""

    point: int
    stretch: int | None
    request: Request
    out: Path | None


class _Worker:
    """What a process of the pool has from its beginning."""

    stop: Event
    standings: Any  # a queue of (number of the task, how far it is)


def sweep(plan: Plan, policies_dir: Path, out: Path) -> Summary:
    """Carry out a plan of a resolved request; return the summary of its best run, with those of all.

    Raises
    ------
    CommandError
        If a run cannot be made, or none was before Ctrl-C.
    """
    begin_ts, end_ts = plan.request.begin_ts or 0, plan.request.end_ts or 0
    parts = stretches(begin_ts, end_ts, plan.folds) if plan.folds else []
    tasks = [Task(at, None, point.request, out / POINTS / point.name) for at, point in enumerate(plan.points)]
    tasks += [
        Task(at, number, msgspec.structs.replace(point.request, begin_ts=begin, end_ts=end), None)
        for number, (begin, end) in enumerate(parts)
        for at, point in enumerate(plan.points)
    ]
    whole_ns = (end_ts - begin_ts) * len(plan.points) * (2 if parts else 1)
    done = _run_all(tasks, policies_dir, whole_ns)
    runs = {tasks[at].point: run for at, run in done.items() if tasks[at].stretch is None}
    if not runs:
        raise CommandError("no run had begun: there is nothing to report")
    walked = {
        (tasks[at].point, number): run.summary
        for at, run in done.items()
        if (number := tasks[at].stretch) is not None
    }
    summary = _summary(plan, runs, _folds(plan, parts, walked))
    leave(summary, out)
    return summary


def _run_all(tasks: Sequence[Task], policies_dir: Path, whole_ns: int) -> dict[int, Run]:
    """Return what became of each task that was begun, by its number."""
    context = multiprocessing.get_context("spawn")
    stop, standings = context.Event(), context.Queue()
    workers = min(
        len(tasks), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(stop, standings))
    try:
        with RunProgress() as progress, stopping(stop):
            with _ignored():  # by processes that begin, until they know better
                futures = {pool.submit(_work, at, task, policies_dir): at for at, task in enumerate(tasks)}
            _follow(futures, standings, progress, whole_ns, stop)
        pool.shutdown(cancel_futures=True)
    except BaseException:
        for process in multiprocessing.active_children():
            process.kill()  # they ignore SIGTERM
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    try:
        return {at: future.result() for future, at in futures.items() if not future.cancelled()}
    except BrokenProcessPool as error:
        raise CommandError(
            "a run's process was ended from outside; is there memory for all of them?"
        ) from error


@contextmanager
def _ignored() -> Iterator[None]:
    """Ignore what stops a run; a process that is begun meanwhile inherits that."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(
    futures: Mapping[Future[Run], int],
    standings: Any,  # noqa: ANN401 -- a queue
    progress: RunProgress,
    whole_ns: int,
    stop: Event,
) -> None:
    """Show how far all are together until all are done; let none begin any more once one failed."""
    far: dict[int, Standing] = {}
    pending = set(futures)
    while pending:
        done, pending = wait(pending, LOOK_S, FIRST_COMPLETED)
        while True:
            try:
                number, standing = standings.get_nowait()
            except Empty:
                break
            far[number] = standing
            total = Standing(
                standing.now,
                sum(each.passed_ns for each in far.values()),
                whole_ns,
                sum(each.decisions for each in far.values()),
            )
            progress.tell(total)
        if stop.is_set() or any(each.exception() for each in done if not each.cancelled()):
            stop.set()
            for future in pending:
                future.cancel()


def _begin(stop: Event, standings: Any) -> None:  # noqa: ANN401 -- a queue
    for number in STOPS:  # the command's own process tells the others, also if all of them are signalled
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Worker.stop, _Worker.standings = stop, standings


def _end_with_parent() -> None:
    """End this process with the command's, which may be killed without telling anybody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(number: int, task: Task, policies_dir: Path) -> Run:
    def show(standing: Standing) -> None:
        _Worker.standings.put((number, standing))

    if task.out is not None:
        task.out.mkdir(parents=True)
    source = source_of(task.request)
    return perform(resolved(task.request, source), source, policies_dir, task.out, show, _Worker.stop)


def _summary(plan: Plan, runs: Mapping[int, Run], folds: tuple[Fold, ...]) -> Summary:
    """Return the summary of the best run, deflated by all of them, with those of all."""
    points = tuple(_point(plan, at, run.summary) for at, run in sorted(runs.items()))
    ratios = {at: _comparable(run.summary) for at, run in sorted(runs.items())}
    told = {at: value for at, value in ratios.items() if value is not None}
    best = max(told, key=lambda at: told[at]) if told else min(runs)
    run = runs[best]
    found = run.summary.performance
    if len(told) > 1:
        trials = Trials(len(told), float(np.var([*told.values()], ddof=1)))
        found = performance_of(run.tape, trials=trials, warnings=run.warnings)
    growth = np.prod([1.0 + (fold.total_return.value or 0.0) for fold in folds])
    return msgspec.structs.replace(
        run.summary,
        command=plan.command(plan.request),
        partial=any(each.summary.partial for each in runs.values()) or len(runs) < len(plan.points),
        performance=found,
        sweep=Sweep(
            points=points,
            best=plan.points[best].name if told else None,
            deflated_sharpe=found.ratios.deflated_sharpe,
            folds=folds,
            folds_return=known(float(growth) - 1.0) if folds else unknown("no folds were asked for"),
        ),
    )


def _point(plan: Plan, at: int, summary: Summary) -> SweepPoint:
    point, found = plan.points[at], summary.performance
    return SweepPoint(
        name=point.name,
        parameters=dict(point.parameters),
        partial=summary.partial,
        total_return=found.equity.total_return,
        sharpe=found.ratios.sharpe,
        sharpe_of_period=found.ratios.sharpe_of_period,
        drawdown=found.drawdown.depth,
        trades=found.counts.trades,
    )


def _folds(
    plan: Plan, parts: Sequence[tuple[int, int]], walked: Mapping[tuple[int, int], Summary]
) -> tuple[Fold, ...]:
    """Return each stretch but the first, as the point would have had it that was best in those before."""
    found = []
    for number in range(1, len(parts)):
        if any((at, part) not in walked for at in range(len(plan.points)) for part in range(number + 1)):
            break  # the run was ended before
        before = {at: _mean([walked[at, part] for part in range(number)]) for at in range(len(plan.points))}
        best = max(before, key=lambda at: before[at])
        performance = walked[best, number].performance
        begin_ts, end_ts = parts[number]
        found.append(
            Fold(
                begin_ms=begin_ts // NS_PER_MS,
                end_ms=end_ts // NS_PER_MS,
                chosen=plan.points[best].name,
                before=_before([walked[best, part] for part in range(number)], before[best]),
                sharpe=performance.ratios.sharpe,
                total_return=performance.equity.total_return,
            )
        )
    return tuple(found)


def _comparable(summary: Summary) -> float | None:
    """Return the Sharpe ratio by which runs are compared: per year even of minutes, as no one is told it."""
    ratios = summary.performance.ratios
    found = ratios.sharpe_of_period.value
    return None if found is None else found * math.sqrt(YEAR_NS / NS_PER_S / ratios.period_s)


def _mean(summaries: Sequence[Summary]) -> float:
    """Return the mean of the Sharpe ratios; one that does not exist, as of who held nothing, is 0."""
    return sum(_comparable(each) or 0.0 for each in summaries) / len(summaries)


def _before(summaries: Sequence[Summary], mean: float) -> Figure:
    """Return the mean of Sharpe ratios as it is told: not where one is of minutes."""
    for each in summaries:
        ratios = each.performance.ratios
        if ratios.sharpe.value is None and ratios.sharpe_of_period.value is not None:
            return unknown(ratios.sharpe.why)
    return known(mean)
