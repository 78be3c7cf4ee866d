"""Which policies a scope has: one comes, with what is expected of it, one retires; pure.

Where a scope is full, one that comes takes the place of one that joined by itself and is gone from the
registry: of several, of that which was chosen, or else joined, longest ago. What is registered, retired,
stated or added by a command is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.common.events import AddPolicy, CommandRejected, Fault, Refusal, RetirePolicy, RouterScopeState
from services.router.records import policy_key
from services.router.refusals import refused, unknown_policy, without_arms
from services.router.rules import MOST_POLICIES
from services.router.versions import without_sums

if TYPE_CHECKING:
    from collections.abc import Collection

    from libs.common.handling import State
    from services.router.arms import Arms
    from services.router.records import Record


def add(
    shared: RouterScopeState, command: AddPolicy, arms: Arms, stated: Collection[str], now: int
) -> RouterScopeState | CommandRejected:
    """Return the scope with one more policy that may be chosen, which stays its policy.

    Parameters
    ----------
    stated
        The policies of new scopes, by the settings.
    """
    name = command.policy_id
    if not arms:
        return without_arms(command, shared, arms, now)
    if why := arms.why_not(name):
        return _invalid(command, now, "policy_id", why)
    known = {*shared.policies, *shared.retired}
    expected = _expected(command)
    if expected is not None and name in known and shared.priors.get(name) != expected:
        wrong = f"can be stated as a policy is added for the first time, and {name} is known already"
        return _invalid(command, now, "expected_reward", wrong)
    if name in shared.policies:
        return replace(shared, joined=_other(shared.joined, name))
    if name not in known:
        shared = _with_room(shared, 1, arms, stated)
        if _room(shared) < 1:
            return _invalid(command, now, "policy_id", f"would be one more than {MOST_POLICIES} policies")
    return replace(
        shared,
        policies=(*shared.policies, name),
        retired=_other(shared.retired, name),
        priors=shared.priors if expected is None else {**shared.priors, name: expected},
    )


def joined(shared: RouterScopeState, scope: str, arms: Arms, stated: Collection[str]) -> RouterScopeState:
    """Return the scope with those that join it by themselves, while there is room; the same object without.

    One that retired has not left by itself, and does not come back by itself.

    Parameters
    ----------
    stated
        The policies of new scopes, by the settings.
    """
    known = {*shared.policies, *shared.retired}
    new = [name for name in arms.joining(scope) if name not in known]
    if not new:
        return shared
    shared = _with_room(shared, len(new), arms, stated)
    new = new[: _room(shared)]
    return replace(shared, policies=(*shared.policies, *new), joined=(*shared.joined, *new))


def chosen_last(shared: RouterScopeState, name: str) -> tuple[str, ...]:
    """Return those that joined by themselves, in order, as a policy was chosen."""
    return (*_other(shared.joined, name), name) if name in shared.joined else shared.joined


def forget_those_left(
    state: State[Record], scope: str, before: RouterScopeState, after: RouterScopeState
) -> None:
    """Forget what was learnt of those that the scope has no more."""
    for name in (*before.policies, *before.retired):
        if name not in after.policies and name not in after.retired:
            state.remove(policy_key(scope, name))


def _room(shared: RouterScopeState) -> int:
    return max(0, MOST_POLICIES - len(shared.policies) - len(shared.retired))


def _with_room(
    shared: RouterScopeState, places: int, arms: Arms, stated: Collection[str]
) -> RouterScopeState:
    """Return the scope without as many as have to leave for so many new ones, of those that may."""
    gone = [name for name in shared.joined if arms.registered(name) is None and name not in stated]
    for name in gone[: max(0, places - _room(shared))]:
        shared = replace(
            without_sums(shared, name),
            policies=_other(shared.policies, name),
            joined=_other(shared.joined, name),
        )
    return shared


def _other(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(other for other in names if other != name)


def without_room(shared_names: Collection[str], scope: str, arms: Arms) -> list[str]:
    """Return the policies that would join a full scope, in order."""
    if len(shared_names) < MOST_POLICIES:
        return []
    return [name for name in arms.joining(scope) if name not in shared_names]


def retire(
    shared: RouterScopeState, command: RetirePolicy, arms: Arms, now: int
) -> RouterScopeState | CommandRejected:
    """Return the scope with a policy that is chosen no more, the same object where it was so already."""
    name = command.policy_id
    if name not in shared.policies + shared.retired:
        return unknown_policy(command, shared, now)
    if name in shared.retired:
        return shared
    policies = _other(shared.policies, name)
    if not policies or (name in arms and not arms.among(policies)):
        wrong = "is the last policy that can be chosen; add another one first"
        return _invalid(command, now, "policy_id", wrong)
    retired = (*shared.retired, name)
    return replace(shared, policies=policies, retired=retired, joined=_other(shared.joined, name))


def _expected(command: AddPolicy) -> tuple[float, float] | None:
    if command.expected_reward is None or command.confidence is None:
        return None
    return command.expected_reward, command.confidence


def _invalid(command: AddPolicy | RetirePolicy, now: int, field: str, wrong: str) -> CommandRejected:
    return refused(command, Refusal.INVALID, now, Fault(field=field, message=wrong))
