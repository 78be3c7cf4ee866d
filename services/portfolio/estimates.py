"""What the optimiser is told of a set of symbols, each from its own days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from services.portfolio.covariance import shrunk_covariance
from services.portfolio.cutting_planes import optimize_portfolio_cvar
from services.portfolio.filling import filled
from services.portfolio.measures import cautious_cvar, cvar, shrunk_mean, unit_cvar, volatility
from services.portfolio.optimizer import optimize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from services.portfolio.certificate import Limits
    from services.portfolio.measures import Matrix, Vector
    from services.portfolio.optimizer import Solution

Mode: TypeAlias = Literal["sum_cvar", "portfolio_cvar"]

FEWEST: Final = 2  # days, of which a volatility can be taken


class Table(NamedTuple):
    """Days of returns, and how much each counts."""

    days: NDArray[np.int64]  # (T,)
    R: Matrix  # (T, n), NaN where a symbol has no return
    F: Matrix  # (T, n), with those days filled in
    p: Vector  # (T,), 1 in all

    def of(self, rows: NDArray[np.bool_]) -> Table:
        """Return some of its days, whose weights are 1 in all again."""
        p = self.p[rows]
        return Table(self.days[rows], self.R[rows], self.F[rows], p / p.sum())


class Estimates(NamedTuple):
    """Numbers per symbol; fractions per day."""

    mu: Vector  # (n,)
    Sigma: Matrix  # (n, n)
    plain: Vector  # (n,), CVaR of a unit of weight
    c: Vector  # (n,), the same with the caution of a volatility known from so many days


def table_of(days: NDArray[np.int64], R: Matrix, p: Vector) -> Table:
    """Return a table, filled."""
    return Table(days, R, filled(R, p, days), p)


def estimated(table: Table, beta: float) -> Estimates:
    """Return mean, covariance and CVaRs; of a symbol with fewer than two days nothing, at a total loss."""
    there = ~np.isnan(table.R)
    alike: dict[bytes, list[int]] = {}  # symbols by the days they have
    for i, own in enumerate(there.T):
        alike.setdefault(own.tobytes(), []).append(i)
    mu, sigma, plain, c = numbers = np.zeros((4, table.R.shape[1]))
    plain[:] = c[:] = 1.0
    for symbols in alike.values():
        own = there[:, symbols[0]]
        if int(own.sum()) >= FEWEST:
            p = table.p[own]
            numbers[:, symbols] = _each(table.R[own][:, symbols], p / p.sum(), beta)
    return Estimates(mu, shrunk_covariance(table.R, table.p, sigma), plain, c)


def _each(R: Matrix, p: Vector, beta: float) -> tuple[Vector, Vector, Vector, Vector]:
    sigma = volatility(R, p)
    return shrunk_mean(R, sigma), sigma, unit_cvar(R, p, beta), cautious_cvar(R, p, beta)


def solved(mode: Mode, known: Estimates, table: Table, beta: float, limits: Limits) -> Solution:
    """Return the weights of greatest utility within the limits, as the mode counts the CVaR."""
    if mode == "sum_cvar":
        return optimize(known.mu, known.Sigma, known.c, limits)
    return optimize_portfolio_cvar(known.mu, known.Sigma, table.F, table.p, beta, limits)


def cost_of(mode: Mode, known: Estimates, table: Table, beta: float, w: Vector) -> float:
    """Return the CVaR of weights as the mode counts it, before any caution of the portfolio."""
    if mode == "sum_cvar":
        return float(known.c @ w)
    return float(cvar((table.F @ w)[:, None], table.p, beta)[0])
