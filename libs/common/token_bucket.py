"""Token buckets, in whole numbers: the same takes at the same times are let through on every machine; pure.

=========  ==========================================  ==========
symbol     meaning                                     unit
=========  ==========================================  ==========
``r``      tokens that come back                       1/period
``b``      tokens of a full bucket                     1
``l(t)``   min(b, l(s) + r (t - s)), s the last look    1
=========  ==========================================  ==========

A take of n at t passes if l(t) >= n, and then costs n. Equivalently: in each window that begins with a passed
take and ends at t, at most b + r * (its length) tokens were taken, these included. A spend is of work whose
size shows when it is done: it takes n off, below zero too, and is paid for when the level is at zero again.
So whoever spends one piece at a time, and waits until it is paid for, shares r with all others piece by
piece; in a window all of them spend at most b + r * (its length) and the last piece of each.

Levels are kept in tokens times the period's nanoseconds, of which ``r`` come back each nanosecond, so nothing
is ever rounded.

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
    """How much is let through; all are at least 1."""

    tokens: int  # that come back within the period
    burst: int
    period_ns: int = NS_PER_S


class TokenBucket:
    """A bucket that begins full.

    Parameters
    ----------
    now
        ns of a clock; so in all methods. One that goes back brings nothing back.
    """

    __slots__ = ("_level", "_looked_at", "_rate")

    def __init__(self, rate: Rate, now: int) -> None:
        self._rate = rate
        self._level = rate.burst * rate.period_ns
        self._looked_at = now

    def take(self, now: int, count: int = 1, spare: int = 0) -> int:
        """Take tokens and return 0, or take none and return after how many ns there will be as many.

        `spare` tokens must be left afterwards.
        """
        self._refill(now)
        lacking = (count + spare) * self._rate.period_ns - self._level
        if lacking > 0:
            return -(-lacking // self._rate.tokens)  # rounded up
        self._level -= count * self._rate.period_ns
        return 0

    def spend(self, now: int, count: int) -> int:
        """Take tokens, there or not; return after how many ns they are paid for, 0 if they are."""
        self._refill(now)
        self._level -= count * self._rate.period_ns
        return max(0, -(self._level // self._rate.tokens))  # rounded up

    def left(self, now: int) -> float:
        """Return the share of a full bucket that is left."""
        self._refill(now)
        return self._level / (self._rate.burst * self._rate.period_ns)

    def step_clock(self, by_ns: int) -> None:
        """Move the last look by so many ns, as the clock was set: nothing comes back by it."""
        self._looked_at += by_ns

    def _refill(self, now: int) -> None:
        returned = self._rate.tokens * max(0, now - self._looked_at)
        self._level = min(self._rate.burst * self._rate.period_ns, self._level + returned)
        self._looked_at = now


class AddressBuckets:
    """A bucket for each address, for at most `capacity` addresses.

    One more, and the address that asked longest ago is forgotten: if it comes again, its bucket is full, as
    it is anyway after ``b / r`` periods without a take.
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
