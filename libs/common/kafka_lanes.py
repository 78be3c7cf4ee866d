"""Streams to Kafka: each partition has a lane, in which records wait and go out as whole batches.

A record costs its encoding and a place in a batch, but no task and no future of its own, and it waits as
bytes. What came within `TURN_S` leaves together, in one request for all lanes: a request costs as much CPU
here and at the broker as dozens of records do. A lane has one batch on its way, and makes the next one of
all that came meanwhile: at once if more than a batch holds, else with the next turn. No lane waits for
another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from libs.common.codec import encode
from libs.common.dead_letters import dead_letter
from libs.common.kafka import STOP_S, Publisher, UnsentError, partition_of
from libs.common.message_sizes import TooLargeError, check_size
from libs.common.time_units import NS_PER_MS
from libs.common.topics import DEAD_LETTERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from libs.common.cloudevents import Headers
    from libs.common.events import Event
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic


TURN_S: Final = 0.02  # from the first record that waits until all that wait leave
_log = logging.getLogger(__name__)

_Waiting: TypeAlias = "tuple[int, bytes, bytes | None, int, Headers]"
"""When it was posted (ns UTC), key, value, timestamp (ms UTC), headers."""


@dataclass(slots=True)
class _Lane:
    topic: str
    partition: int
    records: deque[_Waiting] = field(default_factory=deque)  # not acknowledged, oldest first
    serving: asyncio.Task[None] | None = None


class StreamPublisher(Publisher):
    """A `Publisher` that also takes records without waiting, in order per partition.

    Parameters
    ----------
    topics
        Those posted to; they exist already.
    most_waiting
        Records without acknowledgement that make it `full`; then callers owe it to wait for `room`.
    """

    def __init__(
        self, settings: ServiceSettings, topics: Sequence[Topic], most_waiting: int, *, compress: bool = True
    ) -> None:
        super().__init__(settings, compress=compress)
        self.waiting = 0
        self.too_large = 0  # records that were refused, and kept as dead letters
        self._most_waiting = most_waiting
        self._topics = (*topics, DEAD_LETTERS)
        self._lanes: dict[str, list[_Lane]] = {}  # by topic; one a partition
        self._room = asyncio.Event()
        self._room.set()
        self._turn: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            for topic in self._topics:
                count = len(await self._producer.partitions_for(topic.name))
                self._lanes[topic.name] = [_Lane(topic.name, number) for number in range(count)]
        except BaseException as error:
            await super().__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for what is under way, unless the context failed: then nothing more may be said."""
        if error is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._empty()
        for task in (serving := self._serving()):
            task.cancel()
        if serving:
            await asyncio.wait(serving)
        self._end_turn()
        await super().__aexit__(kind, error, traceback)
        if self.waiting and error is None:
            raise UnsentError(f"{self.waiting} records were not acknowledged in {STOP_S} s")

    def post(self, topic: Topic, key: bytes, event: Event | None, ts: int) -> None:
        """Put a record into its lane; None is a tombstone. `ts` (ns UTC) is the event's own time.

        One that its topic does not take is refused by itself: told, counted, and kept as a dead letter.
        """
        value = None if event is None else encode(event)
        try:
            check_size(topic, key, value)
        except TooLargeError as error:
            self.too_large += 1
            _log.error("message_too_large", extra={"topic": topic.name, "reason": str(error)})
            self.post_dead_letter(key, value or b"", str(error), topic.name, ts)
        else:
            self._put(topic.name, key, value, ts // NS_PER_MS, ())

    def post_dead_letter(self, key: bytes, raw: bytes, reason: str, source: str, ts: int) -> None:
        """Put bytes that are no message into the lane of the dead letters; see `Publisher.dead_letter`."""
        letter_key, value, headers = dead_letter(key, raw, reason, source)
        self._put(DEAD_LETTERS.name, letter_key, value, ts // NS_PER_MS, headers)

    @property
    def full(self) -> bool:
        """Whether callers should wait for `room`."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until half of what may wait has left."""
        await self._room.wait()

    async def flush(self) -> None:
        """Wait until all records handed over are acknowledged or failed."""
        await self._empty()
        await super().flush()

    def lag_ns(self, now: int) -> int:
        """Return the age (ns) of the oldest record that Kafka has not acknowledged, 0 without any."""
        posted = [lane.records[0][0] for lanes in self._lanes.values() for lane in lanes if lane.records]
        return max(0, now - min(posted)) if posted else 0

    async def _empty(self) -> None:
        """Let all lanes go, until they are empty or one failed."""
        self._send_waiting()
        while serving := self._serving():
            await asyncio.wait(serving)
            self._send_waiting()

    def _serving(self) -> list[asyncio.Task[None]]:
        return [lane.serving for lanes in self._lanes.values() for lane in lanes if lane.serving]

    def _put(self, topic: str, key: bytes, value: bytes | None, timestamp_ms: int, headers: Headers) -> None:
        lanes = self._lanes[topic]
        lane = lanes[partition_of(key, len(lanes))]
        lane.records.append((time.time_ns(), key, value, timestamp_ms, headers))
        self.sent += 1
        self.waiting += 1
        if self.waiting >= self._most_waiting:
            self._room.clear()
            self._send_waiting()
        elif self._turn is None and lane.serving is None:
            self._begin_turn()

    def _begin_turn(self) -> None:
        self._turn = asyncio.get_running_loop().call_later(TURN_S, self._send_waiting)

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _send_waiting(self) -> None:
        """Let every lane go in which records wait, and which has none on its way."""
        self._end_turn()
        if self._failure is not None:
            return
        for lanes in self._lanes.values():
            for lane in lanes:
                if lane.records and lane.serving is None:
                    lane.serving = asyncio.get_running_loop().create_task(self._serve(lane))
                    lane.serving.add_done_callback(self._served)

    async def _serve(self, lane: _Lane) -> None:
        """Send what waits, batch after batch while more waits than one holds, unless a batch fails."""
        try:
            while await self._send_batch(lane) and self._failure is None:
                pass
        finally:
            lane.serving = None
        if lane.records and self._turn is None:
            self._begin_turn()

    async def _send_batch(self, lane: _Lane) -> bool:
        """Send a batch; return whether more waited than it holds, or nobody may wait for a turn."""
        batch = self._producer.create_batch()
        count = 0
        for _, key, value, timestamp_ms, headers in lane.records:
            if batch.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers)) is None:
                break  # it is full
            count += 1
        batch.close()
        is_full = count < len(lane.records)
        await (await self._producer.send_batch(batch, lane.topic, partition=lane.partition))
        for _ in range(count):
            lane.records.popleft()
        self.acked += count
        self.waiting -= count
        if self.waiting <= self._most_waiting // 2:
            self._room.set()
        return bool(lane.records) and (is_full or self.full)

    def _served(self, serving: asyncio.Task[None]) -> None:
        error = None if serving.cancelled() else serving.exception()
        if error is not None and self._failure is None:
            self._failure = error
            if not self.failed.done():
                self.failed.set_exception(error)
                self.failed.exception()  # raised by __aexit__ too: unawaited, it needs no second complaint
