"""The posteriors of a scope's policies: read from its records, computed with, and kept again; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from libs.common.events import RouterMemory
from services.router.context import DIMENSION
from services.router.mixture import Mixture, Prior
from services.router.records import policy_key, policy_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import RouterPolicyState, RouterScopeState
    from libs.common.handling import State
    from services.router.records import Record
    from services.router.thompson import Learnt, Tuning


class Posteriors(NamedTuple):
    """All policies of a scope, the retired ones last, each with its record and its place in the mixture.

    The retired ones are there because they share the noise, and because a change concerns every policy.
    """

    names: tuple[str, ...]
    records: list[RouterPolicyState]
    mixture: Mixture


def mixture_for(names: tuple[str, ...], priors: Mapping[str, tuple[float, float]], tuning: Tuning) -> Mixture:
    """Return the mixture of policies that earned nothing yet."""
    return Mixture(len(names), DIMENSION, tuning, [Prior(*priors.get(name, (0.0, 0.0))) for name in names])


def posteriors_of(state: State[Record], scope: str, shared: RouterScopeState, tuning: Tuning) -> Posteriors:
    """Return the policies of a scope."""
    names = (*shared.policies, *shared.retired)
    mixture = mixture_for(names, shared.priors, tuning)
    if shared.mixture:
        mixture.unpack_shared(shared.mixture)
    records = [policy_of(state, scope, name) for name in names]
    for k, record in enumerate(records):
        if record.posterior:
            mixture.unpack(k, record.posterior)
    return Posteriors(names, records, mixture)


def memories_of(mixture: Mixture) -> tuple[RouterMemory, ...]:
    """Return the weights of the model's copies, by what they forget, and of the regimes that it remembers."""
    names = [f"discount {gamma:g}" if gamma < 1 else "keeps all" for gamma in mixture.discounts[:-1].tolist()]
    names += ["challenger", *(f"regime {number}" for number in range(1, len(mixture.used) + 1))]
    weights = zip(names, mixture.w.tolist(), strict=True)
    return tuple(RouterMemory(name=name, weight=weight) for name, weight in weights)


def keep_learnt(
    state: State[Record], scope: str, shared: RouterScopeState, posteriors: Posteriors, k: int, learnt: Learnt
) -> RouterScopeState:
    """Put what changed as policy `k` learnt; return the scope with it."""
    names, records, mixture = posteriors
    records[k] = replace(records[k], updates=records[k].updates + 1)
    for j in sorted({k, *learnt.changed}):
        records[j] = replace(records[j], posterior=mixture.pack(j))
        state.put(policy_key(scope, names[j]), records[j])
    return replace(
        shared, mixture=mixture.pack_shared(), drift_alarms=shared.drift_alarms + int(learnt.alarm)
    )
