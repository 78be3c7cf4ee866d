"""Logs of many routers at once, with what is true of them, and a watch over the intervals after every reward.

`Banks` is `services.router.thompson.Bank`, vectorised over runs. Its propensities are by Gauss-Hermite
quadrature, of normals with the variance of the posterior's t; each choice is drawn from just these, so they
are exact for the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.random import Generator, Philox
from scipy.special import ndtr, ndtri, stdtr

from services.router import contrasts, evaluation
from services.router.confidence import radius, tightest
from services.router.thompson import DRIFT_CLIP, DRIFT_SLACK, MOST_SHAPE, POOL_AFTER, Tuning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.router.thompson import Floats

POLICIES: Final = 4
FEATURES: Final = 6
NOISE: Final = 1e-3  # 10 bps
NODES, _WEIGHTS = hermegauss(16)
OTHERS: Final = np.array([[j for j in range(POLICIES) if j != k] for k in range(POLICIES)])
WEIGHTS: Final = _WEIGHTS / _WEIGHTS.sum()

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
            fixed = np.zeros_like(self.weights[0])
            fixed[:, :, 0] = 1e-4 * np.array(FIXED[self.kind])
            if self.kind == "hidden" and late:
                fixed[:, 3, 0] = 5e-4
            return fixed
        if self.kind == "switch":
            return self.weights[int(late)]
        if self.kind == "recurring":
            return self.weights[9 * t // self.rounds % 3]
        if self.kind == "drift":
            angle = np.pi / 2 * t / self.rounds
            return np.cos(angle) * self.weights[0] + np.sin(angle) * self.weights[1]
        return self.weights[0]

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


class Banks:
    """Many banks of one tuning; changes in place."""

    def __init__(self, runs: int, tuning: Tuning) -> None:
        self.tuning, self.runs = tuning, np.arange(runs)
        shape = (runs, POLICIES)
        self.A = np.tile(tuning.lam * np.eye(FEATURES), (*shape, 1, 1))
        self.P = np.tile(np.eye(FEATURES) / tuning.lam, (*shape, 1, 1))
        self.h, self.m = np.zeros((*shape, FEATURES)), np.zeros((*shape, FEATURES))
        self.a, self.B, self.C, self.updates = (np.zeros(shape) for _ in range(4))
        self.pooled_C = np.zeros(runs)

    def project(self, x: Floats) -> tuple[Floats, Floats]:
        """Return means and propensities, (runs, POLICIES); keep what `learn` needs."""
        tuning = self.tuning
        pooled = np.maximum(self.B.sum(1) / np.maximum(self.a.sum(1), 0.5), 1e-18)
        pooled = np.where(self.updates.sum(1) < POOL_AFTER, tuning.s0**2, pooled)[:, None]
        self.s = np.sqrt((tuning.a0 * pooled + self.B) / (tuning.a0 + self.a))
        self.nu = 2 * (tuning.a0 + self.a)
        self.Px = (self.P @ x[:, None, :, None])[..., 0]
        spread = np.sqrt(np.maximum((self.Px * x[:, None]).sum(2), 0.0))
        self.mean = (self.m * x[:, None]).sum(2)
        scale = np.maximum(tuning.c * self.s * spread * np.sqrt(self.nu / (self.nu - 2)), 1e-12)
        points = self.mean[..., None] + scale[..., None] * NODES
        below = ndtr((points[:, :, None] - self.mean[:, OTHERS, None]) / scale[:, OTHERS, None])
        p = (below.prod(2) * WEIGHTS).sum(2)
        p = (1 - tuning.epsilon) * p / p.sum(1, keepdims=True) + tuning.epsilon / POLICIES
        return self.mean, p

    def learn(self, x: Floats, chosen: np.ndarray, r: Floats) -> None:
        """Update the chosen policy of every run."""
        tuning, at = self.tuning, (self.runs, chosen)
        q = 1.0 + (self.Px[at] * x).sum(1)
        e = r - self.mean[at]
        z = ndtri(np.clip(stdtr(self.nu[at], e / (self.s[at] * np.sqrt(q))), 1e-15, 1 - 1e-15))
        step = np.minimum(z**2, DRIFT_CLIP) - DRIFT_SLACK
        self.C[at] = np.where(self.updates[at] >= POOL_AFTER, np.maximum(0, self.C[at] + step), self.C[at])
        listens = self.updates.sum(1) >= POOL_AFTER
        self.pooled_C = np.where(listens, np.maximum(0, self.pooled_C + step), self.pooled_C)
        drifted = self.pooled_C > tuning.alarm
        self.pooled_C[drifted] = 0.0
        reset = np.repeat(drifted[:, None], POLICIES, 1)
        reset[at] |= self.C[at] > tuning.alarm
        self.A[reset] = tuning.lam * np.eye(FEATURES)
        self.P[reset] = np.eye(FEATURES) / tuning.lam
        self.h[reset], self.m[reset], self.C[reset] = 0.0, 0.0, 0.0
        prior = (1 - tuning.gamma) * tuning.lam * np.eye(FEATURES)
        A = tuning.gamma * self.A[at] + prior + x[:, :, None] * x[:, None]
        h = tuning.gamma * self.h[at] + x * r[:, None]
        P = np.linalg.inv(A)
        self.A[at], self.h[at], self.P[at] = A, h, P
        self.m[at] = (P @ h[:, :, None])[..., 0]
        self.a[at] += 0.5
        self.B[at] += 0.5 * e * e / q
        self.updates[at] += 1
        full = self.a > MOST_SHAPE
        self.B[full] *= MOST_SHAPE / self.a[full]
        self.a[full] = MOST_SHAPE


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
        counts = p >= evaluation.OVERLAP
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
        rho = tightest(V / n * evaluation.TIGHTEST, evaluation.ALPHA)
        return np.asarray(radius(V, rho, evaluation.ALPHA) / n)

    def _look(self) -> None:
        n = np.maximum(self.n, 1)
        ess = self.w**2 / np.maximum(self.ww, 1e-300)
        given = (self.n >= evaluation.LEAST) & (ess >= evaluation.LEAST_ESS)
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
        self.plain_missed |= (n >= evaluation.LEAST) & (np.abs(mean - self.plain_true / n) > half)

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
    banks = Banks(market.runs, tuning)
    for t in range(market.rounds):
        x = market.context()
        mean, p = banks.project(x)
        drawn = market.random.random(market.runs)[:, None]
        chosen = (drawn > p.cumsum(1)[:, :-1]).sum(1)
        v = (market.theta(t) * x[:, None]).sum(2)
        r = (v + market.errors())[np.arange(market.runs), chosen]
        yield Decision(x, p, mean, v, chosen, r)
        banks.learn(x, chosen, r)
