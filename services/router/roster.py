"""Which policies a scope has: one comes, with what is expected of it, one retires; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.common.events import AddPolicy, CommandRejected, Fault, Refusal, RetirePolicy, RouterScopeState
from services.router.refusals import refused, unknown_policy, without_arms
from services.router.rules import MOST_POLICIES

if TYPE_CHECKING:
    from services.router.arms import Arms


def add(
    shared: RouterScopeState, command: AddPolicy, arms: Arms, now: int
) -> RouterScopeState | CommandRejected:
    """Return the scope with one more policy that may be chosen, the same object where it was so already."""
    name = command.policy_id
    if not arms:
        return without_arms(command, shared, arms, now)
    if name not in arms:
        return _invalid(command, now, "policy_id", f"is not registered; registered are: {arms.names}")
    known = {*shared.policies, *shared.retired}
    stated = _stated(command)
    if stated is not None and name in known and shared.priors.get(name) != stated:
        wrong = f"can be stated as a policy is added for the first time, and {name} is known already"
        return _invalid(command, now, "expected_reward", wrong)
    if name in shared.policies:
        return shared
    if len({*known, name}) > MOST_POLICIES:
        return _invalid(command, now, "policy_id", f"would be one more than {MOST_POLICIES} policies")
    return replace(
        shared,
        policies=(*shared.policies, name),
        retired=tuple(other for other in shared.retired if other != name),
        priors=shared.priors if stated is None else {**shared.priors, name: stated},
    )


def retire(
    shared: RouterScopeState, command: RetirePolicy, arms: Arms, now: int
) -> RouterScopeState | CommandRejected:
    """Return the scope with a policy that is chosen no more, the same object where it was so already."""
    name = command.policy_id
    if name not in shared.policies + shared.retired:
        return unknown_policy(command, shared, now)
    if name in shared.retired:
        return shared
    policies = tuple(other for other in shared.policies if other != name)
    if not policies or (name in arms and not arms.among(policies)):
        wrong = "is the last policy that can be chosen; add another one first"
        return _invalid(command, now, "policy_id", wrong)
    return replace(shared, policies=policies, retired=(*shared.retired, name))


def _stated(command: AddPolicy) -> tuple[float, float] | None:
    if command.expected_reward is None or command.confidence is None:
        return None
    return command.expected_reward, command.confidence


def _invalid(command: AddPolicy | RetirePolicy, now: int, field: str, wrong: str) -> CommandRejected:
    return refused(command, Refusal.INVALID, now, Fault(field=field, message=wrong))
