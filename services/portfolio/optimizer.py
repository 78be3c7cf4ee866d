"""The weights of greatest utility within a CVaR budget and a volatility ceiling.

======  =====================================================  ================  ======
symbol  meaning                                                unit              shape
======  =====================================================  ================  ======
w       weights; cash is 1 - sum w                             1                 (n,)
mu      expected return                                        fraction per day  (n,)
Sigma   covariance                                             squared fraction  (n, n)
c       CVaR of one unit of weight                             fraction per day  (n,)
B       CVaR budget                                            fraction per day  scalar
s*      volatility ceiling                                     fraction per day  scalar
gamma   risk aversion, at least gamma0; t = 1/gamma            1 / fraction      scalar
======  =====================================================  ================  ======

``max mu'w - gamma0/2 w'Sigma w`` on ``{w >= 0, sum w <= 1, c'w <= B, sqrt(w'Sigma w) <= s*}``. For a given
gamma the projected gradient finds which symbols and limits take part, and their linear equations give the
weights exactly; the gamma at which volatility meets its ceiling is a one-dimensional root.

References
----------
.. [1] Beck & Teboulle (2009), A fast iterative shrinkage-thresholding algorithm.
.. [2] O'Donoghue & Candes (2015), Adaptive restart for accelerated gradient schemes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from services.portfolio.active_set import Face, Program, settle
from services.portfolio.certificate import Certificate, Limits, certify, utility
from services.portfolio.projection import project

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.portfolio.measures import Matrix, Vector

GAP: Final = 1e-8  # relative to |f|: what is called optimal
GAP_FLOOR: Final = 1e-13  # fraction per day, where f is 0
WORKING_SET: Final = 50  # symbols above which only the promising ones are looked at first
FIRST: Final = 16  # taken by each of three orders
MORE: Final = 24  # added at most per round
ROUNDS: Final = 60
STEPS: Final = 4_000  # of the projected gradient
STRIDE: Final = 20  # steps between two attempts to finish exactly
ROOT_STEPS: Final = 80
LEAST_CEILING: Final = 1e-13  # fraction per day; below, what moves at all is left out
_MET: Final = 1e-13  # relative, of a volatility at its ceiling


class Solution(NamedTuple):
    """Weights within the limits, and the proof of how good they are."""

    w: Vector
    certificate: Certificate
    utility: float
    optimal: bool  # the gap is below its tolerance


def optimize(mu: Vector, Sigma: Matrix, c: Vector, limits: Limits) -> Solution:
    """Return the best weights under ``c'w <= B``.

    Parameters
    ----------
    limits
        Finite; budget and ceiling at least 0, gamma0 positive.
    """
    if not (mu > 0.0).any():
        return Solution(np.zeros(len(mu)), Certificate(0.0, 0.0, 0.0, 0.0), 0.0, optimal=True)
    reachable = limits._replace(ceiling=max(limits.ceiling, LEAST_CEILING))
    w, gamma = np.zeros(len(mu)), limits.gamma0
    free = np.flatnonzero((c <= 0.0) | (limits.budget > 0.0))  # without a budget only what costs none
    if (mu[free] > 0.0).any():
        solve = _solve if free.size <= WORKING_SET else _solve_by_working_set
        w[free], gamma = solve(mu[free], Sigma[np.ix_(free, free)], c[free], reachable)
    proof = certify(mu, Sigma, c, reachable, w, gamma)
    return within_limits(mu, Sigma, w, float(c @ w), limits, proof)


def within_limits(
    mu: Vector, Sigma: Matrix, w: Vector, cost: float, limits: Limits, proof: Certificate
) -> Solution:
    """Return `w`, scaled to be exactly within the limits, with what its certificate then proves."""
    scaled = shrunk_to_limits(w, Sigma, cost, limits)
    f = utility(mu, Sigma, scaled, limits.gamma0)
    lost = utility(mu, Sigma, w, limits.gamma0) - f
    gap = max(0.0, proof.gap + lost)
    return Solution(scaled, proof._replace(gap=gap), f, gap <= GAP * abs(f) + GAP_FLOOR)


def shrunk_to_limits(w: Vector, Sigma: Matrix, cost: float, limits: Limits) -> Vector:
    """Return `w` scaled by ``min(1, s*/vol, B/cost, 1/sum w)``: within every limit, whatever the rounding."""
    if limits.ceiling < LEAST_CEILING:
        w = np.where(np.diag(Sigma) > 0.0, 0.0, w)
    volatility = float(np.sqrt(max(0.0, float(w @ Sigma @ w))))
    scale = 1.0
    for limit, used in ((limits.ceiling, volatility), (limits.budget, cost), (1.0, float(w.sum()))):
        if used > limit:
            scale = min(scale, limit / used)
    return w * scale


def at_ceiling(
    program: Program, limits: Limits, find: Callable[[float, Face | None], Face], start: Face | None
) -> tuple[Face, float]:
    """Return the optimal face, and the largest t up to 1/gamma0 at which it stays below the ceiling.

    Notes
    -----
    Volatility rises with t. Each step goes to where the face at hand meets the ceiling, and ends when that is
    also the face there; bisection takes over where a face promises nothing within the bracket.
    """
    low, high = 0.0, 1.0 / limits.gamma0
    t = high
    face = find(t, start)
    if program.volatility(face.weights(t)) <= limits.ceiling:
        return face, t
    for _ in range(ROOT_STEPS):
        promised = face.tolerance_at(program.Sigma, limits.ceiling)
        t = promised if promised is not None and low < promised < high else 0.5 * (low + high)
        face = find(t, face)
        used = program.volatility(face.weights(t)) / limits.ceiling
        if abs(used - 1.0) <= _MET or high - low <= _MET * high:
            break
        low, high = (t, high) if used < 1.0 else (low, t)
    return face, t


def _solve(
    mu: Vector, Sigma: Matrix, c: Vector, limits: Limits, start: Vector | None = None
) -> tuple[Vector, float]:
    A, b = np.vstack((np.ones(len(mu)), c)), np.array([1.0, limits.budget])
    program = Program(mu, Sigma, A, b)
    lipschitz = float(np.linalg.eigvalsh(Sigma)[-1])
    find = partial(_find, program, lipschitz)
    face = None if start is None else _face_of(program, start, 1.0 / limits.gamma0, (0.0, 0.0))
    face, t = at_ceiling(program, limits, find, face)
    return face.weights(t), 1.0 / t


def _find(program: Program, lipschitz: float, t: float, start: Face | None) -> Face:
    """Return the optimal face at `t`: from the last one, else by projected gradients [1]_ [2]_."""
    if start is not None:
        face = settle(program, t, start.support, start.tight)
        if face is not None:
            return face
    mu, Sigma, (_, c), B = program.mu, program.Sigma, program.A, float(program.b[1])
    w = np.zeros(len(mu)) if start is None else start.weights(t)
    if lipschitz <= 0.0:  # nothing moves: a linear programme, whose solution one long step finds
        lipschitz = float(np.abs(mu).max()) * t * 1e-6
    y, momentum, kappa = w, 1.0, 0.0
    theta = 0.0
    for step in range(1, STEPS + 1):
        before = w
        w, theta, kappa = project(y - (Sigma @ y - t * mu) / lipschitz, c, B, kappa)
        moved = w - before
        if float((y - w) @ moved) > 0.0:  # the momentum points uphill
            momentum = 1.0
        grown = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        y, momentum = w + (momentum - 1.0) / grown * moved, grown
        if step % STRIDE == 0:
            face = settle(program, t, w > 0.0, np.array([theta > 0.0, kappa > 0.0]))
            if face is not None:
                return face
            if not moved.any():
                break
    return _face_of(program, w, t, (theta, kappa))


def _face_of(program: Program, w: Vector, t: float, prices: tuple[float, float]) -> Face:
    tight = np.array(prices) > 0.0
    none, nothing = np.zeros(len(w)), np.zeros(len(program.b))
    return Face(w / t, none, nothing, nothing, w > 0.0, tight)


def _solve_by_working_set(mu: Vector, Sigma: Matrix, c: Vector, limits: Limits) -> tuple[Vector, float]:
    """Solve on the promising symbols, then take in those that the prices say are worth it."""
    working = promising(mu, Sigma, c)
    w, gamma = np.zeros(len(mu)), limits.gamma0
    for _ in range(ROUNDS):
        start = w[working] if w.any() else None
        inside = np.ix_(working, working)
        part, gamma = _solve(mu[working], Sigma[inside], c[working], limits, start)
        w = np.zeros(len(mu))
        w[working] = part
        proof = certify(mu[working], Sigma[inside], c[working], limits, part, gamma)
        worth = mu - gamma * (Sigma[:, working] @ part) - proof.theta - proof.kappa * c
        worth[working] = 0.0
        missing = np.flatnonzero(worth > GAP * 1e-3 * float(np.abs(mu).max()))
        if not missing.size:
            break
        best = missing[np.argsort(-worth[missing], kind="stable")[:MORE]]
        working = np.sort(np.concatenate((working, best)))
    return w, gamma


def promising(mu: Vector, Sigma: Matrix, c: Vector) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the symbols that lead in return, in return per volatility, or in return per CVaR."""
    sigma = np.sqrt(np.diag(Sigma))
    orders = (mu, mu / np.maximum(sigma, 1e-9), mu / np.maximum(c, 1e-9))
    firsts = [np.argsort(-order, kind="stable")[:FIRST] for order in orders]
    return np.unique(np.concatenate(firsts))
