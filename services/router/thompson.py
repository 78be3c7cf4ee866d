r"""Thompson sampling between policies whose expected rewards Q copies of a model forecast; pure.

===========  =======================================================  ===========  =======
symbol       meaning                                                  unit         shape
===========  =======================================================  ===========  =======
x            feature vector                                           1            (d,)
m, P         posterior mean of the weights of x, and its covariance   return, 1    (d, …)
s, nu        scale and degrees of freedom of the posterior t          return, 1    (K,)
a0, λ        weight of the pooled noise, prior precision              1            scalar
s0           noise before ten rewards                                 return       scalar
c, ε         width of exploration, share of uniform choices           1            scalar
w            weights of the copies                                    1            (Q,)
===========  =======================================================  ===========  =======

References
----------
Agrawal & Goyal 2013 (sampling); Riquelme, Tucker & Snoek 2018 (the noise is learnt); ``mixture.py`` (copies).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import erfc, exp, lgamma, log1p, pi, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator, Philox

from libs.common.cloudevents import caused_id
from services.router.special import ndtr, stdtr, stdtrit

if TYPE_CHECKING:
    from uuid import UUID

Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

GRID: Final = tuple(ndtr(np.linspace(-5.0, 5.0, 23)).tolist())  # of the propensity's grid: 3e-7 to 1 - 3e-7
MASS_TOLERANCE: Final = 1e-3
STEPS: Final = 60  # of a search for a quantile, at most; two are usual
CLOSE: Final = 1e-3  # a step, in the least scale, after which Halley's error is below 1e-8 of it
PHILOX: Final = Philox(key=0)
BEGINNING: Final = PHILOX.state
STREAM: Final = Generator(PHILOX)
WORD: Final = 2**64 - 1
TINY: Final = 1e-100  # the least scale
HILL_FROM: Final = 6.0  # degrees of freedom from which the expansion of `cdf_t` errs by less than 1e-7


@dataclass(frozen=True, slots=True)
class Tuning:
    """The constants of the model; meanings in the modules' tables."""

    lam: float = 1.0
    a0: float = 3.0
    s0: float = 0.01  # noise scale assumed before `POOL_AFTER` rewards, return units
    c: float = 0.2
    epsilon: float = 0.0005
    discounts: tuple[float, ...] = (0.98, 0.99, 1.0)  # gamma of the copies, per reward of its policy
    share: float = 1e-4  # of the copies' weights that is shared out after each reward
    tails: float = 8.0  # degrees of freedom of one reward's noise
    decays: tuple[float, ...] = (0.9, 0.94, 0.97)  # of the market's volatility, per reward
    memories: int = 3  # regimes remembered
    change: float = 9.0  # cumulative log likelihood ratio that is a change
    fade: float = 0.998  # of what is known of a policy per reward of others, from `grace` on
    grace: int = 150  # rewards of others


class Estimates(NamedTuple):
    """What is expected of K policies, and how uncertain that is, return units."""

    mean: Floats  # (K,)
    width: Floats  # of the central 90 % credible interval, (K,)


class Posterior(NamedTuple):
    """What Q copies of the model expect of K policies: each a t with nu, its mean and scale `s·spread`."""

    means: Floats  # xᵀm, (Q, K)
    spreads: Floats  # √(xᵀPx), (Q, K)
    s: Floats  # (K,)
    nu: Floats  # (K,)
    prior: Floats  # the spread of the prior, (K,)
    weights: Floats  # (Q,), they sum to 1

    @property
    def mean(self) -> Floats:
        """The expected rewards, return units, (K,)."""
        return np.asarray(self.weights @ self.means)

    @property
    def scales(self) -> Floats:
        """The copies' scales, return units, (Q, K)."""
        return np.maximum(self.s * self.spreads, TINY)

    @property
    def spread(self) -> Floats:
        """The root of the mean square of the copies' spreads, (K,)."""
        return np.asarray(np.sqrt(self.weights @ self.spreads**2))

    def of(self, rows: list[int]) -> Posterior:
        """Return that of some of the policies, in this order."""
        if rows == list(range(len(self.s))):
            return self
        return Posterior(
            self.means[:, rows],
            self.spreads[:, rows],
            self.s[rows],
            self.nu[rows],
            self.prior[rows],
            self.weights,
        )

    def estimates(self) -> Estimates:
        """Return the expected rewards with the widths of their intervals."""
        return Estimates(self.mean, self.width())

    def width(self, probability: float = 0.9) -> Floats:
        """Return the widths of the central credible intervals, return units, (K,)."""
        tail = (1 - probability) / 2
        weights = self.weights.tolist()
        laws = zip(self.nu.tolist(), self.means.T.tolist(), self.scales.T.tolist(), strict=True)
        each = [Law(nu, list(zip(weights, means, scales, strict=True))) for nu, means, scales in laws]
        return np.array([law.quantile(1 - tail) - law.quantile(tail) for law in each])

    def prior_width(self, probability: float = 0.9) -> Floats:
        """Return what `width` is where nothing was learnt, return units, (K,)."""
        quantiles = np.array([t_quantile(nu, (1 + probability) / 2) for nu in self.nu.tolist()])
        return 2 * quantiles * self.s * self.prior


