"""The posteriors of a scope's policies: read from its records, computed with, and kept again; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

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
    """Some policies of a scope, each with its record and its place in the mixture."""

    names: tuple[str, ...]
    records: list[RouterPolicyState]
    mixture: Mixture

    def of(self, count: int) -> Posteriors:
        """Return the first so many."""
        return self._replace(names=self.names[:count], records=self.records[:count])


def mixture_for(names: tuple[str, ...], priors: Mapping[str, tuple[float, float]], tuning: Tuning) -> Mixture:
    """Return the mixture of policies that earned nothing yet."""
    return Mixture(len(names), DIMENSION, tuning, [Prior(*priors.get(name, (0.0, 0.0))) for name in names])


def posteriors_of(
    state: State[Record], scope: str, shared: RouterScopeState, names: tuple[str, ...], tuning: Tuning
) -> Posteriors:
    """Return these policies of a scope."""
    mixture = mixture_for(names, shared.priors, tuning)
    if shared.mixture:
        mixture.unpack_shared(shared.mixture)
    records = [policy_of(state, scope, name) for name in names]
    for k, record in enumerate(records):
        if record.posterior:
            mixture.unpack(k, record.posterior)
    return Posteriors(names, records, mixture)


def keep_learnt(
    state: State[Record], scope: str, shared: RouterScopeState, posteriors: Posteriors, k: int, learnt: Learnt
) -> RouterScopeState:
    """Put what changed as policy `k` learnt; return the scope with it."""
    names, records, mixture = posteriors
    records[k] = replace(records[k], updates=records[k].updates + 1)
    for j in sorted({k, *learnt.changed}):
        records[j] = replace(records[j], posterior=mixture.pack(j))
        state.put(policy_key(scope, names[j]), records[j])
    return replace(shared, mixture=mixture.pack_shared(), drift_alarms=shared.drift_alarms + learnt.alarm)
