from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf  # type: ignore[import-untyped]  # carries no type marker

from services.portfolio import covariance
from services.portfolio.covariance import LEAST_EIGENVALUE, definite, shrunk_covariance
from services.portfolio.measures import day_weights, volatility
from tests.portfolio_problems import random_returns, recorded_returns
from tests.recordings import needs_recordings


@pytest.mark.parametrize("symbols", [1, 3, 40])
def test_of_equal_days_it_is_ledoit_wolfs_of_standardised_returns(symbols: int) -> None:
    R, p = random_returns(symbols, symbols, 60), np.full(60, 1.0 / 60)
    x = (R - R.mean(axis=0)) / R.std(axis=0)
    theirs, _ = ledoit_wolf(x, assume_centered=True)
    sigma = R.std(axis=0, ddof=1)
    assert shrunk_covariance(R, p, sigma) == pytest.approx(
        theirs * np.outer(sigma, sigma), rel=1e-9, abs=1e-15
    )


def test_the_shrinkage_of_weighted_days_is_its_definition_day_by_day() -> None:
    R, p = random_returns(4, 5, 80), day_weights(np.arange(80), 20.0)
    x = R - p @ R
    x /= np.sqrt(p @ x**2)
    rho = sum(p[t] * np.outer(x[t], x[t]) for t in range(80))
    b2 = sum(p[t] ** 2 * ((np.outer(x[t], x[t]) - rho) ** 2).sum() for t in range(80))
    d2 = ((rho - np.eye(5)) ** 2).sum()
    delta = min(b2, d2) / d2
    assert 0.0 < delta < 1.0
    expected = (1.0 - delta) * rho + delta * np.eye(5)
    assert shrunk_covariance(R, p, np.ones(5)) == pytest.approx(expected)


@pytest.mark.parametrize("half_life", [30.0, 1e9])
@pytest.mark.parametrize("symbols", [2, 7, 30])
def test_by_pair_it_is_that_of_one_history_where_all_have_the_same_days(
    symbols: int, half_life: float
) -> None:
    R, p = random_returns(symbols, symbols, 150), day_weights(np.arange(150), half_life)
    assert covariance._by_pair(R, p) == pytest.approx(covariance._of_one_history(R, p), rel=1e-9, abs=1e-12)  # noqa: SLF001 -- two ways to one number


def test_a_pair_that_never_met_leaves_what_is_known_of_the_others() -> None:
    R = random_returns(8, 4, 300)
    R[:150, 2], R[150:, 3] = np.nan, np.nan
    p, sigma = np.full(300, 1.0 / 300), np.ones(4)
    Sigma, alone = shrunk_covariance(R, p, sigma), shrunk_covariance(R[:, :2], p, np.ones(2))
    assert Sigma[2, 3] == 0.0
    assert alone[0, 1] < Sigma[0, 1] < np.corrcoef(R[:, 0], R[:, 1])[0, 1]


def test_a_correlation_is_that_of_the_days_both_have() -> None:
    R = random_returns(8, 3, 300)
    R[:250, 2] = np.nan
    p, sigma = np.full(300, 1.0 / 300), np.ones(3)
    Sigma, alone = shrunk_covariance(R, p, sigma), np.corrcoef(R[250:, 1], R[250:, 2])[0, 1]
    assert 0.0 < Sigma[1, 2] / alone < 1.0, "shrunk, of the same sign"
    young, old = (
        Sigma[0, 2] / np.corrcoef(R[250:, 0], R[250:, 2])[0, 1],
        Sigma[0, 1] / np.corrcoef(R[:, 0], R[:, 1])[0, 1],
    )
    assert young < old, "a pair of few days is shrunk further"
    whole = shrunk_covariance(random_returns(8, 3, 300), p, sigma)
    assert Sigma[0, 1] == pytest.approx(whole[0, 1], abs=0.05), "the old ones hardly notice"


def test_symbols_that_never_met_are_uncorrelated() -> None:
    R = random_returns(8, 2, 200)
    R[:100, 0], R[100:, 1] = np.nan, np.nan
    assert shrunk_covariance(R, np.full(200, 1 / 200), np.ones(2)) == pytest.approx(np.eye(2))


@pytest.mark.parametrize("seed", range(20))
def test_it_is_positive_definite_whatever_days_each_has(seed: int) -> None:
    draw = np.random.Generator(np.random.Philox(key=seed))
    R = random_returns(seed, 25, 90)
    for i, kept in enumerate(draw.integers(20, 91, 25)):
        R[draw.permutation(90)[kept:], i] = np.nan
    p = day_weights(np.arange(90), 60.0)
    correlation = shrunk_covariance(R, p, np.ones(25))
    assert np.linalg.eigvalsh(correlation)[0] >= LEAST_EIGENVALUE * (1 - 1e-6)
    assert np.diag(correlation) == pytest.approx(np.ones(25))
    assert (np.abs(correlation) <= 1.0).all()


def test_what_is_not_definite_is_shrunk_just_as_far_as_makes_it_so() -> None:
    rho = np.eye(3)
    for (i, j), value in zip(combinations(range(3), 2), (0.9, 0.9, -0.9), strict=True):
        rho[i, j] = rho[j, i] = value
    assert np.linalg.eigvalsh(rho)[0] < -0.5
    made = definite(rho)
    assert np.linalg.eigvalsh(made)[0] == pytest.approx(LEAST_EIGENVALUE)
    share = 1.0 - made[0, 1] / 0.9
    assert made == pytest.approx((1 - share) * rho + share * np.eye(3))
    assert np.linalg.eigvalsh((1 - share + 1e-3) * rho + (share - 1e-3) * np.eye(3))[0] < LEAST_EIGENVALUE


@needs_recordings
def test_variances_are_as_given_and_correlations_are_shrunk() -> None:
    _, R = recorded_returns()
    p = np.full(len(R), 1.0 / len(R))
    Sigma, sample = shrunk_covariance(R, p, volatility(R, p)), np.cov(R, rowvar=False)
    assert np.diag(Sigma) == pytest.approx(np.diag(sample))
    assert (np.abs(Sigma - np.diag(np.diag(Sigma))) <= np.abs(sample)).all()
    assert np.linalg.eigvalsh(Sigma)[0] > 0
