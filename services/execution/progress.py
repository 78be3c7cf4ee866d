"""The end of what an execution's children have said one by one."""

from __future__ import annotations

from libs.common.events import Event


class ProgressEnded(Event, frozen=True, kw_only=True):
    """The execution's last whole record holds what the progress of this child said; the progress ends."""

    execution_id: str
    n: int | None  # place of the child, as `ExecutionProgress` has it
