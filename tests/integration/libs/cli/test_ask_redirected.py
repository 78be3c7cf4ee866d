"""The answer to a request is the gateway's own, and the token goes nowhere else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from libs.cli.ask import ask
from libs.cli.errors import CommandError
from libs.cli.settings import CliSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("body", [None, "{}"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(tmp_path: Path, status: int, body: str | None) -> None:
    heard: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(10_000))
        writer.close()

    other = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    location = f"http://localhost:{other.sockets[0].getsockname()[1]}/api/l2"

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} No\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(gateway, "127.0.0.1", 0)
    settings = CliSettings(
        gateway_port=server.sockets[0].getsockname()[1], gateway_token="s" * 40, run_dir=tmp_path
    )
    with pytest.raises(CommandError, match=f"redirected to {location}, not followed"):
        await asyncio.to_thread(ask, settings, "l2", body, 10.0)
    assert heard == [], "the request, and with a body the token, went to another address"
    server.close()
    other.close()


async def test_an_answer_that_is_no_http_is_one_line(tmp_path: Path) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x1b]0;pwned\x07\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    settings = CliSettings(gateway_port=server.sockets[0].getsockname()[1], run_dir=tmp_path)
    with pytest.raises(CommandError, match="the gateway does not answer"):
        await asyncio.to_thread(ask, settings, "l2", None, 10.0)
    server.close()
