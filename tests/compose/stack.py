"""The system as `docker compose up` gives it, on ports, volumes and a project name of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

from install.images import LOCK, VARIABLES, read_images
from tests.e2e.proof import failures
from tests.e2e.system import free_port, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

ROOT: Final = Path(__file__).parents[2]
ONE_BROKER: Final = ("docker-compose.yml",)
THREE_BROKERS: Final = ("docker-compose.yml", "docker-compose.cluster.yml")
START_S: Final = 120.0  # two cores start eight containers, and a machine may do more beside it
COMMAND_S: Final = 170
ANSWER_S: Final = 20.0
HTTP_NOT_FOUND: Final = 404


def images_at_hand() -> dict[str, str]:
    """Name by its tag each locked image that the engine has, but not from a registry, which knows digests."""
    found = {}
    for image in read_images(LOCK.read_text(encoding="utf-8")):
        bare = f"{image.name}:{image.tag}"
        if not _has(image.reference) and _has(bare):
            found[VARIABLES[image.name]] = bare
    return found


def _has(reference: str) -> bool:
    asked = ["docker", "image", "inspect", reference]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


class Stack:
    """Brings the containers up, speaks to them from the host as a user would, and takes them down.

    `unproven` tells which of the ten proof commands did not hold at once after `up --wait`.
    """

    def __init__(self, files: tuple[str, ...], image: str, project: str = "") -> None:
        self.gateway_port, self.kafka_port, *others = (free_port() for _ in range(4))
        self.url = f"http://localhost:{self.gateway_port}"
        self.kafka = f"localhost:{self.kafka_port}"
        self.project = project or f"bookrunner-test-{self.gateway_port}"
        self._asked = count(1)
        self._files = [argument for file in files for argument in ("--file", file)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
        self.environment = kept | {
            "BOOKRUNNER_IMAGE": image,
            "BOOKRUNNER_PULL": "never",
            "COMPOSE_PROJECT_NAME": self.project,
            "GATEWAY_PORT": str(self.gateway_port),
            "KAFKA_PORT": str(self.kafka_port),
            "KAFKA_2_PORT": str(others[0]),
            "KAFKA_3_PORT": str(others[1]),
            "GATEWAY_SIGNAL_WEBHOOK": "policyId=strategy symbol=ticker value=action{buy:1,sell:-1} ttlS=600",
            **images_at_hand(),
        }

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        await self.up(wait=True)
        self.unproven = await asyncio.to_thread(failures, f"localhost:{self.gateway_port}")
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self.http.close()
        if kind is not None:
            print(await self.logs())  # noqa: T201 - pytest shows it with the failure
        await self.compose("down", "--volumes", "--timeout", "5")

    async def compose(self, *arguments: str) -> str:
        """Run `docker compose` on this project and return what it printed."""
        return await self._run("docker", "compose", *self._files, *arguments)

    async def docker(self, *arguments: str) -> str:
        """Run `docker` and return what it printed."""
        return await self._run("docker", *arguments)

    async def up(self, *, wait: bool = False, **replicas: int) -> None:
        """Start what does not run, with so many of these services; with `wait`, return once it is ready."""
        scale = [f"--scale={service}={count}" for service, count in replicas.items()]
        await self.compose("up", "--wait" if wait else "--detach", "--no-build", *scale)

    async def containers(self, service: str = "") -> list[str]:
        """Return the ids of the running containers of a service, or of all."""
        return (await self.compose("ps", "--quiet", *filter(None, [service]))).split()

    async def inspect(self, container: str) -> Any:
        """Return what the engine knows of a container."""
        return json.loads(await self.docker("inspect", container))[0]

    async def logs(self, service: str = "") -> str:
        """Return the newest lines of each container."""
        return await self.compose("logs", "--no-color", "--tail", "30", *filter(None, [service]))

    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return status and JSON; status 0 while nobody answers."""
        try:
            async with self.http.request(method, f"{self.url}{path}", json=body, headers=headers) as reply:
                raw = await reply.read()
                return reply.status, json.loads(raw) if "json" in reply.content_type else raw
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, repr(error)

    async def answered(self, method: str, path: str, body: object = None, patience_s: float = START_S) -> Any:
        """Ask until the answer is a success, and return it; anything but a passing absence fails at once.

        Who asks again after no answer may have been heard the first time: so a command keeps its key, and
        what is not there any more was deleted.
        """
        last: tuple[int, Any] = (0, None)
        headers = {"idempotency-key": f"asked-{next(self._asked)}"} if method == "POST" else None
        unheard = False

        async def holds() -> bool:
            nonlocal last, unheard
            last = await self.ask(method, path, body, headers)
            success = 200 <= last[0] < 300 or (method == "DELETE" and unheard and last[0] == HTTP_NOT_FOUND)
            passing = {0, 404, 503, 504} if method == "GET" else {0, 503, 504}
            assert success or last[0] in passing, f"{method} {path}: {last}"
            unheard = True
            return success

        try:
            await until(f"{method} {path}", holds, patience_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}\n{await self.logs()}") from None
        return last[1]

    async def all_live(self, patience_s: float = START_S) -> dict[str, Any]:
        """Wait until all fifteen books are LIVE, and return them by venue and symbol."""

        async def live() -> dict[str, Any]:
            _, books = await self.ask("GET", "/api/l2")
            right = isinstance(books, list) and len(books) == 15 and all(b["state"] == "LIVE" for b in books)
            return {f"{book['venue']}:{book['symbol']}": book for book in books} if right else {}

        found: dict[str, Any] = await until("15 books LIVE", live, patience_s)
        return found

    async def _run(self, *command: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-3000:]}"
        return done.stdout


async def running(files: tuple[str, ...], image: str) -> AsyncIterator[Stack]:
    """Yield a system whose books are LIVE and whose deciding services answer."""
    async with Stack(files, image) as stack:
        await stack.all_live()
        await stack.answered("GET", "/api/portfolio/risk")
        yield stack
