"""What may come with every frame and is to be told now and then."""

from __future__ import annotations


class Seldom:
    """Tells which of many are due; changed in place.

    Parameters
    ----------
    every_ns, most
        How many are due within how long (ns).
    """

    def __init__(self, every_ns: int, most: int = 1) -> None:
        self._every_ns, self._most = every_ns, most
        self._since = 0
        self._told = 0

    def due(self, now: int) -> bool:
        """Return whether one more is to be told at `now` (ns)."""
        if not 0 <= now - self._since < self._every_ns:
            self._since, self._told = now, 0
        self._told += 1
        return self._told <= self._most
