"""Every answer obeys its limits, and no other solver finds a better one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from services.portfolio.certificate import Limits, certify, utility
from services.portfolio.cutting_planes import optimize_portfolio_cvar
from services.portfolio.measures import HALF_LIFE_DAYS, cvar, day_weights, tail_shares
from services.portfolio.optimizer import Solution, optimize
from tests.portfolio_problems import (
    BETA,
    Problem,
    assert_within,
    problem_of,
    random_returns,
    recorded_returns,
    reference_utility,
)
from tests.recordings import needs_recordings

if TYPE_CHECKING:
    from services.portfolio.measures import Matrix

MODES = ("sum_cvar", "portfolio_cvar")
BUDGETS = st.sampled_from([0.0, 1e-9, 1e-3, 0.01, 0.02, 0.03, 0.05, 0.1, 10.0])
CEILINGS = st.sampled_from([0.0, 1e-9, 1e-3, 0.005, 0.01, 0.02, 0.05, 10.0])


def solved(problem: Problem, limits: Limits, mode: str) -> Solution:
    if mode == "sum_cvar":
        return optimize(problem.mu, problem.Sigma, problem.c, limits)
    return optimize_portfolio_cvar(problem.mu, problem.Sigma, problem.R, problem.p, BETA, limits)


@pytest.mark.parametrize("mode", MODES)
@given(
    seed=st.integers(0, 10**6),
    symbols=st.integers(1, 40),
    days=st.sampled_from([20, 60, 250, 1000]),
    budget=BUDGETS,
    ceiling=CEILINGS,
    gamma0=st.sampled_from([0.1, 1.0, 10.0]),
)
@settings(max_examples=60, deadline=None)
def test_portfolio_constraints(
    mode: str, seed: int, symbols: int, days: int, budget: float, ceiling: float, gamma0: float
) -> None:
    problem, limits = problem_of(random_returns(seed, symbols, days)), Limits(budget, ceiling, gamma0)
    solution = solved(problem, limits, mode)
    assert_within(problem, limits, solution.w, mode)
    assert solution.optimal
    assert solution.utility == pytest.approx(
        utility(problem.mu, problem.Sigma, solution.w, gamma0), abs=1e-15
    )
    assert solution.utility >= 0.0, "cash is always allowed"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("symbols", [2, 5, 20, 60])
@pytest.mark.parametrize(
    "limits",
    [Limits(0.05, 0.02, 1.0), Limits(0.02, 0.05, 1.0), Limits(0.01, 0.004, 3.0), Limits(9.0, 9.0, 1.0)],
)
def test_no_better_weights_are_found_by_a_cone_solver(mode: str, symbols: int, limits: Limits) -> None:
    problem = problem_of(random_returns(symbols, symbols, 250 if mode == "portfolio_cvar" else 1000))
    solution = solved(problem, limits, mode)
    assert_within(problem, limits, solution.w, mode)
    assert solution.utility >= reference_utility(problem, limits, mode) - 1e-6 * max(1e-3, solution.utility)


def test_500_symbols_are_solved_as_well_as_by_a_cone_solver() -> None:
    problem, limits = problem_of(random_returns(7, 500)), Limits(0.05, 0.02, 1.0)
    solution = solved(problem, limits, "sum_cvar")
    assert_within(problem, limits, solution.w, "sum_cvar")
    assert solution.optimal
    assert solution.utility >= reference_utility(problem, limits, "sum_cvar") - 1e-9
    truly = solved(problem, limits, "portfolio_cvar")
    assert_within(problem, limits, truly.w, "portfolio_cvar")
    assert truly.optimal
    assert truly.utility >= solution.utility


@needs_recordings
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("budget", "ceiling"), [(0.05, 0.02), (0.02, 1.0), (1.0, 0.03), (0.08, 0.04)])
def test_recorded_prices_are_solved_as_well_as_by_a_cone_solver(
    mode: str, budget: float, ceiling: float
) -> None:
    _, R = recorded_returns()
    problem, limits = problem_of(R[-730:]), Limits(budget, ceiling, 1.0)
    solution = solved(problem, limits, mode)
    assert_within(problem, limits, solution.w, mode)
    assert solution.optimal
    assert solution.utility >= reference_utility(problem, limits, mode) - 1e-9


def degenerate() -> dict[str, Matrix]:
    R = random_returns(1, 4)
    constant, nothing = R.copy(), R.copy()
    constant[:, 1], nothing[:, 1] = 0.0005, 0.0
    return {
        "identical": np.column_stack([R[:, 0]] * 4),
        "twice": np.column_stack([R, R]),
        "one constant": constant,
        "one at zero": nothing,
        "all constant": np.full_like(R, 0.0005),
        "opposites": np.column_stack([R[:, 0], -R[:, 0], R[:, 1]]),
        "one symbol": R[:, :1],
        "more symbols than days": random_returns(2, 60, 25),
        "tiny": R * 1e-6,
        "no losses": np.maximum(R, 0.0),
        "one day up": np.where(np.arange(len(R)) == 905, 2e-4, 0.0)[:, None],
        "whole percents": np.round(R, 2),
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", degenerate())
@pytest.mark.parametrize(
    ("budget", "ceiling"), [(0.05, 0.02), (0.0, 0.02), (0.05, 0.0), (0.0, 0.0), (10.0, 10.0), (1e-9, 1.0)]
)
def test_degenerate_problems_have_an_optimal_answer(
    mode: str, name: str, budget: float, ceiling: float
) -> None:
    half_life = 1e9 if budget == 1e-9 else HALF_LIFE_DAYS  # a budget whose digits rounding would eat
    problem, limits = problem_of(degenerate()[name], half_life), Limits(budget, ceiling, 1.0)
    solution = solved(problem, limits, mode)
    assert_within(problem, limits, solution.w, mode)
    assert solution.optimal


@pytest.mark.parametrize("mode", MODES)
def test_without_a_positive_mean_all_is_cash(mode: str) -> None:
    problem = problem_of(random_returns(3, 5) - 0.05)
    assert not solved(problem, Limits(1.0, 1.0, 1.0), mode).w.any()


@given(seed=st.integers(0, 10**6), symbols=st.integers(2, 12), budget=BUDGETS, ceiling=CEILINGS)
@settings(max_examples=25, deadline=None)
def test_no_better_weights_are_found_by_slsqp(seed: int, symbols: int, budget: float, ceiling: float) -> None:
    mu, Sigma, c = (problem := problem_of(random_returns(seed, symbols))).mu, problem.Sigma, problem.c
    limits = Limits(budget, ceiling, 1.0)
    ours = solved(problem, limits, "sum_cvar")
    found = minimize(
        lambda w: -1e3 * utility(mu, Sigma, w, 1.0),
        np.full(symbols, 1e-3),
        jac=lambda w: -1e3 * (mu - Sigma @ w),
        bounds=[(0.0, 1.0)] * symbols,
        constraints=[
            {"type": "ineq", "fun": lambda w: 1.0 - w.sum()},
            {"type": "ineq", "fun": lambda w: 1e2 * (budget - c @ w)},
            {"type": "ineq", "fun": lambda w: 1e4 * (ceiling**2 - w @ Sigma @ w)},
        ],
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-14},
    )
    w = np.maximum(found.x, 0.0)
    legal = w.sum() <= 1.0 and c @ w <= budget and w @ Sigma @ w <= ceiling**2
    if legal:  # SLSQP may end outside, or early: where it ends inside, it ends no higher
        assert ours.utility >= utility(mu, Sigma, w, 1.0) - ours.certificate.gap - 1e-12


@pytest.mark.parametrize(
    "limits", [Limits(0.05, 0.02, 1.0), Limits(0.02, 1.0, 1.0), Limits(1.0, 0.01, 1.0), Limits(1.0, 1.0, 5.0)]
)
@pytest.mark.parametrize("mode", MODES)
def test_no_better_weights_are_on_a_fine_grid(mode: str, limits: Limits) -> None:
    problem = problem_of(random_returns(11, 2))
    ours = solved(problem, limits, mode)
    steps = np.linspace(0.0, 1.0, 201)
    grid = np.array([(a, b) for a in steps for b in steps if a + b <= 1.0])
    f = grid @ problem.mu - limits.gamma0 / 2 * np.einsum("ki,ij,kj->k", grid, problem.Sigma, grid)
    cost = grid @ problem.c if mode == "sum_cvar" else cvar(problem.R @ grid.T, problem.p, BETA)
    legal = (cost <= limits.budget) & (
        np.einsum("ki,ij,kj->k", grid, problem.Sigma, grid) <= limits.ceiling**2
    )
    assert ours.utility >= f[legal].max() - 1e-12
    assert ours.utility <= f[legal].max() + 2e-5, "a grid point near the optimum is almost as good"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("budget", "ceiling"), [(0.03, 0.03), (0.02, 0.5), (0.5, 0.012), (0.021, 0.0085), (2.0, 2.0)]
)
def test_shadow_prices_are_the_finite_differences_of_utility(
    mode: str, budget: float, ceiling: float
) -> None:
    problem, limits = problem_of(random_returns(5, 12)), Limits(budget, ceiling, 1.0)
    proof = solved(problem, limits, mode).certificate
    h = 1e-6

    def slope(up: Limits, down: Limits) -> float:
        return (solved(problem, up, mode).utility - solved(problem, down, mode).utility) / (2 * h)

    of_budget = slope(limits._replace(budget=budget + h), limits._replace(budget=budget - h))
    of_ceiling = slope(limits._replace(ceiling=ceiling + h), limits._replace(ceiling=ceiling - h))
    assert proof.kappa == pytest.approx(of_budget, rel=2e-3, abs=1e-6)
    assert proof.nu * ceiling == pytest.approx(of_ceiling, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_utility_does_not_fall_when_a_limit_is_loosened(mode: str) -> None:
    problem = problem_of(random_returns(8, 15))
    for ladder in (
        [Limits(budget, 0.02, 1.0) for budget in np.linspace(0.0, 0.1, 25)],
        [Limits(0.03, ceiling, 1.0) for ceiling in np.linspace(0.0, 0.05, 25)],
    ):
        climbed = [solved(problem, limits, mode) for limits in ladder]
        for lower, higher in pairwise(climbed):
            assert higher.utility >= lower.utility - higher.certificate.gap - 1e-15


@given(seed=st.integers(0, 10**6), symbols=st.integers(1, 8), budget=BUDGETS, ceiling=CEILINGS)
@settings(max_examples=40, deadline=None)
def test_the_certificate_bounds_every_weights_within_the_limits(
    seed: int, symbols: int, budget: float, ceiling: float
) -> None:
    problem, limits = problem_of(random_returns(seed, symbols, 120)), Limits(budget, ceiling, 1.0)
    best = solved(problem, limits, "sum_cvar")
    poor = best.w * 0.3
    proof = certify(problem.mu, problem.Sigma, problem.c, limits, poor, gamma=1.7)
    lacking = best.utility - utility(problem.mu, problem.Sigma, poor, 1.0)
    assert proof.gap >= lacking - 1e-15


@given(
    seed=st.integers(0, 10**6),
    days=st.integers(1, 200),
    beta=st.sampled_from([0.5, 0.9, 0.95, 0.975, 0.99]),
    half_life=st.sampled_from([2.0, 10.0, 60.0, 1e6]),
)
@settings(max_examples=60, deadline=None)
def test_cvar_is_the_minimum_of_the_weighted_rockafellar_uryasev_programme(
    seed: int, days: int, beta: float, half_life: float
) -> None:
    returns, p = random_returns(seed, 1, days)[:, 0], day_weights(np.arange(days), half_life)
    # min z + sum p u / (1 - beta), u >= loss - z, u >= 0
    cost = np.concatenate(([1.0], p / (1.0 - beta)))
    rows = -np.column_stack((np.ones(days), np.eye(days)))
    programme = linprog(cost, rows, returns, bounds=[(None, None)] + [(0, None)] * days, method="highs")
    assert cvar(returns[:, None], p, beta)[0] == pytest.approx(programme.fun, abs=1e-9)
    assert -tail_shares(returns, p, beta) @ returns == pytest.approx(programme.fun, abs=1e-9)


def beside_a_riskless_asset(seed: int, rate: float, risky: int, days: int = 400) -> Problem:
    """Return risky symbols beside a price that compounds exactly, but for the rounding of its quotients."""
    price = 100.0 * (1.0 + rate) ** np.arange(days + 1)
    sure = price[1:] / price[:-1] - 1.0
    assert 0.0 < np.ptp(sure) < 1e-13, "rounding alone"
    return problem_of(np.column_stack((sure, random_returns(seed, risky, days)[:, :risky])))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("ceiling", "budget"), [(0.02, 0.05), (0.0, 0.05), (0.005, 0.01)])
@pytest.mark.parametrize("rate", [1e-4, 1e-3])
def test_a_riskless_asset_is_a_case_and_gets_what_another_solver_gives_it(
    mode: str, ceiling: float, budget: float, rate: float
) -> None:
    limits = Limits(budget, ceiling, 1.0)
    alone = beside_a_riskless_asset(1, rate, 0)
    assert solved(alone, limits, mode).w == pytest.approx([1.0])
    assert solved(alone, limits, mode).optimal
    for seed in range(4):
        problem = beside_a_riskless_asset(seed, rate, 3)
        solution = solved(problem, limits, mode)
        assert_within(problem, limits, solution.w, mode)
        assert solution.optimal
        assert solution.utility == pytest.approx(reference_utility(problem, limits, mode), abs=2e-7)
