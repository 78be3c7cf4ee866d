"""What taking a child order is expected to cost, in bps of the mid."""

from __future__ import annotations

import msgspec


class CostFit(msgspec.Struct, frozen=True, kw_only=True):
    """Posterior of the cost curve of one venue and symbol."""

    kappa: float  # ln k; k: bps at one depth unit
    alpha: float
    var_kappa: float
    cov_kappa_alpha: float
    var_alpha: float
    scale_bps: float  # s of the t4 noise
    fills: int  # that it rests on
    predicted_bps: float | None = None  # mean over the fills, beyond half spread, as predicted when planned
    realised_bps: float | None = None  # mean over the fills, beyond half spread

    @property
    def k_bps(self) -> float:
        """Cost in bps of a child as large as the depth within 10 bps."""
        raise NotImplementedError


class Interval(msgspec.Struct, frozen=True):
    """A 95 % credible interval."""

    lower: float
    upper: float


def prior() -> CostFit:
    """Return what is believed without a fill."""
    raise NotImplementedError


def impact_bps(fit: CostFit, x: float) -> float:
    """Return ``k x^alpha``: the cost beyond half the spread of a child of `x` depth units."""
    raise NotImplementedError


def impact_interval_bps(fit: CostFit, x: float) -> Interval:
    """Return the 95 % interval of `impact_bps`."""
    raise NotImplementedError


def cost_bps(fit: CostFit, x: float, spread_bps: float) -> float:
    """Return half the spread and the impact."""
    raise NotImplementedError


def phi(cv: float, alpha: float) -> float:
    """Return how much fixed slices overpay when volume varies by `cv` (sd / mean)."""
    raise NotImplementedError


def meta_impact_bps(qty: float, volume_day: float, sigma_day: float) -> float:
    """Return the square-root law of a whole parent; advisory."""
    raise NotImplementedError
