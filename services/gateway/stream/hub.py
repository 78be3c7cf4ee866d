"""``/api/stream``: one shared reader per topic, a bounded backlog per client.

A shell: it runs the readers and writes to sockets. A stream of new messages never waits for its client: what
does not fit its backlog is dropped and counted. One of old messages is a replay (`replays`). A reader that
cannot open is a 503 of its streams; one whose Kafka fails later ends them.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from services.gateway.http.places import Places, Room
from services.gateway.http.presence import while_there
from services.gateway.reading.sources import AWAY, unread
from services.gateway.stream.sse import KEEP_ALIVE, OPENED, Backlog, Frame, History, dropped, frames_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
    from typing import Never

    from starlette.types import Receive, Scope, Send

    from libs.common.topics import Topic
    from services.gateway.reading.sources import OpenSource
    from services.gateway.settings import GatewaySettings
    from services.gateway.stream.replays import Replays
    from services.gateway.stream.sse import Start


_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Client:
    """One open stream of new messages."""

    topics: Collection[str]
    keys: Collection[bytes]  # empty: all
    backlog: Backlog
    _woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _closed: bool = field(default=False, init=False)

    def offer(self, new: Frame) -> None:
        """Take a message that this client asked for."""
        if new.topic in self.topics and (not self.keys or new.key in self.keys):
            self.backlog.push(new.data)
            self._woken.set()

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._woken.set()

    async def chunks(self, keep_alive_s: float) -> AsyncIterator[bytes]:
        """Yield what waits, or a comment when nothing came for a while, until closed."""
        while not self._closed:
            try:
                await asyncio.wait_for(self._woken.wait(), keep_alive_s)
            except TimeoutError:
                yield KEEP_ALIVE
                continue
            self._woken.clear()
            while data := self.backlog.take():
                yield data


@dataclass(eq=False)
class Reading:
    """The reader of one topic, and whom it reads for."""

    topic: Topic
    task: asyncio.Task[Never] = field(init=False)
    clients: set[Client] = field(default_factory=set)
    since: int = 0  # the history's count when it began: of what came before, some may be missing
    linger: asyncio.TimerHandle | None = None  # ends it, unless a client comes
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # it has found its place, or has ended


class Hub:
    """All open streams and the readers that feed them."""

    def __init__(self, settings: GatewaySettings, open_source: OpenSource, replays: Replays) -> None:
        self._settings = settings
        self._open_source = open_source
        self.replays = replays
        self.places = Places.of(
            settings, "stream_max_clients", "streams", "streams are open", retry_after_s=5
        )
        self._room = Room(settings.stream_backlogs_bytes, settings.stream_backlogs_bytes_per_address)
        self._clients: set[Client] = set()
        self._readings: dict[str, Reading] = {}
        self._failing = False  # no reader has opened since one failed
        self._history = History(settings.stream_history_bytes)
        self._dropped = 0  # by clients that are gone
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def open_streams(self) -> int:
        """Streams open now, of new messages and of old ones."""
        return self.places.taken.total + self.replays.places.taken.total

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait for slow clients now."""
        return self._room.waiting.total

    @property
    def dropped(self) -> int:
        """Messages that found no room in a client's backlog, since the start."""
        return self._dropped + sum(client.backlog.dropped for client in self._clients)

    def stream(
        self,
        topics: Sequence[Topic],
        keys: Collection[bytes],
        start: Start,
        last_event_id: str | None,
        address: str,
    ) -> EventStream:
        """Return the response that streams these topics to this address.

        Raises
        ------
        ProblemError
            503 if too many streams are open, 429 if this address has its share of them.
        """
        if start != "end" and last_event_id is None:
            places = self.replays.places
            chunks = self.replays.chunks(topics, keys, start, lambda error: self._tell(topics, error))
        else:
            places, most = self.places, self._settings.stream_backlog_messages
            backlog = Backlog(most, self._settings.stream_backlog_bytes, self._room, address)
            client = Client({topic.name for topic in topics}, keys, backlog)
            chunks = self._new_messages(topics, client, start, last_event_id)
        places.take(address)
        return EventStream(chunks, lambda: places.give_back(address))

    async def close(self) -> None:
        """End every stream and reader."""
        for client in self._clients:
            client.close()
        tasks = [reading.task for reading in self._readings.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _new_messages(
        self, topics: Sequence[Topic], client: Client, start: Start, last_event_id: str | None
    ) -> AsyncGenerator[bytes, None]:
        readings = [self._hold(topic, client) for topic in topics]
        try:
            for reading in readings:
                await reading.settled.wait()
            if any(reading.task.done() for reading in readings):
                raise unread(topics)
            missed = self._missed(readings, start, last_event_id)
            self._clients.add(client)  # nothing comes between what is missed and what is new: no await
            for old in missed or ():
                client.offer(old)
            yield OPENED
            if missed is None:
                yield dropped(None)
            async for chunk in client.chunks(self._settings.stream_keep_alive_s):
                yield chunk
        finally:
            self._clients.discard(client)
            self._dropped += client.backlog.dropped
            client.backlog.clear()
            for reading in readings:
                self._let_go(reading, client)

    def _missed(
        self, readings: Sequence[Reading], start: Start, last_event_id: str | None
    ) -> Sequence[Frame] | None:
        """Return what came after an id, None if nobody knows."""
        if last_event_id is None:
            return ()
        if start != "end":  # read at its own pace: the id tells nothing of the other partitions
            return None
        return self._history.after(last_event_id, max(reading.since for reading in readings))

    def _hold(self, topic: Topic, client: Client) -> Reading:
        reading = self._readings.get(topic.name)
        if reading is None:
            reading = self._readings[topic.name] = Reading(topic)
            reading.task = asyncio.create_task(self._read(reading), name=f"stream {topic.name}")
            reading.task.add_done_callback(lambda _: self._ended(reading))
        if reading.linger is not None:
            reading.linger.cancel()
        reading.clients.add(client)
        return reading

    def _let_go(self, reading: Reading, client: Client) -> None:
        reading.clients.remove(client)
        if not reading.clients:
            loop = asyncio.get_running_loop()
            reading.linger = loop.call_later(self._settings.stream_linger_s, self._stop, reading)

    def _stop(self, reading: Reading) -> None:
        self._forget(reading)
        reading.task.cancel()

    async def _read(self, reading: Reading) -> Never:
        async with self._open_source([reading.topic], "end") as source:
            self._tell([reading.topic], None)
            reading.since = self._history.count
            reading.settled.set()
            while True:
                for new in frames_of(await source.poll()):
                    self._history.append(new)
                    for client in self._clients:
                        client.offer(new)
                await asyncio.sleep(0)  # what is there already lets nobody else run

    def _ended(self, reading: Reading) -> None:
        self._forget(reading)
        reading.settled.set()
        for client in reading.clients:
            client.close()
        error = None if reading.task.cancelled() else reading.task.exception()
        if isinstance(error, AWAY):
            self._tell([reading.topic], error)
        elif error is not None and not self.failed.done():
            self.failed.set_exception(error)

    def _forget(self, reading: Reading) -> None:
        if self._readings.get(reading.topic.name) is reading:  # else its successor reads already
            del self._readings[reading.topic.name]

    def _tell(self, topics: Sequence[Topic], error: Exception | None) -> None:
        if error is not None and not self._failing:  # else every try to open a stream would write a line
            facts = {"topics": [topic.name for topic in topics], "reason": str(error) or type(error).__name__}
            _log.warning("stream_failed", extra=facts)
        self._failing = error is not None


class EventStream(Response):
    """Server-sent events until the client leaves, is cut as it takes nothing, or the chunks end."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes, None], released: Callable[[], None]) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})
        self._chunks = chunks
        self._released = released

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI's signature
        """Write the chunks; leaving early, in whatever way, releases the stream.

        Raises
        ------
        ProblemError
            503 if the stream cannot open; nothing is sent then.
        """
        try:
            with suppress(ClientDisconnect):
                await while_there(receive, self._write(send))
        finally:
            await self._chunks.aclose()
            self._released()

    async def _write(self, send: Send) -> None:
        first = await anext(self._chunks)  # before the headers: a stream that cannot open is a problem
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
