"""The volumes of the closed minutes of some weeks, by instrument, as few bytes as they need; pure.

Of the minutes of a month a plan needs their volumes only: 4 bytes a minute, 173 kB an instrument in 30 days,
where the candles would be 20 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.live_books import MOST_SIZE
from libs.common.time_units import DAY_NS, MINUTE_NS
from libs.common.topics import book_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from libs.common.events import Candle

A_DAY: Final = 1440  # minutes


class MinuteVolumes:
    """Volumes by instrument and UTC day, NaN where nobody told one; changes in place.

    Parameters
    ----------
    days
        How many of the newest days that were told are kept, the one under way among them; 0: none.
    """

    def __init__(self, days: int) -> None:
        self.days = days
        self._of: dict[bytes, dict[int, NDArray[np.float32]]] = {}

    def put(self, candle: Candle) -> None:
        """Take the newest word on a closed minute; others, and volumes that cannot be, are passed by."""
        if candle.interval != "1m" or not candle.closed or not self.days:
            return
        if not 0 <= candle.volume <= MOST_SIZE:
            return
        known = self._of.setdefault(book_key(candle.venue, candle.symbol), {})
        day, within = divmod(candle.open_ts, DAY_NS)
        volumes = known.get(day)
        if volumes is None:
            if len(known) >= self.days and day < min(known):
                return
            known[day] = volumes = np.full(A_DAY, np.nan, np.float32)
            while len(known) > self.days:
                del known[min(known)]
        volumes[within // MINUTE_NS] = candle.volume

    def since(self, venue: str, symbol: str, now: int) -> NDArray[np.float64]:
        """Return the volumes of the days up to the one of `now`, oldest first, base units, (days, 1440).

        The first is the oldest day that was told of the last so many; without any there is no row.
        """
        # A handler in a thread may read while a day is added or dropped.
        known = dict(self._of.get(book_key(venue, symbol), {}))
        today = now // DAY_NS
        told = [day for day in known if today - self.days < day <= today]
        if not told:
            return np.empty((0, A_DAY))
        nobody = np.full(A_DAY, np.nan)
        return np.array([known.get(day, nobody) for day in range(min(told), today + 1)], dtype=np.float64)
