from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from libs.common.kafka import Publisher, create_topics, read
from libs.common.told import BUILTIN
from libs.common.topics import POLICIES_REGISTRY
from services.execution.decide.policies import POLICIES
from tests.integration.libs.common.workers import eventually
from tests.integration.services.execution.peers import ExecutionProcess, settings_of
from tests.registered import a_policy_registered

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.kafka import Record, Undecodable
    from libs.common.settings import ServiceSettings


async def test_processes_that_start_together_register_their_policies_and_a_restart_says_nothing_again(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings)
    async with Publisher(settings, compress=False) as publisher:
        for name, kind in (("p_old", BUILTIN), ("p_theirs", "hosted")):
            event = a_policy_registered(name, kind=kind)
            await publisher.send_and_wait(POLICIES_REGISTRY, name.encode(), event, time.time_ns())
    services = [
        ExecutionProcess(fresh_kafka, tmp_path / f"execution-{n}.log", GROUP_INSTANCE_ID=str(n)) for n in "01"
    ]
    expected = {*POLICIES, "p_theirs"}
    try:
        for service in services:
            service.start()

        async def both_work() -> bool:
            return all(service.restored() for service in services)

        await eventually(both_work, timeout_s=60)
        written = await _log(settings)
        assert {each.key.decode() for each in _latest(written)} == expected  # before a partition is worked on
        services[0].kill()
        before = services[0].restored()
        services[0].start()

        async def is_back() -> bool:
            return services[0].restored() > before

        await eventually(is_back, timeout_s=60)
        assert len(await _log(settings)) == len(written)
    finally:
        for service in services:
            service.kill()


def _latest(records: list[Record]) -> list[Record]:
    newest = {record.key: record for record in records}
    return [record for record in newest.values() if record.event is not None]


async def _log(settings: ServiceSettings) -> list[Record]:
    found: list[Record] = []
    batches = read(settings, [POLICIES_REGISTRY], on_undecodable=_refuse, stop_at_end=True)
    async with aclosing(batches):
        async for batch in batches:
            found += batch
    return found


async def _refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)