class Law:
    """What the copies together expect of one policy: a mixture of t.

    In floats: of a handful of copies an array costs more than all their sums.

    Parameters
    ----------
    nu
        Degrees of freedom of all.
    copies
        Weight, mean and scale of each.
    """

    __slots__ = ("_least", "_shapes", "copies", "nu")

    def __init__(self, nu: float, copies: list[tuple[float, float, float]]) -> None:
        self.nu, self.copies = nu, copies
        peak = t_peak(nu)
        # weight, mean, scale, and the peak of the density
        self._shapes = [(weight, mean, scale, weight * peak / scale) for weight, mean, scale in copies]
        self._least = min([scale for _, _, scale in copies])

    def quantile(self, probability: float) -> float:
        """Return where the distribution function is `probability`, by Halley's steps, return units."""
        own = t_quantile(self.nu, probability)
        each = [mean + own * scale for _, mean, scale in self.copies]
        low, high, least = min(each), max(each), self._least
        x = sum([copy[0] * one for copy, one in zip(self.copies, each, strict=True)])
        for _ in range(STEPS):
            if high - low <= CLOSE**3 * least:
                break
            below, density, slope = self._at(x)
            if below < probability:
                low = x
            else:
                high = x
            newton = (below - probability) / density
            # Held near Newton's: between copies far apart Halley's steps are a fraction of the narrowest.
            after = x - newton / min(max(1 - 0.5 * newton * slope / density, 0.5), 1.5)
            if not low <= after <= high:
                x = 0.5 * (low + high)
            elif abs(after - x) <= CLOSE * least:
                return after
            else:
                x = after
        return x

    def _at(self, x: float) -> tuple[float, float, float]:
        """Return the distribution function, the density, and its slope; the first as `cdf_t` has it."""
        nu, below, density, slope = self.nu, 0.0, TINY, 0.0
        power, half = -0.5 * (nu + 1), nu - 0.5
        b, twice = 48 * half**2, 2 * power
        for weight, mean, scale, peak in self._shapes:
            t = (x - mean) / scale
            tt = t * t
            far = log1p(tt / nu)
            one = peak * exp(power * far)
            density += one
            slope += twice * one * t / ((nu + tt) * scale)
            if nu < HILL_FROM:
                below += weight * float(stdtr(nu, t))
                continue
            y = half * far
            series = (((-0.4 * y - 3.3) * y - 24) * y - 85.5) / (0.8 * y * y + 100 + b) + y + 3
            z = (series / b + 1) * sqrt(0.5 * y)
            below += weight * 0.5 * erfc(-z if t > 0 else z)
        return below, density, slope


@lru_cache(maxsize=8192)
def t_peak(nu: float) -> float:
    """Return the density of Student's t at 0."""
    return exp(lgamma((nu + 1) / 2) - lgamma(nu / 2)) / sqrt(nu * pi)


@lru_cache(maxsize=8192)
def t_quantile(nu: float, probability: float) -> float:
    """Return a quantile of Student's t; degrees of freedom come again, as they rise by one a reward."""
    return float(stdtrit(nu, probability))


@lru_cache(maxsize=8192)
def t_grid(nu: float) -> Floats:
    """Return the quantiles of Student's t at `GRID`."""
    found = np.asarray(stdtrit(nu, np.array(GRID)))
    found.flags.writeable = False
    return found


def cdf_t(nu: Floats, t: Floats) -> Floats:
    """Return Student's distribution function, within 1e-7, ten times as fast as SciPy's.

    References
    ----------
    Hill 1970, Algorithm 395 (its expansion of a normal quantile).
    """
    if nu.min() < HILL_FROM:
        return np.asarray(stdtr(nu, t))
    b = 48 * (nu - 0.5) ** 2
    y = t * t  # ← (nu - ½)·log1p(t²/nu); in place, as most of the time of a sum is that of its new array
    y /= nu
    np.log1p(y, out=y)
    y *= nu - 0.5
    z = -0.4 * y  # ← (((-0.4y - 3.3)y - 24)y - 85.5)/(0.8y² + 100 + b) + y + 3
    for constant in (3.3, 24):
        z -= constant
        z *= y
    z -= 85.5
    below = 0.8 * y
    below *= y
    below += 100
    below += b
    z /= below
    z += y
    z += 3
    z /= b  # ← ±(z/b + 1)·√y
    z += 1
    z *= np.sqrt(y, out=y)
    return np.asarray(ndtr(np.copysign(z, t, out=z), out=z))


class Drawn(NamedTuple):
    """One choice among K policies."""

    chosen: int
    scores: Floats
    explored: bool


