"""The sockets of a replay, each with a bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp import web

    from simulator.replay_venue import ReplayVenue, Session

QUEUE_FRAMES: Final = 1000  # waiting for one client, before the replay waits for it


class Client:
    """One socket and the frames that wait to be written to it."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        venue: ReplayVenue,
        session: Session,
    ) -> None:
        self.socket = socket
        self._transport = transport
        self.venue = venue
        self.session = session
        self.silent = True  # nothing was offered since the last look
        self._frames: deque[str] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._gone = False

    @property
    def full(self) -> bool:
        """Whether the replay has to wait for this client."""
        return len(self._frames) >= QUEUE_FRAMES and not self._gone

    def offer(self, text: str) -> None:
        """Queue a frame; frames are written in this order, and none once the client is gone."""
        if self._gone:
            return
        self.silent = False
        self._frames.append(text)
        self._wake.set()
        if self.full:
            self._room.clear()

    async def room(self) -> None:
        """Wait until frames may be offered again, or the client is gone."""
        await self._room.wait()

    async def write(self) -> None:
        """Write what is offered, for as long as the socket lives."""
        try:
            while not self.socket.closed:
                self._wake.clear()
                while self._frames:
                    await self.socket.send_str(self._frames.popleft())
                    if not self.full:
                        self._room.set()
                await self._wake.wait()
        except ConnectionError:
            return  # the client left; the reading side ends its handler
        finally:
            self._gone = True
            self._frames.clear()
            self._room.set()

    def abort(self) -> None:
        """Cut the connection; whoever does not read would not read a farewell either."""
        if self._transport is not None:
            self._transport.abort()
