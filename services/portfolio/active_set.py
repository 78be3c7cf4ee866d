"""A quadratic programme on one of its faces, solved exactly for every risk tolerance at once.

======  ======================================================  ================  ======
symbol  meaning                                                 unit              shape
======  ======================================================  ================  ======
w       weights                                                 1                 (n,)
mu      expected return                                         fraction per day  (n,)
Sigma   covariance                                              squared fraction  (n, n)
A, b    rows of ``A w <= b``: the whole first, budgets after    1; fraction       (m, n), (m,)
t       risk tolerance 1 / gamma                                1 / fraction      scalar
lam     multipliers of the rows, times t                        1                 (m,)
======  ======================================================  ================  ======

The programme is ``min w'Sigma w / 2 - t mu'w`` on ``{w >= 0, A w <= b}``. On a face, the support and the rows
that hold with equality are fixed, its conditions are linear, and ``w = t u + v`` (Markowitz's critical line).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from services.portfolio.measures import Matrix, Vector

MAX_ROUNDS: Final = 12  # of the active-set iteration, which settles in a few or not at all
_TINY: Final = 1e-12  # relative to the largest number of its kind: no violation, but rounding


@dataclass(frozen=True)
class Program:
    """The data of a programme."""

    mu: Vector
    Sigma: Matrix
    A: Matrix
    b: Vector

    def volatility(self, w: Vector) -> float:
        """Return the standard deviation of these weights."""
        return float(np.sqrt(max(0.0, float(w @ self.Sigma @ w))))


@dataclass(frozen=True)
class Face:
    """The solutions ``w = t u + v`` while support and tight rows stay."""

    u: Vector
    v: Vector
    lam_u: Vector
    lam_v: Vector
    support: NDArray[np.bool_]
    tight: NDArray[np.bool_]

    def weights(self, t: float) -> Vector:
        """Return the weights at this tolerance, without rounding's negatives."""
        return np.asarray(np.maximum(t * self.u + self.v, 0.0))

    def multipliers(self, t: float) -> Vector:
        """Return the rows' multipliers of the problem in units of return, at least 0."""
        return np.asarray(np.maximum(t * self.lam_u + self.lam_v, 0.0) / t)

    def tolerance_at(self, Sigma: Matrix, ceiling: float) -> float | None:
        """Return the t at which the volatility of this face is `ceiling`; None where it never is.

        Notes
        -----
        The larger root of ``u'Su t^2 + 2 u'Sv t + v'Sv - ceiling^2``: volatility rises with tolerance.
        """
        Su = Sigma @ self.u
        a, half_b = float(self.u @ Su), float(self.v @ Su)
        constant = float(self.v @ Sigma @ self.v) - ceiling**2
        discriminant = half_b**2 - a * constant
        if a <= 0.0 or discriminant < 0.0:
            return None
        root = float(np.sqrt(discriminant))
        # of the two equal forms the one that does not subtract near-equal numbers
        return (root - half_b) / a if half_b <= 0.0 else -constant / (root + half_b)


def settle(program: Program, t: float, support: NDArray[np.bool_], tight: NDArray[np.bool_]) -> Face | None:
    """Return the face that is optimal at `t`, sought from a guess; None if it is not found soon.

    Notes
    -----
    Primal-dual active sets (Hintermueller, Ito & Kunisch 2003): solve the face, then drop what is negative
    and add what is violated, all at once. It may cycle, so it is bounded, and its caller has another way.
    """
    for _ in range(MAX_ROUNDS):
        face = _solved(program, support, tight)
        if face is None:
            return None
        w, lam = t * face.u + face.v, t * face.lam_u + face.lam_v
        slack = program.Sigma @ w - t * program.mu + program.A.T @ lam  # >= 0 off the support
        loose = program.A @ w - program.b  # <= 0 off the tight rows
        scale_w, scale_s = float(np.abs(w).max(initial=0.0)), t * float(np.abs(program.mu).max())
        next_support = np.where(support, w > -_TINY * scale_w, slack < -_TINY * scale_s)
        next_tight = np.where(tight, lam >= -_TINY * scale_s, loose > _TINY * np.maximum(program.b, _TINY))
        if (next_support == support).all() and (next_tight == tight).all():
            return face
        support, tight = next_support, next_tight
    return None


def _solved(program: Program, support: NDArray[np.bool_], tight: NDArray[np.bool_]) -> Face | None:
    on, rows = np.flatnonzero(support), np.flatnonzero(tight)
    size, number = len(on), len(rows)
    matrix = np.zeros((size + number, size + number))
    matrix[:size, :size] = program.Sigma[np.ix_(on, on)]
    matrix[:size, size:] = program.A[np.ix_(rows, on)].T
    matrix[size:, :size] = matrix[:size, size:].T
    right = np.zeros((size + number, 2))
    right[:size, 0] = program.mu[on]
    right[size:, 1] = program.b[rows]
    try:
        found = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(found).all():
        return None
    both, multipliers = np.zeros((len(program.mu), 2)), np.zeros((len(program.b), 2))
    both[on], multipliers[rows] = found[:size], found[size:]
    return Face(both[:, 0], both[:, 1], multipliers[:, 0], multipliers[:, 1], support, tight)
