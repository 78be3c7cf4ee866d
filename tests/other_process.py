"""What another process of the execution service has of one that ended, and what both write alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.common.codec import decode, encode
from libs.common.events import Event, LimitsUsed
from services.execution.app import wiring
from services.execution.kept import ExecutionState, Looked, kept_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.handling import State
    from services.execution.settings import ExecutionSettings


def restored(state: State[Any], settings: ExecutionSettings) -> ExecutionState:
    """Return the state as another process has it from its log, and as if that had looked at the same books.

    What looks alone have changed of what was taken of a book is in memory only, until the next fill there.
    """
    log, found = wiring(settings).state, ExecutionState()
    for key, value in state.items():
        found.restore(key, decode(log, encode(value)))
    for key, looked in kept_of(state).looked.items():
        if looked.base is state.get(key):
            found.looked[key] = Looked(looked.top, found[key], looked.impact)
    return found


def written(outputs: Iterable[object]) -> bytes:
    """Return the bytes of the events, but of counts: those a process tells when it finds them untold."""
    kept = (each for each in outputs if isinstance(each, Event) and not isinstance(each, LimitsUsed))
    return b"\n".join(map(encode, kept))
