"""The basis of a venue, its mid against the fair one: what of it lasts, how fast the rest goes; pure.

========== ================================================================== =======
symbol     meaning                                                            unit
========== ================================================================== =======
b          basis, once a second                                               bps
mu         mean of b, the older the less, over an hour                        bps
V, C       the same of ``(b - mu)^2`` and of ``(b - mu)(b' - mu)``, b' one    bps^2
           second before
phi        ``C / V``, persistence over a second                               1
n          decayed number of samples                                          1
========== ================================================================== =======

Notes
-----
``b - mu`` is taken for an AR(1), so its correlation over t seconds is ``phi^t`` and its mean over n samples
has the variance ``V (1 + phi) / ((1 - phi) n)`` (Priestley 1981, Spectral Analysis and Time Series, 5.3.5).
The lasting basis is mu shrunk by that, ``mu^2 / (mu^2 + var)`` of it: the factor of least mean square error
for a true mean of mu's size. So one that wanders (phi near 1) is not called lasting for where it has been.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from libs.common.time_units import NS_PER_S

MEMORY_S: Final = 3600.0
LEAST_S: Final = 0.5  # between two samples
PAIR_S: Final = 2.0  # two samples further apart say nothing of a second
MOST_BPS: Final = 100.0  # what is further off is no basis but a mistake
PRIOR_SAMPLES: Final = 120.0  # two minutes of no basis
PRIOR_VARIANCE: Final = 1.0  # bps^2
PRIOR_PERSISTENCE: Final = math.exp(-1 / 10)  # over a second: a gap is gone in some ten


class Basis(msgspec.Struct, frozen=True):
    """What is kept of one venue's basis in one symbol; the sums fade, the prior does not."""

    ts: int | None = None  # of the last sample, ns UTC
    bps: float = 0.0  # the last sample
    samples: float = 0.0  # n
    total: float = 0.0  # of b
    squares: float = 0.0  # of (b - mu)^2
    products: float = 0.0  # of (b - mu)(b' - mu)

    @property
    def mean(self) -> float:
        """The mean mu, with the prior's samples of 0."""
        return self.total / (self.samples + PRIOR_SAMPLES)

    @property
    def variance(self) -> float:
        """The variance V, with the prior's."""
        return (self.squares + PRIOR_SAMPLES * PRIOR_VARIANCE) / (self.samples + PRIOR_SAMPLES)

    @property
    def persistence(self) -> float:
        """The correlation phi over a second; what cannot be told from 1 is a sample's worth below."""
        weight = self.samples + PRIOR_SAMPLES
        products = self.products + PRIOR_SAMPLES * PRIOR_VARIANCE * PRIOR_PERSISTENCE
        return min(max(0.0, products / weight / self.variance), 1 - 1 / weight)


def fold_basis(before: Basis, bps: float, ts: int) -> Basis:
    """Count a basis seen at `ts`; what is remembered fades in silence too."""
    bps = min(max(-MOST_BPS, bps), MOST_BPS)
    if before.ts is None:
        return Basis(ts=ts, bps=bps)
    elapsed_s = (ts - before.ts) / NS_PER_S
    if 0 <= elapsed_s < LEAST_S:
        return before
    fade = math.exp(-max(0.0, elapsed_s) / MEMORY_S)
    paired = 0 < elapsed_s <= PAIR_S
    now, then = bps - before.mean, before.bps - before.mean
    return Basis(
        ts=ts,
        bps=bps,
        samples=before.samples * fade + paired,
        total=before.total * fade + (bps if paired else 0.0),
        squares=before.squares * fade + ((now * now + then * then) / 2 if paired else 0.0),
        products=before.products * fade + (now * then if paired else 0.0),
    )


def share_left(basis: Basis, seconds: float) -> float:
    """Return the share of ``b - beta`` that is expected to be left so much later: ``phi^t``."""
    phi = basis.persistence
    return math.exp(seconds * math.log(phi)) if phi > 0 else float(seconds <= 0)


def lasting_bps(basis: Basis) -> float:
    """Return beta, what the basis is expected to return to."""
    phi = basis.persistence
    known = basis.mean**2 * (1 - phi) * basis.samples
    return basis.mean * known / (known + basis.variance * (1 + phi))
