"""The logs that a moment's state is read from, kept in memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from libs.common.codec import encode
from services.gateway.reading.lookups import Raw
from services.gateway.reading.moment_log import Span, Spot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence

    from libs.common.events import Event
    from libs.common.topics import Topic
    from services.gateway.reading.moment_log import Slot


class InMemoryMoments:
    """The logs of all topics, that a moment's state is read from; offsets may have holes."""

    def __init__(self, chunk: int = 3) -> None:
        self.logs: defaultdict[Slot, list[Raw]] = defaultdict(list)
        self.begins: dict[Slot, int] = {}
        self.failure: Exception | None = None
        self.reads: list[tuple[Slot, int]] = []
        self.held = asyncio.Event()
        self.held.set()
        self.asked = asyncio.Semaphore(0)
        self._size = chunk

    def append(
        self,
        topic: Topic,
        partition: int,
        key: bytes,
        event: Event | bytes | None,
        ms: int,
        offset: int | None = None,
    ) -> Raw:
        log = self.logs[topic.name, partition]
        value = event if event is None or isinstance(event, bytes) else encode(event)
        raw = Raw(self._end((topic.name, partition)) if offset is None else offset, ms, key, value)
        log.append(raw)
        return raw

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[tuple[InMemoryMoments, InMemoryMoments]]:
        self.asked.release()
        await self.held.wait()
        if self.failure is not None:
            raise self.failure
        yield self, self

    async def edges(self, slots: Collection[Slot]) -> Mapping[Slot, Span]:
        return {slot: Span(self.begins.get(slot, 0), self._end(slot)) for slot in slots}

    async def spots(self, times: Mapping[Slot, int]) -> Mapping[Slot, Spot | None]:
        return {slot: self._spot(slot, ms) for slot, ms in times.items()}

    async def read(
        self, spans: Mapping[Slot, Span], enough: Callable[[Slot], bool] | None = None
    ) -> AsyncGenerator[tuple[Slot, Sequence[Raw]], None]:
        for slot, span in spans.items():
            assert self.begins.get(slot, 0) <= span.first <= span.stop <= self._end(slot)
            raws = [raw for raw in self._kept(slot) if span.first <= raw.offset < span.stop]
            for at in range(0, len(raws), self._size):
                piece = raws[at : at + self._size]
                self.reads += [(slot, raw.offset) for raw in piece]
                yield slot, piece
                await asyncio.sleep(0)
                if enough is not None and enough(slot):
                    break

    def _kept(self, slot: Slot) -> list[Raw]:
        return [raw for raw in self.logs[slot] if raw.offset >= self.begins.get(slot, 0)]

    def _end(self, slot: Slot) -> int:
        return self.logs[slot][-1].offset + 1 if self.logs[slot] else 0

    def _spot(self, slot: Slot, ms: int) -> Spot | None:
        found = (Spot(raw.offset, raw.timestamp_ms) for raw in self._kept(slot) if raw.timestamp_ms >= ms)
        return next(found, None)
