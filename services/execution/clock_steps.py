"""What executions have scheduled, moved as the clock is set; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from services.execution.saga import Saga

if TYPE_CHECKING:
    from libs.common.handling import State


def step_clock(state: State[Any], by_ns: int) -> None:
    """Move the slices and horizons of all executions by so many ns; what was planned stays as it was told."""
    for key, saga in list(state.items()):
        if isinstance(saga, Saga):
            slices = tuple(replace(piece, at_ts=piece.at_ts + by_ns) for piece in saga.slices)
            horizon_ts = saga.horizon_ts + by_ns if saga.horizon_ts else 0
            moved = replace(saga, slices=slices, horizon_ts=horizon_ts, stepped_ns=saga.stepped_ns + by_ns)
            state.put(key, moved)
