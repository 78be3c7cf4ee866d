from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from libs.common.codec import encode
from libs.common.events import ChoosePolicy, CommandRejected, Fault, PolicyRewarded, Refusal
from libs.common.kafka import Record, Undecodable, partition_of
from libs.common.topics import ROUTER_CHOICES, ROUTER_COMMANDS
from services.gateway.app import Gateway
from services.gateway.asking.commands import ANSWER_TOPICS
from services.gateway.http.problems import ProblemError
from services.gateway.settings import GatewaySettings
from tests.unit.services.gateway.world import NOW, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from libs.common.events import Event
    from libs.common.topics import Topic


def a_command(world: World, key: str | None = None) -> ChoosePolicy:
    identifier = str(world.commands.new_id("POST /api/router/choose", key))
    return ChoosePolicy(command_id=identifier, context={"regime": "bull"})


def an_answer(command_id: str) -> PolicyRewarded:
    return PolicyRewarded(
        command_id=command_id,
        scope="default",
        policy_id="p_sma",
        reward=0.004,
        decision_id=None,
        counted=True,
        updates=1,
        mean_reward=0.004,
        ts=NOW,
    )


def a_rejection(command_id: str, refusal: Refusal) -> CommandRejected:
    return CommandRejected(
        command_id=command_id,
        command="ChoosePolicy",
        key="default",
        refusal=refusal,
        detail="No such policy.",
        faults=(Fault(field="policy_id", message="use p_sma"),),
        ts=NOW,
    )


def a_record(event: Event) -> Record:
    return Record(
        topic=ROUTER_CHOICES,
        partition=0,
        offset=0,
        timestamp_ms=0,
        key=b"default",
        event=event,
        value=encode(event),
    )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 -- one turn of the loop at a time
            await asyncio.sleep(0)


@asynccontextmanager
async def listening(world: World) -> AsyncIterator[list[Undecodable]]:
    rejected: list[Undecodable] = []

    async def reject(undecodable: Undecodable) -> None:
        rejected.append(undecodable)

    task = asyncio.create_task(world.commands.listen(reject))
    await until(lambda: bool(world.answers.opened))
    try:
        yield rejected
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def asked(world: World, command: ChoosePolicy, *answers: Event) -> Event:
    asking = asyncio.create_task(
        world.commands.ask(ROUTER_COMMANDS, b"default", command, "c-1", timeout_s=0.5)
    )
    await until(lambda: bool(world.writer.sent))
    world.answers.feed(*map(a_record, answers))
    return await asking


async def test_the_answer_is_the_event_that_repeats_the_commands_id() -> None:
    world = World()
    async with listening(world):
        command = a_command(world)
        other = an_answer(str(UUID(int=1)))
        answer = await asked(world, command, other, an_answer(command.command_id))
    assert answer == an_answer(command.command_id)
    assert world.commands.waiting == 0
    assert world.answers.opened == [(tuple(topic.name for topic in ANSWER_TOPICS), "end")]


async def test_the_record_carries_the_commands_id_and_the_callers_correlation() -> None:
    world = World()
    async with listening(world):
        command = a_command(world)
        await asked(world, command, an_answer(command.command_id))
    headers = dict(world.writer.sent[0].headers)
    assert headers["ce_id"].decode() == command.command_id
    assert headers["ce_correlationid"] == b"c-1"
    assert headers["ce_type"] == b"ChoosePolicy"


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(Refusal.UNKNOWN, 404), (Refusal.INVALID, 422), (Refusal.UNAVAILABLE, 503), (Refusal.INTERNAL, 500)],
)
async def test_a_refusal_is_a_problem_with_its_fields(refusal: Refusal, status: int) -> None:
    world = World()
    async with listening(world):
        command = a_command(world)
        with pytest.raises(ProblemError, match="No such policy") as caught:
            await asked(world, command, a_rejection(command.command_id, refusal))
    assert caught.value.status == status
    assert [error.field for error in caught.value.document.errors] == ["policy_id"]
    assert ("Retry-After" in caught.value.headers) == (status == 503)


async def test_no_answer_is_504_with_the_commands_id_and_nothing_waits_on() -> None:
    world = World()
    async with listening(world):
        command = a_command(world)
        with pytest.raises(ProblemError) as caught:
            await world.commands.ask(ROUTER_COMMANDS, b"default", command, "c-1")
    assert caught.value.status == 504
    assert caught.value.document.command_id == command.command_id
    assert world.commands.waiting == 0