class Learnt(NamedTuple):
    """What one reward did."""

    alarm: bool
    changed: tuple[int, ...]  # policies whose posterior is another now
    learnt: float = 0.0  # the reward as it was learnt, return units


def draw(posterior: Posterior, tuning: Tuning, command_id: UUID) -> Drawn:
    """Return the choice of one command: the best of one draw per policy, or now and then any.

    Notes
    -----
    A copy is drawn by its weight; in it ``score_k = xᵀm_k + c·s_k·√(xᵀP_kx)·t_nu`` has the law of drawing
    whole vectors θ_k, because a projection of a multivariate t is a t and the policies are independent.
    """
    copy = 0
    if len(posterior.weights) > 1:
        at = _stream(caused_id(command_id, "copy")).random()
        copy = min(int((posterior.weights.cumsum() <= at).sum()), len(posterior.weights) - 1)
    noise = _stream(command_id).standard_t(posterior.nu)
    scores = posterior.means[copy] + tuning.c * posterior.s * posterior.spreads[copy] * noise
    u = _stream(caused_id(command_id, "explore")).random()
    if u < tuning.epsilon:
        return Drawn(int(u / tuning.epsilon * len(scores)), scores, explored=True)
    return Drawn(int(scores.argmax()), scores, explored=False)


def _stream(key: UUID) -> Generator:
    """Return the stream of a key from its beginning, until the next call: a new one costs ten times that."""
    words = BEGINNING["state"]["key"]
    words[0], words[1] = key.int & WORD, key.int >> 64
    PHILOX.state = BEGINNING
    return STREAM


def propensities(posterior: Posterior, tuning: Tuning) -> Floats:
    """Return with what probability `draw` chooses each policy: ``p = Σ_q w_q p^(q)``, then ``(1-ε)p + ε/K``.

    Raises
    ------
    ArithmeticError
        If those of a copy do not sum to 1 within `MASS_TOLERANCE` before they are normalised.
    """
    scales = tuning.c * posterior.s * posterior.spreads
    p = posterior.weights @ _largest(posterior.means, scales, posterior.nu)
    return np.asarray((1 - tuning.epsilon) * p + tuning.epsilon / len(posterior.s))


def best_probabilities(posterior: Posterior) -> Floats:
    """Return with what probability each policy's expected reward is the largest, as far as is known.

    It is not the propensity: choices are drawn from laws `c` times as wide, and now and then without them.
    """
    p = posterior.weights @ _largest(posterior.means, posterior.scales, posterior.nu)
    return np.asarray(p)


def _largest(means: Floats, scales: Floats, nu: Floats) -> Floats:
    """Return with what probability each of K independent t is the largest, for each of Q copies; (Q, K).

    Notes
    -----
    ``p_k = ∫ G_k dF_k, G_k = Π_{j≠k} F_j`` on the union of the policies' quantiles; in each cell F and G are
    the parabolas through its ends and its middle, of which Simpson's rule gives the integral exactly:
    ``((Fm-F0)(3G0+4Gm-G1) + (F1-Fm)(3G1+4Gm-G0))/6``. The error is below 1e-5 from half as many quantiles
    as straight lines need for 1e-3 where the policies are alike.
    """
    scales, means = np.maximum(scales, TINY).T[..., None], means.T[..., None]  # (K, Q, 1)
    quantiles = np.array([t_grid(each) for each in nu.tolist()])[:, None]
    ends = (means + scales * quantiles).transpose(1, 0, 2).reshape(means.shape[1], -1)
    ends.sort()
    n = ends.shape[1]
    grid = np.concatenate([ends, 0.5 * (ends[:, 1:] + ends[:, :-1])], axis=1)
    t = grid - means
    t /= scales
    F = cdf_t(nu[:, None, None], t)
    G = _products_of_others(F)
    F0, Fm, F1 = F[..., : n - 1], F[..., n:], F[..., 1:n]
    G0, Gm, G1 = G[..., : n - 1], 4 * G[..., n:], G[..., 1:n]
    first = np.einsum("kqn,kqn->qk", Fm - F0, Gm + 3 * G0 - G1)
    second = np.einsum("kqn,kqn->qk", F1 - Fm, Gm + 3 * G1 - G0)
    p = np.maximum((first + second) / 6, 0.0) + (1 - F[..., n - 1].T)  # beyond the grid every other F is 1
    total = p.sum(axis=1, keepdims=True)
    if np.any(abs(total - 1) > MASS_TOLERANCE):
        raise ArithmeticError(f"propensities sum to {total.ravel().tolist()}")
    return np.asarray(p / total)


def _products_of_others(F: Floats) -> Floats:
    """Return for each row the product of all other rows, without a division."""
    G = np.empty_like(F)
    G[0] = 1.0
    for k in range(1, len(F)):
        np.multiply(G[k - 1], F[k - 1], out=G[k])
    after = F[-1].copy()
    for k in range(len(F) - 2, -1, -1):
        G[k] *= after
        after *= F[k]
    return G
