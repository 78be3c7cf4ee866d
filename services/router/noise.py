r"""How much rewards scatter around their means: a scale of each policy times one of the market; pure.

Model: ``e = g·s_k·t_nu``. The market's volatility g is common to all policies and comes in clusters, so that
it is learnt from the last rewards of whichever policy was played; s_k is slow. Which memory fits is learnt.

=======  ==============================================================  =========  ======
symbol   meaning                                                         unit       shape
=======  ==============================================================  =========  ======
a, B     data's part of shape and rate of a policy's scale               1, return²  (K,)
s        scale of a policy's noise while g = 1                           return     (K,)
s̄²       pooled B/a, each policy with at most `POOL_MOST` rewards        return²    scalar
N, D     discounted sums of squares, and of what s says they are         return²    (J,)
g²_j     (κs̄² + N_j)/(κs̄² + D_j) for J decays; the last one is 1         1          (J+1,)
g²       Σ v_j g²_j, v the weights of the memories                       1          scalar
nu       degrees of freedom of one reward's noise                        1          scalar
=======  ==============================================================  =========  ======

A policy that always earns the same (flat: 0) adds nothing to N and, once its s is small, nothing to D. Until
some reward was not as expected there is no noise to learn the scale of: the scale stays s0.

References
----------
J. P. Morgan 1996, RiskMetrics (exponential memory of squares); West & Harrison 1997, 10.8 (discounted scale);
Lange, Little & Taylor 1989 (t errors: weight ``(nu+1)/(nu+z²)``); Raftery, Kárný & Ettler 2010 (weights v).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from services.router.special import gammaln

if TYPE_CHECKING:
    from services.router.thompson import Floats, Tuning

POOL_AFTER: Final = 10  # rewards of all policies before the noise is learnt
POOL_MOST: Final = 10.0  # a with which a policy counts in the pool: one that never varies is one of many
MOST_SHAPE: Final = 1000.0  # a is held here, so that the scale can follow slow changes
PRIOR_SQUARES: Final = 5.0  # κ: rewards that g = 1 is worth
SHARE: Final = 1e-3  # of v that is shared out after each reward
LEAST_SQUARE: Final = 1e-18  # return²; rewards that never vary leave no noise, and scores stay apart
PRECISIONS: Final = (0.05, 4.0)  # range of 1/g² as a weight of a reward


def log_t(z2: Floats, nu: float) -> Floats:
    """Return the log density of Student's t with `nu` at √z2."""
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    return np.asarray(constant - (nu + 1) / 2 * np.log1p(z2 / nu))


class Noise:
    """The scales of K policies and of their market; changes in place."""

    def __init__(self, policies: int, tuning: Tuning) -> None:
        self.tuning = tuning
        self.a = np.zeros(policies)
        self.B = np.zeros(policies)
        self.rewards = 0  # of the scope
        self.N = np.zeros(len(tuning.decays))
        self.D = np.zeros(len(tuning.decays))
        self.v = np.full(len(tuning.decays) + 1, 1 / (len(tuning.decays) + 1))

    def pooled(self) -> float:
        """Return s̄², return²."""
        seen = np.minimum(self.a, POOL_MOST)
        if 2 * self.a.sum() < POOL_AFTER or not self.B.any():
            return self.tuning.s0**2
        own = np.divide(self.B, self.a, out=np.zeros_like(self.B), where=self.a > 0)
        return max(float(seen @ own / seen.sum()), LEAST_SQUARE)

    def squares(self) -> Floats:
        """Return s² of every policy, return², (K,)."""
        a0 = self.tuning.a0
        return np.asarray((a0 * self.pooled() + self.B) / (a0 + self.a))

    def market(self) -> Floats:
        """Return g² by each memory, (J+1,)."""
        prior = PRIOR_SQUARES * self.pooled()
        return np.append((prior + self.N) / (prior + self.D), 1.0)

    def present(self) -> float:
        """Return g²."""
        return float(self.v @ self.market())

    def scale(self) -> float:
        """Return the present scale of a reward around its mean, of a policy like all, return units."""
        return float(np.sqrt(self.pooled() * self.present()))

    def precision(self) -> float:
        """Return how much a reward weighs now, 1/g² within `PRECISIONS`."""
        least, most = PRECISIONS
        return min(max(1 / self.present(), least), most)

    def learn(self, k: int, weights: Floats, e: Floats, q: Floats) -> None:
        """Learn from the residuals of one reward of policy `k`.

        Parameters
        ----------
        weights, e, q
            Of the copies: weight, residual in return units, and xᵀPx; (Q,) each.
        """
        nu, square, g2 = self.tuning.tails, self.squares()[k], self.market()
        present = float(self.v @ g2)
        own = float(weights @ (e * e / (present + q)))  # an estimate of s²
        self.rewards += 1
        if own <= LEAST_SQUARE and not self.B.any():
            return
        robust = (nu + 1) / (nu + own / square) * own
        variance = square * (g2[:, None] + q)
        likelihood = np.exp(log_t(e * e / variance, nu)) / np.sqrt(variance) @ weights
        v = self.v * likelihood
        self.v = (1 - SHARE) * v / v.sum() + SHARE / len(v)
        decays = np.array(self.tuning.decays)
        self.N = decays * self.N + present * robust
        self.D = decays * self.D + square
        self.a[k] += 0.5
        self.B[k] += 0.5 * robust
        if self.a[k] > MOST_SHAPE:
            self.B[k] *= MOST_SHAPE / self.a[k]
            self.a[k] = MOST_SHAPE

    def forget_market(self) -> None:
        """Forget the last squares: a policy that changed was taken for volatility."""
        self.N[:] = 0.0
        self.D[:] = 0.0
