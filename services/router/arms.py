"""Which policies somebody can turn into a signal: the registry, as the router reads it; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.topics import POLICIES_REGISTRY
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from libs.common.events import PolicyRegistered

MOST_NAMED: Final = 50  # of the registered policies, in a sentence


@dataclass(frozen=True, slots=True)
class Arms:
    """The registered policies; a decision records which of them it chose among."""

    view: View[PolicyRegistered] = field(default_factory=lambda: View(POLICIES_REGISTRY))

    def __contains__(self, policy_id: str) -> bool:
        return policy_id.encode() in self.view.items

    def __bool__(self) -> bool:
        return bool(self.view.items)

    def among(self, policies: Sequence[str], asked: Collection[str] = ()) -> list[int]:
        """Return where in `policies` the registered ones stand, of those `asked` for; empty: of all."""
        return [
            k
            for k, policy_id in enumerate(policies)
            if policy_id in self and (not asked or policy_id in asked)
        ]

    def lack_of(self, policies: Sequence[str]) -> str:
        """Say that none of the policies of a new scope can be chosen; "" where one can."""
        if self.among(policies):
            return ""
        registered = f"; registered are {self.names}: correct ROUTER_POLICIES" if self else " yet"
        return f"no policy of a new scope ({' '.join(policies)}) is registered{registered}"

    @property
    def names(self) -> str:
        """The registered policies as one text, for people."""
        known = sorted(key.decode(errors="replace") for key in self.view.items)
        more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
        return ", ".join(known[:MOST_NAMED]) + more
