"""The gateway as a process of its own, beside a real Kafka."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from services.gateway.settings import GatewaySettings
from tests.e2e.system import free_port, until

if TYPE_CHECKING:
    from pathlib import Path

READY_S = 60.0  # an import of everything takes seconds on a busy machine


class GatewayProcess:
    """Start, ask, stop or kill."""

    def __init__(self, kafka: str, log: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "GATEWAY_PORT": str(self.port),
            **environment,
        }
        self.settings = GatewaySettings(kafka_bootstrap_servers=kafka)

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(self.url)
        self.start()
        try:
            await self.until_ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.http.close()
        self.end(signal.SIGKILL)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.gateway"], env=self._environment, stdout=log, stderr=log
            )

    def end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)

    async def until_ready(self) -> None:
        async def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return (await self.get("/api/l2"))[0] == 200  # not /readyz, which waits for all services

        await until("the gateway has read its views", ready, READY_S)

    async def until_heard(self, *services: str) -> None:
        """Wait until it has heard that all partitions of these are worked on, even if it refuses all."""

        async def heard() -> bool:
            _, said = await self.get("/readyz")
            missing = said.get("missing", [])
            return not any(
                each.startswith((*(f"{name} " for name in services), "the gateway"))
                and not each.startswith(tuple(f"{name} would refuse:" for name in services))
                for each in missing
            )

        await until(f"{', '.join(services)} heard", heard)

    async def get(self, path: str) -> tuple[int, Any]:
        return await self.ask("GET", path)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Return status and JSON; status 0 while nobody listens."""
        try:
            async with self.http.request(method, path, **options) as answer:
                self.headers = answer.headers
                return answer.status, await answer.json(content_type=None)
        except (TimeoutError, aiohttp.ClientConnectionError) as error:
            return 0, str(error)
