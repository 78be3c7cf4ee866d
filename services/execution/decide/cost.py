"""What taking a child order is expected to cost, in bps of the mid.

==========  ==================================================  ====================
symbol      meaning                                             unit
==========  ==================================================  ====================
q           child quantity                                      base units
D           60 s median depth within 10 bps, taken side         base units
x           q / D                                               1
k, kappa    cost at x = 1; kappa = ln k                         bps; ln bps
alpha       exponent of the curve                               1
s           scale of the t4 noise                               bps
cv          standard deviation over mean of volume              1
==========  ==================================================  ====================
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

KAPPA_MEAN: Final = math.log(6.0)  # a flat book is exactly k = 5, alpha = 1; recorded books: k 5.5 to 6.9
KAPPA_SD: Final = 0.7
ALPHA_MEAN: Final = 0.9
ALPHA_SD: Final = 0.2
ALPHA_MIN: Final = 0.3
ALPHA_MAX: Final = 1.5
SCALE_BPS: Final = 1.0  # s before any fill
Z95: Final = 1.959964  # normal quantile of .975


class CostFit(msgspec.Struct, frozen=True, kw_only=True):
    """Posterior of the cost curve of one venue and symbol."""

    kappa: float
    alpha: float
    var_kappa: float
    cov_kappa_alpha: float
    var_alpha: float
    scale_bps: float
    fills: int  # that it rests on
    predicted_bps: float | None = None  # mean over the fills, beyond half spread, as predicted when planned
    realised_bps: float | None = None  # mean over the fills, beyond half spread
    x_least: float | None = None  # smallest x among the fills; None without any
    x_most: float | None = None  # largest

    @property
    def k_bps(self) -> float:
        """Cost in bps of a child as large as the depth within 10 bps."""
        return math.exp(self.kappa)


class CredibleInterval(msgspec.Struct, frozen=True):
    """A 95 % credible interval."""

    lower: float
    upper: float


PRIOR: Final = CostFit(
    kappa=KAPPA_MEAN,
    alpha=ALPHA_MEAN,
    var_kappa=KAPPA_SD**2,
    cov_kappa_alpha=0.0,
    var_alpha=ALPHA_SD**2,
    scale_bps=SCALE_BPS,
    fills=0,
)
"""What is believed without a fill."""


def impact_bps(fit: CostFit, x: float) -> float:
    """Return ``k x^alpha``: the cost beyond half the spread of a child of `x` depth units."""
    return fit.k_bps * float(x**fit.alpha)


def impact_interval_bps(fit: CostFit, x: float) -> CredibleInterval:
    """Return the 95 % interval of `impact_bps`, of the curve and not of one fill.

    Notes
    -----
    ``ln(k x^alpha) = kappa + alpha ln x`` is linear in the parameters, so its variance is exact and the
    interval never negative.
    """
    log_x = math.log(x)
    variance = fit.var_kappa + 2 * log_x * fit.cov_kappa_alpha + log_x**2 * fit.var_alpha
    factor = math.exp(Z95 * math.sqrt(max(0.0, variance)))
    middle = impact_bps(fit, x)
    return CredibleInterval(middle / factor, middle * factor)


def phi(cv: float, alpha: float) -> float:
    """Return how much fixed slices overpay when volume varies by `cv` (standard deviation over mean).

    Notes
    -----
    ``(1 + cv^2)^(alpha (alpha + 1) / 2) = E[v^-alpha]`` for lognormal volume v of mean 1.
    """
    return float((1 + cv * cv) ** (alpha * (alpha + 1) / 2))
