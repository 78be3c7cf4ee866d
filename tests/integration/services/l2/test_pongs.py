"""A socket reports the pongs of its pings, and none where the venue is silent; no report fails unheard."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.server import serve

from services.l2.app import StalledError
from services.l2.connection import run_socket
from services.l2.messages import BytesArrived, L2Message, OpenSocket, PongReceived, SocketOpened

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


async def half_a_frame(connection: ServerConnection) -> None:
    connection.transport.write(b"\x81\x7e\x01\x00begun")
    await connection.wait_closed()


@pytest.mark.parametrize(("venue", "kind"), [(silent, PongReceived), (half_a_frame, BytesArrived)])
async def test_a_report_that_fails_beside_the_frames_ends_the_socket_with_its_error(
    venue: Callable[[ServerConnection], Awaitable[None]], kind: type[L2Message]
) -> None:
    async def report(message: L2Message) -> None:
        if isinstance(message, kind):
            raise StalledError

    async with serve(venue, "127.0.0.1", 0, close_timeout=0.1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        order = OpenSocket("binance:BTC-USDT", 7, f"ws://127.0.0.1:{port}", (), None, 0.0, 0.05)
        with pytest.raises(StalledError):
            await asyncio.wait_for(run_socket(order, report, 1024), 5.0)
        for connection in server.connections:
            connection.transport.abort()
