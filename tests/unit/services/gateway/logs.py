"""The logs that the gateway reads on demand, kept in memory: of a book's past and of audits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from services.gateway.reading.book_log import Chunk
from services.gateway.reading.window_log import logged

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Iterable,
        Sequence,
    )

    from libs.common.kafka import Record
    from services.gateway.reading.as_of import Row
    from services.gateway.reading.logged import Logged, Window
    from services.gateway.stream.sse import Start


class InMemoryLog:
    """A partition with one book's rows in it, and None where another book's record stands."""

    def __init__(self, rows: Iterable[tuple[int, Row | None]] = (), begin: int = 0, chunk: int = 3) -> None:
        self._records = list(rows)  # timestamp and row, from offset 0 on
        self._size = chunk
        self.begin = begin
        self.end = len(self._records)
        self.row_bytes = 0  # of each row
        self.reads: list[int] = []  # offsets
        self.held = asyncio.Event()  # a chunk comes once this is set
        self.held.set()
        self.asked = asyncio.Semaphore(0)  # released whenever a chunk is asked for

    async def offset_at(self, timestamp_ms: int) -> int:
        later = (
            offset
            for offset, (timestamp, _) in enumerate(self._records)
            if offset >= self.begin and timestamp >= timestamp_ms
        )
        return next(later, self.end)

    async def chunk(self, position: int, stop: int) -> Chunk:
        self.asked.release()
        await self.held.wait()
        assert self.begin <= position < stop <= self.end
        upto = min(position + self._size, self.end)
        self.reads += range(position, upto)
        rows = [row for _, row in self._records[position : min(upto, stop)] if row is not None]
        return Chunk(rows, upto - position, upto, self.row_bytes * len(rows))


class _Held:
    """Records that come once `held` is set, or `failure` instead."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.failure: Exception | None = None
        self.held = asyncio.Event()
        self.held.set()
        self.asked = asyncio.Semaphore(0)  # released whenever a reading begins
        self.open = 0

    async def _come(self) -> AsyncGenerator[list[Record], None]:
        self.open += 1
        self.asked.release()
        try:
            await self.held.wait()
            if self.failure is not None:
                raise self.failure
            yield self.records
        finally:
            self.open -= 1


class InMemoryAudit(_Held):
    """The audit of the executions."""

    def read(self, _partition: int, _key: bytes, _start: Start) -> AsyncGenerator[list[Record], None]:
        return self._come()


class InMemoryTopics(_Held):
    """Equity, executions and choices."""

    def __init__(self) -> None:
        super().__init__()
        self.begins: list[int] = []  # from when each reading is, ns UTC

    def read(self, begin_ts: int) -> AsyncGenerator[list[Record], None]:
        self.begins.append(begin_ts)
        return self._come()


class InMemoryWindows(_Held):
    """Topics of which stretches of time are read."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[Window] = []  # that were asked for

    async def read(self, windows: Sequence[Window]) -> list[Logged]:
        self.windows += windows
        found = [record async for batch in self._come() for record in batch]
        return [
            logged(record)
            for record in found
            if any(
                (window.topic, window.partition) == (record.topic, record.partition)
                and window.begin_ms <= record.timestamp_ms <= window.end_ms
                and window.key in (None, record.key)
                for window in windows
            )
        ]
