"""Which policies somebody can turn into a signal: the registry, as the router reads it; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.command_rules import IDENTIFIER
from libs.common.events import PolicyState
from libs.common.told import BUILTIN, first_line
from libs.common.topics import POLICIES_REGISTRY
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from libs.common.events import PolicyRegistered

MOST_NAMED: Final = 50  # of the registered policies, in a sentence
MOST_SAID: Final = 200  # characters of what a quarantined policy did


@dataclass(slots=True)
class _Joins:
    """Which policies join which scope, of the registry as it stood then."""

    progress: int = -1
    scopes: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arms:
    """The registered policies; a decision records which of them it chose among.

    Only one that is running can be chosen; one that is quarantined or has yet to start is as if it were not
    registered.
    """

    view: View[PolicyRegistered] = field(default_factory=lambda: View(POLICIES_REGISTRY))
    _joins: _Joins = field(default_factory=_Joins)

    def __contains__(self, policy_id: str) -> bool:
        """Tell whether somebody turns the policy into a signal, so that it may be chosen."""
        return self.running(policy_id) is not None

    def running(self, policy_id: str) -> PolicyRegistered | None:
        """Return what the registry says of a policy that may be chosen."""
        registered = self.registered(policy_id)
        return registered if registered and registered.state is PolicyState.RUNNING else None

    def registered(self, policy_id: str) -> PolicyRegistered | None:
        """Return what the registry says of a policy under its own key, however it stands."""
        found = self.view.items.get(policy_id.encode())
        return found if found is not None and found.policy_id == policy_id else None

    def starting(self, policy_id: str) -> bool:
        """Tell whether a policy may be chosen again with its next signal."""
        registered = self.registered(policy_id)
        return registered is not None and registered.state is PolicyState.STARTING

    def why_not(self, policy_id: str) -> str:
        """Say why a policy may not be chosen; "" where it may."""
        registered = self.registered(policy_id)
        if registered is None:
            return f"is not registered; registered are: {self.names}"
        match registered.state:
            case PolicyState.RUNNING:
                return ""
            case PolicyState.STARTING:
                return "is starting: it waits for a signal, and until then is not chosen"
            case PolicyState.QUARANTINED:
                return f"is quarantined: {first_line(registered.fault)[:MOST_SAID]}"

    def joining(self, scope: str) -> tuple[str, ...]:
        """Return the policies that join a scope by themselves, in order; computed once for each registry."""
        progress = self.view.progress
        if self._joins.progress != progress:
            self._joins.progress, self._joins.scopes = progress, self._joining()
        return self._joins.scopes.get(scope, ())

    def _joining(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for key, registered in sorted(self.view.items.items()):
            name = key.decode(errors="replace")
            if registered.kind != BUILTIN and name in self and IDENTIFIER.fullmatch(name):
                for scope in registered.joins:
                    found.setdefault(scope, []).append(name)
        return {scope: tuple(names) for scope, names in found.items()}

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
        known = sorted(name for key in self.view.items if (name := key.decode(errors="replace")) in self)
        more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
        return (", ".join(known[:MOST_NAMED]) or "none") + more
