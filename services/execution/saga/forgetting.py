"""What ended long ago is forgotten but for its id, so that its command is not carried out twice; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from libs.common import answered
from libs.common.events import Remembered
from libs.common.handling import WakeAt
from libs.common.time_units import DAY_NS
from services.execution import refusals
from services.execution.saga.phases import Course, child_key, course_key, window_key
from services.execution.timers import Sweep, name_of

if TYPE_CHECKING:
    from libs.common.events import CommandRejected, PlanAndExecute, SubmitPaperOrder
    from libs.common.handling import State

IDS: Final = "ids"  # among what the ids of executions and orders are remembered
IDS_KEPT_NS: Final = 30 * DAY_NS  # commands themselves are kept for 7 days
PIECE: Final = 1_000  # ids, in one turn
PAUSE_NS: Final = 100_000_000  # until the next piece, which is another transaction's


class Done(Remembered, frozen=True, kw_only=True):
    """Stands for an execution or an order; its record, fills and audit stay on their topics."""

    among: str = IDS
    ts: int = msgspec.field(name="forgotten_ts")


def forget_execution(state: State[Any], execution_id: str) -> None:
    """Forget what stands beside an execution's phase."""
    course = state.get(course_key(execution_id))
    if isinstance(course, Course):
        for n in range(course.children):
            state.remove(child_key(execution_id, n))
    state.remove(course_key(execution_id))
    state.remove(window_key(execution_id))


def forget(state: State[Any], key: bytes, most: int, now: int) -> list[WakeAt]:
    """Keep the id of what stands under `key`, and of all ids the newest `most`."""
    if isinstance(state.get(key), Done):
        state.remove(key)
    elif key in state:
        answered.remember(state, key, Done(ts=now))
    answered.forget(state, IDS, most=most, at_once=PIECE)
    return _next_sweep(state, now)


def sweep(state: State[Any], now: int) -> list[WakeAt]:
    """Forget the ids that were kept for IDS_KEPT_NS, a piece of them at a time."""
    answered.forget(state, IDS, oldest_ts=now - IDS_KEPT_NS + 1, at_once=PIECE)
    return _next_sweep(state, now)


def _next_sweep(state: State[Any], now: int) -> list[WakeAt]:
    """Wish for the sweep that finds the oldest id, at the end of its day: one tick for all ids of a day."""
    oldest = next(iter(answered.memory_of(state).order(IDS).values()), None)
    if oldest is None:
        return []
    end_of_day = -(-(oldest.ts + IDS_KEPT_NS) // DAY_NS) * DAY_NS
    return [WakeAt(max(end_of_day, now + PAUSE_NS), name_of(Sweep()))]


def done_already(command: PlanAndExecute | SubmitPaperOrder, now: int) -> CommandRejected:
    """Return the answer to a command that was carried out long ago."""
    wrong = f"was carried out long ago, as {command.command_id}, and is not repeated"
    detail = f"This command {wrong}; take a new Idempotency-Key for a new one."
    return refusals.invalid(command, now, "command_id", wrong, detail)
