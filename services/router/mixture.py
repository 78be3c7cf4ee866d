r"""Copies of a Bayesian linear model that forget at different rates, weighted by their forecasts; pure.

Model of a copy: ``r = xᵀθ_k + ε, ε ~ s_k·g·t_nu; θ_k | s_k² ~ N(μ_k, s_k²Λ_k⁻¹)``; see ``noise.py``.

=========  =================================================================  =========  ============
symbol     meaning                                                            unit       shape
=========  =================================================================  =========  ============
x          feature vector; x_0 = 1                                            1          (d,)
r, e       reward, and how far a copy was off                                 return     scalar
A, P       precision Λ + Σu·xxᵀ, discounted; P = A⁻¹                          1          (Q, K, d, d)
h          Λμ + Σu·x·r, discounted                                            return     (Q, K, d)
Λ, μ       the prior's precision (a diagonal) and mean                        1, return  (K, d)
gamma      discount of a copy per reward of its policy                        1          (Q,)
z²         e²/(s_k²(g² + xᵀA⁻¹x))                                             1          (Q + M,)
u          weight of a reward, (1/g²)·(nu + 1)/(nu + z²)                      1          (Q,)
w          weights of the Q copies and of M remembered regimes                1          (Q + M,)
f          what is left of a policy that was not played                       1          (K,)
C          cumulative log likelihood ratio of "off by more than noise"        1          scalar
=========  =================================================================  =========  ============

- **Weights** are the Bayesian ones of the copies' predictive densities, with a fixed share for each.
- **The challenger** is the last copy, without discount: it begins anew from the prior at each change, and
  must earn its weight. Nothing else is forgotten then, but the last squares of the market's volatility; for
  `LISTEN_AGAIN` rewards no change is heard, so that it can follow if it was the noise that grew.
- **Memories** are what led when a change came, kept as means and variances. They forecast, and do not learn;
  one that forecasts best of all becomes the challenger.
- **Fading**: after `grace` rewards of others θ_k goes back to the prior, as an AR(1) whose stationary law is
  the prior.

References
----------
Raftery, Kárný & Ettler 2010, (15)-(16) (dynamic model averaging); Herbster & Warmuth 1998 (fixed share);
Russac, Vernade & Cappé 2019 (discount with the prior put back); Lorden 1971 and Shin, Ramdas & Rinaldo 2023
(a cumulative likelihood ratio above C: where the model holds, e^C rewards between false alarms at least, on
average); West & Harrison 1997 (fading as evolution of the state).
"""

from __future__ import annotations

import math
import struct
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from services.router.noise import Noise, log_t
from services.router.thompson import Learnt, Posterior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.router.noise import Scales
    from services.router.thompson import Floats, Tuning

Rows: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

PLAYED: Final = 1e-3  # a copy with less weight is not drawn from
CLIP: Final = 6.0  # standard deviations of a reward that are learnt, at most
INFLATED: Final = 3.0  # how many scales the noise would have after a change
HEAVY: Final = 5.0  # degrees of freedom of the alarm's noise: one shock is no change
LISTEN_AFTER: Final = 10  # rewards before an alarm listens
LISTEN_AGAIN: Final = 30  # rewards of a challenger from the prior before it does: the noise's scale follows
SETTLED: Final = 100  # rewards of a regime before it is worth to be remembered
REFUTED_AFTER: Final = 300  # rewards a challenger has, to earn its weight
REFUTED: Final = 1e-3  # weight of a challenger that begins anew, unless copies that forget little lead
BEGINS: Final = 0.01  # weight of a challenger after a change
RECALLED: Final = 0.5  # weight with which a memory becomes the challenger
AVERAGED: Final = 0.99  # memory of the weights by which the copy that led before a change is known
VERSION: Final = 1
_sum: Final = np.add.reduce  # as `ndarray.sum`, without what that looks at first
HEADER: Final = struct.Struct("<BBBBH")  # version, copies, memories, decays, features


