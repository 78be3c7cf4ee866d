"""What a processor says of itself on a real broker: starting, ready, degraded, and gone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from libs.common.events import ServiceState, ServiceStatus
from libs.common.kafka import create_topics, partition_of
from libs.common.processor import Processor
from libs.common.status import Condition, heartbeat
from libs.common.topics import SERVICES_STATUS
from libs.common.views import View
from tests.following import follow_for_ever
from tests.integration.libs.common.counting import COMMANDS, Add, Explode, wiring
from tests.integration.libs.common.exactly_once import log_of
from tests.integration.libs.common.test_processor import tell
from tests.integration.libs.common.workers import PARTITIONS, eventually, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.kafka import Undecodable


class Audience:
    """Every status told on the topic, in order."""

    def __init__(self) -> None:
        self.view: View[ServiceStatus] = View(SERVICES_STATUS)

    def of(self, service: str) -> ServiceStatus | None:
        return next((each for each in self.view.items.values() if each.service == service), None)

    async def says(self, service: str, state: ServiceState, owned: int) -> bool:
        status = self.of(service)
        return status is not None and (status.state, len(status.partitions_owned)) == (state, owned)


@asynccontextmanager
async def listening(kafka: str) -> AsyncIterator[Audience]:
    async def fail(undecodable: Undecodable) -> None:
        pytest.fail(f"{undecodable}")

    audience = Audience()
    settings = settings_of(kafka)
    await create_topics(settings, (SERVICES_STATUS,))
    task = asyncio.create_task(follow_for_ever(settings, [audience.view], on_undecodable=fail))
    try:
        yield audience
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_processor_tells_what_it_works_on_what_it_has_stopped_and_that_it_is_gone(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings, counting = settings_of(fresh_kafka), wiring(tmp_path.name)
    await create_topics(settings, counting.topics)
    async with listening(fresh_kafka) as audience:
        processor = Processor(counting, settings)
        assert processor.condition() == Condition(ServiceState.STARTING, detail="joining its group")
        task = asyncio.create_task(processor.run())
        await eventually(partial(audience.says, counting.service, ServiceState.READY, PARTITIONS))
        await tell(settings, Add(key="k", amount=1), Explode(key="k"))
        await eventually(partial(audience.says, counting.service, ServiceState.DEGRADED, PARTITIONS - 1))
        status = audience.of(counting.service)
        assert status is not None
        stopped = partition_of(b"k", PARTITIONS)
        assert status.partitions_stopped == (stopped,)
        where = f"{COMMANDS.name}/{stopped}/1"
        assert status.detail == f"a handler raised at {where}: ArithmeticError: a broken invariant"
        processor.stop()
        await task
        await eventually(partial(_is_gone, audience, counting.service))


async def test_a_processor_that_would_refuse_says_so_and_works_on(fresh_kafka: str, tmp_path: Path) -> None:
    settings, counting = settings_of(fresh_kafka), wiring(tmp_path.name)
    lack = ["nothing to choose from"]
    counting = replace(counting, lack=lambda: lack[0])
    await create_topics(settings, counting.topics)
    async with listening(fresh_kafka) as audience:
        processor = Processor(counting, settings)
        task = asyncio.create_task(processor.run())
        await eventually(partial(audience.says, counting.service, ServiceState.DEGRADED, PARTITIONS))
        assert audience.of(counting.service).detail == "nothing to choose from"  # type: ignore[union-attr]  # it was heard
        lack[0] = ""
        await eventually(partial(audience.says, counting.service, ServiceState.READY, PARTITIONS))
        processor.stop()
        await task


async def test_a_heartbeat_is_repeated_every_second_and_a_crash_leaves_it_to_fall_silent(
    fresh_kafka: str,
) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings, (SERVICES_STATUS,))
    ready = Condition(ServiceState.READY, (0,))

    async def told_three() -> bool:
        return len(await log_of(settings, SERVICES_STATUS)) >= 3

    async def crash() -> None:
        async with heartbeat(settings, "router", "0", lambda: ready):
            await eventually(told_three)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await crash()
    told = [record.event for record in await log_of(settings, SERVICES_STATUS)]
    assert all(isinstance(status, ServiceStatus) for status in told)  # no tombstone
    moments = [status.ts for status in told if isinstance(status, ServiceStatus)]
    assert all(later - earlier > 0.9e9 for earlier, later in pairwise(moments))
    assert len({status.since_ts for status in told if isinstance(status, ServiceStatus)}) == 1


async def test_a_condition_that_cannot_be_told_ends_what_runs(fresh_kafka: str) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings, (SERVICES_STATUS,))

    def condition() -> Condition:
        raise ZeroDivisionError

    async def run() -> None:
        async with heartbeat(settings, "router", "0", condition):
            await asyncio.sleep(30)

    with pytest.raises(ZeroDivisionError):
        await asyncio.create_task(run())


async def test_who_is_cancelled_is_gone_at_once(fresh_kafka: str) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings, (SERVICES_STATUS,))
    async with listening(fresh_kafka) as audience:

        async def run() -> None:
            async with heartbeat(settings, "gateway", "0", lambda: Condition(ServiceState.READY, (0,))):
                await asyncio.sleep(30)

        running = asyncio.create_task(run())
        await eventually(partial(audience.says, "gateway", ServiceState.READY, 1))
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        await eventually(partial(_is_gone, audience, "gateway"))


async def _is_gone(audience: Audience, service: str) -> bool:
    return audience.of(service) is None
