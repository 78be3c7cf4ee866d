"""Records of a later version on every topic of a running system: no process ends, and all goes on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from libs.common.codec import decode
from libs.common.topics import (
    DEAD_LETTERS,
    EXECUTION_COMMANDS,
    PORTFOLIO_COMMANDS,
    ROUTER_COMMANDS,
    TOPICS,
    VENUES_COMMANDS,
)
from tests import kafka_cluster, newer
from tests.e2e.proof import failures
from tests.e2e.system import System, folder_of_policies, until
from tests.integration.libs.common.strangers import visible
from tests.prometheus import scrape_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aiokafka.structs import ConsumerRecord

    from libs.common.topics import Topic

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

PARTITIONS: Final = 4
DECIDING: Final = ("venues", "router", "portfolio", "execution")
SERVICES: Final = tuple(f"services.{name}" for name in (*DECIDING, "policies", "context"))
COMMANDS: Final = (ROUTER_COMMANDS, PORTFOLIO_COMMANDS, EXECUTION_COMMANDS, VENUES_COMMANDS)
PRIVATE: Final = ("router.state.v1", "portfolio.state.v1", "execution.state.v1")  # of one version at a time
COUNTERS: Final = (
    ("l2", "bookrunner_l2_left_out_total"),
    ("venues", "bookrunner_venues_left_out_total"),
    ("execution", "bookrunner_processor_left_out_total"),
    ("router", "bookrunner_processor_left_out_total"),
    ("portfolio", "bookrunner_processor_left_out_total"),
    ("gateway", "bookrunner_gateway_view_left_out_total"),
    ("gateway", "bookrunner_gateway_answers_left_out_total"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    kafka_cluster.wipe(kafka)
    folder = tmp_path_factory.mktemp("newer-writers")
    settings = {
        "TOPIC_PARTITIONS": str(PARTITIONS),
        "METRICS_TARGETS_DIR": str(folder / "metrics"),
        "METRICS_PORT": "0",
        "L2_INSTANCE": "l2",
        "POLICIES_DIR": folder_of_policies(folder),
        "EXECUTION_HORIZON_S": "2",
    }
    async with System(kafka, folder, **settings) as running:
        running.start(*SERVICES)
        await running.ready()
        yield running


async def proven(system: System) -> None:
    """Wait until every route does its work, and the ten commands hold."""

    async def hold() -> bool:
        ended = [module for module, process in system.processes.items() if process.poll() is not None]
        assert not ended, f"{ended} ended; logs in {system.folder}"
        return bool(await system.get("/readyz")) and not await asyncio.to_thread(failures, gateway)

    gateway = system.gateway.removeprefix("http://")
    await until("the ten commands hold", hold, 120.0)


async def newest(system: System, topic: Topic) -> list[ConsumerRecord[bytes, bytes]]:
    """Return the newest record of each type of message of a topic."""
    found = {
        type(decode(topic, record.value)): record
        for record in await visible(system.kafka, topic, PARTITIONS)
        if record.value is not None
    }
    return list(found.values())


def derived(topic: Topic, record: ConsumerRecord[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values as a later version would write them."""
    message = decode(topic, record.value)
    yield record.key, newer.extended(message)
    yield record.key, newer.of_unknown_type(message)
    for _, value in newer.with_unknown_names(message):
        yield record.key, value
    yield f"{newer.VENUE}:{newer.SYMBOL}".encode(), newer.of_unknown_instruments(message)


async def write_as_later(system: System) -> int:
    """Write what a later version would write on every topic; return how many commands nobody can know."""
    unknown = 0
    async with AIOKafkaProducer(bootstrap_servers=system.kafka) as producer:
        for topic in TOPICS.values():
            if not topic.events or topic.name in PRIVATE:
                continue
            for record in await newest(system, topic):
                headers = [*record.headers, *newer.HEADERS]
                for key, value in derived(topic, record):
                    await producer.send_and_wait(
                        topic.name, value, key, partition=record.partition, headers=headers
                    )
                unknown += (len(list(derived(topic, record))) - 2) * (topic in COMMANDS)
    return unknown


async def counted(system: System, process: str, name: str) -> float:
    told = json.loads((system.folder / "metrics" / f"{process}.json").read_text())
    async with system.http.get(f"http://{told[0]['targets'][0]}/metrics") as reply:
        return scrape_of(await reply.text()).total(name)


async def test_a_later_version_beside_it_ends_no_process_and_what_is_left_out_is_counted(
    system: System,
) -> None:
    await proven(system)
    unknown = await write_as_later(system)

    async def all_counted() -> bool:
        return all([await counted(system, process, name) > 0 for process, name in COUNTERS[1:]])

    await until("what was left out is counted", all_counted)
    await proven(system)
    for name in ("router", "portfolio", "execution"):
        assert await counted(system, name, "bookrunner_processor_partitions_stopped") == 0
    letters = [record.headers for record in await visible(system.kafka, DEAD_LETTERS, PARTITIONS)]
    assert len(letters) == unknown, letters


async def test_who_starts_where_a_later_version_wrote_is_ready_and_works(system: System) -> None:
    modules = tuple(system.processes)[1:]  # all but the simulator
    for module in modules:
        system.kill(module)
    system.start(*modules)
    await system.ready()
    await proven(system)
    assert await counted(system, "l2", "bookrunner_l2_left_out_total") > 0
