"""The logs of any topics, kept in memory, as `PastRecords` reads them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka.structs import ConsumerRecord

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence

    from libs.common.topics import Topic
    from services.gateway.reading.record_history import Raw


class InMemoryTopicLogs:
    """The records of topics by partition; an offset of which there is none was compacted away."""

    def __init__(self, piece: int = 7) -> None:
        self.records: dict[tuple[str, int], dict[int, Raw]] = {}
        self.begins: dict[tuple[str, int], int] = {}
        self.piece = piece
        self.failure: Exception | None = None
        self.held = asyncio.Event()  # a piece comes once this is set
        self.held.set()
        self.asked = asyncio.Semaphore(0)  # released whenever a piece is asked for
        self.opened: list[tuple[str, tuple[int, ...]]] = []
        self.open_now = 0
        self.reads: list[tuple[int, int]] = []  # partition and offset of every record that was given

    def append(
        self,
        topic: Topic,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
        partition: int = 0,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """Add a record at the end of a partition; return its offset."""
        log = self.records.setdefault((topic.name, partition), {})
        offset = max(log, default=self.begins.get((topic.name, partition), 0) - 1) + 1
        sizes = (len(key or b""), len(value or b""))
        log[offset] = ConsumerRecord(
            topic.name, partition, offset, timestamp_ms, 0, key, value, None, *sizes, tuple(headers)
        )
        return offset

    @asynccontextmanager
    async def open(self, topic: Topic, numbers: Collection[int]) -> AsyncIterator[_TopicLog]:
        if self.failure is not None:
            raise self.failure
        self.opened.append((topic.name, tuple(numbers)))
        self.open_now += 1
        try:
            yield _TopicLog(self, topic, numbers)
        finally:
            self.open_now -= 1


class _TopicLog:
    begins: Mapping[int, int]
    ends: Mapping[int, int]

    def __init__(self, logs: InMemoryTopicLogs, topic: Topic, numbers: Collection[int]) -> None:
        self._logs = logs
        self._of = {number: logs.records.get((topic.name, number), {}) for number in numbers}
        self.begins = {number: logs.begins.get((topic.name, number), 0) for number in numbers}
        self.ends = {n: max(log, default=self.begins[n] - 1) + 1 for n, log in self._of.items()}

    async def offsets_at(self, timestamp_ms: int) -> Mapping[int, int]:
        return {
            number: next((o for o, raw in log.items() if raw.timestamp >= timestamp_ms), self.ends[number])
            for number, log in self._of.items()
        }

    async def read(self, ranges: Mapping[int, range]) -> AsyncGenerator[Sequence[Raw], None]:
        for number, offsets in ranges.items():
            assert self.begins[number] <= offsets.start < offsets.stop <= self.ends[number]
            found = [self._of[number][offset] for offset in offsets if offset in self._of[number]]
            for first in range(0, len(found), self._logs.piece):
                self._logs.asked.release()
                await self._logs.held.wait()
                piece = found[first : first + self._logs.piece]
                self._logs.reads += [(raw.partition, raw.offset) for raw in piece]
                yield piece
