"""A venue's own count of the frames of a connection, against what came.

A number that is due is the next frame. One above it proves that frames were lost. One below came before, or
late: its content is ignored as a whole, and the count does not go back. Where only such come, many in a row
or for too long, the venue counts anew or the frames that are due are lost, which is a hole too.
"""

from __future__ import annotations

from typing import Final

from services.l2.feeds.feed import Step

MOST_LATE: Final = 8  # in a row; a venue that counts anew would reach the number that is due some day


class FrameCount:
    """The count of one connection at a time; changed in place.

    Parameters
    ----------
    patience_ns
        How long frames may come without one that is due.
    """

    def __init__(self, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self.begin()

    def begin(self) -> None:
        """Count anew: the connection is new."""
        self._due: int | None = None
        self._late = 0  # frames since one that was due
        self._late_since = 0

    def step(self, number: int, now: int) -> tuple[Step, str]:
        """Return what a frame of this number is at `now` (ns), and why it is not the one that was due."""
        due = self._due
        if due is None or number == due:
            self._due, self._late = number + 1, 0
            return Step.APPLY, ""
        if number > due:
            return Step.GAP, f"the venue's frame {number} came where {due} was due"
        self._late += 1
        if self._late == 1:
            self._late_since = now
        if self._late > MOST_LATE or now - self._late_since > self._patience_ns:
            return Step.GAP, f"{self._late} frames came in a row that had come before {due}, which is due"
        return Step.OLD, f"the venue's frame {number} came again, or late: {due} is due"
