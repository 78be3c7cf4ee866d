"""A large snapshot over a slow line is waited for; what is compressed is bounded as it is once it is not."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from websockets.asyncio.server import serve

from libs.common.events import BookState
from libs.common.proxies import Proxies
from libs.common.venues import VENUES
from services.l2 import connection
from services.l2.connection import MAX_REPLY_BYTES, fetch, open_http, run_socket
from services.l2.feeds import FEEDS
from services.l2.messages import (
    BytesArrived,
    Fetch,
    FrameReceived,
    L2Message,
    OpenSocket,
    ReplyArriving,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
)
from services.l2.settings import L2Settings
from tests.live_books import live_books

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.server import ServerConnection

pytestmark = pytest.mark.timeout(120)

KEY: Final = "coinbase:BTC-USD"
PIECE: Final = 60_000  # bytes, twenty times a second: 1.2 MB/s
PAUSE_S: Final = 0.05


def coinbase_snapshot(levels: int) -> bytes:
    """Return a frame as large as the venue's, of `levels` a side, whose sizes compress badly."""
    random = Random(1)
    updates = [
        {
            "side": side,
            "event_time": "2026-11-01T00:00:00.000000Z",
            "price_level": f"{price:.2f}",
            "new_quantity": f"{random.random():.8f}",
        }
        for side, sign in (("bid", -1), ("offer", 1))
        for price in (50_000 + sign * (level + 1) / 100 for level in range(levels))
    ]
    event = {"type": "snapshot", "product_id": "BTC-USD", "updates": updates}
    return json.dumps(
        {
            "channel": "l2_data",
            "client_id": "",
            "timestamp": "2026-11-01T00:00:00.000000Z",
            "sequence_num": 0,
            "events": [event],
        }
    ).encode()


