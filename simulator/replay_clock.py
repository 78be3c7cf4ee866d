"""When each record of a playlist is due, computed from the start, so that errors never add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.time_units import MINUTE_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_JOIN_GAP_NS: Final = MINUTE_NS  # a longer silence between two recordings is not one market going on


class Part(msgspec.Struct, frozen=True):
    """One recording of a playlist.

    `first` and `last` are its own times, ns UTC, and `start` is the position of `first` in the playlist, ns.
    """

    first: int
    last: int
    absolute: bool = True  # its times are those of receipt
    start: int = 0
    continues: bool = False  # the recording before it goes on in this one

    def position(self, ts: int) -> int:
        """Return where in the playlist a record of time `ts` is, ns."""
        return self.start + ts - self.first

    @property
    def end(self) -> int:
        """The position of the last record."""
        return self.position(self.last)


def playlist(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts one after the other; a gap stays only where one goes on in the next."""
    placed: list[Part] = []
    for part in parts:
        before = placed[-1] if placed else None
        gap = 0
        continues = False
        if before is not None and before.absolute and part.absolute:
            continues = 0 <= part.first - before.last <= MAX_JOIN_GAP_NS
            gap = part.first - before.last if continues else 0
        start = 0 if before is None else before.end + gap
        placed.append(msgspec.structs.replace(part, start=start, continues=continues))
    return tuple(placed)


class ReplayClock:
    """Turns positions into deadlines on a monotonic clock, ns.

    Parameters
    ----------
    speed
        Recorded seconds per second; 0 makes everything due at once.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._started: int | None = None
        self._paused: int | None = None

    def start(self, now: int) -> None:
        """Let position 0 be due at `now`."""
        self._started = now

    def due(self, position: int) -> int:
        """Return when `position` is due.

        Raises
        ------
        RuntimeError
            If the clock was not started.
        """
        if self._started is None:
            raise RuntimeError("the replay clock has no deadlines before it is started")
        return self._started + (round(position / self._speed) if self._speed else 0)

    @property
    def paused(self) -> bool:
        """Whether deadlines are on hold."""
        return self._paused is not None

    def pause(self, now: int) -> None:
        """Hold every deadline that has not passed."""
        if self._paused is None:
            self._paused = now

    def resume(self, now: int) -> None:
        """Go on; what was due after the pause is as much later as the pause was long."""
        if self._paused is not None and self._started is not None:
            self._started += now - max(self._paused, self._started)
        self._paused = None
