"""The nearest point of ``Pi = {w >= 0, sum w <= 1, c'w <= B}``, exactly.

======  ====================================  ======
symbol  meaning                               shape
======  ====================================  ======
y       the point to project                  (n,)
c, B    cost of a unit of weight, the budget  (n,), scalar
theta   multiplier of sum w <= 1              scalar
kappa   multiplier of c'w <= B                scalar
======  ====================================  ======

The nearest point is ``w = (y - theta - kappa c)+`` with multipliers that are 0 or make their constraint an
equality. ``c'w`` does not increase with kappa, so kappa is a bracketed root; each step solves the equations
of the support at hand exactly, and ends when the support is right.

References
----------
.. [1] Condat (2016), Fast projection onto the simplex and the l1 ball.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from services.portfolio.measures import Vector

MAX_STEPS: Final = 100  # bisection alone would end in about 60
_EQUAL: Final = 4e-16  # two floats that differ by rounding


class Projected(NamedTuple):
    """The nearest point and the multipliers that prove it."""

    w: Vector
    theta: float
    kappa: float


def project_on_simplex(y: Vector) -> tuple[Vector, float]:
    """Return the nearest point of {w >= 0, sum w <= 1}, and theta [1]_."""
    w = np.maximum(y, 0.0)
    if w.sum() <= 1.0:
        return w, 0.0
    falling = np.sort(y)[::-1]
    thresholds = (np.cumsum(falling) - 1.0) / np.arange(1, len(y) + 1)
    theta = float(thresholds[np.count_nonzero(falling > thresholds) - 1])
    return np.maximum(y - theta, 0.0), theta


def project(y: Vector, c: Vector, B: float, guess: float = 0.0) -> Projected:
    """Return the nearest point of Pi; `guess` is a kappa to try first.

    Notes
    -----
    Where c'w > B at kappa = 0, the root lies in ``(0, max y_i / c_i]``: beyond, nothing that costs is left.
    """
    w, theta = project_on_simplex(y)
    if float(c @ w) <= B:
        return Projected(w, theta, 0.0)
    costly = c > 0.0
    low, high = 0.0, float(np.max(y[costly] / c[costly]))
    kappa = guess if low < guess < high else _root_on_support(y, c, B, w, theta)
    for _ in range(MAX_STEPS):
        if not low < kappa < high:
            kappa = 0.5 * (low + high)
        w, theta = project_on_simplex(y - kappa * c)
        excess = float(c @ w) - B
        if excess > 0.0:
            low = kappa
        else:
            high = kappa
        step = _root_on_support(y, c, B, w, theta)
        if abs(step - kappa) <= _EQUAL * kappa or high - low <= _EQUAL * high:
            break
        kappa = step
    return Projected(w, theta, kappa)


def _root_on_support(y: Vector, c: Vector, B: float, w: Vector, theta: float) -> float:
    """Return the kappa at which ``c'w = B`` (and ``sum w = 1``, if theta > 0) while the support stays."""
    on = w > 0.0
    ys, cs = y[on], c[on]
    cc, cy, c1 = float(cs @ cs), float(cs @ ys), float(cs.sum())
    if theta <= 0.0:
        return (cy - B) / cc if cc > 0.0 else 0.0
    # [n, c1; c1, cc] [theta, kappa] = [sum y - 1, c'y - B]
    determinant = len(ys) * cc - c1 * c1
    if determinant <= 0.0:
        return -1.0  # equal costs: the equations say nothing, and the caller bisects
    return (len(ys) * (cy - B) - c1 * (float(ys.sum()) - 1.0)) / determinant
