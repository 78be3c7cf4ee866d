"""Token buckets, in whole numbers: the same takes at the same times are let through on every machine.

=========  ==========================================  =====
symbol     meaning                                     unit
=========  ==========================================  =====
``r``      tokens that come back                       1/s
``b``      tokens of a full bucket                     1
``l(t)``   min(b, l(s) + r (t - s)), s the last look    1
=========  ==========================================  =====

A take at t passes if l(t) >= 1, and then costs 1. Equivalently: in each window that begins with a passed take
and ends at t, at most b + r * (its length) takes have passed, this one included. Levels are kept in
billionths of a token, of which ``r`` come back each nanosecond, so nothing is ever rounded.

References
----------
J.-Y. Le Boudec, P. Thiran, Network Calculus, Springer 2001, section 1.2.2: the leaky bucket and the arrival
curve r t + b that it enforces.
"""

from __future__ import annotations

from dataclasses import dataclass

from libs.common.time_units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Rate:
    """How much is let through; both are at least 1."""

    per_s: int
    burst: int


class TokenBucket:
    """A bucket that begins full.

    Parameters
    ----------
    now
        ns of a clock that does not go back; so in `take`.
    """

    __slots__ = ("_level", "_looked_at", "_rate")

    def __init__(self, rate: Rate, now: int) -> None:
        self._rate = rate
        self._level = rate.burst * NS_PER_S  # billionths of a token
        self._looked_at = now

    def take(self, now: int) -> int:
        """Take a token and return 0, or take none and return after how many ns there will be one."""
        returned = self._rate.per_s * (now - self._looked_at)
        self._level = min(self._rate.burst * NS_PER_S, self._level + returned)
        self._looked_at = now
        if self._level >= NS_PER_S:
            self._level -= NS_PER_S
            return 0
        return -((self._level - NS_PER_S) // self._rate.per_s)  # rounded up


class AddressBuckets:
    """A bucket for each address, for at most `capacity` addresses.

    One more, and the address that asked longest ago is forgotten: if it comes again, its bucket is full, as
    it is anyway after ``b / r`` seconds without a take.
    """

    def __init__(self, rate: Rate, capacity: int) -> None:
        self._rate = rate
        self._capacity = capacity
        self._buckets: dict[str, TokenBucket] = {}  # the one that asked longest ago first

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, address: str, now: int) -> int:
        """Take a token of this address; see `TokenBucket.take`."""
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = TokenBucket(self._rate, now)
            if len(self._buckets) >= self._capacity:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[address] = bucket
        return bucket.take(now)
