"""The router's state as records: keys, and what is remembered for how long; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

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
from services.router.context import layout_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.common.events import DeclaredFeature, FeaturesDeclared, PoliciesChanged, PolicyRewarded
    from libs.common.handling import State
    from services.router.rules import Rules

Record: TypeAlias = RouterScopeState | RouterPolicyState | RouterAnswer | RouterSlot | RouterIntake
Answer: TypeAlias = "PolicyChosen | PolicyRewarded | PoliciesChanged | FeaturesDeclared"
R = TypeVar("R", bound=Record)

OWN: Final = 10  # decisions, and other answers, that each scope may remember, whatever the others do

NO_PRIORS: Final[Mapping[str, tuple[float, float]]] = {}
NEW_POLICY: Final = RouterPolicyState()


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


def new_scope(
    policies: tuple[str, ...],
    priors: Mapping[str, tuple[float, float]] = NO_PRIORS,
    declared: tuple[DeclaredFeature, ...] = (),
) -> RouterScopeState:
    """Return the state of a scope that was never used."""
    statistics = layout_of(declared).declared_statistics()
    return RouterScopeState(
        layout=LAYOUT,
        declared=declared,
        policies=policies,
        priors=dict(priors),
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
    kept_answer = RouterAnswer(answer=answer, among=kind_of(answer), ts=ts)
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


def kind_of(answer: Answer) -> str:
    """Return among what an answer is remembered."""
    return (decisions_of if isinstance(answer, PolicyChosen) else others_of)(answer.scope)


def names_of(policies: Iterable[str]) -> str:
    """Return policy ids as one text."""
    return ", ".join(policies)
