"""`Peer`: the process of one client at one venue."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any, Final

from tests.peers.environments import ROOT, python_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.door import Door

ANSWER_S: Final = 10.0
STOP_S: Final = 5.0
_MAX_ANSWER: Final = 1 << 20


class Peer:
    """Answers with its books when asked."""

    def __init__(self, client: str, venue: str, environment: str) -> None:
        self.client = client
        self.venue = venue
        self.answer: dict[str, Any] = {}  # the last one
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def module(self) -> str:
        """The module that runs it."""
        return f"tests.peers.clients.{self.client.replace('-', '_').replace('.', '_')}"

    async def start(self, door: Door, folder: Path) -> None:
        """Start it; what it prints besides goes to a file in the folder."""
        certificate = str(door.certificate)
        environment = {
            name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
        }
        environment |= {
            "PEERS_DOOR": str(door.port),
            "SSL_CERT_FILE": certificate,
            "REQUESTS_CA_BUNDLE": certificate,
            "WEBSOCKET_CLIENT_CA_BUNDLE": certificate,
            "PYTHONUNBUFFERED": "1",
        }
        with (folder / f"{self.client}-{self.venue}.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(python_of(self._environment)),
                *("-W", "ignore", "-m", "tests.peers.child", self.module, self.venue),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=environment,
                limit=_MAX_ANSWER,
            )

    async def ask(self) -> dict[str, Any]:
        """Return what it holds now; nothing if it has ended or does not answer."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return {}
        try:
            process.stdin.write(b"?\n")
            async with asyncio.timeout(ANSWER_S):
                while line := await process.stdout.readline():
                    if line.startswith(b'{"version"'):  # some clients print
                        self.answer = json.loads(line)
                        return self.answer
        except (OSError, TimeoutError):
            pass
        return {}

    async def stop(self) -> None:
        """End it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
