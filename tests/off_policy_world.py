"""Logs of many routers at once, with what is true of them, and a watch over the intervals after every reward.

Each choice is drawn from just the propensities that the log keeps, so they are exact whatever made them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.random import Generator, Philox

from libs.common import off_policy
from libs.common.confidence import radius, tightest
from services.router import contrasts
from tests.many_mixtures import Mixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.router.thompson import Floats, Tuning

POLICIES: Final = 4
FEATURES: Final = 6
NOISE: Final = 1e-3  # 10 bps

# Expected rewards in worlds where no context matters, bps; in `hidden` the last turns good at half time.
FIXED: Final = {"hidden": (0, 2, 1, -5), "edge": (0, 2, 10, -5), "even": (1, 1, 1, 1)}


class Market:
    """Rewards of `runs` worlds of one kind.

    ``stationary``, ``switch`` (other weights at half time), ``drift`` (rotated by a right angle),
    ``recurring`` (three sets of weights, nine spells), ``garch`` (noise with clustered volatility), ``heavy``
    (Student's t with 3 degrees), ``rare`` (19 of 20 rewards have no noise), ``skew`` (+1 in 19 of 20, else
    -19, of noise), and `FIXED`.
    """

    def __init__(self, kind: str, runs: int, rounds: int, seed: int = 1) -> None:
        self.kind, self.runs, self.rounds = kind, runs, rounds
        self.random = Generator(Philox(key=seed))
        shape = (3, runs, POLICIES, FEATURES)
        self.weights = 2 * NOISE * self.random.normal(size=shape) / np.sqrt(FEATURES)
        self._variance, self._last = np.ones(runs), np.zeros(runs)

    def context(self) -> Floats:
        """Return the features, (runs, FEATURES)."""
        x = self.random.normal(size=(self.runs, FEATURES))
        if self.kind in FIXED:
            x[:, 0] = 1.0
        return x

    def theta(self, t: int) -> Floats:
        """Return the weights of round t, (runs, POLICIES, FEATURES)."""
        late = t >= self.rounds // 2
        if self.kind in FIXED:
            fixed = np.zeros((self.runs, POLICIES, FEATURES))
            fixed[:, :, 0] = 1e-4 * np.array(FIXED[self.kind])
            if self.kind == "hidden" and late:
                fixed[:, 3, 0] = 5e-4
            return np.asarray(fixed)
        if self.kind == "switch":
            return np.asarray(self.weights[int(late)])
        if self.kind == "recurring":
            return np.asarray(self.weights[9 * t // self.rounds % 3])
        if self.kind == "drift":
            angle = np.pi / 2 * t / self.rounds
            return np.asarray(np.cos(angle) * self.weights[0] + np.sin(angle) * self.weights[1])
        return np.asarray(self.weights[0])

    def errors(self) -> Floats:
        """Return the noise of every policy's reward, (runs, POLICIES)."""
        shape = (self.runs, POLICIES)
        normal = NOISE * self.random.normal(size=shape)
        match self.kind:
            case "garch":  # Bollerslev 1986; the variance is NOISE² in the long run
                self._variance = 0.02 + 0.1 * self._last**2 + 0.88 * self._variance
                self._last = np.sqrt(self._variance) * self.random.normal(size=self.runs)
                return np.tile(NOISE * self._last[:, None], (1, POLICIES))
            case "heavy":
                return np.asarray(NOISE * self.random.standard_t(3, size=shape) / np.sqrt(3))
            case "rare":
                return np.asarray(normal * (self.random.random(shape) < 0.05) / np.sqrt(0.05))
            case "skew":
                return np.asarray(NOISE * np.where(self.random.random(shape) < 0.05, -19, 1) / np.sqrt(19))
            case "hidden" | "edge":
                normal[:, 0] = 0.0  # p_flat
        return normal


class Decision(NamedTuple):
    """One rewarded decision of every run."""

    x: Floats  # (runs, FEATURES)
    p: Floats  # (runs, POLICIES)
    q: Floats
    v: Floats  # the expected rewards, which nobody knows
    chosen: np.ndarray  # (runs,)
    r: Floats


