r"""Off-policy values of "always policy k", from decisions with known propensities; pure.

**The target** of policy k after n counted decisions is ``(1/n) Σ E[r_t | x_t, k is chosen]``: what k would
have earned on average over just those decisions, each given its context and the past; rewards may drift as
they like. A decision counts if its p_k was `OVERLAP` or more: where k could hardly be chosen, nothing was
learnt of it.

==========  =====================================================================  =========
symbol      meaning                                                                unit
==========  =====================================================================  =========
a, p        policy chosen, and the propensities at the decision                    1
q           posterior means at the decision, before its reward                     return
e           r - q_a                                                                return
w           1{a = k}/p_k                                                           1
φ           q_k + we, doubly robust: its expectation is k's, whatever q is         return
Q, X        sum and largest of (we)², from which V = Q + X                         return²
==========  =====================================================================  =========

The value is Σφ/n. Given the past φ varies by ``E[e²|k]/p_k - E[e|k]²``, of which Q is an estimate from above;
X stands for the next term, so that the first ones are not trusted to show the whole of the noise. The
interval is that of `confidence`, ``±√((V+rho)·ln((V+rho)/(rho·alpha²)))/n``, with rho tightest after
`TIGHTEST` decisions like those so far: **asymptotic**. A loss that no reward has shown yet is in no interval.

References
----------
Dudík et al. 2014 (φ); Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro 2024 (arXiv 2210.10768: φ in
confidence sequences whose target varies, under adaptive propensities); Kish 1965 (ess).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from libs.common.confidence import radius, tightest
from libs.common.events import OffPolicyEstimate

OVERLAP: Final = 0.02  # the least propensity that counts
ALPHA: Final = 0.05  # an interval excludes its target, at any time, this often
LEAST: Final = 30  # counted decisions below which no interval is given
LEAST_ESS: Final = 20.0  # likewise, of their effective number
TIGHTEST: Final = 500  # counted decisions


class Sums(NamedTuple):
    """What the estimate of one policy needs, over rewarded decisions."""

    seen: float = 0.0  # decisions that could choose it
    n: float = 0.0  # of these, with overlap: the sums below are over them
    w: float = 0.0
    ww: float = 0.0
    dr: float = 0.0  # Σφ, return
    squares: float = 0.0  # Q, return²
    largest: float = 0.0  # X, return²

    def after(self, p: float, q: float, e: float | None) -> Sums:
        """Return the sums with one more decision that could choose the policy; `e` is None if it did not."""
        if p < OVERLAP:
            return self._replace(seen=self.seen + 1)
        w = 0.0 if e is None else 1 / p
        term = w * (e or 0.0)
        return Sums(
            self.seen + 1,
            self.n + 1,
            self.w + w,
            self.ww + w * w,
            self.dr + q + term,
            self.squares + term * term,
            max(self.largest, term * term),
        )

    @property
    def ess(self) -> float:
        """Effective sample size (Σw)²/Σw²."""
        return self.w * self.w / self.ww if self.ww > 0 else 0.0

    def estimate(self, half: float) -> OffPolicyEstimate:
        """Return the doubly robust value ± `half`, or what is missing."""
        overlap = self.n / self.seen if self.seen else 0.0
        if self.w == 0:
            return OffPolicyEstimate(overlap=overlap, why=self._unknown())
        value = self.dr / self.n
        if self.n < LEAST or self.ess < LEAST_ESS:
            return OffPolicyEstimate(value=value, overlap=overlap, why=self._too_few())
        return OffPolicyEstimate(value=value, low=value - half, high=value + half, overlap=overlap)

    def _unknown(self) -> str:
        if not self.seen:
            return "no rewarded decision could choose it"
        if not self.n:
            return f"no overlap: of {self.seen:.0f} decisions none had its propensity at {OVERLAP:g} or more"
        return f"never chosen among {self.n:.0f} with overlap"

    def _too_few(self) -> str:
        counted = f"{self.n:.0f} decisions with overlap are" if self.n > 1 else "1 decision with overlap is"
        return f"{counted} worth {self.ess:.1f}; an interval needs {LEAST}, worth {LEAST_ESS:.0f}"


@lru_cache(maxsize=64)
def halves(sums: tuple[Sums, ...]) -> tuple[float, ...]:
    """Return half the width of each one's interval, return units."""
    n = np.array([max(each.n, 1.0) for each in sums])
    variance = np.array([each.squares + each.largest for each in sums])
    half = radius(variance, tightest(variance / n * TIGHTEST, ALPHA), ALPHA) / n
    return tuple(half.tolist())
