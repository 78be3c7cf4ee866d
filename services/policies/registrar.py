"""Policies from outside: registered by their first valid signal, forgotten long after their last; pure.

One whose signals have all ended for a while is said to be STARTING, so that nobody chooses what has nothing
to say, and RUNNING again with its next signal. Two hosts that both look say the same while their clocks
differ by less than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from libs.common.command_rules import IDENTIFIER
from libs.common.events import PolicyRegistered, PolicyState
from libs.common.policy import DEFAULT_SCOPES
from libs.common.told import EXTERNAL, OUTSIDE, signal_fault
from libs.common.topics import POLICIES_SIGNALS, signal_key
from services.policies.effects import Deregister, Register, Say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import PolicySignalled
    from services.policies.effects import Effect

VERSION: Final = "outside"
SUMMARY: Final = "Signals from outside; its code is not here."


class ExternalRules(NamedTuple):
    """How many policies from outside there may be, and what becomes of one after its last signal."""

    most: int
    idle_ns: int  # after its end, until it waits for the next
    keep_ns: int  # after its end, until it is forgotten


class Registrar:
    """Follows the signals of policies from outside; changes in place."""

    def __init__(self, rules: ExternalRules) -> None:
        self._rules = rules
        self._crowded: set[str] = set()  # refused as there are too many, and said so

    def look(
        self, registry: Mapping[bytes, PolicyRegistered], signals: Mapping[bytes, PolicySignalled], now: int
    ) -> list[Effect]:
        """Return who is to be registered, and how, and who is to be forgotten, at `now` (ns UTC).

        Parameters
        ----------
        registry, signals
            The topics' newest messages, by key; what stands under another key than its own counts for
            nothing.
        """
        entries = {each.policy_id: each for key, each in registry.items() if key == each.policy_id.encode()}
        told: dict[str, list[tuple[bytes, PolicySignalled]]] = {}
        for key, signal in signals.items():
            if signal.policy_id.startswith(OUTSIDE) and key == signal_key(signal.policy_id, signal.symbol):
                told.setdefault(signal.policy_id, []).append((key, signal))
        known = {policy_id: entry for policy_id, entry in entries.items() if entry.kind == EXTERNAL}
        gone = [each for each in known if self._has_ended(known[each], told.get(each, []), now)]
        effects: list[Effect] = [
            Deregister(policy_id, tuple(key for key, _ in told.get(policy_id, ()))) for policy_id in gone
        ]
        for policy_id in sorted(known.keys() - set(gone)):
            entry = known[policy_id]
            if not policy_id.startswith(OUTSIDE):
                continue  # whoever registered it says how it stands
            state = self._state_of(entry, told.get(policy_id, []), now)
            if state is not entry.state:
                effects.append(Register(replace(entry, state=state, ts=now)))
        places = self._rules.most - len(known) + len(gone)
        for policy_id in sorted(told.keys() - entries.keys()):
            entry = entry_of(policy_id, now)
            if not IDENTIFIER.fullmatch(policy_id) or all(
                signal_fault(signal, entry, now) for _, signal in told[policy_id]
            ):
                continue
            if places > 0:
                places -= 1
                effects.append(Register(entry))
            elif policy_id not in self._crowded:
                self._crowded.add(policy_id)
                reason = f"{self._rules.most} policies from outside are registered, and no more may be"
                effects.append(Say("policy_refused", {"policy": policy_id, "reason": reason}))
        self._crowded &= told.keys()
        return effects

    def next_look(
        self, registry: Mapping[bytes, PolicyRegistered], signals: Mapping[bytes, PolicySignalled], now: int
    ) -> int | None:
        """Return when, after `now`, a look may find something though nothing was told; None: never.

        For a host that does not look all the time.
        """
        moments = [each.inputs_ts for each in signals.values() if each.policy_id.startswith(OUTSIDE)]
        for ends in (
            *(each.valid_until_ts for each in signals.values() if each.policy_id.startswith(OUTSIDE)),
            *(each.ts for each in registry.values() if each.kind == EXTERNAL),
        ):
            moments += (ends, ends + self._rules.idle_ns + 1, ends + self._rules.keep_ns + 1)
        return min((ts for ts in moments if ts > now), default=None)

    def _state_of(
        self, entry: PolicyRegistered, told: list[tuple[bytes, PolicySignalled]], now: int
    ) -> PolicyState:
        """Return whether a policy has something to say, or had lately; one that is quarantined stays so."""
        if entry.state is PolicyState.QUARANTINED:
            return entry.state
        if any(not signal_fault(signal, entry, now) for _, signal in told):
            return PolicyState.RUNNING
        ends = [
            signal.valid_until_ts
            for _, signal in told
            if signal.valid_until_ts <= now and not signal_fault(signal, entry, signal.valid_until_ts)
        ]
        # A registration ahead of this clock was made before the clock was set back: it says nothing of now.
        idle = abs(now - max([entry.ts, *ends])) > self._rules.idle_ns
        return PolicyState.STARTING if idle else entry.state

    def _has_ended(
        self, entry: PolicyRegistered, told: list[tuple[bytes, PolicySignalled]], now: int
    ) -> bool:
        """Return whether a policy's last signal, or its registration without one, ended long enough ago."""
        believed = [signal for _, signal in told if signal.inputs_ts <= now]
        ends = [min(signal.valid_until_ts, now) for signal in believed]
        return now - max([entry.ts, *ends]) > self._rules.keep_ns


def entry_of(policy_id: str, now: int) -> PolicyRegistered:
    """Return what the registry says of a policy from outside."""
    return PolicyRegistered(
        policy_id=policy_id,
        kind=EXTERNAL,
        summary=SUMMARY,
        version=VERSION,
        source=POLICIES_SIGNALS.name,
        joins=DEFAULT_SCOPES,
        ts=now,
    )
