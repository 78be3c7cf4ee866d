from __future__ import annotations

import numpy as np
import pytest

from services.portfolio.bad_prints import is_price, suspects
from services.portfolio.returns import simple_returns
from tests.portfolio_problems import random_returns, recorded_returns
from tests.recordings import needs_recordings

DAYS = np.arange(200)


def moves() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.log1p(random_returns(3, 1, 200)[:, 0])


@pytest.mark.parametrize("jump", [np.log(1000.0), np.log(1e-4), -1.5, 1.5])
def test_a_jump_that_the_next_day_takes_back_is_a_bad_print(jump: float) -> None:
    l = moves()  # noqa: E741 -- the table's symbol
    l[100] += jump
    l[101] -= jump
    (found,) = suspects(DAYS, l)
    assert (found.day, found.kept) == (100, False)
    assert found.change == pytest.approx(np.expm1(l[100]))


@pytest.mark.parametrize("back", [0.0, 0.5])
def test_a_crash_that_stays_or_is_made_good_in_part_is_kept(back: float) -> None:
    l = moves()  # noqa: E741 -- the table's symbol
    l[100] -= 2.0
    l[101] += 2.0 * back
    assert all(each.kept for each in suspects(DAYS, l))
    assert 100 in {each.day for each in suspects(DAYS, l)}


def test_the_newest_day_is_kept_until_another_confirms_it() -> None:
    l = moves()  # noqa: E741 -- the table's symbol
    l[-1] -= 3.0
    (found,) = suspects(DAYS, l)
    assert found.kept
    assert "confirmed" in found.why


def test_a_jump_that_no_day_on_either_side_confirms_counts_as_twenty_sigmas() -> None:
    l = moves()  # noqa: E741 -- the table's symbol
    sound = np.exp(np.cumsum(l))
    s = max(1.4826 * float(np.median(np.abs(l[1:] - np.median(l[1:])))), 0.01)
    for at, factor in ((0, 1e3), (0, 1e-4), (199, 1e3), (199, 1e-4)):
        closes = sound.copy()
        closes[at] *= factor
        found = simple_returns(DAYS, closes)
        (suspect,) = found.suspects
        day = max(at, 1)
        assert (suspect.day, suspect.kept) == (day, True)
        assert suspect.change == pytest.approx(closes[day] / closes[day - 1] - 1)
        assert abs(np.log1p(found.values[day - 1])) == pytest.approx(20 * s, rel=0.03)
        assert f"{found.values[day - 1]:+.1%}" in suspect.why
        others = np.arange(199) != day - 1
        assert found.values[others] == pytest.approx(simple_returns(DAYS, sound).values[others])


def test_a_jump_before_a_missing_day_is_kept() -> None:
    l, days = moves(), DAYS.copy()  # noqa: E741 -- the table's symbol
    l[100] += 3.0
    l[101] -= 3.0
    days[101:] += 1
    assert all(each.kept for each in suspects(days, l))


def test_a_stablecoin_that_loses_its_peg_for_a_day_has_lost_it() -> None:
    l = np.zeros(200)  # noqa: E741 -- the table's symbol
    l[100], l[101] = -0.12, 0.12
    assert suspects(DAYS, l) == ()
    l[100], l[101] = -7.0, 7.0
    assert [each.kept for each in suspects(DAYS, l)] == [False]


def test_a_bad_print_takes_its_day_and_the_next_out_of_the_returns() -> None:
    closes = 100.0 * np.exp(np.cumsum(moves()))
    sound = simple_returns(DAYS, closes)
    broken = closes.copy()
    broken[50] *= 1000.0
    found = simple_returns(DAYS, broken)
    left = np.setdiff1d(sound.days, [50, 51])
    assert found.days.tolist() == left.tolist()
    assert found.values == pytest.approx(sound.values[np.isin(sound.days, left)])


def test_prices_are_finite_positive_and_of_a_size_that_can_be_squared() -> None:
    closes = np.array([0.0, -1.0, np.nan, np.inf, -np.inf, 1e-13, 1e13, 1e-12, 1.0, 1e12])
    assert is_price(closes).tolist() == [False] * 7 + [True] * 3


def test_the_returns_before_a_lookback_are_none_of_its_faults() -> None:
    closes = 100.0 * np.exp(np.cumsum(moves()))
    closes[50], closes[20] = 0.0, 1e7
    found = simple_returns(DAYS, closes)
    assert [day for day, _ in found.wrong] == [50]
    assert [each.day for each in found.suspects] == [20]
    newest = found.last(100)
    assert (len(newest.days), newest.wrong, newest.suspects) == (100, (), ())


@needs_recordings
def test_no_day_of_the_recorded_prices_is_a_bad_print() -> None:
    symbols, R = recorded_returns()
    found = {s: suspects(np.arange(len(r)), np.log1p(r)) for s, r in zip(symbols, R.T, strict=True)}
    assert all(each.kept for days in found.values() for each in days)
    changes = {symbol: [round(each.change, 2) for each in days] for symbol, days in found.items() if days}
    assert changes == {"BNBUSDT": [0.7], "DOGEUSDT": [3.92]}, "2021-02-19 and 2021-01-28, which are real"
