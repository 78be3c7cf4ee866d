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
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator, Philox

from libs.common.cloudevents import caused_id
from services.router.special import gammaln, ndtr, stdtr, stdtrit

if TYPE_CHECKING:
    from uuid import UUID

Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

GRID: Final = tuple(ndtr(np.linspace(-6.0, 6.0, 27)).tolist())  # of the propensity's grid: 1e-9 to 1 - 1e-9
MASS_TOLERANCE: Final = 1e-3
STEPS: Final = 30  # of a search for a quantile, at most; four or five are usual
CLOSE: Final = 1e-8  # of a quantile's probability, or of its scale
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
    def spread(self) -> Floats:
        """The root of the mean square of the copies' spreads, (K,)."""
        return np.asarray(np.sqrt(self.weights @ self.spreads**2))

    def of(self, rows: list[int]) -> Posterior:
        """Return that of some of the policies, in this order."""
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
        low, high = self._quantiles(np.array([tail, 1 - tail]))
        return np.asarray(high - low)

    def prior_width(self, probability: float = 0.9) -> Floats:
        """Return what `width` is where nothing was learnt, return units, (K,)."""
        return np.asarray(2 * stdtrit(self.nu, (1 + probability) / 2) * self.s * self.prior)

    def _quantiles(self, probabilities: Floats) -> Floats:
        """Find those of the mixture between the copies' own, by Newton's steps; (probabilities, K)."""
        scales = np.maximum(self.s * self.spreads, 1e-300)
        own = np.array([t_quantiles(nu, *probabilities.tolist()) for nu in self.nu.tolist()]).T
        each = self.means + scales * own[:, None]
        low, high = each.min(axis=1), each.max(axis=1)
        x, density = np.tensordot(each, self.weights, (1, 0)), self.weights[:, None] * t_density(self.nu)
        for _ in range(STEPS if len(self.weights) > 1 else 0):
            t = (x[:, None] - self.means) / scales
            above = np.einsum("q,pqk->pk", self.weights, cdf_t(self.nu, t)) - probabilities[:, None]
            low, high = np.where(above < 0, x, low), np.where(above < 0, high, x)
            found = (abs(above) <= CLOSE) | (high - low <= CLOSE * scales[0])
            if found.all():
                break
            slope = (density / scales * (1 + t * t / self.nu) ** (-(self.nu + 1) / 2)).sum(axis=1)
            newton = x - above / np.maximum(slope, 1e-300)
            inside = np.where((low < newton) & (newton < high), newton, 0.5 * (low + high))
            x = np.where(found, x, inside)
        return np.asarray(x)


@lru_cache(maxsize=8192)
def t_quantiles(nu: float, *probabilities: float) -> Floats:
    """Return quantiles of Student's t; degrees of freedom come again, as they rise by one a reward."""
    found = np.asarray(stdtrit(nu, np.array(probabilities)))
    found.flags.writeable = False
    return found


def t_density(nu: Floats) -> Floats:
    """Return the density of Student's t at 0."""
    return np.asarray(np.exp(gammaln((nu + 1) / 2) - gammaln(nu / 2)) / np.sqrt(nu * np.pi))


def cdf_t(nu: Floats, t: Floats) -> Floats:
    """Return Student's distribution function, within 1e-7, ten times as fast as SciPy's.

    References
    ----------
    Hill 1970, Algorithm 395 (its expansion of a normal quantile).
    """
    if nu.min() < HILL_FROM:
        return np.asarray(stdtr(nu, t))
    b = 48 * (nu - 0.5) ** 2
    y = (nu - 0.5) * np.log1p(t * t / nu)
    series = (((-0.4 * y - 3.3) * y - 24) * y - 85.5) / (0.8 * y * y + 100 + b) + y + 3
    return np.asarray(ndtr(np.copysign((series / b + 1) * np.sqrt(y), t)))


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
        at = Generator(Philox(key=caused_id(command_id, "copy").int)).random()
        copy = min(int((posterior.weights.cumsum() <= at).sum()), len(posterior.weights) - 1)
    noise = Generator(Philox(key=command_id.int)).standard_t(posterior.nu)
    scores = posterior.means[copy] + tuning.c * posterior.s * posterior.spreads[copy] * noise
    u = Generator(Philox(key=caused_id(command_id, "explore").int)).random()
    if u < tuning.epsilon:
        return Drawn(int(u / tuning.epsilon * len(scores)), scores, explored=True)
    return Drawn(int(scores.argmax()), scores, explored=False)


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


def _largest(means: Floats, scales: Floats, nu: Floats) -> Floats:
    """Return with what probability each of K independent t is the largest, for each of Q copies; (Q, K).

    Notes
    -----
    ``p_k = ∫ G_k dF_k, G_k = Π_{j≠k} F_j`` on the union of the policies' quantiles; in each cell F and G are
    the parabolas through its ends and its middle, of which Simpson's rule gives the integral exactly:
    ``(G0(4Fm-3F0-F1) + 4Gm(F1-F0) + G1(F0-4Fm+3F1))/6``. The error is below 1e-5 from half as many quantiles
    as straight lines need for 1e-3 where the policies are alike.
    """
    scales, means = np.maximum(scales, 1e-300)[..., None], means[..., None]
    quantiles = np.array([t_quantiles(each, *GRID) for each in nu.tolist()])
    ends = np.sort((means + scales * quantiles).reshape(len(means), -1))
    grid = np.empty((len(means), 1, 2 * ends.shape[1] - 1))
    grid[:, 0, ::2], grid[:, 0, 1::2] = ends, 0.5 * (ends[:, 1:] + ends[:, :-1])
    F = cdf_t(nu[:, None], (grid - means) / scales)
    before, after = np.ones_like(F), np.ones_like(F)
    np.cumprod(F[:, :-1], axis=1, out=before[:, 1:])
    after[:, :-1] = np.cumprod(F[:, :0:-1], axis=1)[:, ::-1]
    G = before * after
    F0, Fm, F1 = F[..., :-1:2], F[..., 1::2], F[..., 2::2]
    G0, Gm, G1 = G[..., :-1:2], G[..., 1::2], G[..., 2::2]
    cells = (G0 * (4 * Fm - 3 * F0 - F1) + 4 * Gm * (F1 - F0) + G1 * (F0 - 4 * Fm + 3 * F1)) / 6
    p = np.maximum(cells.sum(axis=2), 0.0) + (1 - F[..., -1])  # beyond the grid every other F is 1
    total = p.sum(axis=1, keepdims=True)
    if np.any(abs(total - 1) > MASS_TOLERANCE):
        raise ArithmeticError(f"propensities sum to {total.ravel().tolist()}")
    return np.asarray(p / total)
