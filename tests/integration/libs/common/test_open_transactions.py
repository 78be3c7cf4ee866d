"""What a transaction that somebody leaves open hides, and that it is neither lost nor called fine."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer

from libs.common.codec import encode
from libs.common.events import ServiceState
from libs.common.kafka import Publisher, Reader, create_topics, partition_of
from libs.common.skips import SKIP_KEY, Skip
from libs.common.views import View
from tests.following import follow_for_ever
from tests.integration.libs.common.counting import COMMANDS, STATE, Add, Explode, Total, wiring
from tests.integration.libs.common.test_processor import counted, has_counted, has_stopped, running, tell
from tests.integration.libs.common.workers import PARTITIONS, eventually, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.handling import Wiring
    from libs.common.kafka import Undecodable
    from libs.common.processor import Processor
    from libs.common.settings import ProcessorSettings
    from libs.common.topics import Topic

HOME = partition_of(b"k", PARTITIONS)


@pytest.fixture
def settings(fresh_kafka: str) -> ProcessorSettings:
    return settings_of(fresh_kafka)


@pytest.fixture
async def counting(settings: ProcessorSettings, tmp_path: Path) -> Wiring[Total]:
    of = wiring(tmp_path.name)
    await create_topics(settings, of.topics)
    return of


@asynccontextmanager
async def open_transaction(settings: ProcessorSettings, topic: Topic) -> AsyncIterator[None]:
    """Hold a stranger's transaction open on the partition of all keys here; abort it at the end."""
    stranger = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, transactional_id="stranger"
    )
    await stranger.start()
    try:
        await stranger.begin_transaction()
        await stranger.send_and_wait(topic.name, b"of no service", b"x", partition=HOME)
        yield
        await stranger.abort_transaction()
    finally:
        await stranger.stop()


async def is_said(processor: Processor[Total], *said: str) -> bool:
    return all(text in processor.condition().detail for text in said)


async def test_no_committed_command_is_lost_where_an_open_transaction_hides_the_end_of_the_states_log(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    async with running(counting, settings):
        await tell(settings, Add(key="k", amount=1))
        await eventually(partial(has_counted, settings, 1))
        stranger = open_transaction(settings, STATE)
        await stranger.__aenter__()
        for n in range(2, 7):
            await tell(settings, Add(key="k", amount=1))
            await eventually(partial(has_counted, settings, n))
    async with running(counting, settings) as processor:
        await eventually(partial(is_said, processor, f"{STATE.name}-{HOME} is held up at offset", "open"))
        condition = processor.condition()
        assert (condition.state, HOME in condition.owned) == (ServiceState.DEGRADED, False)
        assert condition.stopped == (HOME,)
        await tell(settings, Add(key="k", amount=1))
        await stranger.__aexit__(None, None, None)
        await eventually(partial(has_counted, settings, 7))
        assert processor.condition().state is ServiceState.READY
    assert [each.total for each in await counted(settings)] == [1, 2, 3, 4, 5, 6, 7]


async def test_an_input_that_an_open_transaction_holds_up_is_told_and_its_lag_is_that_to_the_logs_end(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    def lag(processor: Processor[Total]) -> float:
        (family,) = (f for f in processor.families() if f.name == "bookrunner_processor_input_lag_messages")
        return float(family.samples[counting.service, COMMANDS.name])

    async with running(counting, settings) as processor:
        await tell(settings, Add(key="k", amount=1))
        await eventually(partial(has_counted, settings, 1))
        async with open_transaction(settings, COMMANDS):
            await tell(settings, Add(key="k", amount=2))
            await eventually(partial(is_said, processor, f"{COMMANDS.name}-{HOME} is held up at offset"))
            condition = processor.condition()
            assert (condition.state, condition.stopped) == (ServiceState.DEGRADED, (HOME,))
            assert lag(processor) == 2
        await eventually(partial(has_counted, settings, 2))
        assert processor.condition().state is ServiceState.READY


async def test_a_view_and_a_reader_are_not_at_the_end_before_they_are(
    settings: ProcessorSettings,
) -> None:
    await create_topics(settings, (STATE,))

    async def refuse(undecodable: Undecodable) -> None:
        raise AssertionError(undecodable)

    view: View[Total] = View(STATE)

    async def held() -> bool:
        return HOME in view.held_up

    async def caught_up() -> bool:
        return view.ready and not view.held_up

    async def publish(total: int) -> None:
        async with Publisher(settings) as publisher:
            event = Total(total=total, messages=1)
            await publisher.send_and_wait(STATE, b"k", event, time.time_ns())

    await publish(1)
    async with open_transaction(settings, STATE):
        await publish(2)
        async with Reader(settings, [STATE]) as reader:
            await reader.poll()
            assert not await reader.at_end()
        following = asyncio.create_task(follow_for_ever(settings, (view,), on_undecodable=refuse))
        await eventually(held)
        assert not view.ready
        assert view.items[b"k"].total == 1
        assert view.lag() == 2
        assert "held up at offset 1" in view.held_up[HOME]
    await eventually(caught_up)
    assert view.items[b"k"].total == 2
    following.cancel()
    await asyncio.wait([following])


async def test_an_operator_lets_a_stopped_partition_go_on_without_a_restart(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    async with running(counting, settings) as processor:
        await tell(settings, Add(key="k", amount=1), Explode(key="k"), Add(key="k", amount=2))
        await eventually(partial(has_stopped, processor))
        condition = processor.condition()
        assert (condition.state, condition.stopped) == (ServiceState.DEGRADED, (HOME,))
        assert f"{COMMANDS.name}/{HOME}/1" in condition.detail
        await asyncio.sleep(1)
        assert len(await counted(settings)) == 1, "nothing is left out before somebody says so"
        told = Skip(offsets={COMMANDS.name: 2}, reason="a test", ts=time.time_ns())
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers) as operator:
            await operator.send_and_wait(STATE.name, encode(told), SKIP_KEY, partition=HOME)
        await eventually(partial(has_counted, settings, 2))
        assert processor.condition().state is ServiceState.READY
    async with running(counting, settings):
        await tell(settings, Add(key="k", amount=3))
        await eventually(partial(has_counted, settings, 3))
    assert [each.total for each in await counted(settings)] == [1, 3, 6]