async def test_before_the_gateway_hears_answers_it_asks_nothing() -> None:
    world = World()
    with pytest.raises(ProblemError) as caught:
        await world.commands.ask(ROUTER_COMMANDS, b"default", a_command(world), "c-1")
    assert caught.value.status == 503
    assert not world.writer.sent


async def test_a_command_whose_answer_an_open_transaction_would_hide_is_503_at_once_and_not_sent() -> None:
    world = World()
    async with listening(world):
        home = partition_of(b"default", world.settings.topic_partitions)
        for partition in {*range(world.settings.topic_partitions)} - {home}:
            world.commands.held_up = {ROUTER_CHOICES: {partition: "held up at offset 5"}}
            command = a_command(world)
            await asked(world, command, an_answer(command.command_id))
        world.commands.held_up = {ROUTER_CHOICES: {home: "held up at offset 5"}}
        sent = len(world.writer.sent)
        with pytest.raises(ProblemError, match=f"answers on router.choices.v1-{home} are held up") as caught:
            await world.commands.ask(ROUTER_COMMANDS, b"default", a_command(world), "c-1")
    assert caught.value.status == 503
    assert len(world.writer.sent) == sent


async def test_what_is_held_up_is_not_looked_for_with_every_answer() -> None:
    world, looked, polls = World(), Counter[str](), 200

    class Busy:
        async def poll(self) -> list[Record]:
            looked["polls"] += 1
            if looked["polls"] > polls:
                await asyncio.Event().wait()
            return [a_record(an_answer("of another gateway"))]

        def held_up(self, topic: Topic) -> Mapping[int, str]:
            looked[topic.name] += 1
            return {}

    @asynccontextmanager
    async def opened(_topics: Sequence[Topic], _start: object) -> AsyncIterator[Busy]:
        yield Busy()

    world.commands.open_source = opened
    hearing = asyncio.create_task(world.commands.listen(_nobody))
    await until(lambda: looked["polls"] > polls)
    hearing.cancel()
    assert all(0 < looked[topic.name] < polls / 10 for topic in ANSWER_TOPICS)


async def _nobody(_undecodable: Undecodable) -> None:
    raise AssertionError("everything was a message")


async def test_what_is_no_message_is_kept_and_the_next_answer_still_comes() -> None:
    world = World()
    async with listening(world) as rejected:
        command = a_command(world)
        asking = asyncio.create_task(
            world.commands.ask(ROUTER_COMMANDS, b"default", command, "c-1", timeout_s=0.5)
        )
        await until(lambda: bool(world.writer.sent))
        rubbish = Undecodable(
            topic=ROUTER_CHOICES,
            partition=0,
            offset=0,
            timestamp_ms=0,
            key=b"",
            value=b"?",
            headers=(),
            reason="no map",
        )
        world.answers.feed(rubbish, a_record(an_answer(command.command_id)))
        await asking
    assert rejected == [rubbish]


async def test_an_answer_that_only_a_later_version_knows_is_left_out_and_counted() -> None:
    world = World()
    async with listening(world) as rejected:
        command = a_command(world)
        asking = asyncio.create_task(
            world.commands.ask(ROUTER_COMMANDS, b"default", command, "c-1", timeout_s=0.5)
        )
        await until(lambda: bool(world.writer.sent))
        later = Undecodable(
            topic=ROUTER_CHOICES,
            partition=0,
            offset=0,
            timestamp_ms=0,
            key=b"",
            value=b"",
            headers=(),
            reason="Invalid enum value",
            unknown=True,
        )
        world.answers.feed(later, a_record(an_answer(command.command_id)))
        await asking
    assert rejected == []
    assert +world.commands.left_out == {ROUTER_CHOICES: 1}


async def test_the_same_key_gives_the_same_id_and_no_key_a_new_one() -> None:
    commands = World().commands
    assert commands.new_id("POST /a", "k") == commands.new_id("POST /a", "k")
    assert commands.new_id("POST /a", "k") != commands.new_id("POST /b", "k")
    assert commands.new_id("POST /a", None) != commands.new_id("POST /a", None)


async def test_ids_come_from_the_source_that_the_shell_passes_in() -> None:
    one, same = World().commands, World().commands
    ids = [one.new_id("POST /a", None) for _ in range(3)]
    assert [same.new_id("POST /a", None) for _ in range(3)] == ids
    assert len(set(ids)) == 3


async def test_two_processes_give_different_ids() -> None:
    ids = {Gateway(GatewaySettings())._parts.commands.new_id("POST /a", None) for _ in range(2)}  # noqa: SLF001 -- as its routes
    assert len(ids) == 2
