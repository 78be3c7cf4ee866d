"""What a service and a view say of a Kafka that takes their requests and does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from libs.common.events import ServiceState
from libs.common.kafka import create_topics, partition_of
from libs.common.views import View
from tests.following import follow_for_ever
from tests.integration.libs.common.counting import COMMANDS, STATE, Add, Total, handle, wiring
from tests.integration.libs.common.test_open_transactions import is_said
from tests.integration.libs.common.test_processor import has_counted, running, tell
from tests.integration.libs.common.workers import PARTITIONS, eventually, settings_of
from tests.kafka_cluster import native_broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.kafka import Undecodable
    from libs.common.processor import Processor
    from libs.common.settings import ProcessorSettings


MANY = 300
SLOW_S = 0.03
ALL = tuple(range(PARTITIONS))
OTHER = (partition_of(b"k", PARTITIONS) + 1) % PARTITIONS


@asynccontextmanager
async def following(settings: ProcessorSettings, view: View[Total]) -> AsyncIterator[None]:
    async def nothing_else(undecodable: Undecodable) -> None:
        raise AssertionError(undecodable)

    task = asyncio.create_task(follow_for_ever(settings, [view], on_undecodable=nothing_else))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def is_ready(processor: Processor[Total], view: View[Total]) -> bool:
    return processor.condition().state is ServiceState.READY and not view.held_up


async def all_stand(processor: Processor[Total], view: View[Total]) -> bool:
    return processor.condition().stopped == ALL == tuple(view.held_up)


async def test_partitions_of_which_no_fetch_is_answered_are_told_until_one_is(tmp_path: Path) -> None:
    with native_broker(tmp_path) as broker:
        settings, of = settings_of(broker.bootstrap_servers), wiring(tmp_path.name)
        await create_topics(settings, (*of.topics, STATE))
        view: View[Total] = View(STATE)
        async with following(settings, view), running(of, settings) as processor:
            await tell(settings, Add(key="k", amount=1))
            await eventually(partial(has_counted, settings, 1))
            await eventually(partial(is_ready, processor, view))
            os.kill(broker.pid, signal.SIGSTOP)
            try:
                await eventually(partial(is_said, processor, f"{COMMANDS.name}-{OTHER} is not heard of for"))
                await eventually(partial(all_stand, processor, view))
                condition = processor.condition()
                assert (condition.state, condition.owned) == (ServiceState.DEGRADED, ())
            finally:
                os.kill(broker.pid, signal.SIGCONT)
            await eventually(partial(is_ready, processor, view))
            await tell(settings, Add(key="k", amount=1))
            await eventually(partial(has_counted, settings, 2))


async def test_a_partition_that_works_off_what_it_has_fetched_is_not_told(
    fresh_kafka: str, tmp_path: Path
) -> None:
    def slowly(*told: Any) -> Any:
        time.sleep(SLOW_S)
        return handle(*told)

    settings = settings_of(fresh_kafka, batch_records=10)
    of = replace(wiring(tmp_path.name), handle=slowly, threaded=True)
    await create_topics(settings, of.topics)
    await tell(settings, *[Add(key="k", amount=1)] * MANY)
    async with running(of, settings) as processor:
        await eventually(partial(has_counted, settings, 1))
        states = set()
        while not await has_counted(settings, MANY):
            for _ in range(10):
                states.add((processor.condition().state, processor.condition().detail))
                await asyncio.sleep(0.1)
    assert states == {(ServiceState.READY, "")}
