"""What a young symbol might have returned on the days before it existed.

======  ====================================================  ===============
symbol  meaning                                               shape
======  ====================================================  ===============
R       simple returns, NaN where a symbol has no day         (T, n)
p       weight of each day, 1 in all                          (T,)
f       factor: mean return of the other symbols on that day  (T,)
a, b    regression of a symbol on f over its own days         scalar
e       residuals of that regression                          (own days,)
======  ====================================================  ===============

Each missing day is ``a + b f + g e``, the residuals dealt out evenly over the days by a Kronecker sequence,
so that nothing is drawn. `g` is the caution of a volatility known from so few days: the residuals of a young
symbol know no day worse than its worst.

References
----------
.. [1] Stambaugh (1997), Analyzing investments whose histories differ in length: the short history is
   regressed on the long one.
.. [2] Page (2013), How to combine long and short return histories efficiently: with the residuals added,
   since without them the risk is too low.
.. [3] Niederreiter (1992), Random number generation and quasi-Monte Carlo methods, 3.1: the multiples of the
   golden ratio modulo 1 are evenly spread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from services.portfolio.measures import effective_days, volatility_caution

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from services.portfolio.measures import Matrix, Vector

GOLDEN: Final = (5.0**0.5 - 1.0) / 2.0


def filled(R: Matrix, p: Vector, days: NDArray[np.int64]) -> Matrix:
    """Return R without holes; one that has none is returned as it is.

    Parameters
    ----------
    days
        Since 1970 UTC, ascending, (T,).
    """
    there = ~np.isnan(R)
    if there.all():
        return R
    known = np.where(there, R, 0.0)
    total, count = known.sum(axis=1), there.sum(axis=1)
    table = R.copy()
    for i in np.flatnonzero(~there.all(axis=0)).tolist():
        own, others = there[:, i], count - there[:, i]
        f = np.where(others > 0, (total - known[:, i]) / np.maximum(others, 1), 0.0)
        table[~own, i] = _regressed(R[own, i], f[own], p[own] / p[own].sum(), f[~own], days[~own])
    return table


def _regressed(r: Vector, f: Vector, p: Vector, f_missing: Vector, days: NDArray[np.int64]) -> Vector:
    """Return ``a + b f + g e`` for the missing days [1]_ [2]_ [3]_; no loss is more than everything."""
    centred = f - p @ f
    variance = float(p @ (centred * centred))
    b = float(p @ (centred * r)) / variance if variance > 0.0 else 0.0
    a = float(p @ r) - b * float(p @ f)
    e = (r - a - b * f) * volatility_caution(effective_days(p))
    dealt = (np.mod(days * GOLDEN, 1.0) * len(r)).astype(np.int64)
    return np.asarray(np.maximum(a + b * f_missing + e[dealt], -1.0))
