"""Which logs a reader does not get to the end of, though they go on; pure.

Who reads committed records gets none from the first record of an open transaction on, though others write on
behind it: the last stable offset stands while the end of the log, the high watermark, moves.
That lasts for milliseconds where all is well, and up to the transaction's time-out where its writer died.
And who fetches may hear nothing at all: Kafka is away, or the client has lost it.
"""

from __future__ import annotations

from typing import Final

HELD_S: Final = 3.0  # how long a log may be held up, or a fetch go unanswered, before it is told
LOOK_S: Final = 2.0  # between two looks; a reader that was busy for longer did not fetch


class Holdups:
    """What is held up among the partitions of one topic, for `patience_s` at least."""

    def __init__(self, patience_s: float = HELD_S) -> None:
        self._patience_s = patience_s
        self._since: dict[int, tuple[int, int, float]] = {}  # by partition: stable offset, end, seconds
        self._answered: dict[int, tuple[object, float, float]] = {}  # the last answer, since when, looked at

    def note(self, partition: int, stable: int | None, end: int | None, now_s: float) -> None:
        """Take what a fetch told at `now_s`, monotonic; None where it told nothing."""
        if stable is None or end is None or stable >= end:
            self._since.pop(partition, None)
            return
        before = self._since.get(partition)
        same = before is not None and before[0] == stable
        self._since[partition] = (stable, end, before[2] if before and same else now_s)

    def note_answer(self, partition: int, answer: object, now_s: float) -> None:
        """Take what tells the newest answered fetch from the one before, where the reader waits for one."""
        before = self._answered.get(partition)
        same = before is not None and before[0] == answer and now_s - before[2] <= LOOK_S
        self._answered[partition] = (answer, before[1] if before and same else now_s, now_s)

    def told(self, now_s: float) -> dict[int, str]:
        """Return what is to be said of each partition that is held up for longer than is normal."""
        return dict(sorted((self.in_transactions(now_s) | self._unheard()).items()))

    def in_transactions(self, now_s: float) -> dict[int, str]:
        """Return what is to be said of those that an open transaction holds up."""
        return {
            partition: f"held up at offset {stable} for {now_s - since_s:.0f} s by an open transaction,"
            f" {end - stable} records before its end"
            for partition, (stable, end, since_s) in self._since.items()
            if now_s - since_s >= self._patience_s
        }

    def _unheard(self) -> dict[int, str]:
        return {
            partition: f"not heard of for {looked_s - since_s:.0f} s, no fetch is answered"
            for partition, (_, since_s, looked_s) in self._answered.items()
            if looked_s - since_s >= self._patience_s
        }
