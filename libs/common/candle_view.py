"""The candles of ``l2.candles.v1`` as series per instrument and interval; pure.

The topic is no compacted one: a candle is told again while it is open, and after a restart of l2, and the
newest word counts. This view keeps the newest `keep` of each interval, whatever the order of arrival.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

from libs.common.events import Candle
from libs.common.topics import L2_CANDLES, book_key
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import Interval

KEEP: Final[Mapping[Interval, int]] = {"1m": 2880, "1d": 1500}  # two days, four years


class CandleView(View[Candle]):
    """A view whose `items` hold the last candle told per key, and whose `series` hold the rest."""

    def __init__(self, keep: Mapping[Interval, int] = KEEP) -> None:
        super().__init__(L2_CANDLES)
        self._keep = keep
        self._series: dict[tuple[bytes, str], dict[int, Candle]] = {}
        self._opens: dict[tuple[bytes, str], list[int]] = {}  # ascending

    def fold(self, partition: int, offset: int, key: bytes, event: Candle | None) -> None:
        """Apply one record; see `View.fold`."""
        super().fold(partition, offset, key, event)
        if event is None:
            return
        place = (book_key(event.venue, event.symbol), event.interval)
        series, opens = self._series.setdefault(place, {}), self._opens.setdefault(place, [])
        if event.open_ts not in series:
            insort(opens, event.open_ts)
        series[event.open_ts] = event
        if len(opens) > self._keep[event.interval]:
            del series[opens.pop(0)]

    def series(
        self, venue: str, symbol: str, interval: Interval, *, since_ts: int = 0, closed: bool = True
    ) -> list[Candle]:
        """Return the candles that opened at or after `since_ts` (ns), oldest first; by default closed ones.

        There may be holes: minutes or days that nobody told.
        """
        place = (book_key(venue, symbol), interval)
        opens, series = self._opens.get(place, []), self._series.get(place, {})
        # A handler in a thread may read while the oldest candle is dropped: then it is not found here.
        found = (series.get(ts) for ts in opens[bisect_left(opens, since_ts) :])
        return [candle for candle in found if candle is not None and (candle.closed or not closed)]
