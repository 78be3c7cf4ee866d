"""What ended long ago is forgotten but for its id, so that its command is not carried out twice; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from libs.common.events import CommandRejected, Event, Refusal
from libs.common.handling import WakeAt
from services.execution.refusals import refused

if TYPE_CHECKING:
    from libs.common.events import PlanAndExecute, SubmitPaperOrder
    from libs.common.handling import State

IDS_KEPT_NS: Final = 30 * 86_400_000_000_000  # commands themselves are kept for 7 days


class Done(Event, frozen=True, kw_only=True):
    """Stands for an execution or an order; its record, fills and audit stay on their topics."""

    forgotten_ts: int


def forget(state: State[Any], key: bytes, tick_key: bytes, now: int) -> list[WakeAt]:
    """Keep the id of what stands under `key`; the second time, forget that too."""
    if isinstance(state.get(key), Done):
        state.remove(key)
        return []
    state.put(key, Done(forgotten_ts=now))
    return [WakeAt(now + IDS_KEPT_NS, tick_key)]


def done_already(command: PlanAndExecute | SubmitPaperOrder, now: int) -> CommandRejected:
    """Return the answer to a command that was carried out long ago."""
    detail = (
        f"This command was carried out long ago, as {command.command_id}, and is not repeated; "
        "take a new Idempotency-Key for a new one."
    )
    return refused(command, command.symbol, Refusal.INVALID, detail, now)
