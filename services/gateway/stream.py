"""``/api/stream``: one shared reader per topic, a bounded backlog per client.

A shell: it runs the readers and writes to sockets. A stream of new messages never waits for its client: what
does not fit its backlog is dropped and counted. A stream of old messages (``from=``) has a reader of its own,
that waits. A reader that cannot open is a 503 of its streams; one whose Kafka fails later ends them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from aiokafka.errors import KafkaError
from starlette.responses import Response

from libs.common.events import Event
from libs.common.kafka import MissingTopicError, Record, Undecodable
from services.gateway.problems import TOO_MANY, ProblemError, not_ready
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
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Collection,
        Iterator,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager
    from typing import Never

    from starlette.types import Receive, Scope, Send

    from libs.common.topics import Topic
    from services.gateway.settings import GatewaySettings
    from services.gateway.sse import Start


AWAY: Final = (KafkaError, MissingTopicError, OSError)  # of Kafka; a TimeoutError is an OSError

_log = logging.getLogger(__name__)


class Source(Protocol):
    """What has found its place in the log and reads on from there."""

    async def poll(self) -> Sequence[Record | Undecodable]:
        """Return what has come; empty if nothing does for a while."""

    def held_up(self, topic: Topic) -> Mapping[int, str]:
        """Return what to say of each partition that stands."""


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


class Reading:
    """The reader of one topic, and whom it reads for."""

    task: asyncio.Task[Never]

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.clients: set[Client] = set()
        self.since = 0  # the history's count when it began: of what came before, some may be missing
        self.linger: asyncio.TimerHandle | None = None  # ends it, unless a client comes
        self.settled = asyncio.Event()  # it has found its place, or has ended


class Hub:
    """All open streams and the readers that feed them."""

    def __init__(self, settings: GatewaySettings, open_source: OpenSource) -> None:
        self._settings = settings
        self._open_source = open_source
        self._clients: set[Client] = set()
        self._open = 0
        self._readings: dict[str, Reading] = {}
        self._failing = False  # no reader has opened since one failed
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
            chunks = self._new_messages(topics, keys, start, last_event_id)
        else:
            chunks = self._old_messages(topics, keys, start)
        return EventStream(chunks, self._released, self._settings.write_timeout_s)

    async def close(self) -> None:
        """End every stream and reader."""
        for client in self._clients:
            client.close()
        tasks = [reading.task for reading in self._readings.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _new_messages(
        self, topics: Sequence[Topic], keys: Collection[bytes], start: Start, last_event_id: str | None
    ) -> AsyncGenerator[bytes, None]:
        settings = self._settings
        backlog = Backlog(settings.stream_backlog_messages, settings.stream_backlog_bytes)
        client = Client({topic.name for topic in topics}, keys, backlog)
        readings = [self._hold(topic, client) for topic in topics]
        try:
            for reading in readings:
                await reading.settled.wait()
            if any(reading.task.done() for reading in readings):
                raise _unread(topics)
            missed = self._missed(readings, start, last_event_id)
            self._clients.add(client)  # nothing comes between what is missed and what is new: no await
            for old in missed or ():
                client.offer(old)
            yield OPENED
            if missed is None:
                yield dropped(None)
            async for chunk in client.chunks(settings.stream_keep_alive_s):
                yield chunk
        finally:
            self._clients.discard(client)
            self._dropped += backlog.dropped
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

    async def _old_messages(
        self, topics: Sequence[Topic], keys: Collection[bytes], start: Start
    ) -> AsyncGenerator[bytes, None]:
        opened = False
        try:
            async with self._open_source(topics, start) as source:
                opened = True
                self._failing = False
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
        except AWAY as error:
            self._tell(topics, error)
            if not opened:
                raise _unread(topics) from error

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
            self._failing = False
            reading.since = self._history.count
            reading.settled.set()
            while True:
                for new in _frames(await source.poll()):
                    self._history.append(new)
                    for client in self._clients:
                        client.offer(new)

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

    def _tell(self, topics: Sequence[Topic], error: Exception) -> None:
        if not self._failing:  # else every try to open a stream would write a line
            facts = {"topics": [topic.name for topic in topics], "reason": str(error) or type(error).__name__}
            _log.warning("stream_failed", extra=facts)
        self._failing = True

    def _released(self) -> None:
        self._open -= 1


def _unread(topics: Sequence[Topic]) -> ProblemError:
    return not_ready(f"Kafka does not let {', '.join(topic.name for topic in topics)} be read now.")


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
        """Write the chunks; leaving early, in whatever way, releases the stream.

        Raises
        ------
        ProblemError
            503 if the stream cannot open; nothing is sent then.
        """
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
        chunk = await anext(self._chunks)  # before the headers: a stream that cannot open is a problem
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while chunk:
            async with asyncio.timeout(self._write_timeout_s):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await anext(self._chunks, b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
