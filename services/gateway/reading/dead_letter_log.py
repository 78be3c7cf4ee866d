"""`DeadLetterLog`: the newest dead letters, read within bounds and kept for a moment; a shell."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from heapq import nlargest
from typing import TYPE_CHECKING, Final, TypeAlias

from aiokafka.errors import KafkaError

from libs.common.kafka import MissingTopicError, Pace, read
from libs.common.topics import DEAD_LETTERS
from libs.common.views import Last
from services.gateway.reading.dead_letters import letter_of
from services.gateway.reading.logged import record_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from libs.common.kafka import Record, Undecodable
    from services.gateway.reading.dead_letters import DeadLetter
    from services.gateway.settings import GatewaySettings

MOST: Final = 20  # told
OF_PARTITION: Final = 10  # read of each, where all that are told may stand in one or two
MOST_BYTES: Final = 16 * 1024 * 1024  # read; a letter may have 8 MiB
FRESH_S: Final = 5.0  # for which what was read is told again
PATIENCE_S: Final = 4.0
PACE: Final = Pace(1024 * 1024, 32)

ReadLetters: TypeAlias = "Callable[[], AsyncGenerator[list[Record], None]]"
"""Reads the last letters, up to the end of their log."""


def read_letters(settings: GatewaySettings) -> AsyncGenerator[list[Record], None]:
    """Read the last `OF_PARTITION` letters of each partition."""
    start = {DEAD_LETTERS.name: Last(OF_PARTITION * settings.topic_partitions)}
    return read(settings, [DEAD_LETTERS], on_undecodable=_leave, start=start, stop_at_end=True, pace=PACE)


async def _leave(_undecodable: Undecodable) -> None:
    """Leave out what another program wrote there, and is too large to be read."""


@dataclass(eq=False)
class DeadLetterLog:
    """Reads ``dead-letters.v1``; who asks at once shares one reading."""

    read: ReadLetters
    stopwatch: Callable[[], float] = time.monotonic  # s
    _newest: tuple[DeadLetter, ...] = ()
    _read_at: float | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def newest(self) -> tuple[tuple[DeadLetter, ...], str]:
        """Return the newest letters, the newest first, and why they are those of before, if they are."""
        async with self._one:
            if self._read_at is not None and self.stopwatch() - self._read_at < FRESH_S:
                return self._newest, ""
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self._newest = await self._found()
            except TimeoutError:
                return self._newest, f"Kafka did not give the dead letters within {PATIENCE_S:g} s"
            except (KafkaError, MissingTopicError, OSError) as error:
                return self._newest, f"Kafka does not give the dead letters: {type(error).__name__}"
            self._read_at = self.stopwatch()
            return self._newest, ""

    async def _found(self) -> tuple[DeadLetter, ...]:
        found: list[DeadLetter] = []
        size = 0
        async with aclosing(self.read()) as batches:
            async for batch in batches:
                # Of one millisecond the later written is the newer: those that compare equal stay in order.
                found = nlargest(MOST, [*map(_letter, reversed(batch)), *found], key=lambda each: each.ts)
                size += sum(len(record.value or b"") for record in batch)
                if size > MOST_BYTES:
                    break
        return tuple(found)


def _letter(record: Record) -> DeadLetter:
    place = record_id(record.topic, record.partition, record.offset)
    return letter_of(place, record.timestamp_ms, record.key, record.headers)
