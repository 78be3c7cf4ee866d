"""What marks of equity say of returns, risk and what could have been held instead; pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.time_units import DAY_NS, NS_PER_MS, NS_PER_S
from libs.performance.answer import Benchmark, CurvePoint, PeriodReturn, Ratios
from libs.performance.figures import Z95, Figure, known, unknown
from libs.performance.marks import ENOUGH, HOUR_NS, Closes, Mark, Marks
from libs.performance.ratios import (
    Trials,
    autocorrelation,
    calmar,
    deflated,
    expected_best,
    kurtosis,
    max_drawdown,
    sharpe,
    sharpe_error,
    skewness,
    sortino,
    still,
    volatility,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from libs.performance.ratios import Floats

YEAR_NS: Final = 365 * DAY_NS
LEAST: Final = 2  # returns that a deviation needs
STILL: Final = "the returns do not vary"


def day_returns(marks: Marks) -> tuple[PeriodReturn, ...]:
    """Return what each UTC day with a mark returned."""
    found, first = [], marks.days.first
    if first is None:
        return ()
    whole = {number for number, _, _ in marks.days.pairs()}
    before = first
    for number, close in marks.days.last.items():
        if before is not close and before.equity > 0:
            found.append(
                PeriodReturn(
                    begin_ms=number * DAY_NS // NS_PER_MS,
                    value=close.equity / before.equity - 1,
                    partial=number not in whole,
                )
            )
        before = close
    return tuple(found)


def month_returns(marks: Marks) -> tuple[PeriodReturn, ...]:
    """Return what each UTC month returned: its days compounded."""
    found: list[PeriodReturn] = []
    for day in day_returns(marks):
        begin_ms = _month_of(day.begin_ms)
        if found and found[-1].begin_ms == begin_ms:
            before = found.pop()
            value, partial = (1 + before.value) * (1 + day.value) - 1, before.partial or day.partial
        else:
            value, partial = day.value, day.partial or begin_ms != day.begin_ms
        found.append(PeriodReturn(begin_ms=begin_ms, value=value, partial=partial))
    last = marks.days.last
    if found and last:
        newest_end_ms = (max(last) + 1) * DAY_NS // NS_PER_MS
        if _month_of(newest_end_ms) == found[-1].begin_ms:  # its last day is yet to come
            found[-1] = PeriodReturn(begin_ms=found[-1].begin_ms, value=found[-1].value, partial=True)
    return tuple(found)


def _month_of(ms: int) -> int:
    day = datetime.fromtimestamp(ms / 1000, UTC)
    return int(day.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1000


def ratios_of(marks: Marks, annual_return: Figure, trials: Trials | None) -> Ratios:
    """Return the ratios of the returns of days, or of hours or minutes while there are few days."""
    closes = _closes_of(marks)
    r, q = _returns(closes), YEAR_NS / closes.width_ns
    why, short = _too_few(r, closes), _too_short(r, closes)
    fall = known(marks.falls.depth)
    return Ratios(
        period_s=closes.width_ns / NS_PER_S if r.size else 0.0,
        periods=r.size,
        volatility=unknown(short) if short else _or(volatility(r, q), why),
        sharpe=unknown(short) if short else _sharpe(r, q, why),
        sharpe_of_period=_sharpe(r, 1.0, why),
        deflated_sharpe=_deflated(r, q, why, trials),
        sortino=unknown(short) if short else _or(sortino(r, q), why or "no return was below 0"),
        calmar=_calmar(annual_return, fall),
        skewness=unknown(why) if why or still(r) else known(skewness(r)),
        kurtosis=unknown(why) if why or still(r) else known(kurtosis(r)),
        autocorrelation=unknown(why) if why or still(r) else known(autocorrelation(r)),
    )


def _closes_of(marks: Marks) -> Closes:
    """Return the longest periods of which there are `ENOUGH`, else the shortest that are kept."""
    kept = [closes for closes in (marks.days, marks.hours, marks.minutes) if closes is not None]
    for closes in kept:
        if sum(1 for _ in closes.pairs()) >= ENOUGH:
            return closes
    return kept[-1]


def _returns(closes: Closes) -> Floats:
    found = [close.equity / before.equity - 1 for _, before, close in closes.pairs() if before.equity > 0]
    return np.array(found, dtype=np.float64)


def _too_few(r: Floats, closes: Closes) -> str:
    if r.size >= LEAST:
        return ""
    what = "1 return" if r.size else "no return"
    return (
        f"there is {what} of a whole period of {closes.width_ns // NS_PER_S} s; {LEAST} at least are needed"
    )


def _too_short(r: Floats, closes: Closes) -> str:
    """Say why returns are not made those of a year: of minutes, √q is 725, and what it blows up is noise."""
    if closes.width_ns >= HOUR_NS or r.size < LEAST:
        return ""
    return f"returns of minutes say nothing of a year; {ENOUGH} of whole hours at least are needed"


def _or(value: float | None, why: str) -> Figure:
    return unknown(why) if value is None else known(value)


def _sharpe(r: Floats, q: float, why: str) -> Figure:
    S = sharpe(r)
    if S is None:
        return unknown(why or STILL)
    half = Z95 * sharpe_error(r) * math.sqrt(q)
    if r.size < ENOUGH:
        few = f"an interval needs {ENOUGH} returns; there are {r.size}"
        return known(S * math.sqrt(q), why=few)
    return known(S * math.sqrt(q), half)


def _deflated(r: Floats, q: float, why: str, trials: Trials | None) -> Figure:
    if trials is None or trials.number < LEAST:
        return unknown("the run was not picked among several: there is nothing to deflate")
    S = sharpe(r)
    if S is None:
        return unknown(why or STILL)
    best = expected_best(Trials(trials.number, trials.variance / q))
    return known(deflated(S, r.size, skewness(r), kurtosis(r), best))


def _calmar(annual_return: Figure, fall: Figure) -> Figure:
    if annual_return.value is None or fall.value is None:
        return unknown(annual_return.why)
    return _or(calmar(annual_return.value, fall.value), "equity never fell")


# --- the curve, and what could have been held ---


def curve_of(marks: Marks, symbols: Collection[str]) -> tuple[tuple[CurvePoint, ...], float]:
    """Return the curve, and of how many seconds a point of it is."""
    curve = marks.curve
    held = _held(marks, _traded(marks, symbols), (point.close for point in curve.points))
    start = 0.0 if marks.first is None else float(marks.first.equity)
    points = tuple(
        CurvePoint(
            ts_ms=point.close.ts // NS_PER_MS,
            equity=point.close.equity,
            low=point.low,
            high=point.high,
            drawdown=point.deepest,
            hold=None if growth is None else growth * start,
        )
        for point, growth in zip(curve.points, held, strict=True)
    )
    return points, curve.width_ns / NS_PER_S


def _traded(marks: Marks, symbols: Collection[str]) -> tuple[str, ...]:
    """Return the traded symbols that were ever marked."""
    return tuple(sorted(each for each in marks.traded.union(symbols) if each in marks.first_prices))


def _held(marks: Marks, symbols: tuple[str, ...], at: Iterable[Mark]) -> list[float | None]:
    """Return what 1 was worth at each mark, equal parts of it held of each symbol since its first price."""
    newest = {each: marks.first_prices[each] for each in symbols}
    found: list[float | None] = []
    for mark in at:
        newest |= {each: mark.prices[each] for each in symbols if each in mark.prices}
        if not symbols:
            found.append(None)
            continue
        found.append(sum(newest[each] / marks.first_prices[each] for each in symbols) / len(symbols))
    return found


def benchmarks_of(marks: Marks, symbols: Collection[str]) -> tuple[Benchmark, ...]:
    """Return what holding and doing nothing would have brought."""
    return _hold(marks, _traded(marks, symbols)), _flat()


def _hold(marks: Marks, symbols: tuple[str, ...]) -> Benchmark:
    if not symbols or not marks.curve.points:
        none = unknown("nothing was traded that had a mark")
        return Benchmark(name="hold", total_return=none, volatility=none, sharpe=none, drawdown=none)
    closes = _closes_of(marks)
    q, r = YEAR_NS / closes.width_ns, _held_returns(marks, closes, symbols)
    why, short = _too_few(r, closes), _too_short(r, closes)
    growth = [
        each for each in _held(marks, symbols, (p.close for p in marks.curve.points)) if each is not None
    ]
    values = np.array([1.0, *growth])
    between = np.diff(values) / values[:-1]  # of the points of the curve
    return Benchmark(
        name="hold",
        total_return=known(growth[-1] - 1),
        volatility=unknown(short) if short else _or(volatility(r, q), why),
        sharpe=unknown(short) if short else _sharpe(r, q, why),
        drawdown=known(max_drawdown(between)),
        symbols=symbols,
    )


def _held_returns(marks: Marks, closes: Closes, symbols: tuple[str, ...]) -> Floats:
    at = [mark for mark in (closes.first, *closes.last.values()) if mark is not None]
    growth = dict(zip(map(id, at), _held(marks, symbols, at), strict=True))
    pairs = ((growth[id(before)], growth[id(close)]) for _, before, close in closes.pairs())
    return np.array([after / before - 1 for before, after in pairs if before and after], dtype=np.float64)


def _flat() -> Benchmark:
    return Benchmark(
        name="flat",
        total_return=known(0.0),
        volatility=known(0.0),
        sharpe=unknown(STILL),
        drawdown=known(0.0),
    )
