"""Kelly-lite: an advisory share of capital for each symbol on its own.

References
----------
.. [1] MacLean, Thorp & Ziemba (2011), The Kelly capital growth investment criterion: a fraction of the full
   Kelly share keeps most of its growth at much less risk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from services.portfolio.measures import Vector


def kelly_lite(mu: Vector, variance: Vector, kappa: float, clip: float) -> Vector:
    """Return ``clip(kappa mu / sigma^2, 0, clip)`` [1]_; 0 where sigma is 0, which says nothing of risk.

    Parameters
    ----------
    kappa
        The fraction of the full Kelly share.
    clip
        The most that is advised, in shares of capital.
    """
    moving = variance > 0.0
    share = np.zeros(len(mu))
    share[moving] = kappa * mu[moving] / variance[moving]
    return np.clip(share, 0.0, clip)
