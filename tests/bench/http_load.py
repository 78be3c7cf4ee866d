"""Keep-alive GETs on many connections at once, by a client that costs less than any server it meets."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Final, cast

END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length: "


class BadAnswerError(RuntimeError):
    """A server did not answer 200 with a length; then there is no rate to print."""


class Getter(asyncio.Protocol):
    """One connection: asks again as soon as it is answered, while it may."""

    def __init__(self, path: str, latencies_ns: list[int]) -> None:
        self.request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
        self.idle = asyncio.Event()
        self.idle.set()
        self.failure: str | None = None
        self._latencies_ns = latencies_ns
        self._until_ns = 0
        self._asked_ns = 0
        self._received = b""
        self._wanted = 0  # bytes of head and body, 0 while the head is incomplete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases

    def ask_until(self, deadline_ns: int) -> None:
        """Ask until the deadline (perf_counter, ns)."""
        self._until_ns = deadline_ns
        self.idle.clear()
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._received += data
        if not self._wanted:
            self._wanted = self._length()
        if not self._wanted or len(self._received) < self._wanted:
            return
        now = time.perf_counter_ns()
        self._latencies_ns.append(now - self._asked_ns)
        self._received, self._wanted = b"", 0
        if now < self._until_ns and self.failure is None:
            self._ask()
        else:
            self.idle.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits, with the reason."""
        self.failure = self.failure or f"the connection was closed: {exc}"
        self.idle.set()

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _ask(self) -> None:
        self._asked_ns = time.perf_counter_ns()
        self._transport.write(self.request)

    def _length(self) -> int:
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return 0
        head = self._received[:end].lower()
        at = head.find(LENGTH)
        if not head.startswith(b"http/1.1 200") or at < 0:
            self.failure = self._received[:200].decode(errors="replace")
            return end + len(END_OF_HEAD)
        return end + len(END_OF_HEAD) + int(head[at + len(LENGTH) :].partition(b"\r")[0])


class HttpLoad:
    """A number of connections to one address."""

    def __init__(self, port: int, path: str, connections: int) -> None:
        self.latencies_ns: list[int] = []
        self._port = port
        self._getters = [Getter(path, self.latencies_ns) for _ in range(connections)]

    async def connect(self) -> None:
        """Open all connections."""
        loop = asyncio.get_running_loop()
        for getter in self._getters:
            await loop.create_connection(partial(_same, getter), "127.0.0.1", self._port)

    async def run(self, seconds: float) -> float:
        """Ask on all connections for so long; return answers per second.

        Raises
        ------
        BadAnswerError
            If an answer is not a 200, or a connection ends.
        """
        before, begun = len(self.latencies_ns), time.perf_counter_ns()
        for getter in self._getters:
            getter.ask_until(begun + int(seconds * 1e9))
        for getter in self._getters:
            await getter.idle.wait()
            if getter.failure:
                raise BadAnswerError(f"port {self._port}: {getter.failure}")
        return (len(self.latencies_ns) - before) / (time.perf_counter_ns() - begun) * 1e9

    def close(self) -> None:
        """Close all connections."""
        for getter in self._getters:
            getter.close()


def _same(getter: Getter) -> Getter:
    return getter
