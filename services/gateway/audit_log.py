"""The audit entries of one execution, read from their partition; a shell."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from libs.common.events import AuditEntry
from libs.common.kafka import partition_of, read
from libs.common.topics import EXECUTION_AUDIT

if TYPE_CHECKING:
    from libs.common.kafka import Undecodable
    from services.gateway.settings import GatewaySettings


class AuditLog:
    """Reads ``execution.audit.v1``."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings

    async def entries(self, execution_id: str, since_ts: int | None) -> list[AuditEntry]:
        """Return what is written of an execution that began at `since_ts` (ns UTC; None: nobody knows)."""
        key = execution_id.encode()
        partition = partition_of(key, self._settings.topic_partitions)
        found: list[AuditEntry] = []
        batches = read(
            self._settings,
            [EXECUTION_AUDIT],
            on_undecodable=_leave,
            start="beginning" if since_ts is None else since_ts,
            partitions={partition},
            stop_at_end=True,
        )
        async with aclosing(batches):
            async for batch in batches:
                events = (record.event for record in batch if record.key == key)
                found += (event for event in events if isinstance(event, AuditEntry))
        return found


async def _leave(_undecodable: Undecodable) -> None:
    """Leave a hole, which the chain shows."""
