"""What a scope keeps of its off-policy values, by `libs.common.off_policy`; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.common.off_policy import Sums
from services.router.contrasts import compared

if TYPE_CHECKING:
    from libs.common.events import PolicyChosen, RouterScopeState


def sums_of(shared: RouterScopeState, policy_id: str) -> Sums:
    """Return a policy's sums; those of versions before, eight of other estimators, begin anew."""
    kept = shared.evaluation.get(policy_id, ())
    return Sums(*kept) if len(kept) == len(Sums._fields) else Sums()


def evaluated(shared: RouterScopeState, decision: PolicyChosen, reward: float) -> RouterScopeState:
    """Return the scope with one more rewarded decision in the values of those that it could choose."""
    e = reward - decision.means[decision.policy_id]
    found = dict(shared.evaluation)
    for name, p in decision.propensities.items():
        earned = e if name == decision.policy_id else None
        found[name] = tuple(sums_of(shared, name).after(p, decision.means[name], earned))
    return replace(shared, evaluation=found, contrasts=compared(shared.contrasts, decision, e))
