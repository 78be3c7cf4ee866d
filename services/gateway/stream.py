"""``/api/stream``: one shared reader per topic, a bounded backlog per client.

A shell: it runs the readers and writes to sockets. A stream of new messages never waits for its client: what
does not fit its backlog is dropped and counted. A stream of old messages (``from=``) has a reader of its own,
that waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Protocol, TypeAlias

from starlette.responses import Response

from libs.common.events import Event
from libs.common.kafka import Record, Undecodable
from services.gateway.problems import TOO_MANY, ProblemError
from services.gateway.sse import (
    KEEP_ALIVE,
    OPENED,
    Backlog,
    Frame,
    History,
    dropped,
    frame,
    json_ready,
    tombstone,
    undecodable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from starlette.types import Receive, Scope, Send

    from libs.common.topics import Topic
    from services.gateway.settings import GatewaySettings
    from services.gateway.sse import Start


class Source(Protocol):
    """What has found its place in the log and reads on from there."""

    async def poll(self) -> Sequence[Record | Undecodable]:
        """Return what has come; empty if nothing does for a while."""


OpenSource: TypeAlias = "Callable[[Sequence[Topic], Start], AbstractAsyncContextManager[Source]]"


class Client:
    """One open stream of new messages."""

    def __init__(self, topics: Collection[str], keys: Collection[bytes], backlog: Backlog) -> None:
        self.topics = topics
        self.keys = keys  # empty: all
        self.backlog = backlog
        self._woken = asyncio.Event()
        self._closed = False

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
            if data := self.backlog.take():
                yield data


class Hub:
    """All open streams and the readers that feed them."""

    def __init__(self, settings: GatewaySettings, open_source: OpenSource) -> None:
        self._settings = settings
        self._open_source = open_source
        self._clients: set[Client] = set()
        self._open = 0
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._positioned: dict[str, asyncio.Event] = {}
        self._users: Counter[str] = Counter()
        self._history = History(settings.stream_history_bytes)
        self._dropped = 0  # by clients that are gone
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def open_streams(self) -> int:
        """Streams open now."""
        return self._open

    @property
    def dropped(self) -> int:
        """Messages that found no room in a client's backlog, since the start."""
        return self._dropped + sum(client.backlog.dropped for client in self._clients)

    def stream(
        self, topics: Sequence[Topic], keys: Collection[bytes], start: Start, last_event_id: str | None
    ) -> EventStream:
        """Return the response that streams these topics.

        Raises
        ------
        ProblemError
            503 if too many streams are open.
        """
        limit = self._settings.stream_max_clients
        if self._open >= limit:
            raise ProblemError(TOO_MANY, f"{limit} streams are open, the most allowed.", retry_after_s=5)
        self._open += 1
        if start == "end" or last_event_id is not None:
            chunks = self._new_messages(topics, keys, last_event_id)
        else:
            chunks = self._old_messages(topics, keys, start)
        return EventStream(chunks, self._released, self._settings.stream_write_timeout_s)

    async def close(self) -> None:
        """End every stream and reader."""
        for client in self._clients:
            client.close()
        for task in self._readers.values():
            task.cancel()
        await asyncio.gather(*self._readers.values(), return_exceptions=True)
        self._readers.clear()

    async def _new_messages(
        self, topics: Sequence[Topic], keys: Collection[bytes], last_event_id: str | None
    ) -> AsyncGenerator[bytes, None]:
        settings = self._settings
        backlog = Backlog(settings.stream_backlog_messages, settings.stream_backlog_bytes)
        client = Client({topic.name for topic in topics}, keys, backlog)
        for topic in topics:
            self._hold(topic)
        try:
            for topic in topics:
                await self._positioned[topic.name].wait()
            missed = [] if last_event_id is None else self._history.after(last_event_id)
            self._clients.add(client)  # no await between the history and this: nothing falls between
            yield OPENED
            if missed is None:
                yield dropped(None)
            for old in missed or ():
                client.offer(old)
            async for chunk in client.chunks(settings.stream_keep_alive_s):
                yield chunk
        finally:
            self._clients.discard(client)
            self._dropped += backlog.dropped
            for topic in topics:
                self._let_go(topic)

    async def _old_messages(
        self, topics: Sequence[Topic], keys: Collection[bytes], start: Start
    ) -> AsyncGenerator[bytes, None]:
        async with self._open_source(topics, start) as source:
            yield OPENED
            clock = asyncio.get_running_loop().time
            quiet_since = clock()
            while True:
                frames = _frames(await source.poll())
                data = b"".join(new.data for new in frames if not keys or new.key in keys)
                if not data and clock() - quiet_since >= self._settings.stream_keep_alive_s:
                    data = KEEP_ALIVE
                if data:
                    yield data
                    quiet_since = clock()

    def _hold(self, topic: Topic) -> None:
        self._users[topic.name] += 1
        if topic.name not in self._readers:
            self._positioned[topic.name] = asyncio.Event()
            task = asyncio.create_task(self._read(topic), name=f"stream {topic.name}")
            task.add_done_callback(self._reader_ended)
            self._readers[topic.name] = task

    def _let_go(self, topic: Topic) -> None:
        self._users[topic.name] -= 1
        if not self._users[topic.name]:
            loop = asyncio.get_running_loop()
            loop.call_later(self._settings.stream_linger_s, self._stop_if_unused, topic.name)

    def _stop_if_unused(self, topic: str) -> None:
        if not self._users[topic] and (task := self._readers.pop(topic, None)):
            task.cancel()

    async def _read(self, topic: Topic) -> None:
        async with self._open_source([topic], "end") as source:
            self._positioned[topic.name].set()
            while True:
                for new in _frames(await source.poll()):
                    self._history.append(new)
                    for client in self._clients:
                        client.offer(new)

    def _reader_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self.failed.done():
            self.failed.set_exception(error)

    def _released(self) -> None:
        self._open -= 1


def _frames(records: Sequence[Record | Undecodable]) -> Iterator[Frame]:
    for record in records:
        match record:
            case Undecodable(key=key, reason=reason):
                body = undecodable(key, reason)
            case Record(key=key, event=None):
                body = tombstone(key)
            case Record(event=Event() as event):
                body = json_ready(event)
        yield frame(record.topic.name, record.partition, record.offset, record.key, body)


class EventStream(Response):
    """Server-sent events until the client leaves, stops reading, or the chunks end."""

    media_type = "text/event-stream"

    def __init__(
        self, chunks: AsyncGenerator[bytes, None], released: Callable[[], None], write_timeout_s: float
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})
        self._chunks = chunks
        self._released = released
        self._write_timeout_s = write_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI's signature
        """Write the chunks; leaving early, in whatever way, releases the stream."""
        writer = asyncio.create_task(self._write(send))
        watcher = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({writer, watcher}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watcher.cancel()
            writer.cancel()
            ended = await asyncio.gather(writer, watcher, return_exceptions=True)
            await self._chunks.aclose()
            self._released()
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, TimeoutError):
                raise error

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            async with asyncio.timeout(self._write_timeout_s):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
