"""The newest executions, by id and by symbol; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.events import ExecutionRecord
from libs.common.topics import EXECUTION_RECORDS
from libs.common.views import Last, View

if TYPE_CHECKING:
    from collections.abc import Iterator

KEEP: Final = 10_000  # executions held in memory, the newest; some 5 kB each
assert EXECUTION_RECORDS.load is not None  # noqa: S101 -- the registry states it of each topic
OFFSETS: Final = EXECUTION_RECORDS.load.records  # of an execution, markers of transactions included


class RecordView(View[ExecutionRecord]):
    """A view of the executions that were written last, up to `keep`; older ones are on their topic only."""

    def __init__(self, keep: int = KEEP) -> None:
        super().__init__(EXECUTION_RECORDS)
        self._keep = keep

    def start(self, _now: int) -> Last:
        """Return the end of the log that holds as many executions, by what the registry says of each."""
        return Last(round(OFFSETS * self._keep))

    def fold(self, partition: int, offset: int, key: bytes, event: ExecutionRecord | None) -> None:
        """Apply one record; see `View.fold`."""
        self._items.pop(key, None)  # what is written goes to the end
        super().fold(partition, offset, key, event)
        if len(self._items) > self._keep:
            del self._items[next(iter(self._items))]

    def named(self, beginning: str) -> list[str]:
        """Return the ids that begin so, the whole one alone if it is there."""
        if beginning.encode() in self._items:
            return [beginning]
        return sorted(
            each.execution_id for each in self._items.values() if each.execution_id.startswith(beginning)
        )

    def newest(self, symbol: str | None) -> Iterator[ExecutionRecord]:
        """Yield the records of a symbol, or of all, the execution that began last first."""
        wanted = (r for r in self._items.values() if symbol is None or r.symbol == symbol)
        return iter(sorted(wanted, key=lambda record: record.created_ts, reverse=True))
