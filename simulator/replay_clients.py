"""The sockets of a replay: bounded queues, and who follows which topic."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp import web

    from simulator.replay_venue import Answer, Delivery, ReplayVenue, Session

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


class Hub:
    """Every client, by the topics it follows."""

    def __init__(self) -> None:
        self.clients: dict[Client, None] = {}
        self._followers: dict[tuple[str, str], dict[Client, None]] = {}

    def follow(self, client: Client, answer: Answer) -> None:
        """Give `client` its answer, and from now on what its topics bring."""
        for frame in answer.frames:
            client.offer(frame)
        for topic in answer.unsubscribed:
            client.session.topics.pop(topic, None)
            self._drop(client, topic)
        for topic in answer.subscribed:
            client.session.topics[topic] = None
            self._followers.setdefault((client.venue.venue, topic), {})[client] = None

    def leave(self, client: Client) -> None:
        """Forget a client that is gone."""
        self.clients.pop(client, None)
        for topic in client.session.topics:
            self._drop(client, topic)

    def deliver(self, venue: str, delivery: Delivery) -> list[Client]:
        """Offer a frame to those it belongs to, and return them."""
        clients = list(self._followers.get((venue, delivery.topic), ()))
        for client in clients:
            client.offer(delivery.wrapped if client.session.wrapped else delivery.bare)
        return clients

    def heartbeat(self) -> None:
        """Let each subscribed client hear its venue that heard nothing since the last call."""
        for client in self.clients:
            if client.silent and client.session.topics and client.venue.heartbeat is not None:
                client.offer(client.venue.heartbeat)
            client.silent = True

    def _drop(self, client: Client, topic: str) -> None:
        followers = self._followers.get((client.venue.venue, topic), {})
        followers.pop(client, None)
        if not followers:
            self._followers.pop((client.venue.venue, topic), None)
