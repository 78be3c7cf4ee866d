"""`FrameSocket`: a WebSocket client whose plain frames are taken out of its bytes by `plain_frames.py`.

The library (websockets) shakes hands, answers pings, closes, and from the first frame on that is not plain,
such as a compressed one, it reads all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from websockets import ClientConnection, State

from services.l2.plain_frames import PlainFrames

MOST_WAITING: Final = 1024  # messages; with more unread, the socket is not read, and the exchange feels it
_HEAD_ENDS: Final = b"\r\n\r\n"


class FrameSocket(ClientConnection):
    """Counts what comes, whether or not it is a whole message yet.

    Attributes
    ----------
    most_bytes
        The largest message that is accepted; a subclass says it.
    received
        Bytes so far.
    told
        Of them, those of messages that were read, and those that were reported.
    """

    most_bytes = 0
    received = 0
    told = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to shake hands."""
        super().connection_made(transport)
        self._plain = PlainFrames(self.most_bytes)
        self._head: bytes | None = b""  # the end of what came of the handshake; None once it is over
        self._waiting: deque[bytes] = deque()
        self._paused = False
        self._came: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Keep the messages that are whole, and give the library the rest."""
        self.received += len(data)
        if self._head is not None:
            data = self._shake_hands(self._head, data)
        messages, others = self._plain.feed(data)
        if messages:
            self._waiting += messages
            if len(self._waiting) > MOST_WAITING and not self._paused:
                self._paused = True
                self.transport.pause_reading()
        if others:
            super().data_received(others)
        if messages or self._plain.ended:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the reader know of the end."""
        self._plain.ended = True
        super().connection_lost(exc)
        self._wake()

    async def messages(self, most: int) -> list[bytes]:
        """Return those that came, at most so many; wait for one if none is there.

        Raises
        ------
        websockets.ConnectionClosed
            If the connection ended, once what came before was read.
        """
        waiting = self._waiting
        while not waiting:
            if self._plain.ended:
                return [await self.recv(decode=False)]
            self._came = asyncio.get_running_loop().create_future()
            await self._came
        taken = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        if self._paused and len(waiting) <= MOST_WAITING // 4:
            self._paused = False
            if not self.recv_messages.paused:  # else the library resumes, once it has few of its own
                self.transport.resume_reading()
        return taken

    def _wake(self) -> None:
        if self._came is not None and not self._came.done():
            self._came.set_result(None)

    def _shake_hands(self, before: bytes, data: bytes) -> bytes:
        """Give the library what belongs to the handshake; return what follows."""
        seen = before + data
        end = seen.find(_HEAD_ENDS)
        cut = len(data) if end < 0 else end + len(_HEAD_ENDS) - len(before)
        super().data_received(data[:cut])
        if end < 0:
            self._head = seen[1 - len(_HEAD_ENDS) :]
        else:
            self._head = None
            self._plain.ended = self.state is not State.OPEN
        return data[cut:]
