from __future__ import annotations

import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import AIOKafkaConsumer

from libs.common.events import (
    ChoosePolicy,
    PolicyChosen,
    PolicyRewarded,
    RewardPolicy,
    RouterAnswer,
    RouterPolicyState,
    RouterScopeState,
)
from libs.common.kafka import Publisher, create_topics
from libs.common.topics import ROUTER_CHOICES, ROUTER_COMMANDS, ROUTER_STATE, TOPICS
from services.router.settings import RouterSettings
from tests.e2e.system import until
from tests.integration.services.router.process import PARTITIONS, log_of, router
from tests.registered import register
from tests.router_world import World, choose, reward

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

SCOPES = ("alpha", "beta", "gamma", "delta")
ROUNDS = 150  # a scope
KILLS = 5


def _story() -> tuple[list[ChoosePolicy | RewardPolicy], World]:
    """Return commands, some repeated and some rewards told twice, and the world a linear replay leaves."""
    rules = RouterSettings().rules()
    world = World(
        policies=rules.policies,
        tuning=rules.tuning,
        remember_ns=rules.remember_ns,
        remember_most=rules.remember_most,
    )
    commands: list[ChoosePolicy | RewardPolicy] = []
    for n in range(ROUNDS):
        for scope in SCOPES:
            asked = choose(f"{scope}/{n}", {"regime": "bull", "obi": (n % 9) / 10 - 0.4}, scope)
            chosen = world.choose(asked)
            told = reward(
                f"{scope}/r{n}", chosen.policy_id, 0.001 * (n % 5), decision=f"{scope}/{n}", scope=scope
            )
            world.reward(told)
            commands += [asked, told]
            if n % 5 == 4:  # a redelivered pair
                commands += [asked, told]
                world.choose(asked)
                world.reward(told)
            if n % 7 == 6:  # another command about the same decision
                again = msgspec.structs.replace(told, command_id=choose(f"{scope}/again{n}").command_id)
                assert not world.reward(again).counted
                commands.append(again)
    return commands, world


@asynccontextmanager
async def _counting_answers(settings: RouterSettings) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Yield what tells at once how many answers are committed, however many those are."""
    consumer = AIOKafkaConsumer(
        ROUTER_CHOICES.name,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    count = 0

    async def counted() -> int:
        nonlocal count
        while batches := await consumer.getmany(timeout_ms=20):
            count += sum(map(len, batches.values()))
        return count

    async with consumer:
        yield counted


def _timeless(answer: object) -> Any:
    known = msgspec.to_builtins(answer)
    del known["ts"]
    return known


async def test_killed_again_and_again_it_ends_where_a_linear_replay_ends(
    fresh_kafka: str, tmp_path: Path
) -> None:
    """Posteriors bit by bit, every answer as in the replay, no reward lost and none counted twice."""
    settings = RouterSettings(kafka_bootstrap_servers=fresh_kafka, topic_partitions=int(PARTITIONS))
    await create_topics(settings, TOPICS.values())
    await register(fresh_kafka, RouterSettings().rules().policies, topic_partitions=int(PARTITIONS))
    commands, world = _story()

    async with Publisher(settings, compress=False) as publisher:
        for command in commands:
            await publisher.send(ROUTER_COMMANDS, command.scope.encode(), command, time.time_ns())
        await publisher.flush()
    async with _counting_answers(settings) as answered:
        # a transaction an answer, so that it is not done before the kill that a busy machine delays
        with router(fresh_kafka, tmp_path / "router.log", BATCH_RECORDS="1") as process:
            for kill in range(1, KILLS + 1):

                async def under_way(least: int = len(commands) * kill // (KILLS + 5)) -> bool:
                    return await answered() >= least

                await until("the router is in the middle of it", under_way)
                process.kill()
                assert await answered() < len(commands), "it was done before it was killed"
                process.start()

            async def all_answered() -> bool:
                return await answered() >= len(commands)

            await until("every command is answered", all_answered)

    records = await log_of(settings, ROUTER_CHOICES)
    assert len(records) == len(commands), "a command was handled twice"
    causes = Counter(dict(record.headers)["ce_causationid"] for record in records)
    assert max(causes.values()) <= 3  # by position: a redelivered command has a place of its own
    expected = {
        record.answer.command_id: record.answer
        for record in world.state.values()
        if isinstance(record, RouterAnswer)
    }
    counted: Counter[str | None] = Counter()
    for record in records:
        answer = record.event
        assert isinstance(answer, PolicyChosen | PolicyRewarded)
        assert _timeless(answer) == _timeless(expected[answer.command_id])
    for answer in {record.event.command_id: record.event for record in records}.values():  # type: ignore[union-attr]
        if isinstance(answer, PolicyRewarded) and answer.counted:
            counted[answer.decision_id] += 1
    assert len(counted) == ROUNDS * len(SCOPES)
    assert set(counted.values()) == {1}

    kept: dict[bytes, Any] = {record.key: record.event for record in await log_of(settings, ROUTER_STATE)}
    posteriors = {key: value for key, value in world.state.items() if isinstance(value, RouterPolicyState)}
    assert {key: kept[key] for key in posteriors} == posteriors
    for scope in SCOPES:
        key = f"scope/{scope}".encode()
        mine, theirs = world.state[key], kept[key]
        assert isinstance(mine, RouterScopeState)
        assert isinstance(theirs, RouterScopeState)
        timeless: dict[str, Any] = {"last": None, "used_ts": 0, "archive_ts": None}
        assert msgspec.structs.replace(mine, **timeless) == msgspec.structs.replace(theirs, **timeless)