@asynccontextmanager
async def slow_relay(port: int) -> AsyncIterator[int]:
    """Carry what a server sends at 1.2 MB/s, and what a client sends at once."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause_s: float) -> None:
        try:
            while piece := await reader.read(PIECE):
                writer.write(piece)
                await writer.drain()
                if pause_s:
                    await asyncio.sleep(pause_s)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, far_writer, 0), carry(far_reader, writer, PAUSE_S))

    server = await asyncio.start_server(join, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_a_snapshot_of_4_8_mb_on_a_slow_line_makes_the_book_live_and_is_sent_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a hundredth of the patience: 1 s for the snapshot, half of one of silence, 4 s of arriving."""
    frame = coinbase_snapshot(20_000)
    assert 4_500_000 < len(frame) < 5_200_000
    sent = 0

    async def venue(socket: ServerConnection) -> None:
        nonlocal sent
        await socket.recv()
        sent += 1
        await socket.send(frame.decode())
        await socket.wait_closed()

    monkeypatch.setattr(type(FEEDS["coinbase"]), "silence_s", 0.5)
    monkeypatch.setattr(connection, "ARRIVING_S", 0.1)
    async with serve(venue, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with slow_relay(port) as slow:
            settings = L2Settings.model_validate(
                {
                    "feed": "live",
                    "l2_hosts": f"coinbase=ws://127.0.0.1:{slow}|http://127.0.0.1:9",
                    "l2_books": KEY,
                    "sync_timeout_s": 1.0,
                    "history_days": 0,
                }
            )
            async with live_books(settings, Proxies({})) as books:
                await books.until(lambda it: BookState.LIVE in it.states().values())
                assert len([url for url in books.attempts if url.startswith("ws:")]) == 1
    assert sent == 1, "the snapshot was given up and asked for again"


async def heard(
    frames: list[bytes | str], *, compressed: bool, offered: bool = True, limit: int = 1 << 20
) -> list[L2Message]:
    """Return what a socket reports of a venue that sends these frames and closes."""
    reported: list[L2Message] = []

    async def report(message: L2Message) -> None:
        reported.append(message)

    async def venue(socket: ServerConnection) -> None:
        offers = socket.request.headers.get("Sec-WebSocket-Extensions", "") if socket.request else ""
        assert ("permessage-deflate" in offers) is compressed
        for frame in frames:
            await socket.send(frame)

    async with serve(venue, "127.0.0.1", 0, compression="deflate" if offered else None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        order = OpenSocket(KEY, 1, f"ws://127.0.0.1:{port}", (), None, 0.0, compressed=compressed)
        await run_socket(order, report, limit, Proxies({}))
    return reported


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("offered", [True, False])
async def test_compression_is_taken_where_both_sides_have_it_and_frames_are_the_same(
    *, compressed: bool, offered: bool
) -> None:
    frame = coinbase_snapshot(50)
    opened, first, second, closed = await heard(
        [frame.decode(), b"x" * 3000], compressed=compressed, offered=offered
    )
    assert opened == SocketOpened(KEY, 1)
    assert first == FrameReceived(KEY, 1, frame)
    assert second == FrameReceived(KEY, 1, b"x" * 3000)
    assert isinstance(closed, SocketClosed)


def test_which_venues_are_offered_compression() -> None:
    assert {venue for venue, facts in VENUES.items() if facts.compressed} == {"coinbase", "coinbase-exchange"}


async def test_a_frame_that_is_too_large_once_it_is_no_longer_compressed_ends_the_socket() -> None:
    bomb = b"\0" * (64 << 20)  # some 64 kB on the wire
    opened, closed = await heard([bomb], compressed=True)
    assert opened == SocketOpened(KEY, 1)
    assert isinstance(closed, SocketClosed)
    assert "1009" in closed.reason, closed.reason


@asynccontextmanager
async def answering(head: bytes, *pieces: bytes, pause_s: float = 0.0) -> AsyncIterator[int]:
    """Answer with a head and a body in pieces, and close."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n%sConnection: close\r\n\r\n" % head)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def replies(port: int) -> list[L2Message]:
    reported: list[L2Message] = []

    async def report(message: L2Message) -> None:
        reported.append(message)

    async with open_http(Proxies({})) as http:
        await fetch(Fetch("binance:BTC-USDT", 3, "snapshot", f"http://127.0.0.1:{port}/"), report, http)
    return reported


@pytest.mark.parametrize("coding", ["gzip", "deflate", ""])
async def test_a_reply_is_read_as_it_was_before_it_was_compressed(coding: str) -> None:
    body = coinbase_snapshot(100)
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body), "": body}[coding]
    head = f"Content-Encoding: {coding}\r\n".encode() if coding else b""
    async with answering(head, packed) as port:
        (reply,) = await replies(port)
    assert isinstance(reply, ReplyReceived)
    assert (reply.status, reply.body) == (200, body)


async def test_a_reply_that_is_too_large_once_it_is_no_longer_compressed_is_not_read_to_its_end() -> None:
    bomb = gzip.compress(b"\0" * (8 * MAX_REPLY_BYTES), 9)
    async with answering(b"Content-Encoding: gzip\r\n", bomb) as port:
        *_, reply = await replies(port)
    assert isinstance(reply, ReplyReceived)
    assert reply.status == 0
    assert reply.body == f"reply of more than {MAX_REPLY_BYTES} bytes".encode()


async def test_a_reply_that_arrives_slowly_is_waited_for_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REPLY_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connection, "ARRIVING_S", 0.1)
    pieces = [b"x" * PIECE] * 20  # of a second, thrice the patience
    async with answering(b"", *pieces, pause_s=PAUSE_S) as port:
        *arriving, reply = await replies(port)
    assert isinstance(reply, ReplyReceived)
    assert (reply.status, len(reply.body)) == (200, 20 * PIECE)
    assert arriving
    assert all(isinstance(each, ReplyArriving) and each.request == 3 for each in arriving)
    assert sum(each.count for each in arriving if isinstance(each, ReplyArriving)) <= 20 * PIECE


async def test_a_reply_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REPLY_TIMEOUT_S", 0.3)
    async with answering(b"", *[b"x"] * 1_000, pause_s=0.02) as port:
        *_, reply = await replies(port)
    assert isinstance(reply, ReplyReceived)
    assert reply.status == 0
    assert b"no answer in time" in reply.body


async def test_bytes_of_a_frame_that_is_not_whole_are_told_and_none_where_all_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "ARRIVING_S", 0.1)
    reported: list[L2Message] = []

    async def report(message: L2Message) -> None:
        reported.append(message)

    async def venue(socket: ServerConnection) -> None:
        for _ in range(10):
            await socket.send("small")
            await asyncio.sleep(0.03)
        await socket.send(b"\1" * (20 * PIECE))

    async with (
        serve(venue, "127.0.0.1", 0, compression=None) as server,
        slow_relay(next(iter(server.sockets)).getsockname()[1]) as slow,
    ):
        order = OpenSocket(KEY, 1, f"ws://127.0.0.1:{slow}", (), None, 0.0)
        await run_socket(order, report, 1 << 24, Proxies({}))
    last = max(at for at, each in enumerate(reported) if isinstance(each, FrameReceived))
    small = [at for at, each in enumerate(reported) if isinstance(each, FrameReceived)][9]
    arrived = [at for at, each in enumerate(reported) if isinstance(each, BytesArrived)]
    assert sum(small < at < last for at in arrived) >= 3
    assert sum(at < small for at in arrived) <= 2
