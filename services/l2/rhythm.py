"""How long a book usually pauses, and whether its silence is longer than that.

That a line lives does not prove that the book's stream on it does. A book that changes every few hours is
LIVE on a proven line; one that changed ten times a second and stopped is in doubt for `DOUBT_NS`, in which
only its own messages make it fresh. What lasts longer is a quiet market.
"""

from __future__ import annotations

from typing import Final

from libs.common.time_units import NS_PER_S
from services.l2.policy import NEVER

SHORTEST_NS: Final = NS_PER_S  # every line stutters
TIMES: Final = 3  # longer than its longest pause of late
FADE: Final = 0.98  # of the longest pause, with each message
DOUBT_NS: Final = 30 * NS_PER_S


class Rhythm:
    """The pauses between a LIVE book's messages; changed in place by each."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._longest: float | None = None  # pause (ns), fading; None before the first

    def begin(self, now: int) -> None:
        """Count from here: the book is LIVE."""
        self._last = now

    def beat(self, now: int) -> None:
        """Note a message."""
        if self._last is not None:
            pause = max(0, now - self._last)
            longest = self._longest
            if longest is None or pause > (faded := longest * FADE):
                self._longest = pause
            else:
                self._longest = faded
        self._last = now

    def in_doubt(self, now: int) -> bool:
        """Return whether the book is silent for longer than is usual for it, and not yet for long."""
        if self._last is None or self._longest is None:
            return False
        return max(SHORTEST_NS, TIMES * self._longest) < now - self._last <= DOUBT_NS

    def turns_at(self, now: int) -> int:
        """Return when a doubt begins or ends after `now` (ns), if no message comes; `NEVER` if none does."""
        if self._last is None or self._longest is None:
            return NEVER
        begins = self._last + max(SHORTEST_NS, int(TIMES * self._longest)) + 1
        ends = self._last + DOUBT_NS + 1
        if begins >= ends or now >= ends:
            return NEVER
        return begins if now < begins else ends
