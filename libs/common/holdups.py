"""Which logs an open transaction holds up; pure.

Who reads committed records gets none from the first record of an open transaction on, though others write on
behind it: the last stable offset stands while the end of the log, the high watermark, moves.
That lasts for milliseconds where all is well, and up to the transaction's time-out where its writer died.
"""

from __future__ import annotations

from typing import Final

HELD_S: Final = 3.0  # how long a log may be held up before it is told


class Holdups:
    """What is held up among the partitions of one topic."""

    def __init__(self) -> None:
        self._since: dict[int, tuple[int, int, float]] = {}  # by partition: stable offset, end, seconds

    def note(self, partition: int, stable: int | None, end: int | None, now_s: float) -> None:
        """Take what a fetch told at `now_s`, monotonic; None where it told nothing."""
        if stable is None or end is None or stable >= end:
            self._since.pop(partition, None)
            return
        before = self._since.get(partition)
        same = before is not None and before[0] == stable
        self._since[partition] = (stable, end, before[2] if before and same else now_s)

    def told(self, now_s: float) -> dict[int, str]:
        """Return what is to be said of each partition that is held up for longer than is normal."""
        return {
            partition: f"held up at offset {stable} for {now_s - since_s:.0f} s by an open transaction,"
            f" {end - stable} records before its end"
            for partition, (stable, end, since_s) in sorted(self._since.items())
            if now_s - since_s >= HELD_S
        }
