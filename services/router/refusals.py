"""Why the router does not do a command, in the words of its caller; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from libs.common.command_rules import rejected
from libs.common.context_fields import as_text, nearest, value_faults
from libs.common.events import (
    AddPolicy,
    ChoosePolicy,
    CommandRejected,
    DeclareFeatures,
    Fault,
    Refusal,
    RetirePolicy,
    RewardPolicy,
)
from services.router.records import names_of

if TYPE_CHECKING:
    from libs.common.events import RouterScopeState
    from services.router.arms import Arms

RouterCommand: TypeAlias = ChoosePolicy | RewardPolicy | AddPolicy | RetirePolicy | DeclareFeatures


def refused(command: RouterCommand, refusal: Refusal, now: int, *faults: Fault) -> CommandRejected:
    """Return the refusal of a command of which something is wrong."""
    return rejected(command, command.scope, refusal, now, *faults)


def unavailable(command: RouterCommand, now: int, detail: str) -> CommandRejected:
    """Return the refusal of a command that may be done another time."""
    return rejected(command, command.scope, Refusal.UNAVAILABLE, now, detail=detail)


def unknown_policy(
    command: RewardPolicy | RetirePolicy, shared: RouterScopeState, now: int
) -> CommandRejected:
    """Return the refusal of a command that names no policy of its scope."""
    known = names_of((*shared.policies, *shared.retired))
    wrong = f"is no policy of this scope; known are: {known}"
    return refused(command, Refusal.UNKNOWN, now, Fault(field="policy_id", message=wrong))


def wrong_names(command: ChoosePolicy, shared: RouterScopeState, arms: Arms) -> list[Fault]:
    """Return what is wrong with the policies that a choice names: a typo must not mean "missing".

    Of `arms` any policy may be told that the scope has, had, or could have.
    """
    known = names_of(shared.policies)
    faults = [
        Fault(
            field=f"policies.{at}",
            message=f"{name} is none of this scope{nearest(name, shared.policies)}; known are: {known}",
        )
        for at, name in enumerate(command.policies)
        if name not in shared.policies
    ]
    return faults + [
        Fault(
            field=f"arms.{name}",
            message=f"is no known policy{nearest(name, shared.policies)}; known are: {known}",
        )
        for name in command.arms
        if name not in shared.policies + shared.retired and arms.registered(name) is None
    ]


def wrong_values(command: ChoosePolicy | RewardPolicy, shared: RouterScopeState) -> list[Fault]:
    """Return what is wrong with values of the scope's own features; the door saw those of all scopes."""
    return value_faults(command.context, shared.declared) if shared.declared else []


def other_features(command: DeclareFeatures, shared: RouterScopeState, now: int) -> CommandRejected:
    """Return the refusal to change the features of a scope that there is."""
    has = as_text(shared.declared) or "none of its own"
    wrong = f"scope {command.scope} has {has}, and keeps what it has: declare others for a new scope"
    return refused(command, Refusal.INVALID, now, Fault(field="features", message=wrong))


def without_arms(
    command: ChoosePolicy | AddPolicy, shared: RouterScopeState, arms: Arms, now: int
) -> CommandRejected:
    """Return the refusal of a command for which no policy is registered."""
    if not arms:
        why = "No policy is registered yet: execution registers its own when it starts."
        return unavailable(command, now, why)
    asked = command.policies if isinstance(command, ChoosePolicy) and command.policies else shared.policies
    which = "no policy" if asked is shared.policies else "none of the policies asked for"
    ours = f"Of scope {command.scope} {which} is registered ({names_of(asked)})"
    return unavailable(command, now, f"{ours}; registered are: {arms.names}.")
