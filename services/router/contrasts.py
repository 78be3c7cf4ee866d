r"""Which policy is proven best: confidence sequences on the differences of every two; pure.

**The target** of policies i and j is the mean of ``E[r_t | x_t, i] - E[r_t | x_t, j]`` over rewarded
decisions that could choose both, weighted by ``h_t = p_i p_j/(p_i + p_j)``: most where either was likely,
nothing where one was out of the question. Where both are as noisy no other weights let the difference vary
less, and no term is more than a residual: |hwe| <= |e|.

==========  =====================================================================  =========  ==========
symbol      meaning                                                                unit       shape
==========  =====================================================================  =========  ==========
h           overlap weight of a decision, known before its choice                  1          (pairs,)
φ           doubly robust reward, as in `evaluation`                               return     (K,)
H, D        Σh and Σh(φ_i - φ_j): D/H estimates the target                         1, return  (pairs,)
Q, X        sum and largest of h²((we)_i² + (we)_j²), from which V = Q + X         return²    (pairs,)
==========  =====================================================================  =========  ==========

i is above j where ``D > √((V+rho)·ln((V+rho)/(rho·alpha²)))`` (`confidence`: asymptotic), rho tightest where
V is `TIGHTEST` of its largest terms, and Q is at least `LEAST` of them. The best is above every other active
policy. alpha is `ERROR` over the number of pairs: with all of K policies watched for ever, some difference
is misjudged, and so a wrong policy named, with probability `ERROR` at most (the union bound).

References
----------
Li, Morgan & Zaslavsky 2018 (overlap weights); Molitor 2026 (arXiv 2606.17515: the optimal policy at any time,
from confidence sequences corrected jointly).
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from libs.common.confidence import radius, tightest
from libs.common.events import RouterContrasts

if TYPE_CHECKING:
    from libs.common.events import PolicyChosen
    from services.router.thompson import Floats

ERROR: Final = 0.05  # how often a wrong policy is ever named
LEAST: Final = 5.0  # of its largest terms that Q must be
TIGHTEST: Final = 40.0
BPS: Final = 1e4
TINY: Final = 1e-300
H, D, Q, X = range(4)

Ints: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


class Best(NamedTuple):
    """The policy proven best, or none, and why."""

    policy_id: str | None
    why: str


def compared(before: RouterContrasts, decision: PolicyChosen, e: float) -> RouterContrasts:
    """Return the sums with one more rewarded decision, of residual `e` = r - q_a."""
    names = (*before.names, *(name for name in decision.propensities if name not in before.names))
    sums = _pairs(before, len(names))
    p = np.array([decision.propensities.get(name, 0.0) for name in names])
    q = np.array([decision.means.get(name, 0.0) for name in names])
    rows, columns = _upper(len(names))
    p_i, p_j = p[rows], p[columns]
    share = p_j / np.maximum(p_i + p_j, TINY)
    h = p_i * share
    chosen = names.index(decision.policy_id)
    hwe = np.where(rows == chosen, e * share, np.where(columns == chosen, e * (share - 1), 0.0))
    sums[H] += h
    sums[D] += h * (q[rows] - q[columns]) + hwe
    sums[Q] += hwe * hwe
    sums[X] = np.maximum(sums[X], hwe * hwe)
    return RouterContrasts(names=names, sums=sums.astype("<f8").tobytes())


def without(contrasts: RouterContrasts, name: str) -> RouterContrasts:
    """Return the sums without those of one policy."""
    if name not in contrasts.names:
        return contrasts
    left = [k for k, other in enumerate(contrasts.names) if other != name]
    sums = _square(contrasts, len(contrasts.names))[:, left][:, :, left][:, *_upper(len(left))]
    return RouterContrasts(names=tuple(contrasts.names[k] for k in left), sums=sums.astype("<f8").tobytes())


@lru_cache(maxsize=64)
def best_of(contrasts: RouterContrasts, policies: tuple[str, ...]) -> Best:
    """Return which of these policies is proven best; where none is, what stands against the leader."""
    if len(policies) < 2:  # noqa: PLR2004  # two to compare
        return Best(None, "there is no other policy to be better than")
    unknown = [name for name in policies if name not in contrasts.names]
    if unknown:
        return Best(None, f"no rewarded decision could choose {unknown[0]}")
    at = [contrasts.names.index(name) for name in policies]
    sums = _square(contrasts, len(contrasts.names))[:, at][:, :, at]
    alpha = 2 * ERROR / (len(policies) * (len(policies) - 1))
    half = radius(sums[Q] + sums[X], tightest(TIGHTEST * sums[X], alpha), alpha)
    enough = (sums[Q] >= LEAST * sums[X]) & (sums[H] > 0)
    low = np.where(enough, (sums[D] - half) / np.maximum(sums[H], TINY), -np.inf)
    np.fill_diagonal(low, np.inf)
    leader, least = int(low.min(axis=1).argmax()), float(low.min(axis=1).max())
    if least > 0:
        return Best(policies[leader], f"earns at least {BPS * least:.2f} bps a decision more than any other")
    leader = int((sums[D] > 0).sum(axis=1).argmax())
    rival = int(low[leader].argmin())
    ahead = f"{policies[leader]} leads; against {policies[rival]}"
    if not enough[leader, rival]:
        return Best(None, f"{ahead} too few decisions tell: one of them weighs over a fifth")
    gap, wide = (BPS * float(each[leader, rival] / sums[H][leader, rival]) for each in (sums[D], half))
    return Best(None, f"{ahead} it may still be worse: {gap:.2f} bps a decision, give or take {wide:.2f}")


@cache
def _upper(policies: int) -> tuple[Ints, Ints]:
    return np.triu_indices(policies, 1)


def _pairs(contrasts: RouterContrasts, policies: int) -> Floats:
    """Return the sums, (4, pairs), of as many policies or more."""
    if policies == len(contrasts.names):
        return np.frombuffer(contrasts.sums, dtype="<f8").reshape(4, -1).copy()
    return _square(contrasts, policies)[:, *_upper(policies)]


def _square(contrasts: RouterContrasts, policies: int) -> Floats:
    """Return the sums, (4, K, K), of as many policies or more: D[i, j] = -D[j, i], the others alike."""
    sums = np.zeros((4, policies, policies))
    rows, columns = _upper(len(contrasts.names))
    pairs = np.frombuffer(contrasts.sums, dtype="<f8").reshape(4, len(rows))
    sums[:, rows, columns] = pairs
    sums[:, columns, rows] = pairs
    sums[D, columns, rows] *= -1
    return sums
