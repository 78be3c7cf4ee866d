"""A machine whose wall clock anybody may set, and jumps to set it by."""

from __future__ import annotations

from hypothesis import strategies as st

from libs.common.wall_clock import WallClock

S = 1_000_000_000
DAY_S = 86_400
SPANS_S = ((1, 20), (60, 7_200), (DAY_S, 3 * DAY_S), (1_000 * DAY_S, 1_200 * DAY_S))

# Whole seconds, so that several in a row come to nothing or to a step.
JUMPS_S = st.one_of(
    *(st.integers(low, high) for low, high in SPANS_S),
    *(st.integers(-high, -low) for low, high in SPANS_S),
)


class Machine:
    """Time passes on both clocks; a jump moves only the wall's."""

    def __init__(self, wall: int) -> None:
        self.wall = wall
        self.monotonic = 77 * S
        self.clock = WallClock(lambda: self.wall, lambda: self.monotonic)

    def wait(self, ns: int) -> None:
        """Let time pass."""
        self.wall += ns
        self.monotonic += ns

    def jump(self, by_s: float) -> None:
        """Set the wall clock."""
        self.wall += round(by_s * S)
