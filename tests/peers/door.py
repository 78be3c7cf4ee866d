"""`Door`: the venues' own host names, with TLS, in front of the simulator.

Some clients let nobody choose an address, some demand TLS. So each dials what it always dials, every name
leads here (`child.redirect`), and the header Host says which venue is meant.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VENUE_OF: Final[Mapping[str, str]] = {
    "api.binance.com": "binance",
    "stream.binance.com": "binance",
    "api.bybit.com": "bybit",
    "stream.bybit.com": "bybit",
    "api.coinbase.com": "coinbase",
    "advanced-trade-ws.coinbase.com": "coinbase",
    "api.kraken.com": "kraken",
    "ws.kraken.com": "kraken",
    "www.okx.com": "okx",
    "ws.okx.com": "okx",
}
_CHUNK: Final = 1 << 16
_MAX_HEAD: Final = 1 << 16
_OPENSSL_S: Final = 30.0


class Door:
    """Listens on loopback while it is entered; `port` is where."""

    def __init__(self, simulator_port: int, folder: Path) -> None:
        self.port = 0
        self.certificate = folder / "door.pem"
        self.refused = Counter[str]()  # what the simulator or the door answered with 400 or above
        self._simulator_port = simulator_port
        self._folder = folder
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._make_certificate()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self._folder / "door.key")
        context.set_alpn_protocols(["http/1.1"])
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context, limit=_MAX_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # either side may leave
                await self._pass_on(reader, writer)
        finally:
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        method, path, protocol = request.split(" ")
        fields = {name.lower(): value for name, _, value in (line.partition(":") for line in headers)}
        host = fields.get("host", "").strip().partition(":")[0]
        venue = VENUE_OF.get(host)
        if venue is None:
            self.refused[f"404 {method} {host}{path.partition('?')[0]}"] += 1
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        kept = [line for line in headers if line.lower().partition(":")[0] not in {"host", "origin"}]
        if "upgrade" not in fields:  # one request a connection, as each is rewritten
            kept = [line for line in kept if not line.lower().startswith("connection:")]
            kept.append("Connection: close")
        head = [
            f"{method} /{venue}{path} {protocol}",
            f"Host: 127.0.0.1:{self._simulator_port}",
            *kept,
            "",
            "",
        ]
        inner, outer = await asyncio.open_connection("127.0.0.1", self._simulator_port)
        outer.write("\r\n".join(head).encode("latin-1"))
        try:
            first = await inner.readline()
            status = first.split(b" ")[1].decode()
            if status >= "400":
                self.refused[f"{status} {method} {host}{path}"] += 1
            writer.write(first)
            if "upgrade" in fields and status != "101":  # or the client's next request would come unread
                rest = await inner.readuntil(b"\r\n\r\n")
                writer.write(b"Connection: close\r\n" + rest + await inner.read(_CHUNK))
                return
            up, down = (
                asyncio.create_task(_copy(source, target))
                for source, target in ((reader, outer), (inner, writer))
            )
            try:
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (up, down):
                    task.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        finally:
            outer.close()

    def _make_certificate(self) -> None:
        names = ",".join(f"DNS:{host}" for host in VENUE_OF)
        command = (
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=peers",
        )
        files = ("-addext", f"subjectAltName={names}", "-keyout", "door.key", "-out", "door.pem")
        subprocess.run(
            [*command, *files], cwd=self._folder, check=True, capture_output=True, timeout=_OPENSSL_S
        )


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
