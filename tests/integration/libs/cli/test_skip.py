"""`bookrunner skip`: what it writes for a service, and what it will not write."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from libs.common.codec import encode
from libs.common.events import CommandRejected, Refusal
from libs.common.kafka import create_topics, partition_of
from libs.common.partition import POSITION_KEY, Position
from libs.common.settings import ServiceSettings
from libs.common.skips import SKIP_KEY, Skip
from libs.common.topics import EXECUTION_STATE, ROUTER_COMMANDS, VENUES_SCORES
from tests.integration.libs.cli.command import publishing, run
from tests.integration.libs.common.exactly_once import log_of

if TYPE_CHECKING:
    from libs.common.topics import Topic

HOME = partition_of(b"BTC-USDT", ServiceSettings().topic_partitions)
WHY = ("--reason", "a score of a venue that is gone")


def place(offset: int | str, topic: Topic = VENUES_SCORES) -> str:
    return f"{topic.name}/{HOME}/{offset}"


@pytest.fixture
async def stopped(fresh_kafka: str) -> str:
    """Five answers for execution, which has handled the first two."""
    settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka)
    async with publishing(fresh_kafka) as publisher:
        refused = CommandRejected(
            command_id="c", command="ScoreVenues", key="BTC-USDT", refusal=Refusal.UNKNOWN, detail="", ts=1
        )
        for _ in range(5):
            await publisher.send_and_wait(VENUES_SCORES, b"BTC-USDT", refused, time.time_ns())
    await create_topics(settings)
    position = encode(Position(offsets={VENUES_SCORES.name: 2}))
    async with AIOKafkaProducer(bootstrap_servers=fresh_kafka) as owner:
        await owner.send_and_wait(EXECUTION_STATE.name, position, POSITION_KEY, partition=HOME)
    return fresh_kafka


async def told(kafka: str) -> list[Skip]:
    records = await log_of(ServiceSettings(kafka_bootstrap_servers=kafka), EXECUTION_STATE)
    return [
        msgspec.msgpack.decode(record.value, type=Skip)
        for record in records
        if record.key == SKIP_KEY and record.partition == HOME and record.value
    ]


async def test_the_message_that_a_service_stands_before_is_left_out(stopped: str) -> None:
    ended = await run("skip", "execution", place(2), *WHY, KAFKA_BOOTSTRAP_SERVERS=stopped)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"execution leaves out 1 of {VENUES_SCORES.name}-{HOME}, up to offset 2: ")
    (skip,) = await told(stopped)
    assert (skip.offsets, skip.ticks, skip.reason) == ({VENUES_SCORES.name: 3}, (), WHY[1])


async def test_others_before_it_are_left_out_only_when_that_is_said(stopped: str) -> None:
    refused = await run("skip", "execution", place(4), *WHY, KAFKA_BOOTSTRAP_SERVERS=stopped)
    assert refused.code == 1
    assert "2 more of venues.scores.v1" in refused.err
    assert "name the first, or say --all-before" in refused.err
    assert await told(stopped) == []
    await run("skip", "execution", place(4), *WHY, "--all-before", KAFKA_BOOTSTRAP_SERVERS=stopped)
    assert [skip.offsets for skip in await told(stopped)] == [{VENUES_SCORES.name: 5}]


async def test_two_words_count_both(stopped: str) -> None:
    for at in (place(b"k".hex(), EXECUTION_STATE), place(2)):
        await run("skip", "execution", at, *WHY, KAFKA_BOOTSTRAP_SERVERS=stopped)
    last = (await told(stopped))[-1]
    assert (last.offsets, last.ticks) == ({VENUES_SCORES.name: 3}, (b"k",))


async def test_a_tick_is_left_out_by_its_key(stopped: str) -> None:
    key = b"\x00tick/13/alarm"
    ended = await run(
        "skip", "execution", place(key.hex(), EXECUTION_STATE), *WHY, KAFKA_BOOTSTRAP_SERVERS=stopped
    )
    assert ended.code == 0, ended.err
    assert [skip.ticks for skip in await told(stopped)] == [(key,)]


@pytest.mark.parametrize(
    ("service", "at", "code", "said"),
    [
        ("execution", place(1), 1, "is handled up to 1: 1 is not waited for"),
        ("execution", place(9), 1, "no message stands at"),
        (
            "execution",
            place(2, ROUTER_COMMANDS),
            2,
            "does not read router.commands.v1; it reads: venues.scores",
        ),
        ("execution", place("f", EXECUTION_STATE), 2, "is no tick's key in hex"),
        ("gateway", place(2), 2, "these can: router, portfolio, execution"),
        ("execution", "venues.scores.v1", 2, "is no place of a message"),
        ("execution", "no.such.v1/3/2", 2, "is no place of a message"),
        ("execution", place("ff"), 2, "ff is no offset"),
    ],
)
async def test_what_cannot_be_left_out_is_said_and_nothing_is_written(
    stopped: str, service: str, at: str, code: int, said: str
) -> None:
    ended = await run("skip", service, at, *WHY, KAFKA_BOOTSTRAP_SERVERS=stopped)
    assert (ended.code, said in ended.err) == (code, True), ended.err
    assert await told(stopped) == []
