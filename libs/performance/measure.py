"""`performance_of`: the numbers of a tape; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from libs.common.counted import counted
from libs.common.time_units import DAY_NS, NS_PER_MS, NS_PER_S
from libs.performance.answer import (
    Counts,
    Drawdown,
    Equity,
    Exposure,
    Performance,
    TradeNumbers,
    Trading,
)
from libs.performance.figures import Z95, Figure, known, unknown
from libs.performance.marks import HOLDS_NS
from libs.performance.over_time import benchmarks_of, curve_of, day_returns, month_returns, ratios_of
from libs.performance.page_text import moment
from libs.performance.ratios import annual
from libs.performance.traded import costs_of, mean_of, policies_of, regret_of, venues_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.performance.executions import Executions
    from libs.performance.marks import Marks
    from libs.performance.ratios import Trials
    from libs.performance.tape import Tape

FEW: Final = 30  # trades, below which the numbers say little
YEAR_DAYS: Final = 365
LEAST_DAYS: Final = 7  # of a run, from which a year's return is told
NO_MARK: Final = "there is no mark of equity"


def performance_of(tape: Tape, *, trials: Trials | None = None, warnings: Sequence[str] = ()) -> Performance:
    """Return the numbers of what a tape holds, which stays as it is.

    Parameters
    ----------
    trials
        Where this run was picked among others; None: it was not.
    warnings
        What else is to be warned of, in sentences: that the market was made up, for example.
    """
    marks, executions, choices = tape.marks, tape.finished_executions(), tape.choices
    first, last = marks.first, marks.last
    equity = _equity(marks, executions)
    return Performance(
        begin_ms=None if first is None else first.ts // NS_PER_MS,
        end_ms=None if last is None else last.ts // NS_PER_MS,
        warnings=(*warnings, *_warnings(tape, executions)),
        counts=_counts(tape, executions),
        equity=equity,
        days=day_returns(marks),
        months=month_returns(marks),
        ratios=ratios_of(marks, equity.annual_return, trials),
        drawdown=_drawdown(marks),
        exposure=_exposure(marks),
        trading=_trading(marks, executions),
        costs=costs_of(executions),
        policies=policies_of(choices, executions),
        venues=venues_of(executions),
        regret=regret_of(choices),
        benchmarks=benchmarks_of(marks, executions.symbols),
        worst=tuple(
            TradeNumbers(
                execution_id=each.execution_id,
                symbol=each.symbol,
                policy_id=each.policy_id,
                ts_ms=each.ts // NS_PER_MS,
                profit=each.profit or 0.0,
                notional=each.notional,
                cost_bps=each.cost_bps,
            )
            for each in executions.worst
        ),
    )


def _days(marks: Marks) -> float:
    if marks.first is None or marks.last is None:
        return 0.0
    return max(0, marks.last.ts - marks.first.ts) / DAY_NS


def _counts(tape: Tape, executions: Executions) -> Counts:
    marks, choices = tape.marks, tape.choices
    fills = 0 if marks.first is None or marks.last is None else marks.last.fills - marks.first.fills
    by_executions = sum(each.fills for each in executions.venues.values())
    return Counts(
        marks=marks.count,
        fills=fills,
        executions=executions.began,
        trades=executions.trades,
        orders_alone=max(0, fills - by_executions),
        decisions=choices.chosen.total(),
        rewards=choices.rewarded,
    )


def _equity(marks: Marks, executions: Executions) -> Equity:
    first, last = marks.first, marks.last
    curve, step_s = curve_of(marks, executions.symbols)
    if first is None or last is None:
        none = unknown(NO_MARK)
        return Equity(
            start=none,
            end=none,
            profit=none,
            realized=none,
            unrealized=none,
            total_return=none,
            annual_return=none,
            curve=curve,
            curve_step_s=step_s,
        )
    total = _by(float(last.equity - first.equity), float(first.equity), "the equity at the first mark is 0")
    return Equity(
        start=known(float(first.equity)),
        end=known(float(last.equity)),
        profit=known(float(last.equity - first.equity)),
        realized=known(float(last.realized_pnl - first.realized_pnl)),
        unrealized=known(float(last.unrealized_pnl - first.unrealized_pnl)),
        total_return=total,
        annual_return=_annual(total, _days(marks)),
        curve=curve,
        curve_step_s=step_s,
    )


def _annual(total: Figure, days: float) -> Figure:
    if total.value is None:
        return total
    if days < LEAST_DAYS:
        return unknown(f"{days:.2f} days say nothing of a year; {LEAST_DAYS} at least are needed")
    return known(annual(total.value, days / YEAR_DAYS))


def _drawdown(marks: Marks) -> Drawdown:
    falls = marks.falls

    def ms(ts: int | None) -> int | None:
        return None if ts is None else ts // NS_PER_MS

    return Drawdown(
        depth=known(falls.depth) if marks.count else unknown(NO_MARK),
        peak_ms=ms(falls.deepest_peak_ts),
        trough_ms=ms(falls.trough_ts),
        recovered_ms=ms(falls.recovered_ts),
        under_water_s=falls.longest_ns / NS_PER_S,
    )


def _exposure(marks: Marks) -> Exposure:
    held, why = marks.held, "there are no two marks of equity"
    return Exposure(
        gross_mean=_by(held.gross, held.seconds, why),
        gross_max=known(held.gross_max) if marks.count else unknown(NO_MARK),
        net_mean=_by(held.net, held.seconds, why),
        net_max=known(held.net_max) if marks.count else unknown(NO_MARK),
    )


def _trading(marks: Marks, executions: Executions) -> Trading:
    first, last, results = marks.first, marks.last, executions.results
    notional = sum(each.notional for each in executions.venues.values())
    days = _days(marks)
    mean_equity = _by(marks.held.equity, marks.held.seconds, "there are no two marks of equity")
    turnover = mean_equity
    if mean_equity.value is not None:
        turnover = _by(notional, mean_equity.value * days, "no time passed, or there was no equity")
    none = "no trade has a known result: none was filled, or their decisions' windows are open"
    return Trading(
        notional=known(notional),
        turnover=turnover,
        fees=unknown(NO_MARK) if first is None or last is None else known(float(last.fees - first.fees)),
        hit_rate=_share(executions.hits, results.known) if results.known else unknown(none),
        mean_profit=mean_of(results.known, results.profit, results.squares, none),
    )


def _by(value: float, divisor: float, why: str) -> Figure:
    return known(value / divisor) if divisor > 0 else unknown(why)


def _share(k: int, n: int) -> Figure:
    """Return k of n with Wilson's score interval (1927), which holds for few of them too."""
    p, zz = k / n, Z95 * Z95
    middle = (p + zz / (2 * n)) / (1 + zz / n)
    half = Z95 / (1 + zz / n) * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
    return Figure(value=p, low=max(0.0, middle - half), high=min(1.0, middle + half))


