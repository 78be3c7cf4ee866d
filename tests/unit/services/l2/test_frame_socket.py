"""A socket reports what a server says in its order, however it is cut, and reads no more than it may hold."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import websockets
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri
from websockets.utils import accept_key

from services.l2 import frame_socket
from services.l2.frame_socket import FrameSocket

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from websockets.extensions import Extension

PING = b"\x89\x05alive"
CLOSE = Frame(Opcode.CLOSE, b"\x03\xf1shutting down").serialize(mask=False)


def a_frame(content: bytes, extensions: Sequence[Extension] = (), **form: bool) -> bytes:
    return Frame(Opcode.TEXT, content, **form).serialize(mask=False, extensions=extensions)


class Wire(asyncio.Transport):
    """Keeps what is written, and whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Let everything be written."""

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        """Stay open until the test says otherwise."""


class Socket(FrameSocket):
    most_bytes = 1000


class Dialled:
    """A socket that asked for a handshake, and the answer to it."""

    def __init__(self, *, compressed: bool = False) -> None:
        factories = [ClientPerMessageDeflateFactory()] if compressed else []
        protocol = ClientProtocol(parse_uri("ws://venue/"), extensions=factories, max_size=1000)
        self.wire = Wire()
        self.socket = Socket(protocol, ping_interval=None, max_queue=16)
        self.socket.connection_made(self.wire)
        self.socket.response_rcvd = asyncio.get_running_loop().create_future()
        request = protocol.connect()
        protocol.send_request(request)
        protocol.data_to_send()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(request.headers['Sec-WebSocket-Key'])}",
            *(["Sec-WebSocket-Extensions: permessage-deflate"] if compressed else []),
        ]
        self.answer = "\r\n".join([*lines, "", ""]).encode()

    async def said(self, pieces: Iterable[bytes], count: int) -> list[bytes]:
        """Return the first messages that come of these bytes."""
        for piece in pieces:
            self.socket.data_received(piece)
        messages: list[bytes] = []
        while len(messages) < count:
            messages += await asyncio.wait_for(self.socket.messages(16), 10.0)
        return messages


async def test_what_follows_the_handshake_is_the_same_wherever_it_is_cut() -> None:
    said = a_frame(b"one") + PING + a_frame(b"two" * 50)
    whole = len(Dialled().answer + said)
    for at in range(whole + 1):
        dialled = Dialled()
        stream = dialled.answer + said
        assert await dialled.said([stream[:at], stream[at:]], 2) == [b"one", b"two" * 50], at
        assert len(dialled.wire.written) == 2 + 4 + 5  # a masked pong with the ping's content
    dialled = Dialled()
    stream = dialled.answer + said
    assert await dialled.said([stream[at : at + 1] for at in range(whole)], 2) == [b"one", b"two" * 50]


async def test_what_is_not_plain_keeps_its_place_and_the_end_comes_last() -> None:
    dialled = Dialled()
    fragments = a_frame(b"th", fin=False) + Frame(Opcode.CONT, b"ree").serialize(mask=False)
    stream = dialled.answer + a_frame(b"one") + a_frame(b"two") + fragments + a_frame(b"four") + CLOSE
    assert await dialled.said([stream], 4) == [b"one", b"two", b"three", b"four"]
    dialled.socket.connection_lost(None)
    with pytest.raises(websockets.ConnectionClosed, match="shutting down"):
        await dialled.socket.messages(16)


async def test_what_came_before_the_end_is_read_and_who_waits_is_told_of_it() -> None:
    dialled = Dialled()
    assert await dialled.said([dialled.answer + a_frame(b"one")], 1) == [b"one"]
    waiting = asyncio.create_task(dialled.socket.messages(16))
    await asyncio.sleep(0)
    dialled.socket.connection_lost(ConnectionResetError())
    with pytest.raises(websockets.ConnectionClosed):
        await waiting
    dialled = Dialled()
    dialled.socket.data_received(dialled.answer + a_frame(b"one"))
    dialled.socket.connection_lost(None)
    assert await dialled.socket.messages(16) == [b"one"]


async def test_a_message_over_the_limit_ends_the_connection() -> None:
    dialled = Dialled()
    assert await dialled.said([dialled.answer + a_frame(b"x" * 1000)], 1) == [b"x" * 1000]
    dialled.socket.data_received(a_frame(b"x" * 1001)[:4])  # its length is enough
    dialled.socket.connection_lost(None)
    with pytest.raises(websockets.ConnectionClosed, match="1009"):
        await dialled.socket.messages(16)


async def test_where_the_venue_compresses_the_library_reads_all_from_there_on() -> None:
    dialled, takeover = Dialled(compressed=True), (False, False)
    deflate = [PerMessageDeflate(*takeover, 15, 15)]
    stream = dialled.answer + a_frame(b"zero") + a_frame(b"one " * 100, deflate) + a_frame(b"two")
    assert await dialled.said([stream[:-3], stream[-3:]], 3) == [b"zero", b"one " * 100, b"two"]


async def test_with_too_many_unread_the_socket_is_not_read_until_most_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_socket, "MOST_WAITING", 8)
    dialled = Dialled()
    dialled.socket.data_received(dialled.answer + a_frame(b"x") * 8)
    assert dialled.wire.reading
    dialled.socket.data_received(a_frame(b"y"))
    assert not dialled.wire.reading
    assert len(await dialled.socket.messages(6)) == 6
    assert not dialled.wire.reading
    assert await dialled.socket.messages(1) == [b"x"]
    assert dialled.wire.reading
    assert await dialled.socket.messages(16) == [b"x", b"y"]


async def test_what_the_library_holds_unread_keeps_the_socket_unread_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_socket, "MOST_WAITING", 8)
    dialled = Dialled()
    fragments = a_frame(b"th", fin=False) + Frame(Opcode.CONT, b"ree").serialize(mask=False)
    dialled.socket.data_received(dialled.answer + a_frame(b"x") * 9 + fragments + a_frame(b"y") * 16)
    assert await dialled.socket.messages(16) == [b"x"] * 9
    assert not dialled.wire.reading
    assert await dialled.said([], 12) == [b"three", *[b"y"] * 11]
    assert not dialled.wire.reading
    assert await dialled.said([], 1) == [b"y"]
    assert dialled.wire.reading
