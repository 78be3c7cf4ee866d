"""`PastRecords`: one record of a topic, or the newest of a stretch, from its log, within limits; a shell."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from libs.common.kafka import partition_of
from libs.common.kafka_reader import decoded
from libs.common.topic import Key
from services.gateway.http.places import Places
from services.gateway.http.problems import TOO_MANY, ProblemError
from services.gateway.http.view import encode
from services.gateway.reading.kafka_within import kafka_within
from services.gateway.reading.logged import record_id
from services.gateway.reading.record_history import (
    Newest,
    PastRecord,
    WholeRecord,
    no_partition,
    no_record,
)
from services.gateway.stream.sse import body_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from libs.common.topics import Topic
    from services.gateway.reading.record_history import Raw, Stretch
    from services.gateway.reading.topic_log import OpenTopicLog, TopicLog
    from services.gateway.settings import GatewaySettings

TOLD: Final = 32  # records made into JSON between two chances for other requests
LEAST_WINDOW: Final = 1_000  # offsets of a partition


@dataclass(eq=False)
class PastRecords:
    """The answers of ``/api/records``."""

    settings: GatewaySettings
    open_log: OpenTopicLog
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        what = "readings of old records are under way"
        self.places = Places.of(self.settings, "records_max_reads", "records", what)

    async def record(self, topic: Topic, partition: int, offset: int, address: str) -> bytes:
        """Return the JSON of the record that stands at a place.

        Raises
        ------
        ProblemError
            404 with what is kept if none does; 503 if too many are being read, or Kafka does not give it in
            time; 429 if this address has its share of readings.
        """
        partitions = self.settings.topic_partitions
        if partition >= partitions:
            raise no_partition(topic.name, partition, partitions)
        async with self._reading(topic, {partition}, address) as log:
            begin, end = log.begins[partition], log.ends[partition]
            if begin <= offset < end:
                async with aclosing(log.read({partition: range(offset, offset + 1)})) as pieces:
                    async for raw in (raw async for piece in pieces for raw in piece):
                        return encode(WholeRecord(**_told(topic, raw), **_kept(raw)))
            raise no_record(topic.name, partition, offset, begin, end)

    async def history(self, topic: Topic, stretch: Stretch, address: str) -> bytes:
        """Return the JSON of the newest records of a stretch, the oldest of them first.

        Raises
        ------
        ProblemError
            503 if too many are being read, Kafka is away, or the reading takes too long or too many bytes;
            429 if this address has its share of readings.
        """
        numbers: Collection[int] = range(self.settings.topic_partitions)
        if stretch.key is not None and topic.key is Key.BOOK:
            numbers = {partition_of(stretch.key, len(numbers))}
        async with self._reading(topic, numbers, address) as log:
            newest = Newest(stretch)
            await self._fill(newest, log)
        told = []
        for number, raw in enumerate(newest.records()):
            told.append(encode(PastRecord(**_told(topic, raw))))
            if number % TOLD == 0:
                await asyncio.sleep(0)
        return b"[%b]" % b",".join(told)

    @asynccontextmanager
    async def _reading(self, topic: Topic, numbers: Collection[int], address: str) -> AsyncIterator[TopicLog]:
        seconds = self.settings.records_timeout_s
        late = f"The log was not read within {seconds:g} s: ask for less time."
        with self.places.held(address):
            async with (
                kafka_within(seconds, ProblemError(TOO_MANY, late, retry_after_s=1)),
                self.open_log(topic, numbers) as log,
            ):
                yield log

    async def _fill(self, newest: Newest, log: TopicLog) -> None:
        """Read windows that double, from the end of the stretch backwards, until there are enough records."""
        stretch = newest.stretch
        firsts, stops = await log.offsets_at(stretch.begin_ms), await log.offsets_at(stretch.end_ms + 1)
        left = {number: range(first, stops[number]) for number, first in firsts.items()}
        every_record_counts = stretch.key is None and stretch.every_ms is None
        count = stretch.limit if every_record_counts else max(stretch.limit, LEAST_WINDOW)
        size = 0
        while left := {n: offsets for n, offsets in left.items() if offsets and not newest.is_full(n)}:
            size = await self._read(newest, log, {n: offsets[-count:] for n, offsets in left.items()}, size)
            newest.end_window()
            left = {n: offsets[:-count] for n, offsets in left.items()}
            count *= 2

    async def _read(self, newest: Newest, log: TopicLog, ranges: Mapping[int, range], size: int) -> int:
        most, most_held = self.settings.records_max_bytes, self.settings.records_held_bytes
        async with aclosing(log.read(ranges)) as pieces:
            async for piece in pieces:
                for raw in piece:
                    size += len(raw.value or b"")
                    newest.take(raw)
                if size > most:
                    raise _too_long(f"{most} bytes of the log (RECORDS_MAX_BYTES): ask for less time")
                if newest.size > most_held:
                    raise _too_long(f"{most_held} bytes of records (RECORDS_HELD_BYTES): ask for fewer")
        return size


def _too_long(what: str) -> ProblemError:
    return ProblemError(TOO_MANY, f"This needs more than {what}.", retry_after_s=1)


def _told(topic: Topic, raw: Raw) -> dict[str, Any]:
    return {
        "topic": topic.name,
        "id": record_id(topic, raw.partition, raw.offset),
        "key": (raw.key or b"").decode(errors="replace"),
        "timestamp": raw.timestamp,
        "data": body_of(decoded(topic, raw)),
    }


def _kept(raw: Raw) -> dict[str, Any]:
    headers = {name: (value or b"").decode(errors="replace") for name, value in raw.headers}
    return {"partition": raw.partition, "offset": raw.offset, "headers": headers}
