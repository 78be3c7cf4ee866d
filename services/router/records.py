"""The router's state as records: keys, arrays as bytes, and what is remembered for how long; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np
from msgspec.structs import replace

from libs.common.answered import forget, memory_of, remember
from libs.common.context_fields import LAYOUT
from libs.common.events import (
    PolicyChosen,
    RouterAnswer,
    RouterIntake,
    RouterPolicyState,
    RouterScopeState,
    RouterSlot,
)
from services.router.context import DIMENSION, Statistics
from services.router.thompson import Bank

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import PoliciesChanged, PolicyRewarded
    from libs.common.handling import State
    from services.router.rules import Rules
    from services.router.thompson import Floats, Tuning

Record: TypeAlias = RouterScopeState | RouterPolicyState | RouterAnswer | RouterSlot | RouterIntake
Answer: TypeAlias = "PolicyChosen | PolicyRewarded | PoliciesChanged"
R = TypeVar("R", bound=Record)

OWN: Final = 10  # decisions, and other answers, that each scope may remember, whatever the others do

NEW_POLICY: Final = RouterPolicyState(
    precision=b"", shift=b"", covariance=b"", mean=b"", shape=0.0, rate=0.0
)  # empty arrays stand for the prior's


def scope_key(scope: str) -> bytes:
    """Return the key of a scope's shared state."""
    return f"scope/{scope}".encode()


def policy_key(scope: str, policy_id: str) -> bytes:
    """Return the key of a policy's posterior."""
    return f"policy/{scope}/{policy_id}".encode()


def answer_key(scope: str, command_id: str) -> bytes:
    """Return the key of a remembered answer."""
    return f"answer/{scope}/{command_id}".encode()


def decisions_of(scope: str) -> str:
    """Return among what the decisions of a scope are remembered."""
    return f"decisions/{scope}"


def others_of(scope: str) -> str:
    """Return among what the answers of a scope that are no decisions are remembered."""
    return f"others/{scope}"


def new_scope(policies: tuple[str, ...]) -> RouterScopeState:
    """Return the state of a scope that was never used."""
    statistics = Statistics()
    return RouterScopeState(
        layout=LAYOUT,
        policies=policies,
        means=statistics.means,
        variances=statistics.variances,
        counts=statistics.counts,
    )


def find(state: State[Record], key: bytes, kind: type[R]) -> R | None:
    """Return the record under `key`.

    Raises
    ------
    TypeError
        If it is of another kind: a broken invariant.
    """
    record = state.get(key)
    if record is None or isinstance(record, kind):
        return record
    raise TypeError(f"{key!r} holds a {type(record).__name__}, not a {kind.__name__}")


def policy_of(state: State[Record], scope: str, policy_id: str) -> RouterPolicyState:
    """Return a policy's record, or that of a new one."""
    return find(state, policy_key(scope, policy_id), RouterPolicyState) or NEW_POLICY


def bank_of(records: list[RouterPolicyState], pooled_cusum: float, tuning: Tuning) -> Bank:
    """Return the posteriors that these records hold, as one bank of its own."""
    bank = Bank(len(records), DIMENSION, tuning)
    for k, record in enumerate(records):
        if record.precision:
            bank.A[k] = _array(record.precision).reshape(DIMENSION, DIMENSION)
            bank.P[k] = _array(record.covariance).reshape(DIMENSION, DIMENSION)
            bank.h[k] = _array(record.shift)
            bank.m[k] = _array(record.mean)
        bank.a[k], bank.B[k] = record.shape, record.rate
        bank.updates[k], bank.C[k], bank.resets[k] = record.updates, record.cusum, record.resets
    bank.pooled_C = pooled_cusum
    return bank


def posterior_fields(bank: Bank, k: int) -> dict[str, bytes | float | int]:
    """Return what a record keeps of policy `k` of the bank."""
    return {
        "precision": _bytes(bank.A[k]),
        "shift": _bytes(bank.h[k]),
        "covariance": _bytes(bank.P[k]),
        "mean": _bytes(bank.m[k]),
        "shape": bank.a[k],
        "rate": bank.B[k],
        "updates": bank.updates[k],
        "cusum": bank.C[k],
        "resets": bank.resets[k],
    }


def remember_answer(
    state: State[Record],
    scope: str,
    shared: RouterScopeState,
    answer: Answer,
    rules: Rules,
) -> None:
    """Keep an answer, and forget decisions that are too old or too many; likewise the others.

    The two are counted apart: however many rewards are answered, as many decisions can still be rewarded.
    """
    memory = memory_of(state)
    full = memory.remembered >= rules.answers_most
    # Where all scopes together remember as many as they may, a scope as many as it does, and OWN at least.
    most = {
        among: min(rules.remember_most, max(OWN, len(memory.order(among)))) if full else rules.remember_most
        for among in (decisions_of(scope), others_of(scope))
    }
    ts = answer.ts - shared.stepped_ns
    kept_answer = RouterAnswer(answer=answer, among=_among(answer), ts=ts)
    remember(state, answer_key(scope, answer.command_id), kept_answer)
    for each, kept in most.items():
        forget(state, each, most=kept, oldest_ts=ts - rules.remember_ns)


def release(state: State[Record], scope: str) -> None:
    """Forget every answer of a scope."""
    for among in (decisions_of(scope), others_of(scope)):
        forget(state, among, most=0)


def pending(state: State[Record], scope: str) -> int:
    """Return how many decisions and answers of a scope are remembered."""
    return sum(len(memory_of(state).order(among)) for among in (decisions_of(scope), others_of(scope)))


def migrate(state: State[Record]) -> None:
    """Let answers hold their own places, which older versions kept beside them, in the same order.

    A scope is written again, without the ends of its places: a process of the version before that takes the
    partition over, as it may while replicas are upgraded, would look for what is between them.
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


def _place_again(state: State[Record]) -> None:
    """Give answers places that lost theirs: a process of the version before wrote them again, as rewarded."""
    kept = [(key, found) for key, found in state.items() if isinstance(found, RouterAnswer)]
    for key, found in sorted(kept, key=lambda each: each[1].answer.ts):
        if not found.among:
            scope = found.answer.scope
            shared = find(state, scope_key(scope), RouterScopeState)
            ts = found.answer.ts - (0 if shared is None else shared.stepped_ns)
            remember(state, key, replace(found, among=_among(found.answer), ts=ts))


def _among(answer: Answer) -> str:
    return (decisions_of if isinstance(answer, PolicyChosen) else others_of)(answer.scope)


def names_of(policies: Iterable[str]) -> str:
    """Return policy ids as one text."""
    return ", ".join(policies)


def _array(raw: bytes) -> Floats:
    return np.frombuffer(raw, dtype="<f8")


def _bytes(array: Floats) -> bytes:
    return np.ascontiguousarray(array, dtype="<f8").tobytes()
