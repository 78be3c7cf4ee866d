r"""How far a sum may stray from what was expected of it, at whatever moment one looks; pure.

A sum of terms, each less its expectation given the past, is a martingale S. With V its quadratic variation
and rho a constant of V's unit, ``|S| < √((V + rho)·ln((V + rho)/(rho·alpha²)))`` at all times together, but
with probability alpha: the integral of ``exp(λS - λ²V/2)`` over λ ~ N(0, 1/rho) is a supermartingale that
starts at 1, so it ever reaches 1/alpha with probability alpha at most (Ville).

**Which guarantee.** Exact with rho fixed beforehand where each term is symmetric around its expectation,
given the past, and V is the sum of their squares (de la Peña 1999). Otherwise **asymptotic**: right in the
limit of many terms none of which outweighs the rest (Lindeberg), whatever the past did to their sizes and
expectations, with rho in proportion to V. How often it misses before that limit is measured, not proven:
`tests/bench/off_policy_coverage.py`. A bound for whatever distribution in [-1, 1] would be thousands of bps
wide after 1,000 decisions of propensity .02; one for rewards clipped at their own scale has another target.

References
----------
Robbins 1970 (the boundary); de la Peña 1999 (symmetric terms); Howard, Ramdas, McAuliffe & Sekhon 2021
(two-sided normal mixture); Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024 (asymptotic confidence
sequences of martingales under Lindeberg's condition, for running means of conditional expectations).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def tightest(variance: Floats, alpha: float) -> Floats:
    """Return the rho whose boundary is tightest where V is `variance`; of any shape, in its unit.

    Notes
    -----
    ``rho = V/(-2 ln alpha + ln(1 - 2 ln alpha))``: Waudby-Smith et al. 2024, appendix B.2.
    """
    log = -2 * math.log(alpha)
    return variance / (log + math.log1p(log))


def radius(variance: Floats, rho: Floats, alpha: float) -> Floats:
    """Return the boundary where V is `variance`; 0 where nothing ever varied. Of any shape."""
    varied = (variance > 0) & (rho * alpha * alpha > 0)  # by more than doubles can tell from nothing
    rho = np.where(varied, rho, 1.0)
    total = variance + rho
    return np.where(varied, np.sqrt(total * np.log(total / (rho * alpha * alpha))), 0.0)
