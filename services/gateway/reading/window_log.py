"""Records of topics that stand in stretches of time: found by time, read in those stretches only; a shell.

A consumer that belongs to no group. Of each stretch it reads from the first offset with its begin, by Kafka's
index of times, up to the first one behind its end; what has another key is not decoded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from aiokafka import TopicPartition

from libs.common.kafka import Record
from libs.common.kafka_reader import decoded
from libs.common.kafka_security import stop_consumer
from services.gateway.http.problems import TOO_MANY, ProblemError
from services.gateway.reading.log_consumer import log_consumer
from services.gateway.reading.logged import Logged, record_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any

    from aiokafka import AIOKafkaConsumer

    from services.gateway.reading.logged import Window
    from services.gateway.settings import GatewaySettings

POLL_MS: Final = 50
PIECE: Final = 64  # records between two chances for other requests
FETCH_BYTES: Final = 1024 * 1024


ReadWindows: TypeAlias = "Callable[[Sequence[Window]], Awaitable[list[Logged]]]"
"""Reads what stands in these stretches."""


def logged(record: Record) -> Logged:
    """Return a record as the pure parts know it."""
    topic = record.topic
    key = record.key.decode(errors="replace")
    return Logged(record_id(topic, record.partition, record.offset), topic.name, key, record.event)


def _place(window: Window) -> TopicPartition:
    return TopicPartition(window.topic.name, window.partition)


async def read_windows(settings: GatewaySettings, windows: Sequence[Window]) -> list[Logged]:
    """Return what stands in any of these stretches and can be decoded, each record once.

    Raises
    ------
    ProblemError
        503 if it is more than LINEAGE_MAX_BYTES.
    KafkaError
        If Kafka does not let them be read.
    """
    consumer = log_consumer(settings, FETCH_BYTES)
    try:
        await consumer.start()
        reading = _Reading(consumer, settings.lineage_max_bytes)
        waiting = list(windows)
        while waiting:
            now, later = _one_a_partition(waiting)
            await reading.read(now)
            waiting = later
        return [logged(record) for record in reading.found.values()]
    finally:
        await stop_consumer(consumer)


def _one_a_partition(windows: Sequence[Window]) -> tuple[dict[TopicPartition, Window], list[Window]]:
    """Return the first window of each partition, and the others."""
    first: dict[TopicPartition, Window] = {}
    others = [window for window in windows if first.setdefault(_place(window), window) is not window]
    return first, others


class _Reading:
    def __init__(self, consumer: AIOKafkaConsumer, most: int) -> None:
        self.found: dict[tuple[str, int, int], Record] = {}
        self._consumer = consumer
        self._most = most
        self._size = 0

    async def read(self, windows: dict[TopicPartition, Window]) -> None:
        """Read a window of each partition, all together."""
        consumer, places = self._consumer, list(windows)
        consumer.assign(places)
        begins = await consumer.offsets_for_times({at: windows[at].begin_ms for at in places})
        behind = await consumer.offsets_for_times({at: windows[at].end_ms + 1 for at in places})
        ends = await consumer.end_offsets(places)
        left = {}
        for at in places:
            stop = ends[at] if behind[at] is None else min(ends[at], behind[at].offset)
            if begins[at] is not None and begins[at].offset < stop:
                consumer.seek(at, begins[at].offset)
                left[at] = stop
            else:
                consumer.seek(at, ends[at])
                consumer.pause(at)
        while left:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=PIECE)
            for at, raws in batches.items():
                self._take(windows[at], raws)
            for at in list(left):
                if await consumer.position(at) >= left[at]:
                    consumer.pause(at)
                    del left[at]
            await asyncio.sleep(0)

    def _take(self, window: Window, raws: Sequence[Any]) -> None:
        for raw in raws:
            self._size += len(raw.value or b"")
            if not window.begin_ms <= raw.timestamp <= window.end_ms:
                continue
            if window.key is not None and raw.key != window.key:
                continue
            record = decoded(window.topic, raw)
            if isinstance(record, Record):
                self.found[record.topic.name, record.partition, record.offset] = record
        if self._size > self._most:
            detail = f"The lineage needs more than {self._most} bytes (LINEAGE_MAX_BYTES) of the logs."
            raise ProblemError(TOO_MANY, detail, retry_after_s=60)
