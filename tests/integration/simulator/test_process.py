from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import aiohttp
import pytest

from simulator.venues import VENUES


async def start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "simulator",
        *arguments,
        env={**os.environ, "FEED": "simulator", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_it_lists_the_books_it_would_serve() -> None:
    process = await start("--list-books", SIMULATOR_SYMBOLS="BTC-USDT,SOL-USDT")
    out, _ = await process.communicate()
    listed = [f"{venue}:{symbol}" for venue in VENUES for symbol in ("BTC-USDT", "SOL-USDT")]
    assert out.decode().strip().split(",") == listed
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("FEED", "replai:x", "replay:PATH"),
        ("SIMULATOR_RATE", "0", "greater than 0"),
        ("SIMULATOR_SYMBOLS", "DOGE-USDT", "BTC-USDT, ETH-USDT, SOL-USDT"),
    ],
)
async def test_a_setting_that_makes_no_sense_ends_it_with_what_would(
    name: str, value: str, says: str
) -> None:
    process = await start(**{name: value})
    _, error = await process.communicate()
    assert process.returncode == os.EX_CONFIG
    assert says in error.decode()
    assert "Traceback" not in error.decode()


async def test_a_taken_port_is_said_and_ends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start(SIMULATOR_PORT=str(taken.getsockname()[1]), SIMULATOR_HISTORY_DAYS="2")
        _, error = await process.communicate()
    assert process.returncode == os.EX_CONFIG
    assert "SIMULATOR_PORT" in error.decode()


async def test_an_interrupt_closes_the_sockets_and_ends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await start(SIMULATOR_PORT=str(port), SIMULATOR_HISTORY_DAYS="2", SIMULATOR_OUTAGES="0")
    assert process.stderr is not None
    assert b"listening" in await process.stderr.readline()
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"ws://127.0.0.1:{port}/binance/ws/btcusdt@depth@100ms") as websocket,
    ):
        await websocket.receive_json()
        process.send_signal(signal.SIGINT)
        async for _ in websocket:
            pass
        assert websocket.close_code == aiohttp.WSCloseCode.GOING_AWAY
    assert await process.wait() == 0
