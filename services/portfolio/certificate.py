"""How far from the best a portfolio can be, proven by duality; and the prices of the limits.

======  ===========================================  ==================  ======
symbol  meaning                                      unit                shape
======  ===========================================  ==================  ======
f       utility ``mu'w - gamma0/2 w'Sigma w``        fraction per day    scalar
gamma   gamma0 + nu, nu the price of variance        1 / fraction        scalar
theta   price of sum w <= 1                          fraction per day    scalar
kappa   price of c'w <= B                            return per CVaR     scalar
r       gradient ``mu - gamma Sigma w``              fraction per day    (n,)
======  ===========================================  ==================  ======

For every w' within the limits, f is concave and ``w'Sigma w' <= s*^2``, so
``f(w') <= f(w) + max_Pi r'w' - r'w + nu/2 (s*^2 - w'Sigma w)``, and by linear duality the maximum is at most
``theta + kappa B`` with theta = max(0, max_i(r_i - kappa c_i)), for any kappa >= 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from services.portfolio.measures import Matrix, Vector

_MAX_STEPS: Final = 200  # each takes another line of the envelope; a handful suffices


class Limits(NamedTuple):
    """What a portfolio is asked for: the numbers of the problem that are no data."""

    budget: float  # B, fraction per day
    ceiling: float  # s*, volatility, fraction per day
    gamma0: float  # risk aversion


class Certificate(NamedTuple):
    """A proven bound ``f* - f(w) <= gap``, and the shadow prices that prove it."""

    gap: float  # fraction per day
    theta: float
    kappa: float
    nu: float


def utility(mu: Vector, Sigma: Matrix, w: Vector, gamma0: float) -> float:
    """Return f(w)."""
    return float(mu @ w - 0.5 * gamma0 * (w @ Sigma @ w))


def best_kappa(r: Vector, c: Vector, B: float) -> float:
    """Return the kappa >= 0 that minimises ``kappa B + max(0, max_i(r_i - kappa c_i))``.

    Notes
    -----
    An envelope of lines: from one that falls and one that rises, the higher line at their crossing replaces
    the one of its kind, until there is none.
    """
    top = int(np.argmax(r))
    if r[top] <= 0.0 or c[top] <= B:
        return 0.0
    falling, rising = (float(r[top]), float(c[top])), (0.0, 0.0)  # (r, c); the second is cash
    kappa = 0.0
    for _ in range(_MAX_STEPS):
        kappa = (falling[0] - rising[0]) / (falling[1] - rising[1])
        height = r - kappa * c
        top = int(np.argmax(height))
        level = falling[0] - kappa * falling[1]
        if max(0.0, float(height[top])) <= level + 1e-15 * abs(falling[0]):
            break
        line = (float(r[top]), float(c[top]))
        if line in (falling, rising):
            break  # the crossing is exact but for rounding
        if c[top] > B:
            falling = line
        else:
            rising = line
    return max(kappa, 0.0)


def certify(mu: Vector, Sigma: Matrix, c: Vector, limits: Limits, w: Vector, gamma: float) -> Certificate:
    """Return the certificate of `w` under one linear budget.

    Parameters
    ----------
    w
        At least 0. If it exceeds a limit by rounding, ``f(w) + gap`` is a bound of f* nevertheless.
    gamma
        At least gamma0; any such value proves a bound, that of the optimum the tightest.
    """
    Sw = Sigma @ w
    r = mu - gamma * Sw
    kappa = best_kappa(r, c, limits.budget)
    theta = max(0.0, float(np.max(r - kappa * c)))
    return _certificate(r, Sw, limits, w, gamma, (theta, kappa))


def certify_rows(
    mu: Vector, Sigma: Matrix, G: Matrix, prices: Vector, limits: Limits, w: Vector, gamma: float
) -> Certificate:
    """Return the certificate of `w` under rows ``G w <= B`` of given prices; kappa is the sum of these."""
    Sw = Sigma @ w
    r = mu - gamma * Sw
    theta = max(0.0, float(np.max(r - prices @ G)))
    return _certificate(r, Sw, limits, w, gamma, (theta, float(prices.sum())))


def _certificate(
    r: Vector, Sw: Vector, limits: Limits, w: Vector, gamma: float, prices: tuple[float, float]
) -> Certificate:
    theta, kappa = prices
    nu = gamma - limits.gamma0
    unused = limits.ceiling**2 - float(w @ Sw)
    gap = theta + kappa * limits.budget - float(r @ w) + 0.5 * nu * unused
    return Certificate(gap, theta, kappa, nu)
