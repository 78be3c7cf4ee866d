"""The cost curve refitted from the last fills of a venue and symbol.

``y = e^kappa x^alpha + e``: y the bps paid over half the spread, which may be negative, so no logarithms;
``e = s t_4``; ``kappa ~ N(ln 6, .7^2)``, ``alpha ~ N(.9, .2^2)`` in [.3, 1.5]; symbols as in ``cost.py``.

References
----------
.. [1] Lange, Little & Taylor (1989), Robust statistical modeling using the t distribution: eq. 4 for the
   weights, section 3 for the information (nu + 1) / (nu + 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

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

    Floats: TypeAlias = NDArray[np.float64]

KEEP: Final = 500  # fills
NU: Final = 4.0
SCALE_FILLS: Final = 5.0  # what the prior scale is worth
ROUNDS: Final = 200
TOLERANCE: Final = 1e-10  # of a step in (kappa, alpha)
DAMPING_MAX: Final = 1e12
ROUNDING: Final = 1e-13  # of a loss, which a step may seem to have made worse
_BY_KAPPA: Final = KAPPA_SD**-2  # the diagonal of Lambda0
_BY_ALPHA: Final = ALPHA_SD**-2


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
    log_x = np.log(x)
    with np.errstate(over="ignore"):  # a step that is too wide is taken back
        kappa, alpha, s2 = _mode(log_x, y)
    curve = np.exp(kappa + alpha * log_x)
    J = np.column_stack((curve, curve * log_x))
    precision = (NU + 1) / (NU + 3) * J.T @ J / s2 + np.diag((_BY_KAPPA, _BY_ALPHA))
    covariance = np.linalg.inv(precision)
    return CostFit(
        kappa=kappa,
        alpha=alpha,
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


def _mode(log_x: Floats, y: Floats) -> tuple[float, float, float]:
    """Return kappa, alpha and s^2; a line for each number, as two by two is little to call a library for."""
    kappa, alpha, s2, damping = KAPPA_MEAN, ALPHA_MEAN, SCALE_BPS**2, 1e-3
    curve = np.exp(kappa + alpha * log_x)
    e = y - curve
    squares = e * e
    for _ in range(ROUNDS):
        s2_next = float(SCALE_FILLS * SCALE_BPS**2 + _weights(squares, s2) @ squares) / (SCALE_FILLS + len(y))
        scale_moved, s2 = abs(s2_next - s2) / s2, s2_next
        weights = _weights(squares, s2)
        by_alpha = curve * log_x  # the derivative; that by kappa is the curve itself
        weighted, weighted_by_alpha = weights * curve, weights * by_alpha
        g0 = float(weighted @ e) / s2 - _BY_KAPPA * (kappa - KAPPA_MEAN)
        g1 = float(weighted_by_alpha @ e) / s2 - _BY_ALPHA * (alpha - ALPHA_MEAN)
        h00 = float(weighted @ curve) / s2 + _BY_KAPPA
        h01 = float(weighted @ by_alpha) / s2
        h11 = float(weighted_by_alpha @ by_alpha) / s2 + _BY_ALPHA
        if (alpha <= ALPHA_MIN and g1 < 0) or (alpha >= ALPHA_MAX and g1 > 0):
            g1 = h01 = 0.0
        most = _loss(squares, kappa, alpha, s2) * (1 + ROUNDING)
        while True:
            a, b = h00 * (1 + damping), h11 * (1 + damping)
            determinant = a * b - h01 * h01
            kappa_tried = kappa + (b * g0 - h01 * g1) / determinant
            alpha_tried = min(max(ALPHA_MIN, alpha + (a * g1 - h01 * g0) / determinant), ALPHA_MAX)
            curve_tried = np.exp(kappa_tried + alpha_tried * log_x)
            e_tried = y - curve_tried
            squares_tried = e_tried * e_tried
            if _loss(squares_tried, kappa_tried, alpha_tried, s2) <= most or damping > DAMPING_MAX:
                break
            damping *= 10
        moved = max(abs(kappa_tried - kappa), abs(alpha_tried - alpha))
        if damping <= DAMPING_MAX:
            kappa, alpha, curve, e, squares = kappa_tried, alpha_tried, curve_tried, e_tried, squares_tried
        damping = max(1e-9, damping / 10)
        if moved < TOLERANCE and scale_moved < TOLERANCE:
            break
    return kappa, alpha, s2


def _weights(squares: Floats, s2: float) -> Floats:
    return (NU + 1) / (NU + squares / s2)


def _loss(squares: Floats, kappa: float, alpha: float, s2: float) -> float:
    """Return minus the log posterior at a fixed scale, without constants, of residuals; may be infinite."""
    data = (NU + 1) / 2 * float(np.log1p(squares / (NU * s2)).sum())
    return data + (_BY_KAPPA * (kappa - KAPPA_MEAN) ** 2 + _BY_ALPHA * (alpha - ALPHA_MEAN) ** 2) / 2
