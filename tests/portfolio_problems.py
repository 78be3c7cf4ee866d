"""Portfolio problems to solve: seeded tables of returns, recorded ones, and an independent solver."""

from __future__ import annotations

import csv
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.random import Generator, Philox

from services.portfolio.covariance import shrunk_covariance
from services.portfolio.measures import (
    HALF_LIFE_DAYS,
    cautious_cvar,
    cvar,
    day_weights,
    shrunk_mean,
    volatility,
)
from tests.recordings import DATA

if TYPE_CHECKING:
    from services.portfolio.certificate import Limits
    from services.portfolio.measures import Matrix, Vector

PRICES = DATA / "daily_prices_binance" / "closes_core12_common.csv"
BETA = 0.95


class Problem(NamedTuple):
    """A table of returns, how much its days count, and what is estimated from it."""

    R: Matrix
    p: Vector
    mu: Vector
    Sigma: Matrix
    c: Vector


def problem_of(R: Matrix, half_life: float = HALF_LIFE_DAYS) -> Problem:
    p = day_weights(np.arange(len(R)), half_life)
    sigma = volatility(R, p)
    return Problem(R, p, shrunk_mean(R, sigma), shrunk_covariance(R, p, sigma), cautious_cvar(R, p, BETA))


def random_returns(seed: int, symbols: int, days: int = 1000, factors: int = 3) -> Matrix:
    """Return a few heavy-tailed factors with loadings around .5, and noise of each symbol's own."""
    draw = Generator(Philox(key=seed))
    common = draw.standard_t(4, (days, factors)) * 0.012
    loadings = draw.normal(0.8, 0.4, (symbols, factors))
    own = draw.standard_t(4, (days, symbols)) * 0.02 * draw.uniform(0.3, 1.5, symbols)
    return np.maximum(common @ loadings.T + own + draw.normal(0.0003, 0.001, symbols), -0.99)


def recorded_returns() -> tuple[tuple[str, ...], Matrix]:
    """Return the twelve recorded series over consecutive days."""
    with PRICES.open() as lines:
        header, *rows = csv.reader(lines)
    days = np.array([row[0] for row in rows], dtype="datetime64[D]").astype(np.int64)
    closes = np.array([[float(price) for price in row[1:]] for row in rows])
    consecutive = np.diff(days) == 1
    return tuple(header[1:]), (closes[1:] / closes[:-1] - 1.0)[consecutive]


def assert_within(problem: Problem, limits: Limits, w: Vector, mode: str) -> None:
    """Hold the weights against the plain measures of every limit."""
    cost = problem.c @ w if mode == "sum_cvar" else cvar((problem.R @ w)[:, None], problem.p, BETA)[0]
    assert (w >= 0.0).all()
    assert w.sum() <= 1.0 + 1e-9
    assert cost <= limits.budget + 1e-9
    assert float(w @ problem.Sigma @ w) ** 0.5 <= limits.ceiling + 1e-9


def reference_utility(problem: Problem, limits: Limits, mode: str) -> float:
    """Return the greatest utility as cvxpy and CLARABEL find it, CVaR as a Rockafellar-Uryasev programme."""
    cp: Any = import_module("cvxpy")  # a second to import, and its types miss what it exports

    days, symbols = problem.R.shape
    values, vectors = np.linalg.eigh(problem.Sigma)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    w: Any = cp.Variable(symbols)
    limited = [w >= 0, cp.sum(w) <= 1, cp.norm(root @ w) <= limits.ceiling]
    if mode == "sum_cvar":
        limited.append(problem.c @ w <= limits.budget)
    else:
        threshold, excess = cp.Variable(), cp.Variable(days)
        limited += [excess >= 0, excess >= -problem.R @ w - threshold]
        limited.append(threshold + problem.p @ excess / (1 - BETA) <= limits.budget)
    utility = problem.mu @ w - limits.gamma0 / 2 * cp.sum_squares(root @ w)
    asked = cp.Problem(cp.Maximize(utility), limited)
    asked.solve(solver=cp.CLARABEL)
    return float(asked.value)


class FactorWorld:
    """A market whose true CVaR is known: one factor and own moves, both of Student's t with 4 degrees."""

    def __init__(self, seed: int, symbols: int) -> None:
        self._draw = Generator(Philox(key=seed))
        self._loadings = self._draw.normal(1.0, 0.3, symbols)
        self._own = self._draw.uniform(0.01, 0.03, symbols)
        self._future = self.returns(10_000)

    def returns(self, days: int) -> Matrix:
        """Return days of it, (days, symbols), fractions."""
        common = self._draw.standard_t(4, days) * 0.03 / 2**0.5
        own = self._draw.standard_t(4, (days, len(self._own))) * self._own / 2**0.5
        return np.maximum(np.outer(common, self._loadings) + own + 0.0005, -0.99)

    def cvar(self, w: Vector) -> float:
        """Return the true CVaR of these weights, to a few percent: that of 10,000 days of their own."""
        returns = self._future @ w
        return float(-np.sort(returns)[: len(returns) // 20].mean())
