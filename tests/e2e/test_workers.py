"""Many l2 processes share the books: one owner each, and another one soon after a death."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.system import System, until
from tests.e2e.test_replay import everything_on

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)


def a_worker(system: System, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "services.l2"]
    with (system.folder / f"{name}.log").open("ab") as log:
        environment = system.environment | {"L2_INSTANCE": name}
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


async def owners(system: System) -> dict[str, str]:
    """Return who last said the health of each book."""
    healths = await everything_on(system.kafka, "l2.book-health.v1")
    return {f"{health['venue']}:{health['symbol']}": health["owner"] for health in healths}


async def published_epochs(kafka: str) -> dict[tuple[str, str, int], set[str]]:
    """Return the owners that began each epoch."""
    begun: dict[tuple[str, str, int], set[str]] = {}
    for event in await everything_on(kafka, "l2.book-deltas.v1"):
        if event["type"] == "BookSnapshot":
            begun.setdefault((event["venue"], event["symbol"], event["epoch"]), set()).add(event["owner"])
    return begun


async def test_books_of_a_killed_worker_are_live_in_another_within_fifteen_seconds(
    fresh_kafka: str, tmp_path: Path
) -> None:
    async with System(fresh_kafka, tmp_path, L2_INSTANCE="one") as system:
        await system.all_live(15)
        before = await system.books()
        other = a_worker(system, "two")

        async def shared() -> bool:
            return set((await owners(system)).values()) == {"one", "two"}

        await until("both workers own books", shared)
        books = await system.all_live(15)
        held = {key for key, owner in (await owners(system)).items() if owner == "one"}
        assert held
        assert all(books[key]["epoch"] == before[key]["epoch"] for key in held), "who stays does not resync"
        epochs = {key: book["epoch"] for key, book in books.items()}
        system.kill("services.l2")
        killed = time.monotonic()

        async def taken_over() -> bool:
            now = await system.books()
            return all(now[key]["state"] == "LIVE" and now[key]["epoch"] > epochs[key] for key in held)

        await until("the survivor holds all books", taken_over, 40)
        took_s = time.monotonic() - killed
        assert took_s < 15
        assert set((await owners(system)).values()) == {"two"}
        other.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(other.wait, 30) == 0
    begun = await published_epochs(fresh_kafka)
    assert all(len(who) == 1 for who in begun.values()), begun


async def test_a_worker_that_stood_still_ends_instead_of_publishing(fresh_kafka: str, tmp_path: Path) -> None:
    async with System(fresh_kafka, tmp_path, L2_INSTANCE="one") as system:
        await system.all_live(15)
        zombie = system.processes.pop("services.l2")
        os.kill(zombie.pid, signal.SIGSTOP)
        other = a_worker(system, "two")

        async def taken_over() -> dict[str, Any]:
            books = await system.books()
            live = all(book["state"] == "LIVE" for book in books.values())
            return books if live and set((await owners(system)).values()) == {"two"} else {}

        books: dict[str, Any] = await until("the other worker holds all books", taken_over, 60)
        os.kill(zombie.pid, signal.SIGCONT)
        assert await asyncio.to_thread(zombie.wait, 30) != 0
        assert "StalledError" in system.log("services.l2")
        later = await system.all_live(15)
        assert {key: book["epoch"] for key, book in later.items()} == {
            key: book["epoch"] for key, book in books.items()
        }
        other.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(other.wait, 30) == 0
    begun = await published_epochs(fresh_kafka)
    assert all(len(who) == 1 for who in begun.values()), begun
