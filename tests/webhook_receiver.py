"""A receiver of webhooks on a real socket, which fails, hangs and comes back as it is told."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Manner: TypeAlias = Literal["takes", "fails", "hangs", "drops", "redirects", "refuses", "trickles"]
PATH: Final = "/services/T0/secret-mark-of-the-path"
_ANSWERS: Final = {
    "takes": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "fails": b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    "refuses": b"HTTP/1.1 404 No\r\nContent-Length: 10\r\n\r\nno_service",
    "redirects": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
}


class Received(NamedTuple):
    """A request that was answered 200."""

    at: float  # monotonic, seconds
    path: str
    body: Any


class Receiver:
    """Answers in its manner; `received` are the messages that it took, `asked` all requests."""

    def __init__(self) -> None:
        self.manner: Manner = "takes"
        self.received: list[Received] = []
        self.asked: list[tuple[str, str]] = []  # manner, path
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def of(self, key: str) -> list[Any]:
        """Return the bodies of a key, in order."""
        return [each.body for each in self.received if each.body["key"] == key]

    async def listen(self) -> None:
        """Listen, at the port from before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse_connections(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    line for line in head.split("\r\n") if line.lower().startswith("content-length")
                )
                raw = await reader.readexactly(int(length.partition(":")[2]))
                path, manner = head.split(" ")[1], self.manner
                self.asked.append((manner, path))
                if manner == "hangs":
                    await reader.read()  # until the other side gives up
                if manner == "trickles":
                    for sign in b"HTTP/1.1 200 OK\r\n" * 100:
                        writer.write(bytes([sign]))
                        await asyncio.sleep(0.1)
                if manner in {"hangs", "drops", "trickles"}:
                    return
                if manner == "takes":
                    self.received.append(Received(time.monotonic(), path, json.loads(raw)))
                writer.write(_ANSWERS[manner])
                if manner == "fails":
                    return  # and closes
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver that takes all."""
    receiver = Receiver()
    await receiver.listen()
    try:
        yield receiver
    finally:
        receiver.refuse_connections()