class Prior(NamedTuple):
    """What is expected of a policy before its rewards: `mean` at any x, as after `weight` rewards at usual x.

    Features are scaled to a variance near 1, so that those rewards would add ``weight·I`` to the precision.
    """

    mean: float = 0.0  # return units
    weight: float = 0.0  # rewards


class Mixture:
    """The posteriors of K policies; changes in place."""

    def __init__(self, policies: int, d: int, tuning: Tuning, priors: Sequence[Prior] = ()) -> None:
        if priors and len(priors) != policies:
            raise ValueError(f"{len(priors)} priors for {policies} policies; give one for each, or none")
        self.tuning = tuning
        self.noise_model = Noise(policies, tuning)
        self.discounts: Floats = np.array([*tuning.discounts, 1.0])
        Q, M = len(self.discounts), tuning.memories
        self.precision = np.full((policies, d), tuning.lam)
        self.expected = np.zeros((policies, d))
        for k, prior in enumerate(priors):
            self.expected[k, 0] = prior.mean
            self.precision[k] += prior.weight  # of every coordinate: else the others explain what differs
        self.A = np.tile(np.einsum("kd,de->kde", self.precision, np.eye(d)), (Q, 1, 1, 1))
        self._P = np.empty_like(self.A)
        self._inverted: set[int] = set()  # policies whose P is that of their A
        self._scales: Scales | None = None  # of the noise as it is
        self.h = np.tile(self.precision * self.expected, (Q, 1, 1))
        self.means = np.tile(self.expected, (M, 1, 1))
        self.variances = np.tile(1 / self.precision, (M, 1, 1))
        self.last = np.zeros(policies)  # rewards of the scope at its own last one
        self.updates = [0] * policies
        self.w = np.append(np.full(Q, 1 / Q), np.zeros(M))
        self.led = self.w.copy()  # exponential average of w
        self.used = np.zeros(M)  # rewards of the scope when a memory was kept or recalled
        self.origin = -1  # the memory that the challenger began from
        self.began = 0  # rewards of the scope when the challenger began
        self.cusum = 0.0
        self.alarms = 0

    def noise(self) -> float:
        """Return the present scale of a reward around its mean, return units."""
        return self._scatter().scale

    def _scatter(self) -> Scales:
        """Return how much rewards scatter at present, computed once until the noise learns."""
        if self._scales is None:
            self._scales = self.noise_model.now()
        return self._scales

    def project(self, X: Floats) -> Posterior:
        """Return the posterior of every policy's expected reward.

        Parameters
        ----------
        X
            Features: (d,), or (K, d) with a row for each policy.
        """
        x = X if X.shape == self.expected.shape else np.broadcast_to(X, self.expected.shape)
        Q, remembered = len(self.discounts), bool((self.w[len(self.discounts) :] >= PLAYED).any())
        for k in range(len(x)):
            self._invert(k)
        g = (self._P @ x[..., None])[..., 0]
        xx = x * x
        prior_square = _sum(xx / self.precision, axis=1)
        means = np.empty((Q + remembered * len(self.used), len(x)))
        squares = np.empty_like(means)
        _sum(g * self.h, axis=2, out=means[:Q])
        _sum(g * x, axis=2, out=squares[:Q])
        if self.noise_model.rewards - self.last.min() > self.tuning.grace:
            f = self._left(self.last)
            prior_mean = _sum(x * self.expected, axis=1)
            means[:Q] = f * means[:Q] + (1 - f) * prior_mean
            squares[:Q] = f**2 * squares[:Q] + (1 - f**2) * prior_square
        if remembered:
            _sum(self.means * x, axis=2, out=means[Q:])
            _sum(self.variances * xx, axis=2, out=squares[Q:])
        noise, w = self.noise_model, self.w
        if Q > 1 and (means[Q - 2] == means[Q - 1]).all() and (squares[Q - 2] == squares[Q - 1]).all():
            w = w.copy()  # until a first change the challenger is the copy that keeps all
            w[Q - 2], w[Q - 1] = w[Q - 2] + w[Q - 1], 0.0
        played = np.flatnonzero(w >= PLAYED)  # none is a memory where none is remembered
        weights = w[played]
        return Posterior(
            means=means[played],
            spreads=np.sqrt(squares[played]),
            s=np.sqrt(self._scatter().squares),
            nu=2 * (self.tuning.a0 + noise.a),
            prior=np.sqrt(prior_square),
            weights=weights / weights.sum(),
        )

    def learn(self, k: int, x: Floats, r: float) -> Learnt:
        """Learn a reward of policy `k`, after it was seen how far off every copy was."""
        noise, nu = self.noise_model, self.tuning.tails
        self.fade(k)
        Q = len(self.discounts)
        g = self._invert(k) @ x
        mean = np.append((g * self.h[:, k]).sum(axis=1), self.means[:, k] @ x)
        q = np.append(g @ x, self.variances[:, k] @ (x * x))
        now, self._scales = self._scatter(), None
        square, g2 = now.squares[k], now.present
        centre = float(self.w @ mean)
        most = CLIP * np.sqrt(square * g2 + self.w @ (square * q + (mean - centre) ** 2))
        r = centre + min(max(r - centre, -most), most)
        e, variance = r - mean, square * (g2 + q)
        z2 = e * e / variance
        weights = self.w
        changed = self._listen(z2, variance)
        self._weigh(log_t(z2, nu) - 0.5 * np.log(variance))
        noise.learn(k, now, weights, e, q)
        self._update(k, x, r, now.precision * (nu + 1) / (nu + z2[:Q]))
        self.last[k] = noise.rewards
        self.updates[k] += 1
        if changed:
            self._change()
        others = self._refuted() or self._recalled()
        everybody = tuple(range(len(self.updates)))
        return Learnt(changed, everybody if changed or others else (k,), r)

    def _invert(self, k: int) -> Floats:
        """Return A⁻¹ of every copy, (Q, d, d): computed from A alone, once for each of its values."""
        if k not in self._inverted:
            self._P[:, k] = np.linalg.inv(self.A[:, k])
            self._inverted.add(k)
        return np.asarray(self._P[:, k])

    def _left(self, last: Floats) -> Floats:
        idle = self.noise_model.rewards - last
        return np.asarray(self.tuning.fade ** np.maximum(idle - self.tuning.grace, 0))

    def fade(self, k: int) -> None:
        """Evolve A and h of `k` since its last reward: P ← f²P + (1-f²)Λ⁻¹, m ← fm + (1-f)μ, P = A⁻¹."""
        f = float(self._left(self.last[k]))
        if f == 1:
            return
        P = self._invert(k)
        m = f * np.einsum("qde,qe->qd", P, self.h[:, k]) + (1 - f) * self.expected[k]
        A = np.linalg.inv(f * f * P + (1 - f * f) * np.diag(1 / self.precision[k]))
        self.A[:, k] = 0.5 * (A + A.transpose(0, 2, 1))
        self._inverted.discard(k)
        self.h[:, k] = np.einsum("qde,qe->qd", self.A[:, k], m)
        self.last[k] = self.noise_model.rewards

    def _listen(self, z2: Floats, variance: Floats) -> bool:
        """Take one reward into the alarm, before the weights do; return whether it is a change."""
        rewards = self.noise_model.rewards
        anew = self.began and self.origin < 0
        if rewards < LISTEN_AFTER or (anew and rewards < self.began + LISTEN_AGAIN):
            return False
        density = self.w / np.sqrt(variance)
        expected = density @ np.exp(log_t(z2, HEAVY))
        inflated = density @ np.exp(log_t(z2 / INFLATED**2, HEAVY)) / INFLATED
        self.cusum = max(self.cusum, 0.0) + math.log(inflated / expected)
        return self.cusum > self.tuning.change

    def _weigh(self, log_density: Floats) -> None:
        """Weigh the copies by their densities of one reward."""
        share, filled = self.tuning.share, self.w > 0
        w = self.w * np.exp(log_density - log_density.max())
        self.w = (1 - share) * w / w.sum() + share * filled / filled.sum()
        self.led = AVERAGED * self.led + (1 - AVERAGED) * self.w

    def _update(self, k: int, x: Floats, r: float, u: Floats) -> None:
        gamma, prior = self.discounts[:, None], self.precision[k]
        self._inverted.discard(k)
        A = self.A[:, k]
        A *= gamma[..., None]  # A ← gamma·A + (1-gamma)Λ + u·xxᵀ
        A += u[:, None, None] * np.outer(x, x)
        diagonals: Floats = np.einsum("qdd->qd", A)  # a view
        diagonals += (1 - gamma) * prior
        self.h[:, k] = gamma * self.h[:, k] + (1 - gamma) * prior * self.expected[k] + u[:, None] * x * r

    def _change(self) -> None:
        """Remember the copy that led, and let the challenger begin anew."""
        Q, rewards = len(self.discounts), self.noise_model.rewards
        challenger = Q - 1
        self.cusum, self.alarms = 0.0, self.alarms + 1
        self.noise_model.forget_market()
        leader = int(self.led[:Q].argmax())
        if len(self.used) and rewards - self.began > SETTLED:
            if leader == challenger and self.origin >= 0:
                slot = self.origin
            else:
                slot = int(np.where(self.w[Q:] > 0, self.used, -1.0).argmin())
            P = np.linalg.inv(self.A[leader])
            self.means[slot] = np.einsum("kde,ke->kd", P, self.h[leader])
            self.variances[slot] = np.einsum("kdd->kd", P)
            self.used[slot] = rewards
            known = self.w[challenger] if leader == challenger else 0.0
            self.w[Q + slot] = max(self.w[Q + slot] + known, PLAYED)
            self.w[challenger] = BEGINS
            self.w /= self.w.sum()
        self._begin(-1)
        self.led = self.w.copy()

    def _refuted(self) -> bool:
        """Let a challenger begin anew that earned nothing while copies that forget faster lead."""
        challenger = len(self.discounts) - 1
        late = self.noise_model.rewards - self.began > REFUTED_AFTER
        if not late or self.w[challenger] > REFUTED or self.w[: challenger - 1].sum() <= RECALLED:
            return False
        self._begin(-1)
        return True

    def _recalled(self) -> bool:
        """Let the challenger go on from a memory that forecasts best."""
        Q = len(self.discounts)
        if not len(self.used) or self.w[Q:].max() <= RECALLED:
            return False
        slot = int(self.w[Q:].argmax())
        self._begin(slot)
        self.used[slot] = self.noise_model.rewards
        self.w[Q - 1] += self.w[Q + slot] - PLAYED
        self.w[Q + slot] = PLAYED
        self.w /= self.w.sum()
        return True

    def _begin(self, slot: int) -> None:
        """Let the challenger begin from a memory, or from the prior (-1)."""
        mean, precision = self.expected, self.precision
        if slot >= 0:
            mean, precision = self.means[slot], 1 / self.variances[slot]
        self.A[-1] = np.einsum("kd,de->kde", precision, np.eye(mean.shape[1]))
        self._inverted.clear()
        self.h[-1] = precision * mean
        self.origin, self.began = slot, self.noise_model.rewards

    # --- state as bytes: little-endian float64, exact ---

    def pack(self, k: int) -> bytes:
        """Return what is known of policy `k`; lower triangles of A by rows."""
        noise, lower = self.noise_model, _lower(self.h.shape[2])
        own = np.array([self.last[k], self.updates[k], noise.a[k], noise.B[k]])
        parts = (own, self.A[:, k][:, *lower], self.h[:, k], self.means[:, k], self.variances[:, k])
        return self._header() + b"".join(part.astype("<f8").tobytes() for part in parts)

    def unpack(self, k: int, raw: bytes) -> None:
        """Take what `pack` returned; the copies of other settings are replaced by the one that forgot least.

        Raises
        ------
        ValueError
            If it is of another version or of other features.
        """
        Q, M, d = _checked(raw, self.h.shape[2])
        values, lower = np.frombuffer(raw, "<f8", offset=HEADER.size), _lower(d)
        noise, size = self.noise_model, len(lower[0])
        self.last[k], self.updates[k], noise.a[k], noise.B[k] = (
            values[0],
            int(values[1]),
            values[2],
            values[3],
        )
        self._inverted.discard(k)
        self._scales = None
        triangles, h, means, variances = np.split(values[4:], np.cumsum([Q * size, Q * d, M * d]))
        A = np.empty((Q, d, d))
        A[:, lower[0], lower[1]] = triangles.reshape(Q, size)
        A[:, lower[1], lower[0]] = triangles.reshape(Q, size)
        if self._same(Q, M):
            self.A[:, k], self.h[:, k] = A, h.reshape(Q, d)
            self.means[:, k], self.variances[:, k] = means.reshape(M, d), variances.reshape(M, d)
        else:
            self.A[:, k], self.h[:, k] = A[-2], h.reshape(Q, d)[-2]

    def pack_shared(self) -> bytes:
        """Return what the policies share."""
        noise = self.noise_model
        own = np.array([noise.rewards, self.origin, self.began, self.cusum, self.alarms])
        parts = (own, self.w, self.led, self.used, noise.N, noise.D, noise.v)
        return self._header() + b"".join(part.astype("<f8").tobytes() for part in parts)

    def unpack_shared(self, raw: bytes) -> None:
        """Take what `pack_shared` returned; weights of copies of other settings begin alike.

        Raises
        ------
        ValueError
            If it is of another version or of other features.
        """
        Q, M, _ = _checked(raw, self.h.shape[2])
        J, noise = raw[3], self.noise_model
        values = np.frombuffer(raw, "<f8", offset=HEADER.size)
        own, w, led, used, N, D, v = np.split(values, np.cumsum([5, Q + M, Q + M, M, J, J]))
        noise.rewards, self.alarms, self.began = int(own[0]), int(own[4]), int(own[0])
        if self._same(Q, M):
            self.w, self.led, self.used = w.copy(), led.copy(), used.copy()
            self.origin, self.began, self.cusum = int(own[1]), int(own[2]), float(own[3])
        self._scales = None
        if len(noise.N) == J:
            noise.N, noise.D, noise.v = N.copy(), D.copy(), v.copy()

    def adopt(self, k: int, A: Floats, h: Floats, a: float, B: float, updates: int) -> None:
        """Let a posterior of one copy, as older versions kept it, be every copy's."""
        self.A[:, k], self.h[:, k] = A, h
        self._inverted.discard(k)
        self._scales = None
        self.noise_model.a[k], self.noise_model.B[k], self.updates[k] = a, B, updates
        self.last[k] = self.noise_model.rewards

    def _same(self, Q: int, M: int) -> bool:
        return len(self.discounts) == Q and len(self.used) == M

    def _header(self) -> bytes:
        J = len(self.noise_model.N)
        return HEADER.pack(VERSION, len(self.discounts), len(self.used), J, self.h.shape[2])


@cache
def _lower(d: int) -> tuple[Rows, Rows]:
    return np.tril_indices(d)


def _checked(raw: bytes, d: int) -> tuple[int, int, int]:
    version, Q, M, _, features = HEADER.unpack_from(raw)
    if version != VERSION:
        raise ValueError(f"a posterior of version {version}; this reads version {VERSION}")
    if features != d:
        raise ValueError(f"a posterior of {features} features; these are {d}")
    return Q, M, d
