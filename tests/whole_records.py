"""Whole records of executions, from what was written of them: a whole record, or the progress of a child."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.common.events import ExecutionProgress, ExecutionRecord
from libs.common.record_view import with_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class WholeRecords:
    """The newest whole record of each execution, as its events come; none is without an earlier record."""

    def __init__(self) -> None:
        self.newest: dict[str, ExecutionRecord] = {}

    def fold(self, event: Any) -> ExecutionRecord | None:
        """Take an event; return the record it makes, None where it is of something else."""
        match event:
            case ExecutionRecord():
                record = event
            case ExecutionProgress():
                record = with_progress(self.newest[event.execution_id], event)
            case _:
                return None
        self.newest[record.execution_id] = record
        return record


def whole_records(events: Iterable[Any]) -> Iterator[ExecutionRecord]:
    """Yield the whole record after each event that changes one."""
    folded = WholeRecords()
    return (record for event in events if (record := folded.fold(event)) is not None)
