"""A service on a real Kafka whose handler returns more than a topic takes: it lives, and answers."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from libs.common.events import Command, CommandRejected, Event, Refusal
from libs.common.handling import Output, Wiring
from libs.common.kafka import Publisher, create_topics
from libs.common.processor import Processor
from libs.common.topics import DEAD_LETTERS, MIB, Key, Topic
from tests.integration.libs.common.exactly_once import log_of
from tests.integration.libs.common.strangers import visible
from tests.integration.libs.common.workers import PARTITIONS, eventually, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.handling import State
    from libs.common.settings import ProcessorSettings


class Ask(Command, frozen=True, kw_only=True):
    """Asks for an answer of so many bytes."""

    size: float


class Tell(Event, frozen=True, kw_only=True):
    """Causes an event of so many bytes."""

    size: float


class Said(Event, frozen=True, kw_only=True):
    """The answer, and the state."""

    text: str


ASKED = Topic("large.asked.v1", (Ask, Tell), Key.ORIGINAL, ("tests",))
ANSWERS = Topic("large.answers.v1", (Said, CommandRejected), Key.ORIGINAL, ("tests",))
STATE = Topic("large.state.v1", (Said,), Key.ORIGINAL, ("tests",), compacted=True)


def handle(state: State[Said], message: Ask | Tell, _now: int) -> list[Event]:
    said = Said(text="x" * int(message.size))
    state.put(b"newest", Said(text=f"of {message.size:g} bytes"))
    return [said]


def wiring(group: str) -> Wiring[Said]:
    outputs: dict[type[Event], Output] = {
        Said: Output(ANSWERS, lambda _said: b"k"),
        CommandRejected: Output(ANSWERS, lambda _refused: b"k"),
    }
    return Wiring(service=group, inputs=(ASKED,), state=STATE, outputs=outputs, handle=handle)


async def answered(settings: ProcessorSettings, times: int) -> bool:
    return len(await log_of(settings, ANSWERS)) >= times


async def test_what_is_too_large_is_refused_and_what_follows_is_answered(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = settings_of(fresh_kafka)
    large = wiring(tmp_path.name)
    await create_topics(settings, (*large.topics, DEAD_LETTERS))
    processor = Processor(large, settings)
    running = asyncio.create_task(processor.run())
    try:
        async with Publisher(settings, compress=False) as publisher:
            for number, kind in enumerate((Ask, Tell, Ask)):
                size = float(MIB if number < 2 else 3)
                identity = {"command_id": str(UUID(int=number))} if kind is Ask else {}
                await publisher.send(ASKED, b"k", kind(size=size, **identity), time.time_ns())
        await eventually(partial(answered, settings, 2))
        assert not running.done()
        assert not processor.stopped_partitions
        counts = dict(processor.counts)
    finally:
        processor.stop()
        await running
    refused, said = [record.event for record in await log_of(settings, ANSWERS)]
    assert isinstance(refused, CommandRejected)
    assert (refused.command_id, refused.refusal) == (str(UUID(int=0)), Refusal.INTERNAL)
    assert "large.answers.v1 takes 1048576 at most" in refused.detail
    assert said == Said(text="xxx")
    assert (counts["failures"], counts["too_large"]) == (1, 1)
    letters = [dict(each.headers) for each in await visible(fresh_kafka, DEAD_LETTERS, PARTITIONS)]
    assert [b"large.answers.v1 takes" in each["reason"] for each in letters] == [True, True]
