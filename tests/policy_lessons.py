"""What a scope of the router learnt of which version of which policy, told from the topics alone.

All commands of a scope are in one partition and handled in its order, each with one answer and one snapshot.
So who walks the three together knows at each reward which version the policy's posterior is of.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from libs.common.events import (
    CommandRejected,
    PoliciesChanged,
    PolicyChosen,
    PolicyRegistered,
    PolicyRewarded,
    RewardPolicy,
    RouterSnapshot,
)
from libs.common.topics import POLICIES_REGISTRY, ROUTER_CHOICES, ROUTER_COMMANDS, ROUTER_SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from libs.common.events import Event
    from libs.common.kafka import Record
    from services.router.refusals import RouterCommand


class Step(NamedTuple):
    """A command, and what the router made of it."""

    command: RouterCommand
    answer: Event
    snapshot: RouterSnapshot


@dataclass
class Posterior:
    """What the posterior of a policy must be of."""

    version: str
    since: int  # the step at which it began
    kept: set[str] = field(default_factory=set)  # versions before it that it goes on from
    updates: int = 0


class Decision(NamedTuple):
    """A choice, and the step at which it was made."""

    chosen: PolicyChosen
    step: int


@dataclass
class Lessons:
    """A naive twin of the router's bookkeeping, which fails where the router's differs."""

    keeps: set[tuple[str, str]]  # policy and version that keep the posterior
    posteriors: dict[str, Posterior] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    rewarded: dict[str, PolicyRewarded] = field(default_factory=dict)  # the first answer, by decision
    retired: set[str] = field(default_factory=set)
    facts: Counter[str] = field(default_factory=Counter)

    def take(self, n: int, step: Step) -> None:
        """Take the next step."""
        self._look(n, step.snapshot)
        match step.answer:
            case PolicyChosen() as chosen:
                self._choose(n, chosen)
            case PolicyRewarded() as told:
                assert isinstance(step.command, RewardPolicy)
                self._reward(told, void=bool(step.command.void))
            case PoliciesChanged() as changed:
                self.facts["retired or taken back"] += changed.changed
        self.retired = set(step.snapshot.retired)
        for each in step.snapshot.policies:
            mine = self.posteriors[each.policy_id]
            assert (each.version, each.updates) == (mine.version, mine.updates), (n, each.policy_id)

    def _look(self, n: int, snapshot: RouterSnapshot) -> None:
        """Let posteriors begin, begin anew, or go on, by the version that the snapshot names."""
        for each in snapshot.policies:
            name, version = each.policy_id, each.version
            mine = self.posteriors.setdefault(name, Posterior(version, n))
            if mine.version == version:
                continue
            if not mine.version or (name, version) in self.keeps:
                self.facts["went on"] += bool(mine.version)
                mine.kept.add(mine.version)
                mine.version = version
            else:
                self.facts["began anew"] += 1
                self.posteriors[name] = Posterior(version, n)

    def _choose(self, n: int, chosen: PolicyChosen) -> None:
        name = chosen.policy_id
        assert name not in self.retired, "one that retired was chosen"
        assert chosen.policy_version == self.posteriors[name].version
        assert chosen.versions == {each: self.posteriors[each].updates for each in chosen.versions}
        self.decisions[chosen.command_id] = Decision(chosen, n)
        self.facts["decisions"] += 1

    def _reward(self, told: PolicyRewarded, *, void: bool) -> None:
        assert told.decision_id is not None
        decision = self.decisions[told.decision_id]
        mine, version = self.posteriors[told.policy_id], decision.chosen.policy_version
        own = version == mine.version or (version in mine.kept and decision.step >= mine.since)
        first = told.decision_id not in self.rewarded
        self.rewarded.setdefault(told.decision_id, told)
        assert told.counted == (first and own and not void), (told, mine)
        mine.updates += told.counted
        assert told.updates == mine.updates, (told, mine)
        kind = "counted" if told.counted else "void" if void else "of a version before"
        self.facts[kind] += 1
        self.facts["counted for a later version"] += told.counted and version != mine.version


def lessons_of(scope: str, records: Sequence[Record]) -> Lessons:
    """Return what a scope learnt, of all records of the topics of the router and the registry."""
    entries = [r.event for r in records if r.topic is POLICIES_REGISTRY and r.event is not None]
    keeps = {
        (each.policy_id, each.version)
        for each in entries
        if isinstance(each, PolicyRegistered) and each.keeps_posterior
    }
    lessons = Lessons(keeps)
    for n, step in enumerate(steps(scope, records)):
        lessons.take(n, step)
    return lessons


def steps(scope: str, records: Sequence[Record]) -> Iterator[Step]:
    """Yield the commands of a scope in the order in which they were handled, with what came of each."""
    answers: dict[str, Event] = {}
    for record in records:
        if record.topic is ROUTER_CHOICES and getattr(record.event, "scope", scope) == scope:
            command_id = getattr(record.event, "command_id", "")
            assert command_id not in answers, f"{command_id} was answered twice"
            assert record.event is not None
            answers[command_id] = record.event
    snapshots = iter(_in_order(scope, records, ROUTER_SNAPSHOTS.name))
    for record in _in_order(scope, records, ROUTER_COMMANDS.name):
        command: RouterCommand = record.event  # type: ignore[assignment]  # of this topic
        answer = answers.pop(command.command_id)
        if isinstance(answer, CommandRejected):
            assert not isinstance(command, RewardPolicy), answer
            continue
        snapshot = next(snapshots).event
        assert isinstance(snapshot, RouterSnapshot)
        assert snapshot.ts == getattr(answer, "ts", None)
        yield Step(command, answer, snapshot)
    assert next(snapshots, None) is None, "more was done than asked"
    assert not answers, "more was answered than asked"


def _in_order(scope: str, records: Sequence[Record], topic: str) -> list[Record]:
    found = [r for r in records if r.topic.name == topic and getattr(r.event, "scope", None) == scope]
    assert len({record.partition for record in found}) == 1
    return sorted(found, key=_offset)


def _offset(record: Record) -> int:
    return record.offset
