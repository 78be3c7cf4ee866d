"""`AuditLog`: one execution's audit, read from its partition and checked, within limits of its own; a shell.

Nothing is written: the entries come from the log, and the decisions are made again here, on a thread, so that
other requests run meanwhile.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from libs.common.events import AuditEntry
from libs.common.kafka import partition_of
from services.gateway.http.places import Places
from services.gateway.http.problems import TOO_MANY, UNKNOWN_NAME, ProblemError, not_ready
from services.gateway.reading.kafka_within import kafka_within

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from libs.common.events import ExecutionRecord
    from libs.common.kafka import Record
    from services.gateway.settings import GatewaySettings
    from services.gateway.stream.sse import Start

ReadAudit: TypeAlias = "Callable[[int, bytes, Start], AsyncGenerator[list[Record], None]]"
"""Reads the records of a key in a partition of ``execution.audit.v1``, from a place up to its end now."""


@dataclass(eq=False)
class AuditLog:
    """Reads ``execution.audit.v1``."""

    settings: GatewaySettings
    read: ReadAudit
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        self.places = Places.of(self.settings, "audit_max_reads", "audits", "audits are being read")

    async def checked(self, execution_id: str, record: ExecutionRecord | None, address: str) -> bytes:
        """Return the JSON of an execution's audit.

        Parameters
        ----------
        record
            Of the execution; None: nobody knows it, and the whole partition is read.

        Raises
        ------
        ProblemError
            404 if nothing is written of it; 503 if too many are being read, Kafka is away, or the reading
            takes too long or too many bytes; 429 if this address has its share of readings.
        """
        with self.places.held(address):
            found = await self.records(execution_id, None if record is None else record.created_ts)
            if not found:
                raise unknown(execution_id)
            entries = [each.event for each in found if isinstance(each.event, AuditEntry)]
            return await asyncio.to_thread(_checked, execution_id, record, entries)

    async def records(
        self,
        execution_id: str,
        since_ts: int | None,
        enough: Callable[[Sequence[Record]], bool] | None = None,
    ) -> list[Record]:
        """Return the entries of an execution in order, as they stand on their topic; none if there are none.

        Parameters
        ----------
        since_ts
            When the execution began, ns UTC; None: not known, and the whole partition is read.
        enough
            Tells of the entries found so far whether no more are wanted; None: all are, to the log's end.

        Raises
        ------
        ProblemError
            503 if Kafka is away, or the reading takes too long or too many bytes.
        """
        seconds = self.settings.audit_timeout_s
        start: Start = "beginning" if since_ts is None else since_ts
        async with kafka_within(seconds, not_ready(f"Kafka did not give the audit within {seconds:g} s.")):
            return await self._found(execution_id.encode(), start, enough)

    async def _found(
        self, key: bytes, start: Start, enough: Callable[[Sequence[Record]], bool] | None
    ) -> list[Record]:
        partition = partition_of(key, self.settings.topic_partitions)
        most, size = self.settings.audit_max_bytes, 0
        found: list[Record] = []
        async with aclosing(self.read(partition, key, start)) as batches:
            async for batch in batches:
                for record in batch:
                    if record.key == key and isinstance(record.event, AuditEntry):
                        size += len(record.value or b"")
                        found.append(record)
                if size > most:
                    raise ProblemError(
                        TOO_MANY,
                        f"The entries of this audit are over {most} bytes (AUDIT_MAX_BYTES): verify it with "
                        f"`bookrunner verify {key.decode()[:80]}`.",
                        retry_after_s=60,
                    )
                if enough is not None and enough(found):
                    break
        return found


def unknown(execution_id: str) -> ProblemError:
    """Return the problem of an execution of which nothing is written."""
    return ProblemError(UNKNOWN_NAME, f"No execution {execution_id[:80]!r} is known.")


def _checked(execution_id: str, record: ExecutionRecord | None, entries: Sequence[AuditEntry]) -> bytes:
    from services.gateway.reading.audit_check import (  # noqa: PLC0415 -- numpy, which the gateway needs for nothing else
        checked,
    )

    return checked(execution_id, record, entries)
