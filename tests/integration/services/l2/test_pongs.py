"""A socket reports the pongs of its pings, and none where the venue is silent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.server import serve

from services.l2.connection import run_socket
from services.l2.messages import L2Message, OpenSocket, PongReceived, SocketOpened

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

pytestmark = pytest.mark.timeout(60)


async def silent(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def deaf(connection: ServerConnection) -> None:
    """Hold the line and read nothing, so that no ping is answered."""
    connection.transport.pause_reading()
    await connection.wait_closed()


@pytest.mark.parametrize("answers", [True, False])
async def test_pings_are_answered_or_they_are_not(*, answers: bool) -> None:
    reported: asyncio.Queue[L2Message] = asyncio.Queue()
    async with serve(silent if answers else deaf, "127.0.0.1", 0, close_timeout=0.1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        order = OpenSocket("binance:BTC-USDT", 7, f"ws://127.0.0.1:{port}", (), None, 0.0, 0.05)
        socket = asyncio.create_task(run_socket(order, reported.put, 1024))
        assert await reported.get() == SocketOpened("binance:BTC-USDT", 7)
        if answers:
            for _ in range(3):
                assert await reported.get() == PongReceived("binance:BTC-USDT", 7)
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reported.get(), 0.5)
        socket.cancel()
        await asyncio.gather(socket, return_exceptions=True)
        for connection in server.connections:
            connection.transport.abort()
