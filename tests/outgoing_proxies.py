"""Real proxies on loopback, HTTP and SOCKS: they know names that no resolver does, and count."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Carrier:
    """What both kinds do: resolve, count, and carry bytes both ways.

    Attributes
    ----------
    names
        Where each name leads; others are refused.
    login
        ``user:password``, without which nobody is served; empty lets everybody in.
    blocked
        Names that the proxy refuses to reach.
    """

    names: Mapping[str, tuple[str, int]]
    login: str = ""
    blocked: frozenset[str] = frozenset()
    came: int = 0  # connections to the proxy
    carried: Counter[str] = field(default_factory=Counter)  # by host
    port: int = 0

    async def reach(self, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Connect to where the name leads; None if the proxy refuses."""
        if host in self.blocked or host not in self.names:
            return None
        self.carried[host] += 1
        return await asyncio.open_connection(*self.names[host])


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    await asyncio.gather(_pipe(reader, far[1]), _pipe(far[0], writer))


class HttpProxy(Carrier):
    """CONNECT, and requests in absolute form, one a connection (RFC 9112 section 3.2)."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self.came += 1
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.split("\r\n")
        method, target, _ = start.split(" ")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines if line}
        if self.login and headers.get("proxy-authorization") != _basic(self.login):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        address = urlsplit(f"//{target}" if method == "CONNECT" else target)
        far = await self.reach(address.hostname or "")
        if far is None:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
            kept = [line for line in lines if line and not line.lower().startswith(("proxy-", "connection"))]
            told = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""])
            far[1].write(told.encode("latin-1"))
        await _join(reader, writer, far)


class SocksProxy(Carrier):
    """SOCKS 5 (RFC 1928, 1929) and 4a, CONNECT alone; names are resolved here."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self.came += 1
        if (await reader.readexactly(1)) == b"\x04":
            await self._serve_4(reader, writer)
            return
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        wanted = 2 if self.login else 0
        if wanted not in methods:
            writer.write(b"\x05\xff")
            writer.close()
            return
        writer.write(bytes((5, wanted)))
        if self.login:
            await reader.readexactly(1)
            parts = [await reader.readexactly((await reader.readexactly(1))[0]) for _ in range(2)]
            right = b":".join(parts).decode() == self.login
            writer.write(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                writer.close()
                return
        _, _, _, kind = await reader.readexactly(4)
        size = (await reader.readexactly(1))[0] if kind == 3 else {1: 4, 4: 16}[kind]
        raw = await reader.readexactly(size)
        await reader.readexactly(2)
        far = await self.reach(raw.decode() if kind == 3 else str(ip_address(raw)))
        writer.write(bytes((5, 2 if far is None else 0, 0, 1)) + bytes(6))
        if far is None:
            writer.close()
            return
        await _join(reader, writer, far)

    async def _serve_4(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1 + 2)
        address = await reader.readexactly(4)
        await reader.readuntil(b"\0")
        by_name = address[:3] == b"\0\0\0"
        host = (await reader.readuntil(b"\0"))[:-1].decode() if by_name else str(ip_address(address))
        far = await self.reach(host)
        writer.write(bytes((0, 0x5B if far is None else 0x5A)) + bytes(6))
        if far is None:
            writer.close()
            return
        await _join(reader, writer, far)


@asynccontextmanager
async def serving(proxy: HttpProxy | SocksProxy) -> AsyncIterator[HttpProxy | SocksProxy]:
    """Let a proxy listen on a free port of loopback."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await proxy.serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def _basic(login: str) -> str:
    return f"Basic {b64encode(login.encode()).decode()}"
