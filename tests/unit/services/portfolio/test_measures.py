from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf  # type: ignore[import-untyped]  # carries no type marker

from services.portfolio.kelly import kelly_lite
from services.portfolio.measures import (
    PRIOR_DAYS,
    cautious_cvar,
    cvar,
    shrunk_covariance,
    shrunk_mean,
    unit_cvar,
    volatility,
)
from tests.portfolio_problems import random_returns, recorded_returns
from tests.recordings import needs_recordings


def test_cvar_weighs_the_day_that_is_partly_in_the_tail() -> None:
    R = -np.arange(1.0, 51.0)[:, None]  # tau = 2.5 of 50 days
    assert cvar(R, 0.95)[0] == pytest.approx((50 + 49 + 0.5 * 48) / 2.5)


def test_a_tail_shorter_than_a_day_is_the_worst_day() -> None:
    assert cvar(np.array([[-0.03], [0.01], [-0.07]]), 0.95)[0] == pytest.approx(0.07)


def test_a_sure_gain_has_a_negative_cvar_and_costs_nothing() -> None:
    R = np.full((100, 1), 0.01)
    assert cvar(R, 0.95)[0] == pytest.approx(-0.01)
    assert unit_cvar(R, 0.95)[0] == 0.0


def test_a_history_below_120_days_is_limited_by_a_cautious_normal_law() -> None:
    R = random_returns(4, 1, 30)
    # 2.063 sigma sqrt(29 / 19.768): chi squared with 29 degrees of freedom, lower 10 %
    assert cautious_cvar(R, 0.95)[0] == pytest.approx(
        max(cvar(R, 0.95)[0], 2.0627 * volatility(R)[0] * np.sqrt(29 / 19.7677)), rel=1e-4
    )
    assert cautious_cvar(random_returns(4, 3, 120), 0.95) == pytest.approx(
        unit_cvar(random_returns(4, 3, 120), 0.95)
    )


@pytest.mark.parametrize("symbols", [1, 3, 40])
def test_the_covariance_is_ledoit_wolfs_of_standardised_returns(symbols: int) -> None:
    R = random_returns(symbols, symbols, 60)
    x = (R - R.mean(axis=0)) / R.std(axis=0)
    theirs, _ = ledoit_wolf(x, assume_centered=True)
    sigma = R.std(axis=0, ddof=1)
    assert shrunk_covariance(R) == pytest.approx(theirs * np.outer(sigma, sigma), rel=1e-9, abs=1e-15)


@needs_recordings
def test_variances_are_those_of_the_sample_and_correlations_are_shrunk() -> None:
    _, R = recorded_returns()
    Sigma, sample = shrunk_covariance(R), np.cov(R, rowvar=False)
    assert np.diag(Sigma) == pytest.approx(np.diag(sample))
    assert (np.abs(Sigma - np.diag(np.diag(Sigma))) <= np.abs(sample)).all()
    assert np.linalg.eigvalsh(Sigma)[0] > 0


def test_the_mean_is_shrunk_to_one_sharpe_ratio() -> None:
    R = random_returns(6, 4, 500)
    sigma = R.std(axis=0, ddof=1)
    ratio = (500 * R.mean(axis=0) / sigma + PRIOR_DAYS * 0.02) / (500 + PRIOR_DAYS)
    assert shrunk_mean(R) == pytest.approx(sigma * ratio)


def test_kelly_is_a_clipped_fraction_and_says_nothing_without_variance() -> None:
    mu, variance = np.array([0.001, 0.01, -0.001, 0.001]), np.array([0.001, 0.001, 0.001, 0.0])
    assert kelly_lite(mu, variance, 0.25, 1.0) == pytest.approx([0.25, 1.0, 0.0, 0.0])
