"""What a table of weighted returns says: CVaR, volatility and shrunk mean.

======  ===============================================  ================  ======
symbol  meaning                                          unit              shape
======  ===============================================  ================  ======
R       simple returns, one row a day, oldest first      fraction per day  (T, n)
p       weight of each day, 1 in all                     1                 (T,)
H       age at which a day weighs half as much           days              scalar
Te      effective number of days, 1 / sum p^2            days              scalar
beta    confidence level of the CVaR; alpha = 1 - beta   1                 scalar
mu      shrunk expected return                           fraction per day  (n,)
sigma   weighted standard deviation                      fraction per day  (n,)
c       CVaR of one unit of weight, at least 0           fraction per day  (n,)
======  ===============================================  ================  ======

Volatility and CVaR are those of the present, so days fade; the mean is that of all days alike, since its
error depends on the length of the history only [6]_.

References
----------
.. [1] Rockafellar & Uryasev (2002), Conditional value-at-risk for general loss distributions, Prop. 8.
.. [2] Boudoukh, Richardson & Whitelaw (1998), The best of both worlds: historical simulation with weights
   that fall with age.
.. [3] Jorion (1986), Bayes-Stein estimation for portfolio analysis.
.. [4] Acerbi & Tasche (2002), On the coherence of expected shortfall.
.. [5] Kish (1965), Survey sampling, 11.7: the effective size of a weighted sample.
.. [6] Merton (1980), On estimating the expected return on the market.
.. [7] Abramowitz & Stegun (1972), 26.4.17 (Wilson & Hilferty).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vector: TypeAlias = "NDArray[np.float64]"
Matrix: TypeAlias = "NDArray[np.float64]"

HALF_LIFE_DAYS: Final = 60.0  # of a day's weight, unless settings say otherwise
PRIOR_SHARPE: Final = 0.02  # S0, per day: what every symbol's Sharpe ratio is shrunk to
PRIOR_DAYS: Final = 1000  # T0: how many days of evidence the prior is worth
CAUTION: Final = 0.10  # lower quantile of chi squared: the variance is under-estimated no more often than so
SAME_RETURN: Final = 1e-13  # some hundred roundings of a price ratio near 1
_FADED: Final = 20.0  # half-lives
_LOWEST: Final = 4  # times alpha T: the rows among which the tail of a table is sought first
_SMALL: Final = 20_000  # numbers that are sorted as fast as they are sifted


def day_weights(days: NDArray[np.int64], half_life: float) -> Vector:
    """Return p: each day's weight, that of the newest halved for every `half_life` days of age [2]_.

    After 20 of them, at a millionth, it stays: where the newest day is left out, or there is a long hole, the
    others still have weights.
    """
    weights = np.exp2(np.maximum((days - days[-1]) / half_life, -_FADED))
    return np.asarray(weights / weights.sum())


def effective_days(p: Vector) -> float:
    """Return Te, the number of equal days whose mean would be as certain [5]_."""
    return float(1.0 / (p @ p))


def tail_shares(returns: Vector, p: Vector, beta: float) -> Vector:
    """Return each day's share of the tail, 1 in all: ``CVaR = -shares'returns``.

    Notes
    -----
    From the worst day on, each takes its weight until alpha is used up; the last takes what is left [1]_.
    """
    order = np.argsort(returns, kind="stable")
    used = np.minimum(np.cumsum(p[order]), 1.0 - beta)
    shares = np.empty(len(returns))
    shares[order] = np.diff(used, prepend=0.0) / used[-1]
    return shares


def cvar(R: Matrix, p: Vector, beta: float) -> Vector:
    """Return the expected loss of each column in the worst 1 - beta of the weight; negative for a sure gain.

    Notes
    -----
    ``(sum p_(j) L_(j) + (alpha - sum p_(j)) L_(k)) / alpha`` over the largest losses whose weights sum to
    alpha at most [1]_; where the worst day weighs more than alpha, its loss.
    """
    alpha = 1.0 - beta
    lowest = int(_LOWEST * alpha * len(R)) + 1
    if R.size > _SMALL and lowest < len(R) // 2:
        rows = np.argpartition(R, lowest, axis=0)[:lowest]
        if (p[rows].sum(axis=0) >= alpha).all():
            return _tail_loss(np.take_along_axis(R, rows, axis=0), p[rows], alpha)
    return _tail_loss(R, np.broadcast_to(p[:, None], R.shape), alpha)


def _tail_loss(R: Matrix, p: Matrix, alpha: float) -> Vector:
    order = np.argsort(R, axis=0, kind="stable")
    used = np.minimum(np.cumsum(np.take_along_axis(p, order, axis=0), axis=0), alpha)
    mass = np.diff(used, axis=0, prepend=0.0)
    return np.asarray(-(mass * np.take_along_axis(R, order, axis=0)).sum(axis=0) / used[-1])


def unit_cvar(R: Matrix, p: Vector, beta: float) -> Vector:
    """Return c: the CVaR of one unit of weight, where a negative one would buy budget and counts as 0."""
    return np.maximum(cvar(R, p, beta), 0.0)


def cautious_cvar(R: Matrix, p: Vector, beta: float) -> Vector:
    """Return c as limits use it: not below that of a normal law whose volatility is cautious.

    Notes
    -----
    ``max(c, k sigma a)`` with `a` of `volatility_caution` and k of `normal_cvar`.
    """
    cautious = volatility_caution(effective_days(p)) * normal_cvar(R, p, beta)
    return np.asarray(np.maximum(unit_cvar(R, p, beta), cautious))


def normal_cvar(R: Matrix, p: Vector, beta: float) -> Vector:
    """Return ``k sigma``, the CVaR of a normal law of mean 0: ``k = phi(z) / (1 - beta)``, 2.063 at .95."""
    z = NormalDist().inv_cdf(beta)
    return np.asarray(NormalDist().pdf(z) / (1.0 - beta) * volatility(R, p))


def volatility_caution(effective: float) -> float:
    """Return the upper 90 % limit of sigma over its estimate, from so many effective days (2 at least).

    Notes
    -----
    ``sqrt(nu / chi2_{.10, nu})``, nu = Te - 1, with the quantile of Wilson & Hilferty [7]_, which takes any
    nu: ``chi2 = nu (1 - 2/(9 nu) + z sqrt(2/(9 nu)))^3``.
    """
    spread = 2.0 / (9.0 * max(effective - 1.0, 1.0))
    root = 1.0 - spread + NormalDist().inv_cdf(CAUTION) * float(np.sqrt(spread))
    return float(root**-1.5)


def volatility(R: Matrix, p: Vector) -> Vector:
    """Return sigma, the weighted standard deviation of each column; of a constant exactly 0.

    Notes
    -----
    ``sigma^2 = sum p (R - m)^2 / (1 - sum p^2)``, unbiased for days alike in law; of equal weights the sample
    variance with divisor T - 1. A return is the quotient of two prices, so those of a price that compounds
    exactly differ by rounding; what differs by no more is a riskless asset, and no tiny risk that everything
    may be put on.
    """
    constant = R.max(axis=0) - R.min(axis=0) <= SAME_RETURN
    centred = R - p @ R
    variance = p @ (centred * centred) / max(1.0 - float(p @ p), SAME_RETURN)
    return np.asarray(np.where(constant, 0.0, np.sqrt(variance)))


def shrunk_mean(R: Matrix, sigma: Vector) -> Vector:
    """Return mu: the mean over all days alike, shrunk to one prior Sharpe ratio at present volatility [3]_.

    Notes
    -----
    ``mu = (T m + T0 S0 sigma) / (T + T0)`` with m the sample mean.
    """
    days = len(R)
    return np.asarray((days * R.mean(axis=0) + PRIOR_DAYS * PRIOR_SHARPE * sigma) / (days + PRIOR_DAYS))
