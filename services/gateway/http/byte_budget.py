"""A budget of bytes per second for work whose size shows when it is done; pure, in whole numbers.

=========  =======================================================  =======
symbol     meaning                                                  unit
=========  =======================================================  =======
``r``      bytes that come back                                     bytes/s
``b``      bytes of a full budget                                   bytes
``l(t)``   min(b, l(s) + r (t - s)), s the last look                bytes
=========  =======================================================  =======

A spend of n takes n off, below zero too, and is paid for when the level is at zero again. So whoever spends
one piece at a time, and waits until it is paid for, shares r with all others piece by piece; in a window all
of them spend at most b + r * (its length) and the last piece of each.
"""

from __future__ import annotations

from libs.common.time_units import NS_PER_S


class ByteBudget:
    """A budget that begins full.

    Parameters
    ----------
    burst
        Bytes.
    now
        ns of a clock that does not go back; so in `spend`.
    """

    def __init__(self, per_s: int, burst: int, now: int) -> None:
        self._per_s = per_s
        self._full = burst * NS_PER_S
        self._level = self._full  # billionths of a byte
        self._looked_at = now

    def spend(self, count: int, now: int) -> int:
        """Spend `count` bytes; return after how many ns they are paid for, 0 if they are."""
        returned = self._per_s * (now - self._looked_at)
        self._level = min(self._full, self._level + returned) - count * NS_PER_S
        self._looked_at = now
        return max(0, -(self._level // self._per_s))  # rounded up
