r"""Off-policy values of "always policy k", from decisions with known propensities; pure.

With a the policy chosen, p its propensity, r its reward, w = 1{a=k}/p, and q̂ the posterior mean **before**
that reward: ``IPS = mean(wr)``; ``SNIPS = Σwr/Σw``, se ``√Σw²(r-SNIPS)²/Σw``;
``DR = mean(q̂(x,k) + w(r - q̂(x,a)))``; IPS and DR se sd/√n; 95 % is ±1.96 se. Units: those of the reward.

References
----------
Swaminathan & Joachims 2015 (SNIPS); Dudík et al. 2014 (DR); Hadad et al. 2021 (adaptive logs).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from libs.common.events import OffPolicyEstimate

LEAST: Final = 30  # decisions below which no interval is given
Z95: Final = 1.96


class Sums(NamedTuple):
    """What the estimators of one policy need, exactly: plain sums over rewarded decisions."""

    n: float = 0.0
    w: float = 0.0
    ww: float = 0.0
    wr: float = 0.0
    wwr: float = 0.0
    wwrr: float = 0.0
    dr: float = 0.0
    drdr: float = 0.0

    def after(self, w: float, r: float, q_k: float, q_a: float) -> Sums:
        """Return the sums with one more decision."""
        dr = q_k + w * (r - q_a)
        return Sums(
            self.n + 1,
            self.w + w,
            self.ww + w * w,
            self.wr + w * r,
            self.wwr + w * w * r,
            self.wwrr + w * w * r * r,
            self.dr + dr,
            self.drdr + dr * dr,
        )

    @property
    def ess(self) -> float:
        """Effective sample size (Σw)²/Σw²."""
        return self.w * self.w / self.ww if self.ww > 0 else 0.0

    def ips(self) -> OffPolicyEstimate | None:
        """Return inverse propensity scoring; None before the first decision."""
        return self._mean(self.wr, self.wwrr)

    def dr_estimate(self) -> OffPolicyEstimate | None:
        """Return the doubly robust estimate; None before the first decision."""
        return self._mean(self.dr, self.drdr)

    def snips(self) -> OffPolicyEstimate | None:
        """Return the self-normalised estimate; None while the policy was never chosen."""
        if self.w == 0:
            return None
        value = self.wr / self.w
        squares = self.wwrr - 2 * value * self.wwr + value * value * self.ww
        return self._estimate(value, math.sqrt(max(squares, 0.0)) / self.w)

    def _mean(self, total: float, squares: float) -> OffPolicyEstimate | None:
        if self.n == 0:
            return None
        value = total / self.n
        return self._estimate(value, math.sqrt(max(squares / self.n - value * value, 0.0) / self.n))

    def _estimate(self, value: float, se: float) -> OffPolicyEstimate:
        if self.n < LEAST:
            return OffPolicyEstimate(value=value)
        return OffPolicyEstimate(value=value, low=value - Z95 * se, high=value + Z95 * se)
