from __future__ import annotations

import numpy as np
import pytest

from services.portfolio.filling import filled
from services.portfolio.measures import cvar, volatility_caution
from tests.portfolio_problems import FactorWorld, random_returns

DAYS = np.arange(20_000, 20_400)
EQUAL = np.full(400, 1.0 / 400)


def young(
    R: np.ndarray[tuple[int, int], np.dtype[np.float64]], days: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    R = R.copy()
    R[:-days, -1] = np.nan
    return R


def test_a_table_without_holes_is_returned_as_it_is() -> None:
    R = random_returns(1, 3, 400)
    assert filled(R, EQUAL, DAYS) is R


def test_a_missing_day_is_what_the_regression_says_and_one_of_its_own_residuals() -> None:
    R = young(random_returns(1, 4, 400), 60)
    table = filled(R, EQUAL, DAYS)
    f = R[:, :3].mean(axis=1)
    b, a = np.polyfit(f[-60:], R[-60:, 3], 1)
    e = (R[-60:, 3] - a - b * f[-60:]) * volatility_caution(60.0)
    rest = table[:340, 3] - a - b * f[:340]
    nearest = np.abs(rest[:, None] - e).min(axis=1)
    assert nearest.max() < 1e-12
    used = np.bincount(np.abs(rest[:, None] - e).argmin(axis=1), minlength=60)
    assert (used.min(), used.max()) == pytest.approx((5.67, 5.67), abs=1.7), "dealt out evenly"
    assert (table[340:] == R[340:]).all()
    assert (table[:, :3] == R[:, :3]).all()


def test_a_day_is_filled_the_same_way_tomorrow() -> None:
    R = young(random_returns(1, 4, 400), 60)
    p = EQUAL[:350] / EQUAL[:350].sum()
    whole, later = filled(R[:350], p, DAYS[:350]), filled(R[1:351], p, DAYS[1:351])
    drift = np.abs(whole[1:330, 3] - later[:329, 3])
    assert np.median(drift) < 0.01


def test_a_loss_is_never_more_than_everything() -> None:
    R = young(random_returns(1, 2, 400), 30)
    R[5, 0] = 40.0
    R[-30:, 1] = -0.9 * R[-30:, 0]
    assert filled(R, EQUAL, DAYS)[:, 1].min() >= -1.0


def test_of_a_symbol_that_met_no_other_the_days_are_its_own_again() -> None:
    R = random_returns(2, 2, 400)
    R[:200, 0], R[200:, 1] = np.nan, np.nan
    table = filled(R, EQUAL, DAYS)
    assert np.isfinite(table).all()
    assert table[:200, 0].std() == pytest.approx(R[200:, 0].std() * volatility_caution(200.0), rel=0.05)


def test_a_young_symbols_cvar_is_not_too_low_for_its_truth() -> None:
    ratios = []
    for seed in range(24):
        market = FactorWorld(seed, symbols=5)
        table = filled(young(market.returns(400), 30), EQUAL, DAYS)
        ratios.append(cvar(table[:, 4:], EQUAL, 0.95)[0] / market.cvar(np.eye(5)[4]))
    assert 0.95 < float(np.median(ratios)) < 1.5
