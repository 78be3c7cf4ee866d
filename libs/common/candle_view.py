"""The candles of the three candle topics as series per instrument and interval; pure.

A closed candle may be told again, after a restart of l2, and the newest word counts; an open one is told
again and again until it closes. The newest `keep` of each interval are kept, whatever the order of arrival.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal

from msgspec.structs import replace

from libs.common.events import Candle
from libs.common.minute_volumes import MinuteVolumes
from libs.common.time_units import MINUTE_NS
from libs.common.topics import L2_CANDLES, L2_CANDLES_DAILY, L2_CANDLES_OPEN, book_key
from libs.common.views import Last, View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.events import Interval
    from libs.common.topics import Topic

LENGTH_NS: Final[Mapping[Interval, int]] = {"1m": MINUTE_NS, "1d": 1440 * MINUTE_NS}
KEEP: Final[Mapping[Interval, int]] = {"1m": 2880, "1d": 1500}  # two days, four years
_OPEN_TS: Final = attrgetter("open_ts")


class Series:
    """Candles by instrument and interval; changes in place."""

    def __init__(self, keep: Mapping[Interval, int] = KEEP) -> None:
        self.keep = keep
        self._series: dict[tuple[bytes, str], dict[int, Candle]] = {}
        self._opens: dict[tuple[bytes, str], list[int]] = {}  # ascending
        self._changes: dict[tuple[bytes, str], int] = {}  # of the closed ones, so far
        self._newest: dict[tuple[bytes, str], int] = {}  # when the newest closed one opened
        self._rewritten: dict[tuple[bytes, str], int] = {}  # the last change that was not behind all others
        self._windows: dict[tuple[bytes, str], tuple[int, list[Candle]]] = {}  # as of so many changes

    def put(self, candle: Candle) -> None:
        """Take the newest word on a candle; one that has closed does not open again."""
        if candle.interval not in self.keep:
            return
        place = (book_key(candle.venue, candle.symbol), candle.interval)
        series, opens = self._series.setdefault(place, {}), self._opens.setdefault(place, [])
        known = series.get(candle.open_ts)
        if known is None:
            insort(opens, candle.open_ts)
        elif known.closed and not candle.closed:
            return
        first = next(iter(series.values()), candle)
        if candle.venue is not first.venue:  # two strings for them all, not two each
            candle = replace(candle, venue=first.venue, symbol=first.symbol)
        series[candle.open_ts] = candle
        full = len(opens) > self.keep[candle.interval]
        if full:
            del series[opens.pop(0)]
        if full or candle.closed:
            self._note_change(place, candle)

    def _note_change(self, place: tuple[bytes, str], candle: Candle) -> None:
        changes = self._changes.get(place, 0) + 1
        if candle.closed and candle.open_ts > self._newest.get(place, -1):
            self._newest[place] = candle.open_ts
        elif candle.closed:
            self._rewritten[place] = changes
        self._changes[place] = changes  # last, as a thread may read

    def since(self, venue: str, symbol: str, interval: Interval, ts: int) -> list[Candle]:
        """Return the candles that opened at or after `ts` (ns), oldest first."""
        place = (book_key(venue, symbol), interval)
        opens, series = self._opens.get(place, []), self._series.get(place, {})
        # A handler in a thread may read while the oldest candle is dropped: then it is not found here.
        found = (series.get(open_ts) for open_ts in opens[bisect_left(opens, ts) :])
        return [candle for candle in found if candle is not None]

    def window(self, venue: str, symbol: str, interval: Interval) -> Sequence[Candle]:
        """Return the closed candles of the newest span that is kept, oldest first; see `Candles.window`."""
        place = (book_key(venue, symbol), interval)
        # As of the changes before: one that comes while a thread looks is looked for again.
        changes = self._changes.get(place, 0)
        before, found = self._windows.get(place, (0, []))
        if before != changes:
            known = found if self._rewritten.get(place, 0) <= before else []
            after_ts = known[-1].open_ts + 1 if known else 0
            newer = [candle for candle in self.since(venue, symbol, interval, after_ts) if candle.closed]
            found = self._within(place, known + newer)
            self._windows[place] = (changes, found)
        return found

    def _within(self, place: tuple[bytes, str], candles: list[Candle]) -> list[Candle]:
        """Return those of the newest span that are still kept."""
        if not candles:
            return candles
        interval = candles[-1].interval
        since_ts = candles[-1].open_ts - self.keep[interval] * LENGTH_NS[interval]
        oldest_ts = next(iter(self._opens[place]), since_ts)
        return candles[bisect_left(candles, max(since_ts, oldest_ts), key=_OPEN_TS) :]

    def newest(self, venue: str, symbol: str, interval: Interval) -> Candle | None:
        """Return the newest closed candle, None without one."""
        place = (book_key(venue, symbol), interval)
        opens, series = self._opens.get(place, []), self._series.get(place, {})
        found = (series.get(open_ts) for open_ts in reversed(opens))
        return next((candle for candle in found if candle is not None and candle.closed), None)


class CandleView(View[Candle]):
    """A view of one candle topic that puts what it reads into a `Series`, and keeps no `items`.

    Into `volumes` it puts what it reads, too; after a start these begin with the minutes of the series.
    """

    def __init__(
        self, topic: Topic, series: Series, venue: str | None = None, volumes: MinuteVolumes | None = None
    ) -> None:
        super().__init__(topic)
        self.candles = series
        self._volumes = volumes or MinuteVolumes(0)
        self._venue = f":{venue}:".encode() if venue else b""

    def wants(self, key: bytes) -> bool:
        """Return whether it is the venue's, by its `candle_key`, or by the mere `book_key` of older ones."""
        return self._venue in b":" + key

    def start(self, now: int) -> Literal["beginning", "recent"] | int | Last:
        """Begin with the minutes that are kept; of days all are kept, and have a topic of their own."""
        if self.topic is not L2_CANDLES:
            return super().start(now)
        return now - self.candles.keep["1m"] * MINUTE_NS

    def fold(self, partition: int, offset: int, key: bytes, event: Candle | None) -> None:
        """Apply one record; see `View.fold`."""
        del key
        self._pass(partition, offset)
        if event is not None:
            self.candles.put(event)
            self._volumes.put(event)


