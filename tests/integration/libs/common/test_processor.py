"""What one processor does with bad input, broken invariants, views and answers; it runs inside the test."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.events import Event, Subscribed
from libs.common.kafka import Publisher, create_topics, partition_of
from libs.common.processor import Processor
from libs.common.topics import DEAD_LETTERS, L2_SUBSCRIPTIONS
from libs.common.views import View
from tests.integration.libs.common.counting import (
    ALARMS,
    COMMANDS,
    COUNTS,
    DOUBLINGS,
    STATE,
    Add,
    Counted,
    Double,
    Explode,
    Total,
    Woken,
    handle,
    wiring,
)
from tests.integration.libs.common.exactly_once import log_of
from tests.integration.libs.common.workers import PARTITIONS, eventually, reported, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from libs.common.handling import State, WakeAt, Wiring
    from libs.common.settings import ProcessorSettings


class Nameless(Event, frozen=True, kw_only=True, tag="Add"):
    """Says that it adds, and not how much."""

    key: str


@pytest.fixture
def settings(fresh_kafka: str) -> ProcessorSettings:
    return settings_of(fresh_kafka)


@pytest.fixture
def counting(tmp_path: Path) -> Wiring[Total]:
    return wiring(tmp_path.name)


@asynccontextmanager
async def running(
    of: Wiring[Total], settings: ProcessorSettings, clock: Callable[[], int] = time.time_ns
) -> AsyncIterator[Processor[Total]]:
    processor = Processor(of, settings, clock)
    task = asyncio.create_task(processor.run())
    try:
        yield processor
    finally:
        processor.stop()
        await task


async def tell(settings: ProcessorSettings, *commands: Add | Explode, **changes: Any) -> None:
    async with Publisher(settings, compress=False) as publisher:
        for command in commands:
            await publisher.send(COMMANDS, command.key.encode(), command, time.time_ns(), **changes)


async def counted(settings: ProcessorSettings) -> list[Counted]:
    return [r.event for r in await log_of(settings, COUNTS) if isinstance(r.event, Counted)]


async def has_counted(settings: ProcessorSettings, times: int) -> bool:
    return len(await counted(settings)) >= times


async def has_stopped(processor: Processor[Total]) -> bool:
    return bool(processor.stopped_partitions)


def other_partition_than(key: str) -> str:
    """Return a key that lives in another partition than `key`."""
    keys = (f"other{n}" for n in range(100))
    home = partition_of(key.encode(), PARTITIONS)
    return next(other for other in keys if partition_of(other.encode(), PARTITIONS) != home)


async def test_bytes_that_are_no_message_become_dead_letters_and_do_not_stop_a_partition(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    await create_topics(settings, counting.topics)
    junk = replace(COMMANDS, events=(Nameless,))
    async with running(counting, settings), Publisher(settings) as publisher:
        await publisher.send(junk, b"k", Nameless(key="k"), time.time_ns())
        await publisher.send(COMMANDS, b"k", Add(key="k", amount=2), time.time_ns())
        await eventually(partial(has_counted, settings, 1))
    (letter,) = await log_of(settings, DEAD_LETTERS)
    assert letter.key == b"k"
    assert dict(letter.headers)["source"].startswith(b"counting.commands.v1/")


async def test_a_broken_invariant_stops_its_partition_only_and_changes_nothing(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    other = other_partition_than("k")
    await create_topics(settings, counting.topics)
    async with running(counting, settings) as processor:
        await tell(settings, Add(key="k", amount=1), Explode(key="k"), Add(key="k", amount=2))
        await eventually(partial(has_stopped, processor))
        await tell(settings, Add(key=other, amount=3))
        await eventually(partial(has_counted, settings, 2))
        assert set(processor.stopped_partitions) == {partition_of(b"k", PARTITIONS)}
        names = {family.name: list(family.samples.values()) for family in processor.families()}
        assert names["bookrunner_processor_partitions_stopped"] == [1]
    assert {(c.key, c.total) for c in await counted(settings)} == {("k", 1), (other, 3)}
    state = {record.key: record.event for record in await log_of(settings, STATE)}
    assert state[b"k"] == Total(total=1, messages=1)


async def test_a_partition_goes_on_from_before_the_broken_message_when_the_handler_is_mended(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    def mended(state: State[Total], message: Any, now: int) -> list[Event | WakeAt]:
        return [] if isinstance(message, Explode) else handle(state, message, now)

    await create_topics(settings, counting.topics)
    async with running(counting, settings) as processor:
        await tell(settings, Add(key="k", amount=1), Explode(key="k"), Add(key="k", amount=2))
        await eventually(partial(has_stopped, processor))
    async with running(replace(counting, handle=mended), settings):
        await eventually(partial(has_counted, settings, 2))
    assert [c.total for c in await counted(settings)] == [1, 3]


async def test_an_answer_is_found_in_the_askers_own_partition(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    asker = other_partition_than("k")
    await create_topics(settings, counting.topics)
    async with running(counting, settings):
        await tell(settings, Add(key="k", amount=1, reply_key=asker))
        await eventually(partial(has_counted, settings, 1))
    (answer,) = await log_of(settings, COUNTS)
    assert answer.key == b"k"
    assert answer.partition == partition_of(asker.encode(), PARTITIONS)


async def test_views_have_caught_up_before_the_first_message_is_handled(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    view: View[Subscribed] = View(L2_SUBSCRIPTIONS)
    seen: list[int] = []

    def looking(state: State[Total], message: Any, now: int) -> list[Event | WakeAt]:
        seen.append(len(view.items))
        return handle(state, message, now)

    looking_around = replace(counting, handle=looking, views=(view,))
    await create_topics(settings, looking_around.topics)
    await tell(settings, Add(key="k", amount=1))
    async with Publisher(settings) as publisher:
        for n in range(2_000):
            event = Subscribed(venue="v", symbol=str(n), requested_ts=n)
            await publisher.send(L2_SUBSCRIPTIONS, b"v:%d" % n, event, time.time_ns())
    async with running(looking_around, settings):
        await eventually(partial(has_counted, settings, 1))
    assert seen == [2_000]


async def test_a_threaded_handler_keeps_the_order(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    await create_topics(settings, counting.topics)
    await tell(settings, *(Add(key="k", amount=n) for n in range(300)))
    async with running(replace(counting, threaded=True), settings):
        await eventually(partial(has_counted, settings, 300))
    assert [c.total for c in await counted(settings)] == [n * (n + 1) // 2 for n in range(300)]


async def test_the_groups_offsets_follow_also_when_no_more_commands_come(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    async def told() -> bool:
        return await reported(settings, counting.service) == 2

    await create_topics(settings, counting.topics)
    async with running(counting, settings):
        await tell(settings, Add(key="k", amount=1), Add(key=other_partition_than("k"), amount=2))
        await eventually(told)


async def test_a_busy_partition_tells_the_group_between_its_commands(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    async def told() -> bool:
        await tell(settings, Add(key="k", amount=1))  # more often than a second of silence
        return await reported(settings, counting.service) > 0

    await create_topics(settings, counting.topics)
    async with running(counting, settings):
        await eventually(told)


async def test_a_stopped_service_has_told_the_group_of_all_it_did(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    async def told() -> bool:  # the marker of its last transaction is written after its answer
        return await reported(settings, counting.service) == 1

    await create_topics(settings, counting.topics)
    async with running(counting, settings):
        await tell(settings, Add(key="k", amount=1))
        await eventually(partial(has_counted, settings, 1))
    await eventually(told)


async def test_stopping_while_kafka_is_away_does_not_wait_for_it(counting: Wiring[Total]) -> None:
    processor = Processor(counting, settings_of("127.0.0.1:9"))
    task = asyncio.create_task(processor.run())
    await asyncio.sleep(0)
    processor.stop()
    await asyncio.wait_for(task, 2.0)


ALARM_S = 8


class WallClock:
    """The machine's clock, and what it is set by."""

    def __init__(self) -> None:
        self.by_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.by_ns


