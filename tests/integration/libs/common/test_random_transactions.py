"""Transactions of strangers at random against restarts at random: the state is the linear replay, always."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from libs.common.kafka import create_topics
from libs.common.skips import SKIP_KEY, Skip
from tests import kafka_cluster
from tests.integration.libs.common import ledger
from tests.integration.libs.common.ledger import PRIME, Account, Enter, Entered, Spoil
from tests.integration.libs.common.restarts import PARTITIONS, Restarts
from tests.integration.libs.common.strangers import Stranger, eager_broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from libs.common.events import Event
    from libs.common.topics import Topic

SEEDS: Final = 3
STEPS: Final = 45


@pytest.fixture(scope="module")
def eager_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with eager_broker(tmp_path_factory.mktemp("eager")) as bootstrap_servers:
        yield bootstrap_servers


class Ledger(Restarts):
    """The ledger, and its operator."""

    commands = ledger.COMMANDS
    state = ledger.STATE
    answers = ledger.ANSWERS
    module = ledger.__name__
    keys = ("a", "b", "c", "d", "e")

    async def command(self, key: str) -> Enter | Spoil:
        if self.chance.random() < 0.02:
            return Spoil(account=key)
        number = self.chance.randint(0, max(20, self.sent))  # a third or so were sent before
        return Enter(id=f"{key}/{number}", account=key, amount=self.chance.randint(1, 10**9))

    def stray(self, topic: Topic, key: str) -> Event:
        if topic is self.state:
            return Account(balance=-1, entries=-1)
        return Entered(id="of no one", account=key, balance=-1, entries=-1)

    async def look(self) -> None:
        """Look at the answers, and leave out what has stopped a partition, as an operator would."""
        answers, commands = await self.messages(self.answers), await self.messages(self.commands)
        for number in range(PARTITIONS):
            expected, _ = replay(commands[number])
            assert answers[number] == expected[: len(answers[number])], f"partition {number}"
        records = await self.seen(self.commands)
        for number in range(PARTITIONS):
            at = _next(commands[number], len(answers[number]))
            if at is not None and isinstance(commands[number][at], Spoil):
                await self._leave_out(number, records[number][at].offset)

    async def _leave_out(self, number: int, offset: int) -> None:
        word = Skip(offsets={self.commands.name: offset + 1}, reason="a test", ts=time.time_ns())
        operator = Stranger(self.kafka, f"{self.group}-operator", self.state, number)
        await operator.begin()
        await operator.write(SKIP_KEY, word)
        await operator.end(commit=True)

    async def settled(self) -> bool:
        await self.look()
        answers, commands = await self.messages(self.answers), await self.messages(self.commands)
        return all(_next(commands[n], len(answers[n])) is None for n in range(PARTITIONS))


def replay(messages: Sequence[Event]) -> tuple[list[Entered], dict[str, Account]]:
    """Return the answers and accounts of these commands, one by one; a spoiled one leaves nothing."""
    answers: list[Entered] = []
    balances: dict[str, int] = {}
    known: dict[str, dict[str, Entered]] = {}
    for message in messages:
        if not isinstance(message, Enter):
            continue
        name, of = message.account, known.setdefault(message.account, {})
        if message.id not in of:
            balances[name] = (31 * balances.get(name, 0) + message.amount) % PRIME
            answer = Entered(id=message.id, account=name, balance=balances[name], entries=len(of) + 1)
            of[message.id] = answer
        answers.append(of[message.id])
    accounts = {
        name: Account(balance=balances[name], entries=len(of), answers=of) for name, of in known.items()
    }
    return answers, accounts


def _next(commands: Sequence[Event], answered: int) -> int | None:
    """Return the place of the command after those of so many answers; None where none is left."""
    places = [place for place, command in enumerate(commands) if isinstance(command, Enter)]
    place = 0 if answered == 0 else places[answered - 1] + 1
    return place if place < len(commands) else None


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_hangs_and_whoever_dies_the_state_is_the_replay_of_the_commands(
    eager_kafka: str, tmp_path: Path, seed: int
) -> None:
    kafka_cluster.wipe(eager_kafka)
    world = Ledger(eager_kafka, tmp_path, seed, group=tmp_path.name)
    await create_topics(world.settings, ledger.wiring(world.group).topics)
    await world.run(STEPS)
    answers, commands = await world.messages(world.answers), await world.messages(world.commands)
    assert sum(map(len, commands)) >= world.sent, "the test itself lost a command"
    state = await world.kept()
    for number in range(PARTITIONS):
        expected, accounts = replay(commands[number])
        assert answers[number] == expected
        assert state[number] == accounts
