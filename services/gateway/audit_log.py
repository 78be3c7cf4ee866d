"""`AuditLog`: one execution's audit entries, read from their partition within limits of its own; a shell."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeAlias

from aiokafka.errors import KafkaError

from libs.common.events import AuditEntry
from libs.common.kafka import MissingTopicError, partition_of
from services.gateway.problems import TOO_MANY, ProblemError, not_ready

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from libs.common.kafka import Record
    from services.gateway.settings import GatewaySettings
    from services.gateway.sse import Start

ReadAudit: TypeAlias = "Callable[[int, Start], AsyncGenerator[list[Record], None]]"
"""Reads a partition of ``execution.audit.v1`` from a place up to the end it has now."""


class AuditLog:
    """Reads ``execution.audit.v1``."""

    def __init__(self, settings: GatewaySettings, read: ReadAudit) -> None:
        self._settings = settings
        self._read = read
        self._reading = 0

    async def entries(self, execution_id: str, since_ts: int | None) -> list[AuditEntry]:
        """Return what is written of an execution that began at `since_ts` (ns UTC; None: nobody knows).

        Raises
        ------
        ProblemError
            503 if too many are being read, Kafka is away, or the reading takes too long.
        """
        limit, seconds = self._settings.audit_max_reads, self._settings.audit_timeout_s
        if self._reading >= limit:
            raise ProblemError(TOO_MANY, f"{limit} audits are being read, the most allowed.", retry_after_s=1)
        self._reading += 1
        try:
            async with asyncio.timeout(seconds):
                return await self._found(execution_id.encode(), since_ts)
        except TimeoutError as error:
            raise not_ready(f"Kafka did not give the audit within {seconds:g} s.") from error
        except (KafkaError, MissingTopicError, OSError) as error:
            raise not_ready(f"Kafka does not answer: {type(error).__name__}.") from error
        finally:
            self._reading -= 1

    async def _found(self, key: bytes, since_ts: int | None) -> list[AuditEntry]:
        partition = partition_of(key, self._settings.topic_partitions)
        found: list[AuditEntry] = []
        async with aclosing(self._read(partition, "beginning" if since_ts is None else since_ts)) as batches:
            async for batch in batches:
                events = (record.event for record in batch if record.key == key)
                found += (event for event in events if isinstance(event, AuditEntry))
                await asyncio.sleep(0)  # a fetch that is there already lets nobody else run
        return found
