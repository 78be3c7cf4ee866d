"""The weights of greatest utility under the portfolio's own CVaR, by cutting planes.

======  =============================================  ================  ======
symbol  meaning                                        unit              shape
======  =============================================  ================  ======
R       simple returns, one row a day                  fraction per day  (T, n)
p       weight of each day, 1 in all                   1                 (T,)
g       average loss of each symbol in a tail of days  fraction per day  (n,)
G       the cuts so far, one a row                     fraction per day  (m, n)
======  =============================================  ================  ======

CVaR is the largest average loss over all tails of its size, so each tail gives a linear cut ``g'w <= B`` that
every portfolio within the budget obeys, and that of the portfolio's own worst days is an equality there.
Masters with ever more cuts are solved until the worst days of a solution bring no new one.

The objective is quadratic, and SciPy's HiGHS solves linear programmes only, so the master is no linear
programme of tangents, whose number would grow with the curvature, but the quadratic one itself: an active
set that starts from the last one, or, where that cycles, the least-distance programme [1]_ by non-negative
least squares.

References
----------
.. [1] Lawson & Hanson (1974), Solving least squares problems, chapter 23, problem LDP.
.. [2] Rockafellar & Uryasev (2002), Conditional value-at-risk for general loss distributions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from services.portfolio.active_set import Face, Program, settle
from services.portfolio.certificate import Certificate, Limits, certify_rows
from services.portfolio.measures import cvar, tail_shares, unit_cvar
from services.portfolio.optimizer import (
    GAP,
    GAP_FLOOR,
    LEAST_CEILING,
    MORE,
    WORKING_SET,
    Solution,
    at_ceiling,
    optimize,
    promising,
    within_limits,
)

if TYPE_CHECKING:
    from services.portfolio.measures import Matrix, Vector

MAX_CUTS: Final = 300
LEAST_COST: Final = 1e-12  # relative: a solution over budget by less brings no new cut
_RIDGE: Final = 1e-10  # relative to the largest variance, so that what is constant has some too


def optimize_portfolio_cvar(
    mu: Vector, Sigma: Matrix, R: Matrix, p: Vector, beta: float, limits: Limits
) -> Solution:
    """Return the best weights whose own CVaR over the days of R, weighted by p, is within the budget.

    Notes
    -----
    By subadditivity the best weights under the sum of the symbols' CVaRs are a start within this budget.
    """
    best = optimize(mu, Sigma, unit_cvar(R, p, beta), limits)
    if not (mu > 0.0).any():
        return best
    reachable = limits._replace(ceiling=max(limits.ceiling, LEAST_CEILING))
    master = _Master(mu, Sigma, reachable)
    start = best.w if best.w.any() else np.full(len(mu), 1.0 / len(mu))
    master.add(-tail_shares(R @ start, p, beta) @ R)
    bound, prices = np.inf, best.certificate
    for _ in range(MAX_CUTS):
        w, proof = master.solve()
        cost = float(cvar((R @ w)[:, None], p, beta)[0])
        found = within_limits(mu, Sigma, w, cost, limits, proof)
        if found.utility + found.certificate.gap < bound:
            bound, prices = found.utility + found.certificate.gap, found.certificate
        if found.utility > best.utility:
            best = found
        gap = max(0.0, bound - best.utility)
        if gap <= GAP * abs(best.utility) + GAP_FLOOR or cost <= limits.budget * (1.0 + LEAST_COST):
            break
        if not master.add(-tail_shares(R @ w, p, beta) @ R):
            break  # the rest is rounding
    optimal = gap <= GAP * abs(best.utility) + GAP_FLOOR
    return Solution(best.w, prices._replace(gap=gap), best.utility, optimal)


class _Master:
    """The relaxation by the cuts so far, on a working set of symbols; changes in place."""

    def __init__(self, mu: Vector, Sigma: Matrix, limits: Limits) -> None:
        self._mu = mu
        self._Sigma = Sigma
        self._limits = limits
        self._G = np.zeros((0, len(mu)))
        small = len(mu) <= WORKING_SET
        self._working = np.arange(len(mu)) if small else promising(mu, Sigma, np.diag(Sigma))
        self._support = np.zeros(len(mu), dtype=np.bool_)
        self._tight = np.zeros(1, dtype=np.bool_)

    def add(self, g: Vector) -> bool:
        """Add a cut, and expect it to hold with equality; tell whether it is new.

        One of a tail without losses always holds, and is none.
        """
        if not g.any() or (g == self._G).all(axis=1).any():
            return False
        self._G = np.vstack((self._G, g))
        self._tight = np.append(self._tight, np.True_)
        return True

    def solve(self) -> tuple[Vector, Certificate]:
        """Return the weights, and their certificate: ``f + gap`` bounds every portfolio within the cuts."""
        while True:
            face, t = self._solve_on_working()
            w, lam = np.zeros(len(self._mu)), face.multipliers(t)
            w[self._working] = face.weights(t)
            self._support, self._tight = w > 0.0, face.tight
            gamma = 1.0 / t
            proof = certify_rows(self._mu, self._Sigma, self._G, lam[1:], self._limits, w, gamma)
            worth = self._mu - gamma * (self._Sigma @ w) - lam[0] - lam[1:] @ self._G
            worth[self._working] = 0.0
            missing = np.flatnonzero(worth > GAP * 1e-3 * float(np.abs(self._mu).max()))
            if not missing.size:
                return w, proof
            more = missing[np.argsort(-worth[missing], kind="stable")[:MORE]]
            self._working = np.sort(np.concatenate((self._working, more)))

    def _solve_on_working(self) -> tuple[Face, float]:
        on = self._working
        A = np.vstack((np.ones(len(on)), self._G[:, on]))
        b = np.full(len(A), self._limits.budget)
        b[0] = 1.0
        program = Program(self._mu[on], self._Sigma[np.ix_(on, on)], A, b)
        nothing = np.zeros(0)
        start = Face(nothing, nothing, nothing, nothing, self._support[on], self._tight)

        def find(t: float, guess: Face | None) -> Face:
            return _find(program, t, guess)

        return at_ceiling(program, self._limits, find, start)


def _find(program: Program, t: float, guess: Face | None) -> Face:
    """Return the optimal face at `t`: from a guess, else from the least-distance programme."""
    face = None if guess is None else settle(program, t, guess.support, guess.tight)
    if face is not None:
        return face
    w, lam = least_distance(program, t)
    support, tight = w > 0.0, lam > 0.0
    face = settle(program, t, support, tight)
    none = np.zeros(len(w))
    return face or Face(w / t, none, lam / t, np.zeros(len(lam)), support, tight)


def least_distance(program: Program, t: float) -> tuple[Vector, Vector]:
    """Return weights and rows' multipliers (times t) of the programme at `t` [1]_.

    Notes
    -----
    With ``Sigma = L L'`` and ``x = L'w - t L^-1 mu`` it is ``min |x|`` under ``E x >= k``; the residual r of
    the non-negative least squares ``[E'; k'] y = (0, ..., 0, 1)`` gives ``x = -r / r_last``, and y the
    multipliers.
    """
    number = len(program.mu)
    largest = float(np.diag(program.Sigma).max(initial=0.0))
    ridge = _RIDGE * largest if largest > 0.0 else t * float(np.abs(program.mu).max())
    L = np.linalg.cholesky(program.Sigma + ridge * np.eye(number))
    inverse = np.linalg.solve(L, np.eye(number))
    rows = np.vstack((np.eye(number), -program.A))
    centre = t * inverse.T @ (inverse @ program.mu)
    E = rows @ inverse.T
    k = np.concatenate((np.zeros(number), -program.b)) - rows @ centre
    size = np.linalg.norm(E, axis=1)
    reach = float(np.abs(k / size).max())
    matrix = np.vstack(((E / size[:, None]).T, k / size / reach))
    from scipy.optimize import nnls  # noqa: PLC0415 -- half of the service's start, and the first risk needs none

    y, _ = nnls(matrix, np.eye(number + 1)[-1], maxiter=10 * matrix.shape[1])
    r = matrix @ y
    r[-1] -= 1.0
    x = -r[:-1] / r[-1] * reach
    w = np.asarray(inverse.T @ x + centre)
    on = y[:number] == 0.0
    multipliers = y[number:] / size[number:] / -r[-1] * reach
    return np.where(on, np.maximum(w, 0.0), 0.0), multipliers
