"""What a table of returns says: CVaR, volatility, shrunk mean and covariance.

======  ===============================================  ================  ======
symbol  meaning                                          unit              shape
======  ===============================================  ================  ======
R       simple returns, one row a day, oldest first      fraction per day  (T, n)
beta    confidence level of the CVaR                     1                 scalar
tau     mass of the tail, (1 - beta) T = n + f           days              scalar
mu      shrunk expected return                           fraction per day  (n,)
sigma   sample standard deviation                        fraction per day  (n,)
Sigma   shrunk covariance                                squared fraction  (n, n)
c       CVaR of one unit of weight, at least 0           fraction per day  (n,)
======  ===============================================  ================  ======

References
----------
.. [1] Rockafellar & Uryasev (2002), Conditional value-at-risk for general loss distributions, Prop. 8.
.. [2] Ledoit & Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices.
.. [3] Jorion (1986), Bayes-Stein estimation for portfolio analysis.
.. [4] Acerbi & Tasche (2002), On the coherence of expected shortfall.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from services.portfolio.chi_squared import upper_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vector: TypeAlias = "NDArray[np.float64]"
Matrix: TypeAlias = "NDArray[np.float64]"

PRIOR_SHARPE: Final = 0.02  # S0, per day: what every symbol's Sharpe ratio is shrunk to
PRIOR_DAYS: Final = 1000  # T0: how many days of evidence the prior is worth
SHORT_HISTORY_DAYS: Final = 120  # below, a CVaR of few scenarios is too low more often than not
CAUTION: Final = 0.10  # lower quantile of chi squared: the variance is under-estimated no more often than so
SAME_RETURN: Final = 1e-13  # some hundred roundings of a price ratio near 1
_ROUNDING: Final = 1e-12  # so that (1 - 0.95) * 1000 has 50 whole days


def tail(days: int, beta: float) -> tuple[int, float, float]:
    """Return the whole days n of the tail, the fraction f of the next one, and tau = n + f."""
    tau = (1.0 - beta) * days
    whole = int(tau + _ROUNDING)
    return whole, max(0.0, tau - whole), tau


def cvar(R: Matrix, beta: float) -> Vector:
    """Return the expected loss of each column in its worst (1 - beta) of days; negative for a sure gain.

    Notes
    -----
    ``(sum of the n largest losses + f times the next) / tau`` [1]_; with tau <= 1 the largest loss.
    """
    losses = np.sort(-R, axis=0)[::-1]
    whole, part, tau = tail(len(losses), beta)
    if tau <= 1.0:
        return np.asarray(losses[0])
    total = losses[:whole].sum(axis=0)
    if part > 0.0:
        total = total + part * losses[whole]
    return np.asarray(total / tau)


def unit_cvar(R: Matrix, beta: float) -> Vector:
    """Return c: the CVaR of one unit of weight, where a negative one would buy budget and counts as 0."""
    return np.maximum(cvar(R, beta), 0.0)


def cautious_cvar(R: Matrix, beta: float) -> Vector:
    """Return c as limits use it: with less than 120 days not below that of a cautious normal law.

    Notes
    -----
    ``max(c, k sigma sqrt((T-1) / chi2_{.10, T-1}))`` with ``k = phi(z_beta) / (1 - beta)``, the CVaR of a
    standard normal (2.063 at .95); the root is the upper 90 % limit of sigma over its estimate.
    """
    plain = unit_cvar(R, beta)
    days = len(R)
    if days >= SHORT_HISTORY_DAYS:
        return plain
    z = NormalDist().inv_cdf(beta)
    k = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi) / (1.0 - beta)
    upper = np.sqrt((days - 1) / upper_quantile(1.0 - CAUTION, days - 1))
    return np.asarray(np.maximum(plain, k * upper * volatility(R)))


def volatility(R: Matrix) -> Vector:
    """Return sigma, the sample standard deviation of each column (divisor T - 1); of a constant exactly 0.

    A return is the quotient of two prices, so those of a price that compounds exactly differ by rounding;
    what differs by no more is a riskless asset, and no tiny risk that everything may be put on.
    """
    constant = R.max(axis=0) - R.min(axis=0) <= SAME_RETURN
    return np.asarray(np.where(constant, 0.0, R.std(axis=0, ddof=1)))


def shrunk_mean(R: Matrix) -> Vector:
    """Return mu: each Sharpe ratio is shrunk to one prior ratio, cf. [3]_.

    Notes
    -----
    ``mu = sigma (T SR + T0 S0) / (T + T0)``, written so that sigma = 0 is defined.
    """
    days = len(R)
    prior = PRIOR_DAYS * PRIOR_SHARPE * volatility(R)
    return np.asarray((days * R.mean(axis=0) + prior) / (days + PRIOR_DAYS))


def shrunk_covariance(R: Matrix) -> Matrix:
    """Return Sigma: the correlations are shrunk towards 0, the variances stay those of the sample.

    Notes
    -----
    Standardise, shrink to the identity, rescale [2]_: ``delta = min(b2, d2) / d2`` with ``m = tr S / N``,
    ``d2 = |S - mI|^2 / N`` and ``b2 = (sum_t |x_t|^4 / T^2 - |S|^2 / T) / N``. A constant column has
    variance 0 and takes no part.
    """
    days, number = R.shape
    sigma = volatility(R)
    moving = sigma > 0.0
    shrunk = np.zeros((number, number))
    x = (R - R.mean(axis=0))[:, moving]
    if x.size:
        x = x / x.std(axis=0)
        shrunk[np.ix_(moving, moving)] = _shrunk_to_identity(x, days)
    return np.asarray(shrunk * np.outer(sigma, sigma))


def _shrunk_to_identity(x: Matrix, days: int) -> Matrix:
    S = x.T @ x / days
    number = len(S)
    m = np.trace(S) / number
    square = float((S * S).sum())
    d2 = float(((S - m * np.eye(number)) ** 2).sum()) / number
    b2 = (float(((x * x).sum(axis=1) ** 2).sum()) / days**2 - square / days) / number
    delta = min(max(b2, 0.0), d2) / d2 if d2 > 0.0 else 0.0
    return np.asarray((1.0 - delta) * S + delta * m * np.eye(number))
