"""Which of a venue's stamps can be true: the one rule for books, trades and candles.

A stamp is in ns UTC and plausible from `EARLIEST` up to `AHEAD_NS` after its receipt, by the venue's clock.
How far that clock is ahead of ours is the median of what was measured lately, never less than 0; so a host
whose clock is late still has books, and a stamp that is false moves nothing. Seconds or microseconds where
milliseconds are meant fall outside by themselves. The past ends with `EARLIEST` only, since recordings are
of any year.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

from libs.common.time_units import NS_PER_S

EARLIEST: Final = 1_230_940_800 * NS_PER_S  # 2009-01-03, the first block: no coin was traded before
AHEAD_NS: Final = NS_PER_S
MOST_AHEAD_NS: Final = 60 * NS_PER_S  # no clock that is looked after is further off
SAMPLES: Final = 31
FEWEST: Final = 9  # so that some false ones have no majority
EVERY_NS: Final = NS_PER_S // 10  # a burst of frames is one sample


def plausible(stamp: int, now: int, ahead: int = 0) -> bool:
    """Return whether a stamp can be true of something received at `now`, by a clock `ahead` of ours (ns)."""
    return EARLIEST <= stamp <= now + AHEAD_NS + ahead


class StampGate:
    """Judges the stamps of one book's messages; changed in place by each.

    Attributes
    ----------
    ahead
        How far (ns) the venue's clock is ahead of ours; 0 where it is not, or not known yet.
    """

    def __init__(self) -> None:
        self.ahead = 0
        self._leads: deque[int] = deque(maxlen=SAMPLES)
        self._sampled = 0

    def admits(self, stamp: int, now: int) -> bool:
        """Return whether a stamp is plausible at its receipt (ns UTC), and learn from it."""
        if EARLIEST <= stamp <= now + MOST_AHEAD_NS and abs(now - self._sampled) >= EVERY_NS:
            self._sampled = now
            self._leads.append(stamp - now)
            if len(self._leads) >= FEWEST:
                self.ahead = max(0, round(median(self._leads)))
        return plausible(stamp, now, self.ahead)
