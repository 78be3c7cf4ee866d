"""What is kept of marks, against all of them kept."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator, Philox

from libs.common.events import EquityMarked
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.performance import ratios
from libs.performance.marks import POINTS, Marks
from libs.performance.measure import performance_of
from libs.performance.tape import Tape

BEGIN = 19_723 * DAY_NS  # 2024-01-01
YEAR = 365.0


def a_mark(ts: int, equity: float, **changes: Any) -> EquityMarked:
    fields: dict[str, Any] = {
        "book": "default",
        "equity": Decimal(repr(equity)),
        "capital": Decimal(1000),
        "realized_pnl": Decimal(0),
        "unrealized_pnl": Decimal(repr(equity)) - 1000,
        "fees": Decimal(0),
        "fills": 0,
        "cause": "minute",
        "ts": ts,
    }
    return EquityMarked(**fields | changes)


def a_walk(minutes: int, seed: int = 1, begin: int = BEGIN, step: int = MINUTE_NS) -> list[EquityMarked]:
    """Return marks from a minute on, each taken some ms after it."""
    draw = Generator(Philox(key=seed))
    equity = 1000 * np.exp(np.cumsum(draw.normal(0, 0.002, minutes)))
    late = draw.integers(0, 50, minutes)
    return [
        a_mark(begin + n * step + int(late[n]) * NS_PER_MS, round(float(equity[n]), 6))
        for n in range(minutes)
    ]


def taped(marks: list[EquityMarked], **given: Any) -> Tape:
    tape = Tape(**given)
    for mark in marks:
        tape.take(mark)
    return tape


def values(marks: list[EquityMarked]) -> list[float]:
    return [float(mark.equity) for mark in marks]


def test_days_are_closed_by_the_mark_at_midnight_and_their_ratios_are_of_whole_days() -> None:
    marks = a_walk(40 * 24 + 13, begin=BEGIN - 7 * 60 * MINUTE_NS, step=60 * MINUTE_NS)
    found = performance_of(taped(marks))
    at_midnight = [float(mark.equity) for mark in marks if (mark.ts // MINUTE_NS) % 1440 == 0]
    r = np.diff(at_midnight) / at_midnight[:-1]
    assert (found.ratios.period_s, found.ratios.periods) == (86_400.0, len(r)) == (86_400.0, 40)
    assert [day.value for day in found.days if not day.partial] == pytest.approx(r.tolist())
    assert [day.partial for day in found.days] == [True, *[False] * 40, True]
    assert np.prod([1 + day.value for day in found.days]) - 1 == pytest.approx(
        found.equity.total_return.value
    )
    assert found.ratios.sharpe.value == pytest.approx(np.mean(r) / np.std(r, ddof=1) * math.sqrt(YEAR))
    assert found.ratios.volatility.value == pytest.approx(np.std(r, ddof=1) * math.sqrt(YEAR))
    assert found.ratios.sharpe.low is not None
    total, days = found.equity.total_return.value, (marks[-1].ts - marks[0].ts) / DAY_NS
    assert total is not None
    assert found.equity.annual_return.value == pytest.approx((1 + total) ** (YEAR / days) - 1)


def test_months_compound_their_days() -> None:
    marks = a_walk(100, begin=BEGIN + 14 * DAY_NS, step=DAY_NS)
    found = performance_of(taped(marks))
    last = {mark.ts // DAY_NS: float(mark.equity) for mark in marks}
    ends = [datetime(2024, month, 1, tzinfo=UTC).timestamp() / 86_400 for month in (2, 3, 4)]
    bounds = [float(marks[0].equity), *(last[int(end)] for end in ends), float(marks[-1].equity)]
    assert [month.value for month in found.months] == pytest.approx(
        [after / before - 1 for before, after in pairwise(bounds)]
    )
    assert [month.partial for month in found.months] == [True, False, False, True]


@pytest.mark.parametrize(
    ("minutes", "period_s"), [(20, 60), (600, 60), (2000, 3600), (50 * 1440 + 1, 86_400)]
)
def test_ratios_are_of_the_longest_periods_of_which_there_are_enough(minutes: int, period_s: float) -> None:
    found = performance_of(taped(a_walk(minutes))).ratios
    assert found.period_s == period_s
    assert found.periods == (minutes - 1) * 60 // period_s
    assert (found.sharpe_of_period.low is None) == (minutes == 20)


def test_no_ratio_of_a_year_is_made_of_minutes() -> None:
    for hours in (1, 29):
        found = performance_of(taped(a_walk(hours * 60 + 1)))
        hold = found.benchmarks[0]
        for figure in (found.ratios.volatility, found.ratios.sharpe, found.ratios.sortino, hold.volatility):
            assert figure.value is figure.low is None
        assert found.ratios.sharpe.why == (
            "returns of minutes say nothing of a year; 30 of whole hours at least are needed"
        )
        r = np.diff(values(a_walk(hours * 60 + 1))) / values(a_walk(hours * 60 + 1))[:-1]
        assert found.ratios.sharpe_of_period.value == pytest.approx(np.mean(r) / np.std(r, ddof=1))
    ratios_ = performance_of(taped(a_walk(30 * 60 + 1))).ratios
    assert ratios_.sharpe.value == pytest.approx(
        (ratios_.sharpe_of_period.value or 0.0) * math.sqrt(365 * 24)
    )


def test_the_deepest_fall_is_that_of_all_marks_however_many_the_curve_holds() -> None:
    marks = a_walk(9000, seed=3)
    found, at = performance_of(taped(marks)), values(marks)
    peaks = np.maximum.accumulate(at)
    falls = np.array(at) / peaks - 1
    trough = int(np.argmin(falls))
    peak = int(np.flatnonzero(at[: trough + 1] == peaks[trough])[-1])
    assert found.drawdown.depth.value == pytest.approx(falls.min())
    assert falls.min() == pytest.approx(ratios.max_drawdown(np.diff(at) / at[:-1]))
    minute_ms = [mark.ts // MINUTE_NS * 60_000 for mark in marks]
    assert (found.drawdown.peak_ms, found.drawdown.trough_ms) == (minute_ms[peak], minute_ms[trough])
    again = [n for n in range(trough, len(at)) if at[n] >= peaks[trough]]
    assert found.drawdown.recovered_ms == (minute_ms[again[0]] if again else None)
    curve = found.equity.curve
    assert len(curve) <= POINTS < len(marks)
    assert min(point.low for point in curve) == min(at)
    assert max(point.high for point in curve) == max(at)
    assert min(point.drawdown for point in curve) == found.drawdown.depth.value
    assert curve[-1].equity == at[-1]
    assert found.equity.curve_step_s == 60 * 16


def test_a_fall_that_is_made_good_says_when_and_a_later_deeper_one_takes_its_place() -> None:
    def told(*equities: float) -> Any:
        return performance_of(
            taped([a_mark(BEGIN + n * MINUTE_NS, e) for n, e in enumerate(equities)])
        ).drawdown

    first = told(100, 110, 99, 105, 110, 112)
    assert first.depth.value == pytest.approx(-0.1)
    assert [ms and (ms * NS_PER_MS - BEGIN) // MINUTE_NS for ms in _moments(first)] == [1, 2, 4]
    deeper = told(100, 110, 99, 120, 60, 90)
    assert deeper.depth.value == -0.5
    assert [ms and (ms * NS_PER_MS - BEGIN) // MINUTE_NS for ms in _moments(deeper)] == [3, 4, None]
    assert deeper.under_water_s == 120
    never = told(100, 101)
    assert never.depth.value == 0.0
    assert _moments(never) == [None, None, None]


def _moments(fall: Any) -> list[int | None]:
    return [fall.peak_ms, fall.trough_ms, fall.recovered_ms]


def test_many_days_of_minutes_are_folded_into_what_its_days_need() -> None:
    marks = Marks()
    for n in range(100 * 1440):
        marks.take(a_mark(BEGIN + n * MINUTE_NS, 1000.0 + n % 7, marks={"BTC-USDT": 1.0}))
    assert marks.minutes is marks.hours is None
    assert len(marks.days.last) == 1 + 100  # the first mark is the end of the day before
    assert len(marks.curve.points) <= POINTS
    assert marks.count == 100 * 1440


def test_exposure_is_over_time_and_what_a_hole_hid_counts_as_unknown() -> None:
    half = {"BTC-USDT": Decimal(500)}
    both = {"BTC-USDT": Decimal(500), "ETH-USDT": Decimal(-1000)}
    marks = [
        a_mark(BEGIN, 1000.0),
        a_mark(BEGIN + MINUTE_NS, 1000.0, values=half),
        a_mark(BEGIN + MINUTE_NS + 30 * NS_PER_S, 1000.0, values=both, cause="fill", fills=1),
        a_mark(BEGIN + 2 * MINUTE_NS, 1000.0, values=both),
        a_mark(BEGIN + 60 * MINUTE_NS, 1000.0),
    ]
    found = performance_of(taped(marks))
    known_s = 60 + 30 + 30 + 120
    assert found.exposure.gross_mean.value == pytest.approx((30 * 0.5 + 150 * 1.5) / known_s)
    assert found.exposure.net_mean.value == pytest.approx((30 * 0.5 - 150 * 0.5) / known_s)
    assert (found.exposure.gross_max.value, found.exposure.net_max.value) == (1.5, 0.5)
    assert any("3360 s" in warning for warning in found.warnings)


def test_a_hole_is_no_return_of_a_period() -> None:
    marks = [mark for n, mark in enumerate(a_walk(300)) if not 100 <= n < 150]
    found = performance_of(taped(marks)).ratios
    assert found.periods == 299 - 51
    at = {mark.ts // MINUTE_NS: float(mark.equity) for mark in marks}
    r = np.array([at[n] / at[n - 1] - 1 for n in at if n - 1 in at])
    assert found.sharpe_of_period.value == pytest.approx(np.mean(r) / np.std(r, ddof=1))


def test_buy_and_hold_has_equal_parts_of_what_was_traded_since_its_first_mark() -> None:
    draw, marks = Generator(Philox(key=5)), []
    prices = {
        s: 100 * np.exp(np.cumsum(draw.normal(0, 0.01, 200))) for s in ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    }
    for n in range(200):
        known = {s: float(p[n]) for s, p in prices.items() if not (s == "ETH-USDT" and (n < 5 or n == 77))}
        held = {"BTC-USDT": Decimal(1)} if n == 3 else {"ETH-USDT": Decimal(2)} if n == 9 else {}
        marks.append(a_mark(BEGIN + n * MINUTE_NS, 1000.0, marks=known, values=held))
    hold, flat = performance_of(taped(marks)).benchmarks
    assert hold.symbols == ("BTC-USDT", "ETH-USDT")
    btc, eth = prices["BTC-USDT"], prices["ETH-USDT"].copy()
    eth[:5], eth[77] = eth[5], eth[76]
    worth = (btc / btc[0] + eth / eth[0]) / 2
    r = np.diff(worth) / worth[:-1]
    assert hold.total_return.value == pytest.approx(worth[-1] - 1)
    assert hold.volatility.value is hold.sharpe.value is None  # 200 minutes
    assert hold.drawdown.value == pytest.approx(ratios.max_drawdown(r))
    assert (flat.total_return.value, flat.drawdown.value, flat.sharpe.value) == (0.0, 0.0, None)
    curve = performance_of(taped(marks)).equity.curve
    assert [point.hold for point in curve] == pytest.approx((1000 * worth).tolist())


def test_without_a_mark_every_number_says_why_there_is_none() -> None:
    found = performance_of(Tape())
    assert found.begin_ms is None
    for figure in (found.equity.start, found.equity.total_return, found.drawdown.depth, found.trading.fees):
        assert figure.value is None
        assert figure.why
    assert found.warnings


def test_one_mark_has_a_worth_and_no_return_and_constant_equity_has_no_ratio() -> None:
    one = performance_of(taped(a_walk(1)))
    assert one.equity.total_return.value == 0.0
    assert one.ratios.sharpe.why == "there is no return of a whole period of 60 s; 2 at least are needed"
    still = performance_of(taped([a_mark(BEGIN + n * 60 * MINUTE_NS, 1000.0) for n in range(100)]))
    assert still.ratios.volatility.value == 0.0
    for sharpe in (still.ratios.sharpe, still.ratios.sharpe_of_period):
        assert (sharpe.value, sharpe.why) == (None, "the returns do not vary")
    assert (still.ratios.sortino.value, still.ratios.sortino.why) == (None, "no return was below 0")
    assert still.ratios.calmar.value is None


def test_what_lies_outside_the_time_is_passed_by_and_what_lacks_is_said() -> None:
    marks = a_walk(100)
    tape = taped(marks, begin_ts=marks[0].ts - DAY_NS, end_ts=marks[49].ts)
    found = performance_of(tape)
    assert (found.counts.marks, found.end_ms) == (50, marks[49].ts // NS_PER_MS)
    assert any("Nothing is known of equity before" in warning for warning in found.warnings)
    tape.take(a_mark(marks[49].ts, 1.0, book="other"))
    assert tape.marks.count == 50


def test_a_clock_that_was_set_back_is_told_and_time_runs_on() -> None:
    marks = a_walk(60)
    found = performance_of(taped([*marks, *a_walk(60, seed=2, begin=BEGIN + 30 * MINUTE_NS)]))
    assert any("set back" in warning for warning in found.warnings)
    stamps = [point.ts_ms for point in found.equity.curve]
    assert stamps == sorted(stamps)
