"""The covariance of symbols whose histories differ: own volatilities, correlations by pair, all shrunk.

======  =================================================  ===============
symbol  meaning                                            shape
======  =================================================  ===============
R       simple returns, NaN where a symbol has no day      (T, n)
p       weight of each day, 1 in all                       (T,)
W       weight of the days that both of a pair have        (n, n)
h       1 / effective days of a pair: sum p^2 / W^2        (n, n)
rho     correlation on the days that both of a pair have   (n, n)
v       squared error of rho expected from its noise       (n, n)
delta   how far rho is shrunk to 0                         (n, n)
======  =================================================  ===============

References
----------
.. [1] Ledoit & Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices.
.. [2] Higham, Strabic & Sego (2016), Restoring definiteness via shrinking, eq. 1.1 and 2.1, with the identity
   as its target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from services.portfolio.measures import SAME_RETURN

if TYPE_CHECKING:
    from services.portfolio.measures import Matrix, Vector

LEAST_EIGENVALUE: Final = 1e-4  # of correlations by pair, which together need not be definite


def shrunk_covariance(R: Matrix, p: Vector, sigma: Vector) -> Matrix:
    """Return Sigma: the correlations are shrunk towards 0, the variances stay ``sigma^2``.

    Parameters
    ----------
    sigma
        Volatility of each symbol over its own days; one of 0 takes no part.

    Notes
    -----
    With one history for all, delta is that of [1]_ for weighted days: ``min(b2, d2) / d2`` with
    ``d2 = |rho - I|^2`` and ``b2 = sum v = sum_t p_t^2 |x_t x_t' - rho|^2``. Where histories differ the noise
    b2, of the pairs that met, is shared out by ``h_ij``: ``delta_ij = b2_ij / (max(d2 - b2, 0) + b2_ij)``.
    """
    number = R.shape[1]
    shrunk = np.zeros((number, number))
    moving = sigma > 0.0
    if moving.any():
        shrunk[np.ix_(moving, moving)] = _correlation(R[:, moving], p)
    return np.asarray(shrunk * np.outer(sigma, sigma))


def _correlation(R: Matrix, p: Vector) -> Matrix:
    if not np.isnan(R).any():
        return _of_one_history(R, p)
    return definite(_by_pair(R, p))


def _of_one_history(R: Matrix, p: Vector) -> Matrix:
    x = R - p @ R
    x /= np.sqrt(p @ (x * x))
    y = x * p[:, None]
    rho = y.T @ x
    squares = (x * x).sum(axis=1)
    noise = float((p * p) @ (squares * squares)) - 2.0 * float((rho * (y.T @ y)).sum())
    noise += float(p @ p) * float((rho * rho).sum())
    d2 = float(((rho - np.eye(len(rho))) ** 2).sum())
    delta = min(max(noise, 0.0), d2) / d2 if d2 > 0.0 else 0.0
    return np.asarray((1.0 - delta) * rho + delta * np.eye(len(rho)))


def _by_pair(R: Matrix, p: Vector) -> Matrix:
    there = ~np.isnan(R)
    M = there.astype(np.float64)
    own = p @ M
    x = np.where(there, R - p @ np.where(there, R, 0.0) / own, 0.0)
    x /= np.sqrt(p @ (x * x) / own)
    pM, px = M * p[:, None], x * p[:, None]
    W = M.T @ pM
    shared = W > 0.0
    W = np.where(shared, W, 1.0)
    mean = x.T @ pM / W  # of the row's symbol, on the days that the column's has too
    variance = np.maximum((x * x).T @ pM / W - mean * mean, 0.0)
    scale = np.sqrt(variance * variance.T)
    shared &= scale > SAME_RETURN
    rho = np.where(shared, (x.T @ px / W - mean * mean.T) / np.where(shared, scale, 1.0), 0.0)
    h = np.where(shared, pM.T @ pM / W**2, 1.0)
    fourth = (px * px).T @ (x * x) / W**2
    v = np.maximum(fourth - 2.0 * rho * (px.T @ px) / W**2 + rho * rho * h, 0.0)
    noise = float(v[shared].sum())
    b2 = noise / float(h[shared].sum()) * h * len(h) ** 2
    d2 = float(((rho - np.eye(len(rho))) ** 2).sum())
    signal = max(d2 - noise, 0.0)
    delta = np.where(shared, b2 / (signal + b2), 1.0)
    rho = (1.0 - delta) * rho
    np.fill_diagonal(rho, 1.0)
    return np.asarray(rho)


def definite(rho: Matrix) -> Matrix:
    """Return the correlations, shrunk to the identity just as far as makes them definite [2]_."""
    least = float(np.linalg.eigvalsh(rho)[0])
    if least >= LEAST_EIGENVALUE:
        return rho
    share = (LEAST_EIGENVALUE - least) / (1.0 - least)
    return np.asarray((1.0 - share) * rho + share * np.eye(len(rho)))
