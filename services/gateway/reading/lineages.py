"""`Lineages`: reads an execution's audit, then the stretches of the logs in which it was told; a shell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from libs.common.kafka import partition_of
from services.gateway.http.problems import not_ready
from services.gateway.http.view import encode
from services.gateway.reading.audit_log import unknown
from services.gateway.reading.kafka_within import kafka_within
from services.gateway.reading.lineage import Lineage
from services.gateway.reading.logged import record_id
from services.gateway.reading.window_log import logged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from libs.common.events import ExecutionRecord
    from libs.common.kafka import Record
    from services.gateway.http.places import Places
    from services.gateway.reading.audit_log import AuditLog
    from services.gateway.reading.logged import Logged
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.reading.window_log import ReadWindows
    from services.gateway.settings import GatewaySettings


@dataclass(eq=False)
class Lineages:
    """The answers of `GET /api/exec/{executionId}/lineage`."""

    settings: GatewaySettings
    views: GatewayViews
    audit_log: AuditLog
    read: ReadWindows
    places: Places

    async def body(self, execution_id: str, address: str) -> bytes:
        """Return the JSON of an execution's lineage, as far as it has come.

        Raises
        ------
        ProblemError
            404 if nothing is written of it; 503 if Kafka is away, the reading takes too long or too many
            bytes, or too many ask; 429 if this address has its share.
        """
        key, view = execution_id.encode(), self.views.records
        record, place = view.items.get(key), view.place(key)
        own_id = "" if place is None else record_id(view.topic, place.partition, place.offset)
        with self.places.held(address):
            since_ts = None if record is None else record.created_ts
            chain = await self.audit_log.records(execution_id, since_ts, _whole(record))
            if not chain:
                raise unknown(execution_id)
            lineage = Lineage(execution_id, [logged(each) for each in chain], record, own_id)
            lineage.take(await self._found(lineage))
            return encode(lineage.answer())

    async def _found(self, lineage: Lineage) -> list[Logged]:
        seconds, partitions = self.settings.lineage_timeout_s, self.settings.topic_partitions
        windows = lineage.windows(partition_of(lineage.symbol.encode(), partitions))
        async with kafka_within(seconds, not_ready(f"Kafka did not give the lineage within {seconds:g} s.")):
            return await self.read(windows)


def _whole(record: ExecutionRecord | None) -> Callable[[Sequence[Record]], bool] | None:
    """Return what tells that all entries are there which the record knows of; None: nobody knows how many."""
    if record is None:
        return None
    entries = record.audit.entries
    return lambda found: len(found) >= entries
