"""A client that takes nothing of its answer is cut, whatever the answer, however far it is; real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from services.gateway.http.protocol import Patience
from tests.e2e.system import until
from tests.unit.services.gateway.serving import Serving
from tests.unit.services.gateway.stream.test_stream import a_record
from tests.unit.services.gateway.wire import head_of
from tests.unit.services.gateway.world import World, a_book_top

SMALL = 4096  # bytes of the system's buffers: what it keeps of an answer is not ours to free


async def a_client(address: tuple[str, int], sent: bytes) -> socket.socket:
    """Return a client that has sent this and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    client.setblocking(False)  # noqa: FBT003 -- the socket's own signature
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, address)
    await loop.sock_sendall(client, sent)
    return client


@pytest.mark.parametrize(
    "asked",
    [
        head_of("GET", "/openapi.json"),
        head_of("GET", "/openapi.json", "Connection: close"),
        head_of("GET", "/openapi.json", version="1.0"),
        head_of("GET", "/openapi.json") * 20,
        head_of("GET", "/api/l2/binance/BTCUSDT?depth=50") * 60,
        head_of("GET", "/docs") * 60,
        head_of("GET", "/nope") * 60,
    ],
    ids=["kept alive", "closed after it", "1.0", "pipelined", "hot", "page", "problem"],
)
async def test_a_client_that_reads_nothing_is_cut(asked: bytes) -> None:
    world = World(write_timeout_s=0.5)
    world.live()
    serving = Serving(world, send_buffer=SMALL)
    async with serving.listening() as address:
        clients = [await a_client(address, asked) for _ in range(3)]

        async def connected() -> bool:
            return len(serving.state.connections) == len(clients)

        await until("all are connected", connected)
        await serving.all_gone()
        assert world.refusals == {"unread": len(clients)}
        for client in clients:
            client.close()


async def test_a_stream_that_nobody_reads_is_cut_and_its_place_is_free() -> None:
    world = World(write_timeout_s=0.5)
    serving = Serving(world, send_buffer=SMALL)
    async with serving.listening() as address:
        client = await a_client(address, head_of("GET", "/api/stream?topics=l2.book-tops.v1"))

        async def streams() -> bool:
            return world.hub.open_streams == 1 and bool(world.script.opened)

        async def none() -> bool:
            return world.hub.open_streams == 0

        await until("it streams", streams)
        world.script.feed(*(a_record(offset, a_book_top()) for offset in range(500)))
        await serving.all_gone()
        await until("its place is free", none)
        assert world.refusals == {"unread": 1}
        client.close()


async def test_a_client_that_reads_slowly_gets_all_of_it() -> None:
    world = World(write_timeout_s=0.5)
    expected = await world.ask("/openapi.json")
    serving = Serving(world, send_buffer=SMALL)
    async with serving.listening() as address:
        client = await a_client(address, head_of("GET", "/openapi.json", "Connection: close"))
        loop = asyncio.get_running_loop()
        told = b""
        async with asyncio.timeout(60):
            while part := await loop.sock_recv(client, max(SMALL, len(expected.body) // 10)):
                told += part
                await asyncio.sleep(0.1)  # all together longer than a client may take nothing
        assert told.partition(b"\r\n\r\n")[2] == expected.body
        assert not world.refusals
        client.close()


def test_patience_ends_when_nothing_is_taken_for_so_long_and_begins_again_with_every_byte() -> None:
    patience = Patience(10.0)
    assert not patience.is_over(taken=0, unsent=0, now=100.0)
    assert not patience.is_over(taken=0, unsent=50, now=200.0)  # it may have come this moment
    assert not patience.is_over(taken=0, unsent=50, now=209.9)
    assert not patience.is_over(taken=1, unsent=49, now=210.0)
    assert not patience.is_over(taken=1, unsent=99, now=219.9)  # more came, and none was taken
    assert patience.is_over(taken=1, unsent=99, now=220.0)
    assert not patience.is_over(taken=100, unsent=0, now=230.0)
    assert not patience.is_over(taken=100, unsent=9, now=240.0)
