from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import chdtri
from scipy.stats import norm

from services.portfolio.kelly import kelly_lite
from services.portfolio.measures import (
    PRIOR_DAYS,
    cautious_cvar,
    cvar,
    day_weights,
    effective_days,
    shrunk_mean,
    tail_shares,
    unit_cvar,
    volatility,
    volatility_caution,
)
from tests.portfolio_problems import random_returns, recorded_returns
from tests.recordings import needs_recordings


def equal(days: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.full(days, 1.0 / days)


def test_cvar_weighs_the_day_that_is_partly_in_the_tail() -> None:
    R = -np.arange(1.0, 51.0)[:, None]  # alpha is 2.5 of 50 equal days
    assert cvar(R, equal(50), 0.95)[0] == pytest.approx((50 + 49 + 0.5 * 48) / 2.5)
    p = np.array([0.02, 0.5, 0.45, 0.03])
    R = -np.array([9.0, 1.0, 5.0, 7.0])[:, None]  # 9 for .02, 7 for .03, 5 for .05 of a tail of .1
    assert cvar(R, p, 0.9)[0] == pytest.approx((9 * 0.02 + 7 * 0.03 + 5 * 0.05) / 0.1)


def test_cvar_is_the_mean_of_the_quantiles_in_the_tail() -> None:
    returns, p = random_returns(3, 1, 80)[:, 0], day_weights(np.arange(80), 20.0)
    order = np.argsort(returns)
    edges = np.cumsum(p[order])

    def quantile(u: float) -> float:
        return float(-returns[order][min(int(np.searchsorted(edges, u)), 79)])

    tail, _ = quad(quantile, 0.0, 0.05, points=[*edges[edges < 0.05]], limit=500)
    assert cvar(returns[:, None], p, 0.95)[0] == pytest.approx(tail / 0.05, rel=1e-9)


@pytest.mark.parametrize("half_life", [5.0, 60.0, 1e9])
def test_the_tail_that_is_sought_among_the_lowest_days_is_that_of_all(half_life: float) -> None:
    R, p = random_returns(9, 40, 1000), day_weights(np.arange(1000), half_life)
    R[:, 7] = np.sort(R[:, 7])  # the worst days are the oldest, and weigh next to nothing
    each = [-tail_shares(column, p, 0.95) @ column for column in R.T]
    assert cvar(R, p, 0.95) == pytest.approx(each, rel=1e-12)


def test_a_tail_lighter_than_the_worst_day_is_that_day() -> None:
    assert cvar(np.array([[-0.03], [0.01], [-0.07]]), equal(3), 0.95)[0] == pytest.approx(0.07)


def test_a_sure_gain_has_a_negative_cvar_and_costs_nothing() -> None:
    R = np.full((100, 1), 0.01)
    assert cvar(R, equal(100), 0.95)[0] == pytest.approx(-0.01)
    assert unit_cvar(R, equal(100), 0.95)[0] == 0.0


@pytest.mark.parametrize("days", [3, 10, 20, 60, 119, 120, 250, 1000])
def test_the_caution_of_a_volatility_is_its_upper_limit_by_chi_squared(days: int) -> None:
    exact = np.sqrt((days - 1) / chdtri(days - 1, 0.9))
    assert volatility_caution(days) == pytest.approx(exact, rel=4e-2 if days < 10 else 2e-3)


def test_the_caution_of_a_volatility_has_no_step() -> None:
    cautions = np.array([volatility_caution(days) for days in np.arange(20.0, 400.0, 0.25)])
    falls = -np.diff(cautions)
    assert (falls > 0.0).all()
    assert (np.diff(falls) < 0.0).all(), "ever less steep"


def test_a_cvar_is_limited_by_a_cautious_normal_law_at_every_number_of_days() -> None:
    k = norm.expect(lambda z: -z, ub=norm.ppf(0.05)) / 0.05
    for days in (30, 119, 120, 500):
        R, p = random_returns(4, 3, days), day_weights(np.arange(days), 60.0)
        Te = 1.0 / float((p**2).sum())
        law = k * volatility(R, p) * np.sqrt((Te - 1) / chdtri(Te - 1, 0.9))
        assert cautious_cvar(R, p, 0.95) == pytest.approx(np.maximum(cvar(R, p, 0.95), law), rel=1e-3)


def test_a_day_weighs_half_as_much_as_one_that_is_a_half_life_younger() -> None:
    p = day_weights(np.array([0, 40, 60, 100]), 60.0)
    assert p.sum() == pytest.approx(1.0)
    assert p[3] == pytest.approx(2.0 * p[1])
    assert p[2] == pytest.approx(2.0 * p[0])
    assert effective_days(equal(77)) == pytest.approx(77.0)
    decay = 0.5 ** (1 / 60)
    counted = (1 + decay) / (1 - decay) * (1 - decay**1000) / (1 + decay**1000)
    assert effective_days(day_weights(np.arange(1000), 60.0)) == pytest.approx(counted)


def test_a_weighted_variance_is_unbiased_and_of_equal_days_the_samples() -> None:
    R = random_returns(2, 3, 50)
    assert volatility(R, equal(50)) == pytest.approx(R.std(axis=0, ddof=1))
    drawn = np.random.Generator(np.random.Philox(key=5)).normal(0.0, 0.03, (30, 40_000))
    p = day_weights(np.arange(30), 6.0)
    # 40,000 draws, 13 days that count: the mean of the estimates is within .3 % (5 standard errors)
    assert (volatility(drawn, p) ** 2).mean() == pytest.approx(0.03**2, rel=1e-2)


@needs_recordings
def test_fading_days_forecast_next_weeks_variance_better_than_all_alike() -> None:
    symbols, R = recorded_returns()
    fading, alike = day_weights(np.arange(1500), 60.0), equal(1500)
    ahead = {"BTCUSDT": R[:, 0], "ETHUSDT": R[:, symbols.index("ETHUSDT")], "1/N": R.mean(axis=1)}

    def qlike(
        r: np.ndarray[tuple[int], np.dtype[np.float64]], p: np.ndarray[tuple[int], np.dtype[np.float64]]
    ) -> float:
        starts = range(500, len(r) - 7, 7)
        past = [min(t, 1500) for t in starts]
        forecasts = [
            float(volatility(r[t - n : t, None], p[-n:] / p[-n:].sum())[0]) ** 2
            for t, n in zip(starts, past, strict=True)
        ]
        realised = [float((r[t : t + 7] ** 2).mean()) for t in starts]
        return float(np.mean([np.log(h) + v / h for h, v in zip(forecasts, realised, strict=True)]))

    for name, r in ahead.items():
        assert qlike(r, fading) < qlike(r, alike) - 0.05, name


def test_the_mean_is_shrunk_to_one_sharpe_ratio() -> None:
    R = random_returns(6, 4, 500)
    sigma = np.array([0.01, 0.02, 0.03, 0.04])
    sharpe = (500 * R.mean(axis=0) / sigma + PRIOR_DAYS * 0.02) / (500 + PRIOR_DAYS)
    assert shrunk_mean(R, sigma) == pytest.approx(sigma * sharpe)


def test_kelly_is_a_clipped_fraction_and_says_nothing_without_variance() -> None:
    mu, variance = np.array([0.001, 0.01, -0.001, 0.001]), np.array([0.001, 0.001, 0.001, 0.0])
    assert kelly_lite(mu, variance, 0.25, 1.0) == pytest.approx([0.25, 1.0, 0.0, 0.0])
