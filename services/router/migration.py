"""What older versions left in the state, given today's form before anything is handled; pure.

Before layout 2 a scope had one copy of the model per policy, as plain arrays: every copy of the mixture
begins as that one. Features that layout 1 did not have are as the prior has them: λ on A's diagonal, 0 in h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec.structs import replace

from libs.common.answered import remember
from libs.common.context_fields import LAYOUT
from libs.common.events import RouterAnswer, RouterPolicyState, RouterScopeState, RouterSlot
from services.router.context import SHARED, layout_of
from services.router.posteriors import mixture_for
from services.router.records import (
    answer_key,
    decisions_of,
    find,
    kind_of,
    others_of,
    policy_key,
    policy_of,
    scope_key,
)

if TYPE_CHECKING:
    from libs.common.handling import State
    from services.router.mixture import Mixture
    from services.router.records import Record
    from services.router.thompson import Floats, Tuning

ARRAYS: Final = 1  # layout of the scopes whose policies are plain arrays


def migrate(state: State[Record], tuning: Tuning) -> None:
    """Give all that older versions left today's form.

    Answers hold their own places, which older versions kept beside them, in the same order. A scope is
    written again, without the ends of its places: a process of the version before that takes the partition
    over, as it may while replicas are upgraded, would look for what is between them.
    """
    slots, scopes = [], set()
    for key, kept in state.items():
        if isinstance(kept, RouterSlot):
            kind, _, place = key.decode(errors="replace").partition("/")
            scope, _, number = place.rpartition("/")
            among = (decisions_of if kind == "slot" else others_of)(scope)
            at = int(number) if number.isdecimal() else 0  # under a key of no version it is nobody's place
            slots.append((among, at, key, answer_key(scope, kept.command_id), kept.ts))
            scopes.add(scope)
    for scope in sorted(scopes):
        shared = find(state, scope_key(scope), RouterScopeState)
        if shared is not None:
            state.put(scope_key(scope), shared)
    for among, _, key, answered, ts in sorted(slots):
        answer = find(state, answered, RouterAnswer)
        if answer is not None and not answer.among:
            remember(state, answered, replace(answer, among=among, ts=ts))
        state.remove(key)
    _place_again(state)
    for key, kept in sorted(state.items()):
        if isinstance(kept, RouterScopeState) and kept.layout <= LAYOUT:
            _adopt(state, key.removeprefix(scope_key("")).decode(), kept, tuning)


def _place_again(state: State[Record]) -> None:
    """Give answers places that lost theirs: a process of the version before wrote them again, as rewarded."""
    kept = [(key, found) for key, found in state.items() if isinstance(found, RouterAnswer)]
    for key, found in sorted(kept, key=lambda each: each[1].answer.ts):
        if not found.among:
            scope = found.answer.scope
            shared = find(state, scope_key(scope), RouterScopeState)
            ts = found.answer.ts - (0 if shared is None else shared.stepped_ns)
            remember(state, key, replace(found, among=kind_of(found.answer), ts=ts))


def _adopt(state: State[Record], scope: str, shared: RouterScopeState, tuning: Tuning) -> None:
    """Give the posteriors of a scope today's form.

    The scope comes first: of a process that dies in between, the next one finds what all policies share and
    the arrays of those that are left.
    """
    names = (*shared.policies, *shared.retired)
    records = [policy_of(state, scope, name) for name in names]
    mixture = mixture_for(names, shared, tuning)
    if shared.mixture:
        mixture.unpack_shared(shared.mixture)
    for k, record in enumerate(records):
        if record.precision:
            _take_over(mixture, k, record, tuning)
    if shared.layout == ARRAYS:
        state.put(scope_key(scope), replace(shared, layout=LAYOUT, mixture=mixture.pack_shared()))
    for k, (name, record) in enumerate(zip(names, records, strict=True)):
        if record.precision:
            packed = replace(record, posterior=mixture.pack(k), precision=b"", shift=b"", shape=0.0, rate=0.0)
            state.put(policy_key(scope, name), packed)


def _take_over(mixture: Mixture, k: int, record: RouterPolicyState, tuning: Tuning) -> None:
    d, known = layout_of().dimension, len(SHARED)  # of scopes that old none has features of its own
    A, h = tuning.lam * np.eye(d), np.zeros(d)
    A[:known, :known] = _array(record.precision).reshape(known, known)
    h[:known] = _array(record.shift)
    mixture.adopt(k, A, h, record.shape, record.rate, record.updates)


def _array(raw: bytes) -> Floats:
    return np.frombuffer(raw, dtype="<f8")
