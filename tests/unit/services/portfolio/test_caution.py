from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import norm

from services.portfolio.caution import FOLDS, caution
from services.portfolio.certificate import Limits
from services.portfolio.estimates import Mode, Table, estimated, solved, table_of
from services.portfolio.measures import day_weights, volatility
from tests.portfolio_problems import BETA, FactorWorld, random_returns

LIMITS = Limits(0.02, 1.0, 1.0)
MODES: tuple[Mode, ...] = ("sum_cvar", "portfolio_cvar")


def a_table(seed: int, symbols: int, days: int, worst: float = 1.0) -> Table:
    numbers = np.arange(20_000 - days, 20_000)
    R = np.maximum(random_returns(seed, symbols, days), -worst)
    return table_of(numbers, R, day_weights(numbers, 60.0))


def by_programme(
    returns: np.ndarray[tuple[int], np.dtype[np.float64]], p: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float:
    """Return the weighted CVaR as the minimum of Rockafellar and Uryasev's programme."""
    days = len(returns)
    cost = np.concatenate(([1.0], p / (1.0 - BETA)))
    rows = -np.column_stack((np.ones(days), np.eye(days)))
    bounds = [(None, None)] + [(0, None)] * days
    return float(linprog(cost, rows, returns, bounds=bounds, method="highs").fun)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("worst", [0.01, 1.0])  # without a tail the normal law is the larger
def test_the_caution_is_what_portfolios_lost_on_the_days_they_were_not_fitted_to(
    mode: Mode, worst: float
) -> None:
    table = a_table(4, 6, 80, worst)
    kappa = 1.0
    for _ in range(2):
        lost = np.zeros(80)
        for k in range(FOLDS):
            out = table.days % FOLDS == k
            p = table.p[~out] / table.p[~out].sum()
            inside = table_of(table.days[~out], table.R[~out], p)
            known = estimated(inside, BETA)
            w = solved(mode, known, inside, BETA, LIMITS._replace(budget=0.02 / kappa)).w
            cost = known.c @ w if mode == "sum_cvar" else by_programme(inside.R @ w, p)
            lost[out] = table.R[out] @ w / cost
        spread = float(volatility(lost[:, None], table.p)[0])
        law = norm.pdf(norm.ppf(BETA)) / (1 - BETA) * spread
        kappa = max(kappa, by_programme(lost, table.p), law)
    assert caution(mode, table, BETA, LIMITS).kappa == pytest.approx(kappa, rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_without_weights_there_is_nothing_to_be_cautious_of(mode: Mode) -> None:
    days = np.arange(100)
    falling = table_of(days, random_returns(3, 4, 100) - 0.05, day_weights(days, 60.0))
    assert caution(mode, falling, BETA, LIMITS).kappa == 1.0
    assert caution(mode, a_table(1, 4, 100), BETA, Limits(0.0, 1.0, 1.0)).kappa == 1.0


def test_the_solution_is_optimal_for_the_budget_that_the_caution_leaves() -> None:
    table = a_table(2, 12, 60)
    kappa = caution("portfolio_cvar", table, BETA, LIMITS).kappa
    known = estimated(table, BETA)
    tightened = LIMITS._replace(budget=0.02 / kappa)
    solution = solved("portfolio_cvar", known, table, BETA, tightened)
    assert kappa > 1.2
    assert solution.optimal
    assert by_programme(table.R @ solution.w, table.p) * kappa <= 0.02 * (1 + 1e-9)
    draws = np.random.Generator(np.random.Philox(key=1)).dirichlet(np.ones(12), 400)
    for w in draws:
        within = (
            w * min(1.0, 0.02 / kappa / max(by_programme(table.R @ w, table.p), 1e-9))
            if w[0] > 0.2
            else 0 * w
        )
        f = known.mu @ within - 0.5 * within @ known.Sigma @ within
        assert f <= solution.utility + solution.certificate.gap + 1e-12


@pytest.mark.parametrize("mode", MODES)
def test_many_symbols_on_few_days_keep_the_budget_in_truth(mode: Mode) -> None:
    realised = []
    for seed in range(8):
        market, days = FactorWorld(100 + seed, symbols=40), np.arange(40)
        table = table_of(days, market.returns(40), day_weights(days, 60.0))
        kappa = caution(mode, table, BETA, LIMITS).kappa
        w = solved(mode, estimated(table, BETA), table, BETA, LIMITS._replace(budget=0.02 / kappa)).w
        realised.append(market.cvar(w) / 0.02)
    assert 0.4 < float(np.median(realised)) <= 1.1