def _warnings(tape: Tape, executions: Executions) -> list[str]:
    marks, found = tape.marks, []
    if not marks.count:
        found.append("No mark of equity is in the time asked for: nothing is known of returns.")
    if executions.trades < FEW:
        there = "is" if executions.trades == 1 else "are"
        found.append(
            f"There {there} {counted(executions.trades, 'trade')}, fewer than {FEW}:"
            " chance outweighs what the numbers tell."
        )
    if executions.unfinished:
        found.append(f"{counted(executions.unfinished, 'execution')} had not ended: counted as of then.")
    unknown_results = executions.results.trades - executions.results.known
    if unknown_results:
        said = counted(unknown_results, "trade")
        found.append(f"Without a known result yet: {said}; no hit rate has them.")
    if tape.choices.unknown:
        said = counted(tape.choices.unknown, "reward")
        found.append(f"Left out: {said} of choices before the time, or of none.")
    if tape.left_out:
        found.append(f"Left out: {counted(tape.left_out, 'message')} with amounts that cannot be.")
    if marks.first is not None and tape.begin_ts is not None and marks.first.ts - tape.begin_ts > HOLDS_NS:
        first = moment(marks.first.ts // NS_PER_MS)
        found.append(f"Nothing is known of equity before {first} UTC: the time began sooner.")
    if marks.turned_ns:
        found.append(
            f"The clock was set back by {marks.turned_ns / NS_PER_S:.0f} s: that time is told once, and bent."
        )
    return found + _holes(marks)


def _holes(marks: Marks) -> list[str]:
    if marks.first is None or marks.last is None:
        return []
    missing_s = (marks.last.ts - marks.first.ts) / NS_PER_S - marks.held.seconds
    if missing_s < 60:  # noqa: PLR2004 -- a minute
        return []
    return [f"For {missing_s:.0f} s in all there was no mark: what happened then is in the marks after."]
