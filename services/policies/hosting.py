"""Which policy runs, which is asked of which symbol when, and what is told of them; pure.

========  =========================  ==============================================================
phase     next                       when
========  =========================  ==============================================================
WAITING   STARTING                   a place is free
STARTING  LIVE, QUARANTINED          it was loaded; it broke its contract
LIVE      QUARANTINED                it broke its contract
any       WAITING, anew              its file changed: another version, and the quarantine is lifted
any       gone                       its file is gone: the entry and the signals are deleted
========  =========================  ==============================================================

The registry says RUNNING from the first valid signal of a version on, STARTING before. A version that is
quarantined there stays so over restarts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState
from libs.common.time_units import NS_PER_S
from libs.common.told import USER, first_line
from libs.common.topics import signal_key
from libs.policies.described import id_fault
from services.policies.effects import Ask, Deregister, End, Register, Say, Start, Tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from libs.common.market_views import Newness
    from libs.policies.described import Described
    from services.policies.effects import Effect

MOST_STARTING: Final = 4  # at once


class HostRules(NamedTuple):
    """What the host goes by."""

    host: str  # as the registry names it
    most: int  # policies that run at once
    start_gap_ns: int  # between two starts
    tops_gap_ns: int  # between two evaluations of a policy on a symbol without a new minute


class File(NamedTuple):
    """The source of a policy, as it stands now."""

    version: str
    place: str
    fault: str = ""  # why it cannot be read


class AsOf(NamedTuple):
    """The moment of a market that a policy was asked about."""

    ts: int  # ns UTC
    news: Newness
    seen: dict[str, int]  # by topic, offsets


class Phase(Enum):
    """How far a hosted policy has come."""

    WAITING = "waiting"
    STARTING = "starting"
    LIVE = "live"
    QUARANTINED = "quarantined"


@dataclass(slots=True)
class Told:
    """What a policy was last asked, and said, of a symbol."""

    as_of: AsOf
    signal: PolicySignalled
    minute: int  # of the signal


@dataclass(slots=True)
class Hosted:
    """A policy that has a file."""

    file: File
    life: int
    phase: Phase
    entry: PolicyRegistered
    policy: Described | None = None
    asked: str | None = None  # symbol whose signal is awaited
    told: dict[str, Told] = field(default_factory=dict)  # by symbol


class Hosting:
    """All policies of this host; changes in place."""

    def __init__(self, rules: HostRules) -> None:
        self._rules = rules
        self._hosted: dict[str, Hosted] = {}
        self._by_life: dict[int, str] = {}
        self._lives = 0
        self._refused: dict[str, str] = {}  # why, by id
        self._dropped: set[str] = set()  # deleted here, and not yet known to be so by the registry
        self._started_ts = 0  # the last one
        self.quarantines = 0  # so far

    @property
    def phases(self) -> dict[str, Phase]:
        """Return each policy's phase."""
        return {policy_id: each.phase for policy_id, each in self._hosted.items()}

    @property
    def on_tops(self) -> bool:
        """Whether some policy that runs is to be asked when books change."""
        return any(
            each.phase is Phase.LIVE and each.policy is not None and each.policy.on_tops
            for each in self._hosted.values()
        )

    def policy_of(self, life: int) -> str:
        """Return the id of the policy of a life; "" once its file is gone or another version."""
        return self._by_life.get(life, "")

    def entry(self, policy_id: str) -> PolicyRegistered | None:
        """Return what the registry is to say of a policy; None of one that is not hosted."""
        hosted = self._hosted.get(policy_id)
        return None if hosted is None else hosted.entry

    def files(
        self,
        found: Mapping[str, File],
        registry: Mapping[bytes, PolicyRegistered],
        signals: Mapping[bytes, PolicySignalled],
        now: int,
    ) -> list[Effect]:
        """Follow the files as they stand.

        Parameters
        ----------
        found
            By the id that each policy would have.
        registry, signals
            The topics' newest messages, by key. An entry under another key than its own counts for nothing.
        """
        effects: list[Effect] = []
        refused = {}
        self._dropped = {each for each in self._dropped if each.encode() in registry}
        registry = {
            key: entry
            for key, entry in registry.items()
            if entry.policy_id not in self._dropped and key == entry.policy_id.encode()
        }
        for policy_id, file in found.items():
            if (fault := self._refusal(policy_id, registry)) != "":
                refused[policy_id] = fault
                if self._refused.get(policy_id) != fault:
                    effects.append(Say("policy_refused", {"policy": policy_id, "reason": fault}))
            elif policy_id not in self._hosted or self._hosted[policy_id].file.version != file.version:
                self._dropped.discard(policy_id)
                effects += self._host(policy_id, file, registry.get(policy_id.encode()), now)
        self._refused = refused
        own = {entry.policy_id for entry in registry.values() if self._is_own(entry)}
        for policy_id in sorted(own.union(self._hosted) - (found.keys() - refused.keys())):
            effects += self._drop(policy_id, signals)
        return effects

    def due(self, news: Mapping[str, Newness], now: int) -> list[Effect]:
        """Return which policies are to be started now, and of which symbol each idle one is to be asked."""
        effects: list[Effect] = [*self._starts(now)]
        for hosted in self._hosted.values():
            if hosted.phase is Phase.LIVE and hosted.asked is None:
                symbol = self._most_due(hosted, news, now)
                if symbol is not None:
                    hosted.asked = symbol
                    effects.append(Ask(hosted.life, symbol))
        return effects

    def next_due(self, news: Mapping[str, Newness], now: int) -> int | None:
        """Return when, after `now`, `due` may return something though nothing is new; None: never.

        For a host that does not look all the time. What of a policy is awaited may change it.
        """
        found: list[int | None] = []
        places = self._places() > 0
        for hosted in self._hosted.values():
            if hosted.phase is Phase.WAITING and places:
                found.append(self._started_ts + self._rules.start_gap_ns)
            elif hosted.policy is not None and hosted.phase is Phase.LIVE and hosted.asked is None:
                found += (self._ends_at(hosted, symbol, news) for symbol in hosted.policy.symbols or news)
        return min((max(ts, now + 1) for ts in found if ts is not None), default=None)

    def _ends_at(self, hosted: Hosted, symbol: str, news: Mapping[str, Newness]) -> int | None:
        """Return when a policy that is LIVE is to be asked of a symbol again."""
        policy, told, newest = hosted.policy, hosted.told.get(symbol), news.get(symbol)
        if policy is None or newest is None:
            return None
        if told is None:
            return 0
        moved = policy.on_tops and newest.tops != told.as_of.news.tops
        half_ns = 0 if moved else -(-round(policy.valid_s * NS_PER_S) // 2)
        return told.as_of.ts + max(half_ns, self._rules.tops_gap_ns)

    def loaded(self, life: int, policy: Described) -> list[Effect]:
        """Take note of what a policy says of itself."""
        hosted = self._of(life)
        if hosted is None:
            return []
        hosted.phase, hosted.policy = Phase.LIVE, policy
        entry = replace(
            hosted.entry,
            summary=policy.summary,
            parameters={**policy.parameters, "horizon_s": policy.horizon_s},
            joins=policy.joins,
            keeps_posterior=policy.keeps_posterior,
        )
        if entry == hosted.entry:
            return []
        hosted.entry = entry
        return [Register(entry)]

    def answered(self, life: int, symbol: str, value: float, reason: str, as_of: AsOf) -> list[Effect]:
        """Take note of a signal; it is told when its value, the minute, or half of its validity is new."""
        hosted = self._of(life)
        if hosted is None or hosted.policy is None:
            return []
        hosted.asked = None
        before, valid_ns = hosted.told.get(symbol), round(hosted.policy.valid_s * NS_PER_S)
        signal = PolicySignalled(
            policy_id=hosted.entry.policy_id,
            symbol=symbol,
            value=value,
            reason=reason,
            inputs_ts=as_of.ts,
            valid_until_ts=as_of.ts + valid_ns,
            version=hosted.file.version,
            seen=as_of.seen,
        )
        if before is not None and not _is_news(before, value, as_of, valid_ns):
            before.as_of = as_of
            return []
        hosted.told[symbol] = Told(as_of, signal, as_of.news.minute)
        effects: list[Effect] = [Tell(signal)]
        if hosted.entry.state is not PolicyState.RUNNING:
            hosted.entry = replace(hosted.entry, state=PolicyState.RUNNING, ts=as_of.ts)
            effects.append(Register(hosted.entry))
        return effects

    def broke(self, life: int, fault: str, now: int) -> list[Effect]:
        """Quarantine a policy for what it did: in a line, and under it where."""
        hosted = self._of(life)
        return [] if hosted is None else self._quarantine(hosted, fault, now)

    def _of(self, life: int) -> Hosted | None:
        """Return the policy of a life; None once its file is gone or another version."""
        return self._hosted.get(self._by_life.get(life, ""))

    def _is_own(self, entry: PolicyRegistered) -> bool:
        return entry.kind == USER and entry.host == self._rules.host

    def _refusal(self, policy_id: str, registry: Mapping[bytes, PolicyRegistered]) -> str:
        if fault := id_fault(policy_id):
            return fault
        entry = registry.get(policy_id.encode())
        if policy_id not in self._hosted and entry is not None and not self._is_own(entry):
            return f"{entry.host or entry.kind} has a policy of this name: take another one"
        return ""

    def _host(self, policy_id: str, file: File, known: PolicyRegistered | None, now: int) -> list[Effect]:
        """Begin with a version of a policy, in place of the one before."""
        effects: list[Effect] = []
        if (before := self._hosted.get(policy_id)) is not None:
            effects.append(End(before.life))
            del self._by_life[before.life]
            known = before.entry
        self._lives += 1
        self._by_life[self._lives] = policy_id
        fresh = PolicyRegistered(
            policy_id=policy_id,
            kind=USER,
            summary="",
            version=file.version,
            state=PolicyState.STARTING,
            source=file.place,
            host=self._rules.host,
            ts=now,
        )
        same = known is not None and known.version == file.version and self._is_own(known)
        hosted = Hosted(file, self._lives, Phase.WAITING, known if known is not None and same else fresh)
        self._hosted[policy_id] = hosted
        if file.fault:
            return effects + self._quarantine(hosted, file.fault, now)
        if hosted.entry.state is PolicyState.QUARANTINED:
            hosted.phase = Phase.QUARANTINED
        elif not same:
            effects.append(Register(fresh))
        return effects

    def _quarantine(self, hosted: Hosted, fault: str, now: int) -> list[Effect]:
        hosted.phase, hosted.asked = Phase.QUARANTINED, None
        entry = replace(hosted.entry, state=PolicyState.QUARANTINED, fault=fault, ts=now)
        if replace(hosted.entry, ts=now) == entry:
            return []
        hosted.entry = entry
        self.quarantines += 1
        facts = {"policy": entry.policy_id, "version": entry.version, "reason": first_line(fault)}
        return [Register(entry), Say("policy_quarantined", facts)]

    def _drop(self, policy_id: str, signals: Mapping[bytes, PolicySignalled]) -> list[Effect]:
        """End a policy whose file is gone, with all that was told of it."""
        effects: list[Effect] = []
        keys = {key for key in signals if key.startswith(f"{policy_id}:".encode())}
        if (hosted := self._hosted.pop(policy_id, None)) is not None:
            del self._by_life[hosted.life]
            effects.append(End(hosted.life))
            keys |= {signal_key(policy_id, symbol) for symbol in hosted.told}
        self._dropped.add(policy_id)
        return [*effects, Deregister(policy_id, tuple(sorted(keys)))]

    def _starts(self, now: int) -> Iterator[Start]:
        places = self._places()
        for policy_id, hosted in self._hosted.items():
            if places <= 0 or 0 <= now - self._started_ts < self._rules.start_gap_ns:
                break
            if hosted.phase is Phase.WAITING:
                hosted.phase = Phase.STARTING
                places -= 1
                self._started_ts = now
                yield Start(policy_id, hosted.life)

    def _places(self) -> int:
        """Return how many may be started before another is loaded or ended."""
        phases = [hosted.phase for hosted in self._hosted.values()]
        starting = phases.count(Phase.STARTING)
        return min(self._rules.most - starting - phases.count(Phase.LIVE), MOST_STARTING - starting)

    def _most_due(self, hosted: Hosted, news: Mapping[str, Newness], now: int) -> str | None:
        """Return the symbol of which a policy is to be asked now: the one it was asked of the longest ago."""
        policy = hosted.policy
        assert policy is not None  # noqa: S101 -- it is LIVE
        found: tuple[int, str] | None = None
        for symbol in policy.symbols or news:
            newest, told = news.get(symbol), hosted.told.get(symbol)
            if newest is None:
                continue
            if told is None or self._is_due(policy, told.as_of, newest, now):
                place = (0 if told is None else told.as_of.ts, symbol)
                found = place if found is None else min(found, place)
        return None if found is None else found[1]

    def _is_due(self, policy: Described, asked: AsOf, newest: Newness, now: int) -> bool:
        age_ns = now - asked.ts
        if newest.minute > asked.news.minute:
            return True
        ending = age_ns >= policy.valid_s * NS_PER_S / 2
        moved = policy.on_tops and newest.tops != asked.news.tops
        return (ending or moved) and age_ns >= self._rules.tops_gap_ns


def _is_news(before: Told, value: float, as_of: AsOf, valid_ns: int) -> bool:
    return (
        value != before.signal.value
        or as_of.news.minute > before.minute
        or as_of.ts - before.signal.inputs_ts >= valid_ns / 2
    )
