"""`services.router.mixture.Mixture`, many at once, vectorised over runs that take one reward each a round.

Their propensities are by Gauss-Hermite quadrature, of normals with the variance of each copy's t, whose
distribution is Bowling et al.'s (2009) logistic one, within 1.4e-4. What comes rarely, as a change, is done
run by run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from services.router.mixture import (
    AVERAGED,
    BEGINS,
    CLIP,
    HEAVY,
    INFLATED,
    LISTEN_AFTER,
    LISTEN_AGAIN,
    PLAYED,
    RECALLED,
    REFUTED,
    REFUTED_AFTER,
    SETTLED,
)
from services.router.noise import (
    LEAST_SQUARE,
    MOST_SHAPE,
    POOL_AFTER,
    POOL_MOST,
    PRECISIONS,
    PRIOR_SQUARES,
    SHARE,
    log_t,
)

if TYPE_CHECKING:
    from services.router.thompson import Floats, Tuning

NODES, _WEIGHTS = hermegauss(10)
WEIGHTS: Final = _WEIGHTS / _WEIGHTS.sum()


class Mixtures:
    """Mixtures of one tuning, without stated rewards, as (runs, copies, policies, ...); changes in place."""

    def __init__(self, runs: int, policies: int, d: int, tuning: Tuning) -> None:
        self.tuning, self.runs = tuning, np.arange(runs)
        self.discounts = np.array([*tuning.discounts, 1.0])
        Q, M, J = len(self.discounts), tuning.memories, len(tuning.decays)
        self.Q = Q
        self.prior = tuning.lam * np.eye(d)
        self.A = np.tile(self.prior, (runs, Q, policies, 1, 1))
        self.P = np.tile(np.eye(d) / tuning.lam, (runs, Q, policies, 1, 1))
        self.h = np.zeros((runs, Q, policies, d))
        self.m = np.zeros((runs, Q, policies, d))
        self.means = np.zeros((runs, M, policies, d))
        self.variances = np.full((runs, M, policies, d), 1 / tuning.lam)
        self.last = np.zeros((runs, policies))
        self.w = np.tile(np.append(np.full(Q, 1 / Q), np.zeros(M)), (runs, 1))
        self.led, self.used = self.w.copy(), np.zeros((runs, M))
        self.origin, self.began = np.full(runs, -1), np.zeros(runs)
        self.cusum, self.alarms = np.zeros(runs), np.zeros(runs, dtype=int)
        self.a, self.B = np.zeros((2, runs, policies))
        self.N, self.D = np.zeros((2, runs, J))
        self.v = np.full((runs, J + 1), 1 / (J + 1))
        self.rewards = 0
        self.others = np.array([[j for j in range(policies) if j != k] for k in range(policies)])

    def project(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the means and the propensities, (runs, policies)."""
        tuning = self.tuning
        f = self._left()[:, None]
        g = np.einsum("rqkij,rj->rqki", self.P, x)
        here = x[:, None, None]
        square = (g * here).sum(3)
        prior_square = (x * x).sum(1)[:, None, None] / tuning.lam
        means = np.concatenate([f * (self.m * here).sum(3), (self.means * here).sum(3)], axis=1)
        squares = np.concatenate(
            [f**2 * square + (1 - f**2) * prior_square, (self.variances * here**2).sum(3)], axis=1
        )
        weights = np.where(self.w >= PLAYED, self.w, 0.0)
        weights /= weights.sum(1, keepdims=True)
        nu = 2 * (tuning.a0 + self.a)
        scales = tuning.c * np.sqrt(self._squares() * nu / (nu - 2))[:, None] * np.sqrt(squares)
        at = np.nonzero(weights)
        largest = np.zeros_like(means)
        largest[at] = self._largest(means[at], np.maximum(scales[at], 1e-12))
        p = (weights[..., None] * largest).sum(1)
        policies = p.shape[1]
        p = (1 - tuning.epsilon) * p / p.sum(1, keepdims=True) + tuning.epsilon / policies
        return (weights[..., None] * means).sum(1), p

    def learn(self, x: Floats, chosen: np.ndarray, r: Floats) -> None:
        """Learn one reward in every run."""
        nu, Q, at = self.tuning.tails, self.Q, (self.runs, chosen)
        self._fade(chosen)
        g = np.einsum("rqij,rj->rqi", self.P[self.runs, :, chosen], x)
        here = x[:, None]
        own = (self.m[self.runs, :, chosen] * here).sum(2)
        mean = np.concatenate([own, (self.means[self.runs, :, chosen] * here).sum(2)], axis=1)
        of_memory = (self.variances[self.runs, :, chosen] * here**2).sum(2)
        q = np.concatenate([(g * here).sum(2), of_memory], axis=1)
        square, g2 = self._squares()[at], (self.v * self._market()).sum(1)
        centre = (self.w * mean).sum(1)
        spread = (self.w * (square[:, None] * q + (mean - centre[:, None]) ** 2)).sum(1)
        most = CLIP * np.sqrt(square * g2 + spread)
        r = centre + np.clip(r - centre, -most, most)
        e, variance = r[:, None] - mean, square[:, None] * (g2[:, None] + q)
        z2 = e * e / variance
        weights = self.w
        precision = np.clip(1 / g2, *PRECISIONS)
        changed = self._listen(z2, variance)
        self._weigh(log_t(z2, nu) - 0.5 * np.log(variance))
        self._learn_noise(at, weights, e, q, square)
        self._update(x, chosen, r, precision[:, None] * (nu + 1) / (nu + z2[:, :Q]))
        self.last[at] = self.rewards
        for run in np.flatnonzero(changed).tolist():
            self._change(run)
        for run in self.runs[self._refuted()]:
            self._begin(run, -1)
        recalled = self.w[:, Q:].max(1, initial=0.0) > RECALLED
        for run in self.runs[recalled]:
            self._recall(run)

    def _largest(self, mean: Floats, scale: Floats) -> Floats:
        points = (mean[..., None] + scale[..., None] * NODES)[:, :, None]
        z = ((points - mean[:, self.others, None]) / scale[:, self.others, None]).astype(np.float32)
        z = np.clip(z, -8, 8)
        below = 1 / (1 + np.exp(-z * (1.5976 + 0.07056 * z * z)))
        return np.asarray((below.prod(2) * WEIGHTS).sum(2))

    def _left(self) -> Floats:
        idle = self.rewards - self.last
        return np.asarray(self.tuning.fade ** np.maximum(idle - self.tuning.grace, 0))

    def _squares(self) -> Floats:
        a0, seen = self.tuning.a0, np.minimum(self.a, POOL_MOST)
        own = self.B / np.maximum(self.a, 0.5)
        pooled = np.maximum((seen * own).sum(1) / np.maximum(seen.sum(1), 0.5), LEAST_SQUARE)
        unknown = (2 * self.a.sum(1) < POOL_AFTER) | ~self.B.any(1)
        self.pooled = np.where(unknown, self.tuning.s0**2, pooled)
        return np.asarray((a0 * self.pooled[:, None] + self.B) / (a0 + self.a))

    def _market(self) -> Floats:
        self._squares()
        prior = PRIOR_SQUARES * self.pooled[:, None]
        return np.concatenate([(prior + self.N) / (prior + self.D), np.ones((len(self.runs), 1))], axis=1)

    def _fade(self, chosen: np.ndarray) -> None:
        f = self._left()[self.runs, chosen]
        rows = np.flatnonzero(f < 1)
        if not len(rows):
            return
        k, f = chosen[rows], f[rows][:, None, None, None]
        P = f**2 * self.P[rows, :, k] + (1 - f**2) * np.eye(self.prior.shape[0]) / self.tuning.lam
        A, m = np.linalg.inv(P), f[..., 0] * self.m[rows, :, k]
        self.A[rows, :, k], self.P[rows, :, k], self.m[rows, :, k] = A, P, m
        self.h[rows, :, k] = np.einsum("rqij,rqj->rqi", A, m)

    def _listen(self, z2: Floats, variance: Floats) -> np.ndarray:
        anew = (self.began > 0) & (self.origin < 0)
        listens = (self.rewards >= LISTEN_AFTER) & ~(anew & (self.rewards < self.began + LISTEN_AGAIN))
        density = self.w / np.sqrt(variance)
        expected = (density * np.exp(log_t(z2, HEAVY))).sum(1)
        inflated = (density * np.exp(log_t(z2 / INFLATED**2, HEAVY))).sum(1) / INFLATED
        self.cusum = np.where(listens, np.maximum(self.cusum, 0.0) + np.log(inflated / expected), self.cusum)
        return np.asarray(listens & (self.cusum > self.tuning.change))

    def _weigh(self, log_density: Floats) -> None:
        share, filled = self.tuning.share, self.w > 0
        w = self.w * np.exp(log_density - log_density.max(1, keepdims=True))
        shared = share * filled / filled.sum(1, keepdims=True)
        self.w = (1 - share) * w / w.sum(1, keepdims=True) + shared
        self.led = AVERAGED * self.led + (1 - AVERAGED) * self.w

    def _learn_noise(
        self, at: tuple[np.ndarray, np.ndarray], weights: Floats, e: Floats, q: Floats, square: Floats
    ) -> None:
        nu, g2 = self.tuning.tails, self._market()
        present = (self.v * g2).sum(1)
        own = (weights * (e * e / (present[:, None] + q))).sum(1)
        robust = (nu + 1) / (nu + own / square) * own
        variance = square[:, None, None] * (g2[:, :, None] + q[:, None])
        density = np.exp(log_t((e * e)[:, None] / variance, nu)) / np.sqrt(variance)
        v = self.v * (density * weights[:, None]).sum(2)
        v = (1 - SHARE) * v / v.sum(1, keepdims=True) + SHARE / v.shape[1]
        decays = np.array(self.tuning.decays)
        varied = (own > LEAST_SQUARE) | self.B.any(1)
        told = varied[:, None]
        self.v = np.where(told, v, self.v)
        self.N = np.where(told, decays * self.N + (present * robust)[:, None], self.N)
        self.D = np.where(told, decays * self.D + square[:, None], self.D)
        self.a[at] += np.where(varied, 0.5, 0.0)
        self.B[at] += np.where(varied, 0.5 * robust, 0.0)
        full = self.a > MOST_SHAPE
        self.B[full] *= MOST_SHAPE / self.a[full]
        self.a[full] = MOST_SHAPE
        self.rewards += 1

    def _update(self, x: Floats, chosen: np.ndarray, r: Floats, u: Floats) -> None:
        gamma = self.discounts[:, None, None]
        outer = u[..., None, None] * (x[:, :, None] * x[:, None])[:, None]
        A = gamma * self.A[self.runs, :, chosen] + (1 - gamma) * self.prior + outer
        h = gamma[..., 0] * self.h[self.runs, :, chosen] + u[..., None] * (x * r[:, None])[:, None]
        P = np.linalg.inv(A)
        self.A[self.runs, :, chosen], self.P[self.runs, :, chosen] = A, P
        self.h[self.runs, :, chosen] = h
        self.m[self.runs, :, chosen] = np.einsum("rqij,rqj->rqi", P, h)

    def _change(self, run: int) -> None:
        Q, challenger = self.Q, self.Q - 1
        self.cusum[run] = 0.0
        self.alarms[run] += 1
        self.N[run], self.D[run] = 0.0, 0.0
        leader = int(self.led[run, :Q].argmax())
        if self.used.shape[1] and self.rewards - self.began[run] > SETTLED:
            if leader == challenger and self.origin[run] >= 0:
                slot = int(self.origin[run])
            else:
                slot = int(np.where(self.w[run, Q:] > 0, self.used[run], -1.0).argmin())
            self.means[run, slot] = self.m[run, leader]
            self.variances[run, slot] = np.einsum("kdd->kd", self.P[run, leader])
            self.used[run, slot] = self.rewards
            known = self.w[run, challenger] if leader == challenger else 0.0
            self.w[run, Q + slot] = max(self.w[run, Q + slot] + known, PLAYED)
            self.w[run, challenger] = BEGINS
            self.w[run] /= self.w[run].sum()
        self._begin(run, -1)
        self.led[run] = self.w[run]

    def _refuted(self) -> np.ndarray:
        challenger = self.Q - 1
        late = self.rewards - self.began > REFUTED_AFTER
        others = self.w[:, : challenger - 1].sum(1) > RECALLED
        return np.asarray(late & (self.w[:, challenger] <= REFUTED) & others)

    def _recall(self, run: int) -> None:
        Q = self.Q
        slot = int(self.w[run, Q:].argmax())
        self._begin(run, slot)
        self.used[run, slot] = self.rewards
        self.w[run, Q - 1] += self.w[run, Q + slot] - PLAYED
        self.w[run, Q + slot] = PLAYED
        self.w[run] /= self.w[run].sum()

    def _begin(self, run: int, slot: int) -> None:
        d = self.prior.shape[0]
        variances = (
            self.variances[run, slot]
            if slot >= 0
            else np.full_like(self.variances[run, 0], 1 / self.tuning.lam)
        )
        mean = self.means[run, slot] if slot >= 0 else np.zeros_like(variances)
        self.P[run, -1] = variances[..., None] * np.eye(d)
        self.A[run, -1] = (1 / variances)[..., None] * np.eye(d)
        self.m[run, -1], self.h[run, -1] = mean, mean / variances
        self.origin[run], self.began[run] = slot, self.rewards
