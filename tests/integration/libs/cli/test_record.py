from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from simulator.recordings import Frame, RestReply, open_recording
from tests.integration.libs.cli.command import PATIENCE_S, finish, run, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SNAPSHOT = '{"lastUpdateId":100,"bids":[["100.00","1.0"]],"asks":[["100.50","1.0"]]}'


def a_frame(number: int) -> str:
    """Return a depth update that follows the one before."""
    data = {
        "e": "depthUpdate",
        "E": 1,
        "s": "BTCUSDT",
        "U": 100 + number,
        "u": 100 + number,
        "b": [],
        "a": [],
    }
    data["b"] = [["99.50", f"{number}.0"]]
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": data})


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class Exchange(NamedTuple):
    """A small Binance: `frames` go to every connection, which then stays open if it is the last."""

    url: str
    sent: list[str]
    requests: list[str]
    all_sent: asyncio.Event


@asynccontextmanager
async def an_exchange(
    frames: list[str], *, disconnects: int = 0, refusals: int = 0
) -> AsyncIterator[Exchange]:
    """Serve; the first connections are closed after their frames, the first snapshot requests refused."""
    sent: list[str] = []
    requests: list[str] = []
    all_sent = asyncio.Event()
    replied = asyncio.Event()
    open_sockets: set[web.WebSocketResponse] = set()
    connections = 0

    async def stream(request: web.Request) -> web.WebSocketResponse:
        nonlocal connections
        connections += 1
        last = connections > disconnects
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        open_sockets.add(socket)
        replied.clear()
        for frame in frames:
            await socket.send_str(frame)
            sent.append(frame)
        await replied.wait()
        if last:
            all_sent.set()
            async for _ in socket:
                pass
        await socket.close()
        open_sockets.discard(socket)
        return socket

    async def depth(request: web.Request) -> web.Response:
        requests.append(str(request.rel_url))
        if len(requests) <= refusals:
            return web.json_response({"code": -1003}, status=429, headers={"Retry-After": "1"})
        replied.set()
        return web.Response(text=SNAPSHOT, content_type="application/json")

    app = web.Application()
    app.router.add_get("/binance/stream", stream)
    app.router.add_get("/binance/api/v3/depth", depth)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield Exchange(f"http://127.0.0.1:{port}", sent, requests, all_sent)
    finally:
        for socket in list(open_sockets):
            await socket.close()
        await runner.cleanup()


async def record_until_all_is_sent(exchange: Exchange, out: Path) -> str:
    """Record, interrupt once the exchange has sent everything, and return what the recorder said."""
    process = await start(
        *("record", "binance", "BTCUSDT", "--out", str(out)), SIMULATOR_URL=exchange.url, L2_BOOKS=""
    )
    async with asyncio.timeout(PATIENCE_S):
        await exchange.all_sent.wait()
        assert process.stderr is not None
        said = await process.stderr.readuntil(f"{len(exchange.sent)} frames".encode())
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert ended.code == 0
    return said.decode() + ended.err


async def test_a_recording_holds_every_frame_and_the_snapshot_that_joins_them(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl.zst"
    frames = [a_frame(number) for number in range(1, 51)]
    async with an_exchange(frames, refusals=1) as exchange:
        said = await record_until_all_is_sent(exchange, out)
    assert f"{out}: " in said
    assert len(exchange.requests) == 2
    records = list(open_recording(out).records())
    assert [record.text for record in records if isinstance(record, Frame)] == frames
    replies = [record for record in records if isinstance(record, RestReply)]
    assert [reply.text for reply in replies] == [SNAPSHOT]
    assert "/binance/api/v3/depth?symbol=BTCUSDT" in replies[0].url
    assert replies[0].ts > records[0].ts  # the stream had spoken before the snapshot was asked for
    assert not out.with_name("a.jsonl.zst.part").exists()


async def test_a_lost_connection_is_opened_again_with_a_snapshot_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    frames = [a_frame(number) for number in range(1, 6)]
    async with an_exchange(frames, disconnects=1) as exchange:
        await record_until_all_is_sent(exchange, out)
    records = list(open_recording(out).records())
    received = [record for record in records if isinstance(record, Frame)]
    assert [record.text for record in received] == frames * 2
    assert len({record.conn for record in received}) == 2
    assert sum(isinstance(record, RestReply) for record in records) == 2


async def test_a_recording_ends_by_itself_after_its_seconds(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    async with an_exchange([a_frame(1)]) as exchange:
        ended = await run(
            *("record", "binance", "BTCUSDT", "--out", str(out), "--seconds", "1"), SIMULATOR_URL=exchange.url
        )
    assert ended.code == 0
    assert out.exists()


async def test_an_existing_file_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    out.write_text("precious")
    async with an_exchange([a_frame(1)]) as exchange:
        ended = await run("record", "binance", "BTCUSDT", "--out", str(out), SIMULATOR_URL=exchange.url)
    assert ended.code == 1
    assert "--force" in ended.err
    assert ended.err.count("\n") == 1
    assert out.read_text() == "precious"
    assert exchange.sent == []


async def test_a_venue_that_cannot_be_reached_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    async with an_exchange([]) as exchange:
        nowhere = exchange.url
    out = tmp_path / "a.jsonl"
    ended = await run("record", "binance", "BTCUSDT", "--out", str(out), SIMULATOR_URL=nowhere)
    assert ended.code == 1
    assert ended.err.startswith("bookrunner record: ws://127.0.0.1:")
    assert ended.err.count("\n") == 1
    assert names_in(tmp_path) == []


async def test_an_unknown_venue_is_one_line_that_lists_those_there_are(tmp_path: Path) -> None:
    ended = await run("record", "mtgox", "BTC-USDT", "--out", str(tmp_path / "a.jsonl"))
    assert ended.code == 2
    assert "'mtgox'" in ended.err
    assert "binance, " in ended.err
    assert ended.err.count("\n") == 1