class Candles:
    """The series of all instruments, and the views that feed them.

    Parameters
    ----------
    topics
        Those of use.
    venue
        The only one whose candles are of use; None: all are.
    days_venue
        The only one whose days are of use; default: `venue`.
    volume_days
        Of how many days the volumes of minutes are kept beside the candles, in `volumes`.
    """

    def __init__(
        self,
        keep: Mapping[Interval, int] = KEEP,
        topics: Sequence[Topic] = (L2_CANDLES, L2_CANDLES_DAILY, L2_CANDLES_OPEN),
        venue: str | None = None,
        days_venue: str | None = None,
        volume_days: int = 0,
    ) -> None:
        self._series = Series(keep)
        self.volumes = MinuteVolumes(volume_days)
        self.views = tuple(
            CandleView(
                topic,
                self._series,
                days_venue or venue if topic is L2_CANDLES_DAILY else venue,
                self.volumes,
            )
            for topic in topics
        )

    def series(
        self, venue: str, symbol: str, interval: Interval, *, since_ts: int = 0, closed: bool = True
    ) -> list[Candle]:
        """Return the candles that opened at or after `since_ts` (ns), oldest first; by default closed ones.

        There may be holes: minutes or days that nobody told.
        """
        found = self._series.since(venue, symbol, interval, since_ts)
        return [candle for candle in found if candle.closed or not closed]

    def window(self, venue: str, symbol: str, interval: Interval) -> Sequence[Candle]:
        """Return the closed candles of the newest span of time that is kept, oldest first.

        What is older than the newest by more is left out, however few there are: a window is one of time. It
        is the same list, not to be changed, until one closes.
        """
        return self._series.window(venue, symbol, interval)
