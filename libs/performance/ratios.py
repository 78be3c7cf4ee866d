r"""Ratios of return to risk from simple returns of equal periods, and how certain they are; pure.

=======  ====================================================  ============
symbol   meaning                                               shape, unit
=======  ====================================================  ============
r        simple returns                                        (n,)
q        periods of a year                                     scalar
S        Sharpe ratio per period: mean by standard deviation   scalar
g3, g4   skewness and kurtosis (3 of a normal)                 scalar
N, V     number of trials, variance of their S                 scalar
=======  ====================================================  ============

Variances divide by n - 1, moments of higher order by n. Annual ratios are √q times those per period, which is
exact where returns do not depend on each other [1]_. What dependence does to the certainty is in the interval
(`sharpe_error`), not in the ratio.

References
----------
.. [1] Lo (2002), The statistics of Sharpe ratios, Financial Analysts Journal 58(4).
.. [2] Mertens (2002), Comments on variance of the IID estimator in Lo (2002).
.. [3] Newey & West (1987; 1994 for the number of lags).
.. [4] Bailey & López de Prado (2014), The deflated Sharpe ratio, Journal of Portfolio Management 40(5).
.. [5] Sortino & Price (1994), Performance measurement in a downside risk framework.
.. [6] Young (1991), Calmar ratio: a smoother tool.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final, NamedTuple, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

EULER_GAMMA: Final = 0.5772156649015329
STILL: Final = 1e-12  # a deviation below this share of the returns' size is rounding
_NORMAL: Final = NormalDist()


class Trials(NamedTuple):
    """The runs of which one was picked."""

    number: int  # N
    variance: float  # V, of their Sharpe ratios per year


def annual(total: float, years: float) -> float:
    """Return a return over so many years as one of a year, compounded; -1 where all was lost."""
    if total <= -1.0:
        return -1.0
    return float(np.expm1(math.log1p(total) / years))


def volatility(r: Floats, q: float) -> float | None:
    """Return the standard deviation per year; None below two returns."""
    return float(np.std(r, ddof=1)) * math.sqrt(q) if r.size > 1 else None


def sharpe(r: Floats) -> float | None:
    """Return S; None below two returns, or where they do not vary."""
    if r.size < 2 or still(r):  # noqa: PLR2004 -- a deviation needs two
        return None
    return float(np.mean(r) / np.std(r, ddof=1))


def still(r: Floats) -> bool:
    """Tell whether returns do not vary, but for rounding."""
    return bool(np.std(r) <= STILL * max(1.0, float(np.max(np.abs(r)))))


def skewness(r: Floats) -> float:
    """Return g3."""
    z = r - np.mean(r)
    return float(np.mean(z**3) / np.mean(z**2) ** 1.5)


def kurtosis(r: Floats) -> float:
    """Return g4."""
    z = r - np.mean(r)
    return float(np.mean(z**4) / np.mean(z**2) ** 2)


def autocorrelation(r: Floats) -> float:
    """Return the correlation of each return with the one before."""
    z = r - np.mean(r)
    return float(np.sum(z[1:] * z[:-1]) / np.sum(z * z))


def sharpe_error(r: Floats) -> float:
    """Return the standard error of S, whatever the returns' distribution.

    Notes
    -----
    To first order S - S_true is the mean of ``psi_t = z_t - S (z_t² - 1) / 2`` with z the standardised
    returns. Of independent ones its variance is that of [2]_, ``(1 + S²(g4 - 1)/4 - S g3) / n``. With L =
    floor(4 (n/100)^(2/9)) lags its long-run variance ``c_0 + 2 sum_k (1 - k/(L+1)) c_k`` [3]_ takes the place
    of c_0 where it is larger: dependence makes the interval wider, never narrower.
    """
    n = r.size
    z = (r - np.mean(r)) / np.std(r)
    S = float(np.mean(r) / np.std(r, ddof=1))
    psi = z - S * (z * z - 1.0) / 2.0
    c0 = float(np.mean(psi * psi))
    lags = min(int(4.0 * (n / 100.0) ** (2.0 / 9.0)), n - 1)
    long_run = c0
    for k in range(1, lags + 1):
        long_run += 2.0 * (1.0 - k / (lags + 1.0)) * float(np.sum(psi[k:] * psi[:-k])) / n
    return math.sqrt(max(c0, long_run) / n)


def expected_best(trials: Trials) -> float:
    """Return the largest Sharpe ratio that so many trials without any skill are expected to show.

    Notes
    -----
    ``√V ((1 - c) Φ⁻¹(1 - 1/N) + c Φ⁻¹(1 - 1/(N e)))``, c Euler's constant: [4]_, equation 1. Of one trial
    it is 0.
    """
    if trials.number < 2:  # noqa: PLR2004 -- of one there is no best
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials.number)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials.number * math.e))
    return math.sqrt(trials.variance) * ((1.0 - EULER_GAMMA) * first + EULER_GAMMA * second)


def deflated(S: float, n: int, g3: float, g4: float, best: float) -> float:
    """Return the probability that the true Sharpe ratio is above `best`; both per period.

    Notes
    -----
    ``Φ((S - best) √(n - 1) / √(1 - g3 S + (g4 - 1)/4 S²))``: [4]_, equation 2.
    """
    spread = 1.0 - g3 * S + (g4 - 1.0) / 4.0 * S * S
    return _NORMAL.cdf((S - best) * math.sqrt(n - 1) / math.sqrt(spread))


def sortino(r: Floats, q: float) -> float | None:
    """Return the mean by the downside deviation, per year [5]_; None where nothing was lost.

    Notes
    -----
    ``√q mean(r) / √mean(min(r, 0)²)``.
    """
    if r.size < 2:  # noqa: PLR2004 -- as of the others
        return None
    downside = math.sqrt(float(np.mean(np.minimum(r, 0.0) ** 2)))
    return float(np.mean(r)) / downside * math.sqrt(q) if downside > 0 else None


def max_drawdown(r: Floats) -> float:
    """Return the deepest fall below the highest value before, as a fraction <= 0."""
    if not r.size:
        return 0.0
    value = np.concatenate(([1.0], np.cumprod(1.0 + r)))
    return float(np.min(value / np.maximum.accumulate(value) - 1.0))


def calmar(annual_return: float, drawdown: float) -> float | None:
    """Return the annual return by the deepest drawdown [6]_; None where there was none."""
    return annual_return / -drawdown if drawdown < 0 else None
