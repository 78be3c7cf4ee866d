"""The cost curve refitted from the last fills of a venue and symbol.

``y = e^kappa x^alpha + e``: y the bps paid over half the spread, which may be negative, so no logarithms;
``e = s t_4``; ``kappa ~ N(ln 6, .7^2)``, ``alpha ~ N(.9, .2^2)`` in [.3, 1.5]; symbols as in ``cost.py``.

References
----------
.. [1] Lange, Little & Taylor (1989), Robust statistical modeling using the t distribution: eq. 4 for the
   weights, section 3 for the information (nu + 1) / (nu + 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from services.execution.decide.cost import (
    ALPHA_MAX,
    ALPHA_MEAN,
    ALPHA_MIN,
    ALPHA_SD,
    KAPPA_MEAN,
    KAPPA_SD,
    PRIOR,
    SCALE_BPS,
    CostFit,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

KEEP: Final = 500  # fills
NU: Final = 4.0
SCALE_FILLS: Final = 5.0  # what the prior scale is worth
ROUNDS: Final = 200
TOLERANCE: Final = 1e-10  # of a step in (kappa, alpha)
DAMPING_MAX: Final = 1e12
_PRIOR_MEAN: Final = np.array([KAPPA_MEAN, ALPHA_MEAN])
_PRIOR_PRECISION: Final = np.array([KAPPA_SD**-2, ALPHA_SD**-2])  # diagonal of Lambda0


class CostObservation(msgspec.Struct, frozen=True, array_like=True):
    """One filled child."""

    x: float  # child quantity / D
    paid_bps: float  # over half the spread, may be negative
    predicted_bps: float  # the same as predicted when planned


class CostHistory(msgspec.Struct, frozen=True):
    """Filled children of one venue and symbol, oldest first, as older versions kept them."""

    observations: tuple[CostObservation, ...] = ()


def fit(observations: Sequence[CostObservation]) -> CostFit:
    """Return the posterior; of no observations the prior.

    Raises
    ------
    ValueError
        If an `x` is not positive or a figure not finite.

    Notes
    -----
    The mode, by damped Gauss-Newton with the weights ``5 / (4 + e^2 / s^2)`` [1]_; between steps s^2 becomes
    the mean of ``w e^2``, the prior scale counting as five fills. While alpha rests on a bound that the
    slope pushes against, kappa moves alone. Covariance ``(5/7 J'J / s^2 + Lambda0)^-1``.
    """
    if not observations:
        return PRIOR
    x = np.array([o.x for o in observations])
    y = np.array([o.paid_bps for o in observations])
    if not (np.all(x > 0) and np.all(np.isfinite(x)) and np.all(np.isfinite(y))):
        raise ValueError("an observation needs a positive finite x (quantity / depth) and finite bps paid")
    theta, s2 = _mode(np.log(x), y)
    J = _jacobian(np.log(x), theta)
    precision = (NU + 1) / (NU + 3) * J.T @ J / s2 + np.diag(_PRIOR_PRECISION)
    covariance = np.linalg.inv(precision)
    return CostFit(
        kappa=float(theta[0]),
        alpha=float(theta[1]),
        var_kappa=float(covariance[0, 0]),
        cov_kappa_alpha=float(covariance[0, 1]),
        var_alpha=float(covariance[1, 1]),
        scale_bps=float(np.sqrt(s2)),
        fills=len(observations),
        predicted_bps=float(np.mean([o.predicted_bps for o in observations])),
        realised_bps=float(np.mean(y)),
        x_least=float(x.min()),
        x_most=float(x.max()),
    )


def _mode(log_x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    theta, s2, damping = _PRIOR_MEAN.copy(), SCALE_BPS**2, 1e-3
    for _ in range(ROUNDS):
        e = y - _curve(log_x, theta)
        weights = (NU + 1) / (NU + e * e / s2)
        s2_next = float((SCALE_FILLS * SCALE_BPS**2 + weights @ (e * e)) / (SCALE_FILLS + len(y)))
        scale_moved, s2 = abs(s2_next - s2) / s2, s2_next
        weights = (NU + 1) / (NU + e * e / s2)
        J = _jacobian(log_x, theta)
        slope = J.T @ (weights * e) / s2 - _PRIOR_PRECISION * (theta - _PRIOR_MEAN)
        H = (J * weights[:, None]).T @ J / s2 + np.diag(_PRIOR_PRECISION)
        if (theta[1] <= ALPHA_MIN and slope[1] < 0) or (theta[1] >= ALPHA_MAX and slope[1] > 0):
            slope[1] = H[0, 1] = H[1, 0] = 0.0
        now = _loss(log_x, y, theta, s2)
        while True:
            step = np.linalg.solve(H + damping * np.diag(np.diag(H)), slope)
            trial = theta + step
            trial[1] = np.clip(trial[1], ALPHA_MIN, ALPHA_MAX)
            if _loss(log_x, y, trial, s2) <= now or damping > DAMPING_MAX:
                break
            damping *= 10
        moved = float(np.max(np.abs(trial - theta)))
        if damping <= DAMPING_MAX:
            theta = trial
        damping = max(1e-9, damping / 10)
        if moved < TOLERANCE and scale_moved < TOLERANCE:
            break
    return theta, s2


def _curve(log_x: NDArray[np.float64], theta: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(theta[0] + theta[1] * log_x))


def _jacobian(log_x: NDArray[np.float64], theta: NDArray[np.float64]) -> NDArray[np.float64]:
    curve = _curve(log_x, theta)
    return np.column_stack((curve, curve * log_x))


def _loss(log_x: NDArray[np.float64], y: NDArray[np.float64], theta: NDArray[np.float64], s2: float) -> float:
    """Return minus the log posterior at a fixed scale, without constants; infinite on overflow."""
    with np.errstate(over="ignore"):
        e = y - _curve(log_x, theta)
        data = (NU + 1) / 2 * np.sum(np.log1p(e * e / (NU * s2)))
    return float(data + 0.5 * np.sum(_PRIOR_PRECISION * (theta - _PRIOR_MEAN) ** 2))
