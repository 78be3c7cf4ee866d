"""A hostile exchange on a real socket: l2 stays up, keeps what it could not read, publishes no lie."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from aiohttp import WSCloseCode, WSMsgType, web
from aiokafka import AIOKafkaConsumer

from libs.common.codec import decode
from libs.common.topics import L2_BOOK_DELTAS
from tests.e2e.system import free_port, until
from tests.e2e.test_replay import everything_on
from tests.l2_world import NaiveReader
from tests.model_exchange import BinanceModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)
DEPTH = (
    b'{"stream":"btcusdt@depth@100ms",'
    b'"data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":1,"b":[%s],"a":[]}}'
)
HOSTILE = [
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUp',
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","U":"a","u":[],"b":{},"a":7}}',
    *(DEPTH % level for level in (b'["NaN","1"]', b'["1","-1"]', b'["1e308","1"]')),
    b"[" * 50_000,
    b"x" * (10 * 1024 * 1024),
]
OVER_THE_LIMIT = b"y" * (17 * 1024 * 1024)


class HostileExchange:
    """Serves the model's true book, and whatever the test wants said."""

    def __init__(self) -> None:
        self.model = BinanceModel(11)
        self.sockets: set[web.WebSocketResponse] = set()
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._port = port

    async def serve(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/binance/stream", self._stream)
        app.router.add_get("/binance/api/v3/depth", self._depth)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        return runner

    async def say(self, frame: bytes) -> None:
        for socket in tuple(self.sockets):
            try:
                await socket.send_frame(frame, WSMsgType.TEXT)
            except ConnectionError:
                self.sockets.discard(socket)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.sockets.add(socket)
        async for _ in socket:
            pass
        self.sockets.discard(socket)
        return socket

    async def _depth(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.model.snapshot(), content_type="application/json")


@pytest.fixture
async def exchange() -> AsyncIterator[HostileExchange]:
    hostile = HostileExchange()
    runner = await hostile.serve()
    yield hostile
    for socket in tuple(hostile.sockets):
        await socket.close(code=WSCloseCode.GOING_AWAY)
    await runner.cleanup()


async def last_health(kafka: str) -> dict[str, Any]:
    healths = await everything_on(kafka, "l2.book-health.v1")
    return healths[-1] if healths else {}


async def dead_letters(kafka: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        "dead-letters.v1",
        bootstrap_servers=kafka,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=64 * 1024 * 1024,
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        letters: list[bytes] = []
        while [partition for partition in ends if await consumer.position(partition) < ends[partition]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                letters += [record.value for record in records]
        return letters
    finally:
        await consumer.stop()


async def test_a_hostile_feed_neither_stops_the_service_nor_reaches_a_live_book(
    fresh_kafka: str, tmp_path: Path, exchange: HostileExchange
) -> None:
    environment = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": fresh_kafka,
        "SIMULATOR_URL": exchange.url,
        "L2_BOOKS": "binance:BTC-USDT",
    }
    l2 = start_l2(environment, tmp_path / "l2.log")
    talking = asyncio.create_task(talk(exchange))
    try:
        await live_again(fresh_kafka, 0)
        for frame in (*HOSTILE, OVER_THE_LIMIT):
            epoch = (await last_health(fresh_kafka))["epoch"]
            await exchange.say(frame)
            await live_again(fresh_kafka, epoch)
            assert l2.poll() is None, (tmp_path / "l2.log").read_text()[-2000:]
        health = await last_health(fresh_kafka)
        assert health["bad_frames"] == len(HOSTILE)
        assert health["disconnects"] == 1, "a frame over the limit ends its connection"
    finally:
        talking.cancel()
        l2.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(l2.wait, 30) == 0
    limit = 8 * 1024 * 1024 - 64 * 1024
    assert await dead_letters(fresh_kafka) == [frame[:limit] for frame in HOSTILE]
    await everything_published_was_true(fresh_kafka, exchange.model)


def start_l2(environment: dict[str, str], path: Path) -> subprocess.Popen[bytes]:
    with path.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "services.l2"], env=environment, stdout=log, stderr=log
        )


async def talk(exchange: HostileExchange) -> None:
    while True:
        await exchange.say(exchange.model.next_frame())
        await asyncio.sleep(0.02)


async def live_again(kafka: str, epoch: int) -> None:
    async def holds() -> bool:
        health = await last_health(kafka)
        return bool(health) and health["state"] == "LIVE" and health["epoch"] > epoch

    await until(f"LIVE after epoch {epoch}", holds)


async def everything_published_was_true(kafka: str, model: BinanceModel) -> None:
    reader = NaiveReader()
    seen = 0
    for event in await everything_on(kafka, "l2.book-deltas.v1"):
        reader.read(msgpack_event(event))
        assert reader.book == model.truth[event["venue_seq"]]
        seen += 1
    assert seen > len(HOSTILE)


def msgpack_event(event: dict[str, Any]) -> Any:
    """Return the project's event for what a stranger decoded."""
    return decode(L2_BOOK_DELTAS, msgpack.packb(event))
