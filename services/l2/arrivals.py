"""How long what arrives slowly is waited for: a slow line is not silent, and a trickle is no line."""

from __future__ import annotations

from typing import Final

from libs.common.time_units import NS_PER_S

# Coinbase's snapshot, about 4.8 MB, then takes two and a half minutes at most; 16 MiB, the largest frame and
# reply that are accepted, eight and a half.
LEAST_RATE: Final = 32 * 1024  # bytes a second, on the average; who sends less is given up


class Arrival:
    """The bytes of what is awaited; changed in place. Times are ns of any clock that is used throughout."""

    __slots__ = ("_last_at", "_received", "_since")

    def __init__(self, now: int) -> None:
        self.begin(now)

    def begin(self, now: int) -> None:
        """Wait from that time on for something of which nothing has come."""
        self._since = self._last_at = now
        self._received = 0

    def on_bytes(self, count: int, now: int) -> None:
        """Note that so many more bytes came."""
        self._received += count
        self._last_at = max(now, self._last_at)

    def due_at(self, timeout_ns: int) -> int:
        """Return until when it is waited for, if no more comes.

        That is the timeout after the last byte, and after the time in which a line of `LEAST_RATE` would have
        brought as much, whichever is earlier.
        """
        return timeout_ns + min(self._last_at, self._since + self._received * NS_PER_S // LEAST_RATE)

    def late(self, now: int, timeout_ns: int) -> bool:
        """Return whether it was waited for long enough."""
        return now > self.due_at(timeout_ns)
