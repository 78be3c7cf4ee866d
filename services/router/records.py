"""The router's state as records: keys, arrays as bytes, and what is remembered for how long; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np
from msgspec.structs import replace

from libs.common.context_fields import LAYOUT
from libs.common.events import (
    PolicyChosen,
    RouterAnswer,
    RouterIntake,
    RouterPolicyState,
    RouterScopeState,
    RouterSlot,
)
from libs.common.handling import State
from services.router.context import DIMENSION, Statistics
from services.router.thompson import Bank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from libs.common.events import PoliciesChanged, PolicyRewarded
    from services.router.rules import Rules
    from services.router.thompson import Floats, Tuning

Record: TypeAlias = RouterScopeState | RouterPolicyState | RouterAnswer | RouterSlot | RouterIntake
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


def slot_key(scope: str, number: int) -> bytes:
    """Return the key of a decision's place in the order of forgetting."""
    return f"slot/{scope}/{number}".encode()


def other_key(scope: str, number: int) -> bytes:
    """Return the key of the place of an answer that is no decision."""
    return f"other/{scope}/{number}".encode()


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


class RouterState(State[Record]):
    """The state of one partition, its answers counted."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = 0

    def _set(self, key: bytes, value: Record | None) -> None:
        self.answers += isinstance(value, RouterAnswer) - isinstance(self.get(key), RouterAnswer)
        super()._set(key, value)


def most_of(state: State[Record], kept: int, most: int, in_all: int) -> int:
    """Return how many answers a scope may remember of a kind of which it remembers `kept`.

    Where all scopes together remember `in_all`, it is as many as it does, and OWN at least.
    """
    assert isinstance(state, RouterState)  # noqa: S101 -- the wiring's own
    return most if state.answers < in_all else min(most, max(OWN, kept))


def remember(
    state: State[Record],
    scope: str,
    shared: RouterScopeState,
    answer: PolicyChosen | PolicyRewarded | PoliciesChanged,
    rules: Rules,
) -> RouterScopeState:
    """Keep an answer, and forget decisions that are too old or too many; likewise the others.

    The two are counted apart: however many rewards are answered, as many decisions can still be rewarded.
    """
    limits = rules.remember_most, rules.answers_most
    decisions = most_of(state, shared.next_slot - shared.first_slot, *limits)
    replies = most_of(state, shared.next_other - shared.first_other, *limits)
    state.put(answer_key(scope, answer.command_id), RouterAnswer(answer=answer))
    slot = RouterSlot(command_id=answer.command_id, ts=answer.ts - shared.stepped_ns)
    oldest_ts = slot.ts - rules.remember_ns
    following, other = shared.next_slot, shared.next_other
    if isinstance(answer, PolicyChosen):
        state.put(slot_key(scope, following), slot)
        following += 1
    else:
        state.put(other_key(scope, other), slot)
        other += 1

    slots, others = range(shared.first_slot, following), range(shared.first_other, other)
    first = _forget(state, scope, slot_key, slots, oldest_ts, decisions)
    first_other = _forget(state, scope, other_key, others, oldest_ts, replies)
    return replace(shared, first_slot=first, next_slot=following, first_other=first_other, next_other=other)


def release(state: State[Record], scope: str, shared: RouterScopeState) -> RouterScopeState:
    """Forget every answer of a scope."""
    for key, first, end in (
        (slot_key, shared.first_slot, shared.next_slot),
        (other_key, shared.first_other, shared.next_other),
    ):
        _forget(state, scope, key, range(first, end), oldest_ts=0, most=0)
    return replace(shared, first_slot=shared.next_slot, first_other=shared.next_other)


def names_of(policies: Iterable[str]) -> str:
    """Return policy ids as one text."""
    return ", ".join(policies)


def _forget(
    state: State[Record],
    scope: str,
    key: Callable[[str, int], bytes],
    kept: range,
    oldest_ts: int,
    most: int,
) -> int:
    """Forget the answers of these places that are too old or too many; return the first place that stays."""
    for number in kept:
        slot = find(state, key(scope, number), RouterSlot)
        if slot is None:
            raise LookupError(f"{key(scope, number)!r} is missing")
        if slot.ts >= oldest_ts and kept.stop - number <= most:
            return number
        state.remove(answer_key(scope, slot.command_id))
        state.remove(key(scope, number))
    return kept.stop


def _array(raw: bytes) -> Floats:
    return np.frombuffer(raw, dtype="<f8")


def _bytes(array: Floats) -> bytes:
    return np.ascontiguousarray(array, dtype="<f8").tobytes()
