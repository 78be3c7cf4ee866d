"""The router among strangers' transactions and restarts at random: it counts what its log counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest
from msgspec.structs import replace

from libs.common.events import (
    ChoosePolicy,
    PolicyChosen,
    PolicyRewarded,
    RewardPolicy,
    RouterPolicyState,
    RouterScopeState,
)
from libs.common.kafka import create_topics
from libs.common.topics import ROUTER_CHOICES, ROUTER_COMMANDS, ROUTER_STATE, TOPICS
from tests.integration.libs.common.restarts import PARTITIONS, Restarts
from tests.integration.libs.common.strangers import eager_broker
from tests.registered import register
from tests.router_world import POLICIES, World, choose, reward

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from libs.common.events import Event
    from libs.common.topics import Topic

SEED: Final = 11
STEPS: Final = 40


@pytest.fixture
def eager_kafka(tmp_path: Path) -> Iterator[str]:
    with eager_broker(tmp_path) as bootstrap_servers:
        yield bootstrap_servers


class Rewarded(Restarts):
    """The router; policies are asked for and rewarded, decisions more than once now and then."""

    commands = ROUTER_COMMANDS
    state = ROUTER_STATE
    answers = ROUTER_CHOICES
    module = "services.router"
    keys = ("a", "b", "c", "d", "e")

    async def command(self, key: str) -> ChoosePolicy | RewardPolicy:
        number = self.chance.randint(0, max(20, self.sent))  # a third or so were sent before
        if self.chance.random() < 0.5:
            return choose(f"{key}/{number}", {"obi": self.chance.uniform(-1, 1)}, key)
        policy = self.chance.choice(POLICIES)
        if self.chance.random() < 0.3:
            return reward(f"{key}/r{number}", policy, 0.001, context={"obi": 0.1}, scope=key)
        chosen = [
            event
            for each in await self.messages(self.answers)
            for event in each
            if isinstance(event, PolicyChosen) and event.scope == key
        ]
        if not chosen:
            return choose(f"{key}/{number}", {"obi": 0.5}, key)
        decision = self.chance.choice(chosen)
        command = reward(f"{key}/r{number}", decision.policy_id, 0.002, scope=key)
        return replace(command, decision_id=decision.command_id)

    def stray(self, topic: Topic, key: str) -> Event:
        world = World()
        chosen = world.choose(choose("of no one", scope=key))
        if topic is self.answers:
            return chosen
        found = world.state[f"scope/{key}".encode()]
        assert isinstance(found, RouterScopeState)
        return found

    def key_of(self, topic: Topic, key: str) -> bytes:
        return f"scope/{key}".encode() if topic is self.state else key.encode()

    async def look(self) -> None:
        answers, commands = await self.messages(self.answers), await self.messages(self.commands)
        for number in range(PARTITIONS):
            given = _ids(answers[number])
            assert given == _ids(commands[number])[: len(given)]

    async def settled(self) -> bool:
        answers, commands = await self.messages(self.answers), await self.messages(self.commands)
        return [len(each) for each in answers] >= [len(each) for each in commands]


async def test_whatever_hangs_and_whoever_dies_the_router_counts_what_its_log_counts(
    eager_kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_POLICIES", " ".join(POLICIES))
    world = Rewarded(eager_kafka, tmp_path, SEED, group="router")
    await create_topics(world.settings, TOPICS.values())
    await register(eager_kafka, POLICIES, topic_partitions=PARTITIONS)
    await world.run(STEPS)
    answers, commands = await world.messages(world.answers), await world.messages(world.commands)
    assert sum(map(len, commands)) >= world.sent, "the test itself lost a command"
    state = await world.kept()
    for number in range(PARTITIONS):
        assert _ids(answers[number]) == _ids(commands[number])
        once = dict(zip(_ids(answers[number]), answers[number], strict=True))
        assert all(
            once[name] == answer for name, answer in zip(_ids(answers[number]), answers[number], strict=True)
        )
        chosen = [answer for answer in once.values() if isinstance(answer, PolicyChosen)]
        counted = [
            answer for answer in once.values() if isinstance(answer, PolicyRewarded) and answer.counted
        ]
        rewarded = [answer.decision_id for answer in counted if answer.decision_id is not None]
        assert len(rewarded) == len(set(rewarded)), "a decision was rewarded twice"
        choices = Counter(f"scope/{answer.scope}" for answer in chosen)
        updates = Counter(f"policy/{answer.scope}/{answer.policy_id}" for answer in counted)
        kept = state[number].items()
        assert +Counter({k: v.choices for k, v in kept if isinstance(v, RouterScopeState)}) == choices
        assert +Counter({k: v.updates for k, v in kept if isinstance(v, RouterPolicyState)}) == updates


def _ids(messages: list[Event]) -> list[str]:
    return [message.command_id for message in messages]  # type: ignore[attr-defined]  # all have one
