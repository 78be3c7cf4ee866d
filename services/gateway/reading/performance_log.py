"""`PerformanceLog`: the numbers of a stretch of time, from the log, within limits of their own; a shell.

Equity, executions and choices are read from the begin of the stretch up to the end of the log, and folded as
they come. The numbers themselves are made on a thread, so that other requests run meanwhile.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from services.gateway.http.places import Places
from services.gateway.http.problems import TOO_MANY, ProblemError
from services.gateway.http.view import encode
from services.gateway.reading.kafka_within import kafka_within

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from libs.common.events import RouterSnapshot
    from libs.common.kafka import Record
    from libs.performance.tape import Tape
    from services.gateway.http.spans import Span
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings

ReadPerformance: TypeAlias = "Callable[[int], AsyncGenerator[list[Record], None]]"
"""Reads equity, whole records and choices from a moment (ns UTC) on, up to the end of their logs now."""

SCOPE = "default"  # whose choices executions ask for


@dataclass(eq=False)
class PerformanceLog:
    """Reads what `GET /api/performance` tells."""

    settings: GatewaySettings
    views: GatewayViews
    read: ReadPerformance
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        self.places = Places.of(
            self.settings, "performance_max_reads", "performances", "performances are being read"
        )

    async def body(self, span: Span, address: str) -> bytes:
        """Return the JSON of what trading earned and cost in a stretch of time.

        Raises
        ------
        ProblemError
            503 if too many are being read, Kafka is away, or the reading takes too long or too many bytes;
            429 if this address has its share of readings.
        """
        with self.places.held(address):
            tape = await asyncio.to_thread(_tape_of, span)
            await self._fill(tape, span)
            tape.take(self._snapshot())
            return await asyncio.to_thread(_told, tape)

    async def _fill(self, tape: Tape, span: Span) -> None:
        seconds = self.settings.performance_timeout_s
        late = f"The log was not read within {seconds:g} s: ask for less time."
        async with kafka_within(seconds, ProblemError(TOO_MANY, late, retry_after_s=60)):
            await self._read(tape, span)

    async def _read(self, tape: Tape, span: Span) -> None:
        most, size = self.settings.performance_max_bytes, 0
        async with aclosing(self.read(span.begin_ts)) as batches:
            async for batch in batches:
                for record in batch:
                    size += len(record.value or b"")
                    tape.take(record.event)
                if size > most:
                    detail = f"The time needs more than {most} bytes (PERFORMANCE_MAX_BYTES) of the log"
                    raise ProblemError(TOO_MANY, f"{detail}: ask for less.", retry_after_s=60)
                await asyncio.sleep(0)

    def _snapshot(self) -> RouterSnapshot | None:
        return self.views.router_snapshots.items.get(SCOPE.encode())


def _tape_of(span: Span) -> Tape:
    from libs.performance.tape import Tape  # noqa: PLC0415 -- numpy, which takes long, and who asks may wait

    return Tape(span.begin_ts, span.end_ts, scope=SCOPE)


def _told(tape: Tape) -> bytes:
    from libs.performance.measure import performance_of  # noqa: PLC0415 -- likewise

    return encode(performance_of(tape))
