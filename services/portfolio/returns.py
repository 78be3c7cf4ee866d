"""Simple daily returns from the candles of one venue.

A return is taken between two consecutive UTC days that have both closed, never across a hole. Portfolios use
the days that all their symbols have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from libs.common.candle_view import CandleView, Series
from libs.common.time_units import DAY_NS
from libs.common.topics import L2_CANDLES_DAILY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from libs.common.events import Candle
    from services.portfolio.measures import Matrix, Vector

KEEP_DAYS: Final = 1500  # the most history that counts
ENDED_DAYS: Final = 3  # a series whose last day is older than the newest of its venue by more has ended
AGE_DAYS: Final = (
    3  # the same against yesterday, the newest day that can have closed, unless settings say more
)


class History(CandleView):
    """The daily candles of the reference venue; those of other venues pass by.

    Handlers read it from a thread while it is folded, so what they iterate is replaced, never changed.

    Parameters
    ----------
    age_days
        By how much the last day of a series that goes on may be older than yesterday.
    """

    def __init__(self, venue: str, age_days: int = AGE_DAYS) -> None:
        super().__init__(L2_CANDLES_DAILY, Series({"1d": KEEP_DAYS}), venue)
        self.venue = venue
        self._age_days = age_days
        self.symbols: tuple[str, ...] = ()  # that have a daily candle, in order

    def fold(self, partition: int, offset: int, key: bytes, event: Candle | None) -> None:
        """Apply one record; see `View.fold`."""
        super().fold(partition, offset, key, event)
        if event is None or event.venue != self.venue:
            return
        if event.symbol not in self.symbols:
            self.symbols = tuple(sorted((*self.symbols, event.symbol)))

    def ended(self, symbol: str, now: int) -> int | None:
        """Return the last day (since 1970 UTC) of a series that has ended by `now`; None if it goes on."""
        lasts = {each: self._last_day(each) for each in self.symbols}
        last = lasts.get(symbol)
        newest = max((day for day in lasts.values() if day is not None), default=None)
        if last is None or newest is None:
            return None
        yesterday = now // DAY_NS - 1
        goes_on = newest - last <= ENDED_DAYS and yesterday - last <= self._age_days
        return None if goes_on else last

    def _last_day(self, symbol: str) -> int | None:
        newest = self.candles.newest(self.venue, symbol, "1d")
        return None if newest is None else newest.open_ts // DAY_NS

    def returns(self, symbol: str) -> Returns:
        """Return the simple returns of a symbol; none of one that is not known."""
        candles = [each for each in self.candles.since(self.venue, symbol, "1d", 0) if each.closed]
        days = np.array([candle.open_ts // DAY_NS for candle in candles], dtype=np.int64)
        return simple_returns(days, np.array([candle.close for candle in candles]))


class Returns(NamedTuple):
    """Returns of one symbol: over each day (days since 1970 UTC, ascending), fractions."""

    days: NDArray[np.int64]
    values: Vector


@dataclass(frozen=True)
class Scenarios:
    """Returns of several symbols on the days that all have; `dropped` were too young, or had ended."""

    symbols: tuple[str, ...]
    dropped: tuple[str, ...]
    days: NDArray[np.int64]  # (T,)
    R: Matrix  # (T, n)


def simple_returns(days: NDArray[np.int64], closes: Vector) -> Returns:
    """Return ``close / close of the day before - 1`` for each day that has a day before."""
    consecutive = np.diff(days) == 1
    return Returns(days[1:][consecutive], (closes[1:] / closes[:-1] - 1.0)[consecutive])


def scenarios(
    symbols: Sequence[str], series: Sequence[Returns], lookback: int | None, needed: int
) -> Scenarios:
    """Return the last `lookback` days in common.

    While they are fewer than `needed`, the youngest symbol is dropped: the one that has the fewest days, the
    last in `symbols` of several. One always stays.
    """
    kept = list(range(len(symbols)))
    while True:
        days = series[kept[0]].days
        for i in kept[1:]:
            days = np.intersect1d(days, series[i].days, assume_unique=True)
        days = days if lookback is None else days[-lookback:]
        if len(days) >= needed or len(kept) == 1:
            break
        kept.remove(min(kept, key=lambda i: (len(series[i].days), -i)))
    columns = [series[i].values[np.searchsorted(series[i].days, days)] for i in kept]
    dropped = tuple(symbols[i] for i in range(len(symbols)) if i not in kept)
    return Scenarios(tuple(symbols[i] for i in kept), dropped, days, np.column_stack(columns))
