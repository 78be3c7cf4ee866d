"""Whose rewards a posterior is of: what begins anew as another version of a policy is registered; pure.

A posterior belongs to the version that its policy had at its first choice. Where another one runs, which does
not keep it, all that is known of that policy alone begins as a new policy's does: its record, its off-policy
sums, its contrasts with the others, and how often it was chosen. What the policies share, as the noise of the
market and how much each copy of the model is trusted, stays, and so does what was stated of it. What was
decided before says nothing of the new version, neither of its reward nor of what it would earn. Nor does it
of a policy that the scope forgot since, as another one needed its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from libs.common.events import RouterPolicyState, RouterScopeState
from services.router.contrasts import without
from services.router.records import find, policy_key, policy_of, scope_key

if TYPE_CHECKING:
    from libs.common.events import PolicyChosen, RouterAnswer
    from libs.common.handling import State
    from services.router.arms import Arms
    from services.router.records import Record

MOST_KEPT: Final = 32  # versions whose decisions teach a later one


def as_registered(
    state: State[Record], scope: str, shared: RouterScopeState, arms: Arms, now: int
) -> RouterScopeState:
    """Let each posterior be of the version that runs now, if one does; return the scope with it.

    One of no version, as of older records or of a policy that is new here, takes the present one as it is.
    """
    for name in (*shared.policies, *shared.retired):
        registered = arms.running(name)
        record = policy_of(state, scope, name)
        if registered is None or record.version == registered.version:
            continue
        begins = name in shared.joined and policy_key(scope, name) not in state
        if not record.version and not begins:
            record = replace(record, version=registered.version)
        elif record.version and registered.keeps_posterior:
            kept = (*record.kept_versions, record.version)[-MOST_KEPT:]
            record = replace(record, version=registered.version, kept_versions=kept)
        else:
            began_ts = now - shared.stepped_ns
            record = RouterPolicyState(version=registered.version, renewed_ts=began_ts)
            shared = without_sums(shared, name)
        state.put(policy_key(scope, name), record)
    return shared


def another_version(state: State[Record], decision: PolicyChosen, kept: RouterAnswer) -> str:
    """Say why the reward of a decision is of no policy and version that the scope learns of; "" where it is.

    Whether the policy runs at the moment of the reward makes no difference.

    Parameters
    ----------
    decision, kept
        The decision, and the record that holds it.
    """
    if decision.policy_id not in _names(state, decision.scope):
        return f"the scope forgot {decision.policy_id}, which was gone, for another policy"
    record = policy_of(state, decision.scope, decision.policy_id)
    then, present = decision.policy_version, record.version
    if not then or then == present:
        return ""
    if then in record.kept_versions and kept.ts >= record.renewed_ts:
        return ""
    return f"decided by version {then}, the policy is {present} now: its posterior began anew"


def telling(state: State[Record], decision: PolicyChosen, kept: RouterAnswer) -> PolicyChosen:
    """Return the decision as one among those policies whose version is still the one that could be chosen."""
    known = _names(state, decision.scope)
    renewed = {
        name
        for name in decision.propensities
        if name != decision.policy_id
        and (name not in known or policy_of(state, decision.scope, name).renewed_ts > kept.ts)
    }
    if not renewed:
        return decision
    left = {name: p for name, p in decision.propensities.items() if name not in renewed}
    return replace(decision, propensities=left)


def without_sums(shared: RouterScopeState, name: str) -> RouterScopeState:
    """Return the scope without what it counts of one policy."""
    return replace(
        shared,
        chosen={other: times for other, times in shared.chosen.items() if other != name},
        evaluation={other: sums for other, sums in shared.evaluation.items() if other != name},
        contrasts=without(shared.contrasts, name),
    )


def _names(state: State[Record], scope: str) -> tuple[str, ...]:
    """Return the policies that a scope has."""
    shared = find(state, scope_key(scope), RouterScopeState)
    return () if shared is None else (*shared.policies, *shared.retired)
