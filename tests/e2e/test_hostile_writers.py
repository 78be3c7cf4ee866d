"""Records of an enemy on every topic of a running system: no process ends or grows, and all goes on."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

from libs.common.topics import DEAD_LETTERS, L2_BOOK_DELTAS, L2_CANDLES, TOPICS, VENUES_COMMANDS
from tests import hostile_batches, kafka_cluster
from tests.e2e.proof import failures
from tests.e2e.system import System, folder_of_policies, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

PARTITIONS: Final = 1  # so every reader of a topic meets all that is written there
DECIDING: Final = ("venues", "router", "portfolio", "execution")
SERVICES: Final = tuple(f"services.{name}" for name in (*DECIDING, "policies", "context"))
# Whoever may write there is believed: what a service restores from its own log is checked, and stops it.
BOOKS: Final = ",".join(
    f"{venue}:{symbol}" for venue in ("binance", "bybit", "okx") for symbol in ("BTC-USDT", "ETH-USDT")
)
PATIENCE_S: Final = 240.0
GROWTH_MIB: Final = 120  # of a process, over what it had; a bomb inflates to 150


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    kafka_cluster.wipe(kafka)
    folder = tmp_path_factory.mktemp("hostile-writers")
    settings = {
        "TOPIC_PARTITIONS": str(PARTITIONS),
        "METRICS_TARGETS_DIR": str(folder / "metrics"),
        "METRICS_PORT": "0",
        "L2_INSTANCE": "l2",
        "POLICIES_DIR": folder_of_policies(folder),
        "EXECUTION_HORIZON_S": "2",
        "L2_BOOKS": BOOKS,  # few, and told of seldom: the enemy makes work enough
        "L2_TOP_INTERVAL_MS": "1000",
    }
    async with System(kafka, folder, **settings) as running:
        running.start(*SERVICES)
        await running.ready()
        yield running


async def proven(system: System) -> None:
    """Wait until every route does its work, and the ten commands hold."""
    wrong: list[str] = []

    async def hold() -> bool:
        ended = [module for module, process in system.processes.items() if process.poll() is not None]
        assert not ended, f"{ended} ended; logs in {system.folder}"
        try:
            if not await system.get("/readyz"):
                return False
            wrong[:] = map(str, await asyncio.to_thread(failures, gateway))
        except TypeError:  # an answer that does not know yet what it will
            return False
        return not wrong

    gateway = system.gateway.removeprefix("http://")
    try:
        await until("the ten commands hold", hold, PATIENCE_S)
    except AssertionError as error:
        raise AssertionError(f"{error}: {wrong}") from error


def most_mib(system: System) -> dict[str, int]:
    """Return the most memory that each process ever had."""
    return {module: _most_mib(process.pid) for module, process in system.processes.items()}


def _most_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


async def test_an_enemy_on_every_topic_ends_no_process_and_costs_none_much_memory(system: System) -> None:
    await proven(system)
    before = most_mib(system)
    taken = 0
    for topic in TOPICS.values():
        if topic.private:
            continue
        batches = (*hostile_batches.batches(), *hostile_batches.bombs())
        if not topic.compacted:
            batches += hostile_batches.keyless()
        found = await hostile_batches.send(system.kafka, topic, 0, batches)
        refused = {each.name for each in batches if each.refused}
        assert {name for name, offset in found.items() if offset < 0} == refused, topic.name
        taken += len(found) - len(refused)
    assert taken > 500
    await proven(system)
    grown = {module: most - before[module] for module, most in most_mib(system).items()}
    assert max(grown.values()) < GROWTH_MIB, grown


async def test_a_terminal_shows_all_that_an_enemy_wrote(system: System) -> None:
    for topic in (VENUES_COMMANDS, L2_BOOK_DELTAS, L2_CANDLES, DEAD_LETTERS):
        command = [sys.executable, "-m", "libs.cli", "tail", topic.name, "--from", "beginning", "--no-follow"]
        tail = await asyncio.create_subprocess_exec(
            *command, "--json", env=system.environment, stdout=DEVNULL, stderr=PIPE
        )
        _, said = await tail.communicate()
        assert tail.returncode == 0, f"{topic.name}: {said.decode()[-2000:]}"


async def test_who_starts_where_an_enemy_wrote_is_ready_and_works(system: System) -> None:
    modules = tuple(system.processes)[1:]  # all but the simulator
    for module in modules:
        system.kill(module)
    system.start(*modules)
    await system.ready()
    await proven(system)
