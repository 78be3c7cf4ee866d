"""What stands on `policies.registry.v1`, with the policies beside the built-in ones in order; pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from libs.common.command_rules import IDENTIFIER
from libs.common.events import PolicyRegistered, PolicyState
from libs.common.told import BUILTIN, OWN
from libs.common.topics import POLICIES_REGISTRY
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Sequence


class PolicyView(View[PolicyRegistered]):
    """The view of the registry; changes in place as its records are folded."""

    def __init__(self) -> None:
        super().__init__(POLICIES_REGISTRY)
        self._running: list[str] = []  # ids of those that others run, in order

    def fold(self, partition: int, offset: int, key: bytes, event: PolicyRegistered | None) -> None:
        """Apply one record; see `View.fold`."""
        super().fold(partition, offset, key, event)
        name = key.decode(errors="replace")
        at = bisect_left(self._running, name)
        known = self._running[at : at + 1] == [name]
        runs = event is not None and event.policy_id == name and _is_run_by_others(event)
        if runs and not known:
            insort(self._running, name)
        elif known and not runs:
            del self._running[at]

    def registered(self, policy_id: str) -> PolicyRegistered | None:
        """Return what is registered of a policy, under its own key."""
        found = self.items.get(policy_id.encode())
        return found if found is not None and found.policy_id == policy_id else None

    def run_by_others(self, most: int) -> Sequence[str]:
        """Return the ids of policies that run elsewhere, the first so many in their order."""
        return self._running[:most]


def _is_run_by_others(policy: PolicyRegistered) -> bool:
    own = policy.kind == BUILTIN or policy.policy_id.startswith(OWN)
    named = IDENTIFIER.fullmatch(policy.policy_id) is not None
    return named and not own and policy.state is PolicyState.RUNNING
