"""The posteriors of a scope's policies: read from its records, computed with, and kept again; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from libs.common.events import RouterMemory
from services.router.context import layout_of
from services.router.mixture import Mixture, Prior
from services.router.records import policy_key, policy_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import RouterPolicyState, RouterScopeState
    from libs.common.handling import State
    from services.router.records import Record
    from services.router.thompson import Learnt, Tuning

SCOPES_UNPACKED: Final = 16  # at most


class Posteriors(NamedTuple):
    """All policies of a scope, the retired ones last, each with its record and its place in the mixture.

    The retired ones are there because they share the noise, and because a change concerns every policy.
    """

    names: tuple[str, ...]
    records: list[RouterPolicyState]
    mixture: Mixture


def mixture_for(names: tuple[str, ...], shared: RouterScopeState, tuning: Tuning) -> Mixture:
    """Return the mixture of a scope's policies as before they earned anything."""
    priors = [Prior(*shared.priors.get(name, (0.0, 0.0))) for name in names]
    return Mixture(len(names), layout_of(shared.declared).dimension, tuning, priors)


def posteriors_of(
    state: State[Record], scope: str, shared: RouterScopeState, tuning: Tuning, unpacked: Unpacked
) -> Posteriors:
    """Return the policies of a scope; their mixture is the caller's, until it gives it back to `unpacked`."""
    names = (*shared.policies, *shared.retired)
    records = [policy_of(state, scope, name) for name in names]
    mixture = unpacked.take(scope, names, shared, records)
    if mixture is None:
        mixture = mixture_for(names, shared, tuning)
        if shared.mixture:
            mixture.unpack_shared(shared.mixture)
        for k, record in enumerate(records):
            if record.posterior:
                mixture.unpack(k, record.posterior)
    return Posteriors(names, records, mixture)


class Unpacked:
    """Mixtures of the scopes used last, which need not be unpacked again as long as their records hold.

    What is known is in the records alone: a mixture is taken only where they hold the very bytes that it was
    packed as, and who takes one and fails does not give it back.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[str, ...], tuple[object, ...], Mixture]] = {}

    def take(
        self,
        scope: str,
        names: tuple[str, ...],
        shared: RouterScopeState,
        records: Sequence[RouterPolicyState],
    ) -> Mixture | None:
        """Return the mixture of these records, and forget it; None if it has to be unpacked."""
        before, packed, mixture = self._kept.pop(scope, ((), (), None))
        wanted = _packed(shared, records)
        same = before == names and all(a is b for a, b in zip(packed, wanted, strict=True))
        return mixture if same else None

    def give_back(self, scope: str, shared: RouterScopeState, posteriors: Posteriors) -> None:
        """Keep a mixture that the scope and the records now hold."""
        if len(self._kept) >= SCOPES_UNPACKED:
            del self._kept[next(iter(self._kept))]
        packed = _packed(shared, posteriors.records)
        self._kept[scope] = (posteriors.names, packed, posteriors.mixture)


def _packed(shared: RouterScopeState, records: Sequence[RouterPolicyState]) -> tuple[object, ...]:
    return (shared.priors, shared.mixture, *(record.posterior for record in records))


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
