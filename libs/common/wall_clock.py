"""The machine's clock, and when somebody sets it; a shell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_NS: Final = 500_000_000  # between two readings; a clock that is slewed moves a thousandth of that


class WallClock:
    """Reads the time, and notices when it moves otherwise than time does.

    Parameters
    ----------
    clock
        The wall's, ns UTC.
    stopwatch
        Monotonic, ns. A machine that slept has stopped it, so its awakening is a step, too.
    """

    def __init__(
        self,
        clock: Callable[[], int] = time.time_ns,
        stopwatch: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock = clock
        self._stopwatch = stopwatch
        self._now = clock()
        self._ahead = self._now - stopwatch()
        self._stepped_ns = 0
        self.steps = 0  # so far

    def read(self) -> int:
        """Return the time, ns UTC; it goes back only where the clock was set."""
        before, wall, after = self._stopwatch(), self._clock(), self._stopwatch()
        if after - before > STEP_NS // 10:  # the process stood between the two: nothing can be said of them
            self._now = max(self._now, wall)
            return self._now
        ahead = wall - after
        by_ns, self._ahead = ahead - self._ahead, ahead
        if self._now - wall >= STEP_NS:  # several steps back, each too small to be one
            by_ns = min(by_ns, wall - self._now)
        if abs(by_ns) < STEP_NS:
            self._now = max(self._now, wall)
        else:
            self._now = wall
            self._stepped_ns += by_ns
            self.steps += 1
        return self._now

    def stepped_ns(self) -> int:
        """Return by how much the clock was set since this was last asked."""
        by_ns, self._stepped_ns = self._stepped_ns, 0
        return by_ns
