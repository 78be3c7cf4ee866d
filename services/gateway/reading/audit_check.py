"""An execution's audit, checked: its chain recomputed, and its decisions made again; pure.

The one place where a service imports another: making a decision again is the execution service's own code, a
pure function of what was logged, and asking the service for it would be a write for every read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.audit_chain import broken_links
from services.execution.audit.rerun import rerun
from services.gateway.http.view import encode
from services.gateway.http.views import AUDIT_ENTRY, AuditAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import AuditEntry, ExecutionRecord


def checked(execution_id: str, record: ExecutionRecord | None, entries: Sequence[AuditEntry]) -> bytes:
    """Return the JSON of the answer to who asks for this audit.

    Parameters
    ----------
    record
        Of the execution, whose head the chain must hold; None: nobody knows it.
    """
    again = rerun(entries)
    problems = (*broken_links(entries), *_behind(entries, record), *again.differences)
    answer = AuditAnswer(
        execution_id=execution_id,
        verified=not problems,
        problems=problems,
        decisions=again.decisions,
        other_versions=again.others,
        entries=tuple(map(AUDIT_ENTRY, entries)),
    )
    return encode(answer)


def _behind(entries: Sequence[AuditEntry], record: ExecutionRecord | None) -> list[str]:
    """Say if the chain does not hold the head that the record names; it may be ahead of the view."""
    if record is None or any(entry.hash == record.audit.head for entry in entries):
        return []
    return [f"the chain does not hold the head {record.audit.head} that the record names"]
