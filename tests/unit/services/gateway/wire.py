"""The gateway's own HTTP protocol on a connection without a socket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from uvicorn import Config
from uvicorn.server import ServerState

from services.gateway.http.protocol import BoundedHttpProtocol

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

    from services.gateway.http.guard import CrossOrigin
    from tests.unit.services.gateway.world import World

PATIENCE_S = 10.0
MOST_TURNS = 1000


class Told(NamedTuple):
    """One answer, as its bytes have it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """The app of a world, with what the protocol asks of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.request_timeout_s = world.settings.request_timeout_s
        self.write_timeout_s = world.settings.write_timeout_s
        self.refusals: Counter[str] = world.refusals
        self.cross_origin: CrossOrigin = world.cross_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._world.app(scope, receive, send)


class Connection(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 5000)})
        self.written = bytearray()
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0  # the client takes all at once

    def write_eof(self) -> None:
        """Nothing follows."""

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        """Send on: all has been sent."""

    def resume_reading(self) -> None:
        """As above."""


async def exchange(world: World, sent: bytes) -> Told:
    """Send bytes over a new connection, and return the first answer once its task has ended."""
    told = await answer_to(world, sent)
    assert told is not None
    return told


def _answers(written: bytes) -> Iterator[Told]:
    """Yield each answer, in order; one without a length ends with the connection."""
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers.get("content-length", len(rest)))
        yield Told(int(status.split()[1]), headers, rest[:length])
        written = rest[length:]


async def answer_to(world: World, sent: bytes) -> Told | None:
    """Return the answer as `exchange`; None while the request is not complete and not refused."""
    return next(iter(await answers_to(world, sent)), None)


async def answers_to(world: World, *parts: bytes) -> list[Told]:
    """Return all answers to bytes that come in these parts over one connection, as far as there are any."""
    config = Config(
        Served(world), http=BoundedHttpProtocol, ws="none", lifespan="off", log_config=None, access_log=False
    )
    state = ServerState()
    protocol = BoundedHttpProtocol(config, state, {})
    connection = Connection()
    protocol.connection_made(connection)
    try:
        for part in parts:
            protocol.data_received(part)
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_S):
            if protocol.cycle is not None and not protocol.cycle.more_body:
                await asyncio.gather(*state.tasks)
            for _ in range(MOST_TURNS):  # of one whose body does not end, and that may be refused without it
                if not state.tasks:
                    break
                await asyncio.sleep(0)
    finally:
        protocol.connection_lost(None)
        for task in state.tasks:
            task.cancel()
    return list(_answers(bytes(connection.written)))


def head_of(
    method: str, target: str, *headers: str, version: str = "1.1", host: str | None = "localhost"
) -> bytes:
    """Return a request without a body."""
    named = [f"Host: {host}"] if host is not None else []
    lines = [f"{method} {target} HTTP/{version}", *named, *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")