class Watch:
    """The estimates of every run after every reward, beside the truth."""

    def __init__(self, runs: int) -> None:
        self.n, self.w, self.ww, self.dr, self.Q, self.X, self.true, self.drdr = np.zeros((8, runs, POLICIES))
        self.missed = np.zeros((runs, POLICIES), dtype=bool)
        self.given = np.zeros((runs, POLICIES), dtype=bool)
        self.ratio = np.full((runs, POLICIES), np.nan)  # to a fixed-n interval, at 1,000 counted decisions
        self.plain_n, self.plain_dr, self.plain_drdr, self.plain_true = np.zeros((4, runs, POLICIES))
        self.plain_missed = np.zeros((runs, POLICIES), dtype=bool)
        self.sums = np.zeros((4, runs, POLICIES, POLICIES))
        self.truth = np.zeros((runs, POLICIES, POLICIES))
        self.wrong = np.zeros(runs, dtype=bool)
        self.named = np.zeros(runs, dtype=bool)

    def see(self, decision: Decision) -> None:
        """Add a decision, and look at every interval."""
        p, q = decision.p, decision.q
        runs = np.arange(len(p))
        is_chosen = decision.chosen[:, None] == np.arange(POLICIES)
        e = np.where(is_chosen, (decision.r - q[runs, decision.chosen])[:, None], 0.0)
        counts = p >= off_policy.OVERLAP
        w = np.where(counts & is_chosen, 1 / p, 0.0)
        phi = np.where(counts, q + w * e, 0.0)
        self.n += counts
        self.w += w
        self.ww += w * w
        self.dr += phi
        self.drdr += phi**2
        self.Q += (w * e) ** 2
        self.X = np.maximum(self.X, (w * e) ** 2)
        self.true += np.where(counts, decision.v, 0.0)
        self._look()
        self._look_plainly(decision, e)
        self._compare(decision, e)

    def halves(self) -> Floats:
        """Return half the width of every interval."""
        n, V = np.maximum(self.n, 1), self.Q + self.X
        rho = tightest(V / n * off_policy.TIGHTEST, off_policy.ALPHA)
        return np.asarray(radius(V, rho, off_policy.ALPHA) / n)

    def _look(self) -> None:
        n = np.maximum(self.n, 1)
        ess = self.w**2 / np.maximum(self.ww, 1e-300)
        given = (self.n >= off_policy.LEAST) & (ess >= off_policy.LEAST_ESS)
        off, half = np.abs(self.dr - self.true) / n, self.halves()
        self.missed |= given & (off > half * (1 + 1e-9) + 1e-15)
        self.given |= given
        fixed = 1.96 * np.sqrt(np.maximum(self.drdr / n - (self.dr / n) ** 2, 0.0) / n)
        now = np.isnan(self.ratio) & (self.n >= 1000) & (fixed > 0)
        self.ratio[now] = half[now] / fixed[now]

    def _look_plainly(self, decision: Decision, e: Floats) -> None:
        """Watch ±1.96 sd/√n of all decisions, with overlap or not."""
        terms = decision.q + e / decision.p
        self.plain_n += 1
        self.plain_dr += terms
        self.plain_drdr += terms**2
        self.plain_true += decision.v
        n, mean = self.plain_n, self.plain_dr / self.plain_n
        half = 1.96 * np.sqrt(np.maximum(self.plain_drdr / n - mean**2, 0.0) / n)
        self.plain_missed |= (n >= off_policy.LEAST) & (np.abs(mean - self.plain_true / n) > half)

    def _compare(self, decision: Decision, e: Floats) -> None:
        H, D, Q, X = contrasts.H, contrasts.D, contrasts.Q, contrasts.X
        p, q, v, sums = decision.p, decision.q, decision.v, self.sums
        h = p[:, :, None] * p[:, None] / (p[:, :, None] + p[:, None])
        phi = q + e / p
        squares = h**2 * ((e / p)[:, :, None] ** 2 + (e / p)[:, None] ** 2)
        sums[H] += h
        sums[D] += h * (phi[:, :, None] - phi[:, None])
        sums[Q] += squares
        sums[X] = np.maximum(sums[X], squares)
        self.truth += h * (v[:, :, None] - v[:, None])
        alpha = contrasts.ERROR / 6  # pairs of 4 policies
        half = radius(sums[Q] + sums[X], tightest(contrasts.TIGHTEST * sums[X], alpha), alpha)
        above = (sums[Q] >= contrasts.LEAST * sums[X]) & (sums[D] > half)
        best = above.sum(2) == POLICIES - 1
        worse = (self.truth <= 0) & ~np.eye(POLICIES, dtype=bool)
        self.named |= best.any(1)
        self.wrong |= (best & worse.any(2)).any(1)


def play(market: Market, tuning: Tuning) -> Iterator[Decision]:
    """Let routers of this tuning play the market to its end; yield what they decided and earned."""
    mixtures = Mixtures(market.runs, POLICIES, FEATURES, tuning)
    for t in range(market.rounds):
        x = market.context()
        mean, p = mixtures.project(x)
        drawn = market.random.random(market.runs)[:, None]
        chosen = (drawn > p.cumsum(1)[:, :-1]).sum(1)
        v = (market.theta(t) * x[:, None]).sum(2)
        r = (v + market.errors())[np.arange(market.runs), chosen]
        yield Decision(x, p, mean, v, chosen, r)
        mixtures.learn(x, chosen, r)
