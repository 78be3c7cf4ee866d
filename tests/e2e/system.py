"""The running system as processes on free ports: simulator, l2, gateway, beside the Kafka of the tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

PATIENCE_S = 45.0
TOLD_CHARS = 3_000
POLICY = """
from bookrunner import Policy, Signal

POLICY = Policy(signal=lambda market: Signal(0.5, "always"), summary="holds half", on_tops=True)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as drawn:
        return int(drawn.getsockname()[1])


def folder_of_policies(parent: Path) -> str:
    """Make a folder with one policy, `mine`, and return it for POLICIES_DIR."""
    folder = parent / "policies"
    folder.mkdir()
    (folder / "mine.py").write_text(POLICY)
    return str(folder)


async def until(what: str, holds: Callable[[], Awaitable[Any]], patience_s: float = PATIENCE_S) -> Any:
    """Ask again and again until the answer is true; fail with the last one."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = await holds()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience_s:g} s: {what}; the last answer was {answer!r}")
        await asyncio.sleep(0.05)


class System:
    """Starts the processes, speaks HTTP to them, and ends them."""

    def __init__(self, kafka: str, folder: Path, **environment: str) -> None:
        self.gateway = f"http://127.0.0.1:{(gateway_port := free_port())}"
        self.simulator = f"http://127.0.0.1:{(simulator_port := free_port())}"
        self.kafka = kafka
        self.folder = folder
        self.environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "GATEWAY_PORT": str(gateway_port),
            "SIMULATOR_PORT": str(simulator_port),
            "SIMULATOR_URL": self.simulator,
            "SIMULATOR_OUTAGES": "0",
            "SIMULATOR_RATE": "150",  # a fourth of the default: the tests run beside each other
            **environment,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession()
        self.start("simulator", "services.l2", "services.gateway")
        return self

    async def __aexit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        if failure is not None:
            failure.add_note(await self._told())
        await self.http.close()
        codes = {module: self.stop(module) for module in tuple(self.processes)}
        if failure is None:
            assert codes == dict.fromkeys(codes, 0), f"exit codes {codes}; logs in {self.folder}"

    async def _told(self) -> str:
        """Return, for whoever reads of the failure, what the system says and last said."""
        try:
            async with self.http.get(f"{self.gateway}/readyz") as reply:
                told = f"/readyz: {reply.status} {await reply.text()}"
        except aiohttp.ClientError as error:
            told = f"/readyz: {error!r}"
        for module, process in self.processes.items():
            told += f"\n-- {module}, exit code {process.poll()}:\n{self.log(module)[-TOLD_CHARS:]}"
        return told

    def start(self, *modules: str) -> None:
        for module in modules:
            command = [sys.executable, "-m", module]
            with (self.folder / f"{module}.log").open("ab") as log:
                self.processes[module] = subprocess.Popen(
                    command, env=self.environment, stdout=log, stderr=log
                )

    def stop(self, module: str) -> int:
        process = self.processes.pop(module)
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE_S)

    def kill(self, module: str) -> None:
        process = self.processes.pop(module)
        process.kill()
        process.wait(PATIENCE_S)

    def log(self, module: str) -> str:
        return (self.folder / f"{module}.log").read_text()

    async def ready(self, patience_s: float = 120.0) -> None:
        """Wait until every route does its work, which takes all services."""
        await until("every route does its work", lambda: self.get("/readyz"), patience_s)

    async def get(self, path: str, base: str | None = None) -> Any:
        """Return the JSON of a 200, None while there is none."""
        try:
            async with self.http.get(f"{base or self.gateway}{path}") as reply:
                return json.loads(await reply.read()) if reply.status == 200 else None
        except aiohttp.ClientConnectionError:
            return None

    async def control(self, method: str, path: str, body: object = None) -> Any:
        async with self.http.request(method, f"{self.simulator}/control/{path}", json=body) as reply:
            assert reply.status < 300, await reply.text()
            return json.loads(await reply.read() or b"null")

    async def books(self) -> dict[str, Any]:
        return {f"{book['venue']}:{book['symbol']}": book for book in await self.get("/api/l2") or ()}

    async def all_fresh(self, *sources: str) -> None:
        """Wait until these are the sources of contexts, and each gave what it has."""

        async def fresh() -> bool:
            told = await self.get("/api/context") or {"sources": ()}
            return {each["source"]: each["state"] for each in told["sources"]} == dict.fromkeys(
                sources, "fresh"
            )

        try:
            await until(f"numbers of {', '.join(sources)}", fresh)
        except AssertionError as failure:
            failure.add_note(
                f"{await self.get('/api/context')}\n{self.log('services.context')[-TOLD_CHARS:]}"
            )
            raise

    async def all_live(self, count: int) -> dict[str, Any]:
        async def live() -> dict[str, Any]:
            books = await self.books()
            right = len(books) >= count and all(book["state"] == "LIVE" for book in books.values())
            return books if right else {}

        try:
            found: dict[str, Any] = await until(f"{count} books LIVE", live)
        except AssertionError as error:
            raise AssertionError(
                f"{error}\n{await self.books()}\n{self.log('services.l2')[-3000:]}"
            ) from None
        return found
