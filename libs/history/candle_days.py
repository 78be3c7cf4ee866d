"""`CandleDays`: the closed candles of one book, written as days in whatever order they come.

A venue's history comes before the candles of today, and again after each pause. A candle is known by its
interval and start, so a day that is there already is written anew with those of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.time_units import DAY_NS, MINUTE_NS
from libs.history.day_file import PLAIN, DayFile, table_of
from libs.history.faults import FaultKind
from libs.history.layout import candles_schema, day_path
from libs.history.reading import candles_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from libs.common.events import Candle, Interval
    from libs.history.faults import FaultReport

LENGTH_NS: Final[Mapping[Interval, int]] = {"1m": MINUTE_NS, "1d": DAY_NS}
HELD: Final = 50_000  # candles, until their days are written
_SCHEMA: Final = candles_schema(PLAIN)


def end_of(candle: Candle) -> int:
    """Return when a candle's interval is over, ns."""
    return candle.open_ts + LENGTH_NS[candle.interval]


class CandleDays:
    """The days of one book's candles in the making; changed in place by each candle."""

    def __init__(self, root: Path, venue: str, symbol: str, faults: FaultReport, *, source: str) -> None:
        self.rows = 0
        self._root, self._venue, self._symbol = root, venue, symbol
        self._faults, self._source = faults, source
        self._days: dict[int, dict[tuple[Interval, int], Candle]] = {}
        self._held = 0

    def write(self, candle: Candle) -> None:
        """Take a candle, unless trades can still change it; raises HistoryError if days cannot be written."""
        if not candle.closed:
            return
        self._put(self._days.setdefault(candle.open_ts // DAY_NS, {}), candle)
        self.rows += 1
        self._held += 1
        if self._held >= HELD:
            self.close()

    def close(self) -> None:
        """Write what is left."""
        for day in sorted(self._days):
            self._write(day * DAY_NS, self._days[day])
        self.discard()

    def discard(self) -> None:
        """Drop what is not written."""
        self._days, self._held = {}, 0

    def _put(self, day: dict[tuple[Interval, int], Candle], candle: Candle) -> None:
        place = (candle.interval, candle.open_ts)
        if (before := day.get(place, candle)) != candle:
            what = f"{self._venue} {self._symbol}: {candle.interval} candle, {_said(before)} before, "
            what += f"{_said(candle)} now: the later one stands"
            self._faults.note(FaultKind.MISMATCH, self._source, None, candle.open_ts, what)
        day[place] = candle

    def _write(self, ts: int, candles: dict[tuple[Interval, int], Candle]) -> None:
        path = day_path(self._root, self._venue, self._symbol, ts, "candles")
        both: dict[tuple[Interval, int], Candle] = {}
        if path.exists():
            both = {(each.interval, each.open_ts): each for each in candles_of(path)}
        for candle in candles.values():
            self._put(both, candle)
        rows = sorted(both.values(), key=lambda candle: (end_of(candle), candle.interval))
        file = DayFile(path, "candles", overwrite=True)
        try:
            file.write(table_of(rows, _SCHEMA))
        except BaseException:
            file.discard()
            raise
        file.close()


def _said(candle: Candle) -> str:
    return f"{candle.open:g} {candle.high:g} {candle.low:g} {candle.close:g} volume {candle.volume:g}"