@pytest.mark.parametrize("by_s", [-3600, 3600])
async def test_a_clock_that_is_set_neither_delays_an_alarm_nor_rings_it_early(
    settings: ProcessorSettings, counting: Wiring[Total], by_s: int
) -> None:
    async def rung() -> bool:
        return bool(await log_of(settings, ALARMS))

    async def steps() -> bool:
        return processor.counts["clock_steps"] >= 1

    clock = WallClock()
    await create_topics(settings, counting.topics)
    async with running(counting, settings, clock) as processor:
        await tell(settings, Add(key="k", amount=1, wake_after_ns=ALARM_S * 1_000_000_000))
        began_s = time.monotonic()
        await eventually(partial(has_counted, settings, 1))
        clock.by_ns = by_s * 1_000_000_000
        await eventually(steps)
        too_late = time.monotonic() - began_s > ALARM_S - 1  # on a machine that has no time for it
        assert too_late or not await rung()
        await eventually(rung)
        assert ALARM_S - 1 < time.monotonic() - began_s < 60
        await tell(settings, Add(key="k", amount=1))
        await eventually(partial(has_counted, settings, 2))


@pytest.mark.parametrize("by_s", [-3600, 3600])
async def test_what_the_first_command_after_a_clock_was_set_schedules_is_not_moved(
    settings: ProcessorSettings, counting: Wiring[Total], by_s: int
) -> None:
    async def rung() -> bool:
        return bool(await log_of(settings, ALARMS))

    clock = WallClock()
    await create_topics(settings, counting.topics)
    async with running(counting, settings, clock):
        await tell(settings, Add(key="k", amount=1))
        await eventually(partial(has_counted, settings, 1))
        clock.by_ns = by_s * 1_000_000_000
        await tell(settings, Add(key="k", amount=1, wake_after_ns=2_000_000_000))
        await eventually(rung)
        (alarm,) = await log_of(settings, ALARMS)
        assert isinstance(alarm.event, Woken)
        assert abs(alarm.event.due_ts - clock()) < 60_000_000_000


async def test_a_version_that_reads_another_topic_too_is_given_it_though_its_predecessor_is_not_missed_yet(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    await create_topics(settings, counting.topics)
    for inputs in ((COMMANDS,), counting.inputs, (COMMANDS,)):
        before = len(await counted(settings))
        async with running(replace(counting, inputs=inputs), settings):
            await tell(settings, Add(key="k", amount=1))
            if DOUBLINGS in inputs:
                async with Publisher(settings, compress=False) as publisher:
                    await publisher.send(DOUBLINGS, b"k", Double(key="k"), time.time_ns())
            await eventually(partial(has_counted, settings, before + len(inputs)))
