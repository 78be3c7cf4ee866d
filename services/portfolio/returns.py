"""Simple daily returns from the candles of one venue.

A return is taken between two consecutive UTC days that have both closed, never across a hole. Each symbol of
a portfolio has the days of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.candle_view import CandleView, Series
from libs.common.time_units import DAY_NS
from libs.common.topics import L2_CANDLES_DAILY
from services.portfolio.bad_prints import Suspect, is_price, suspects

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
        self._folded = 0  # candles, so far
        self._folded_of: dict[str, int] = {}  # of these, by symbol
        self._returns: dict[str, tuple[int, Returns]] = {}  # each as of so many candles
        self._lasts: tuple[int, dict[str, int | None]] = (0, {})  # last days, as of so many candles of all

    def fold(self, partition: int, offset: int, key: bytes, event: Candle | None) -> None:
        """Apply one record; see `View.fold`."""
        super().fold(partition, offset, key, event)
        if event is None or event.venue != self.venue:
            return
        if event.symbol not in self.symbols:
            self.symbols = tuple(sorted((*self.symbols, event.symbol)))
        self._folded_of[event.symbol] = self._folded_of.get(event.symbol, 0) + 1
        self._folded += 1  # last: what a thread looks at meanwhile is as of the candle before

    def ended(self, symbol: str, now: int) -> int | None:
        """Return the last day (since 1970 UTC) of a series that has ended by `now`; None if it goes on."""
        lasts = self._last_days()
        last = lasts.get(symbol)
        newest = max((day for day in lasts.values() if day is not None), default=None)
        if last is None or newest is None:
            return None
        yesterday = now // DAY_NS - 1
        goes_on = newest - last <= ENDED_DAYS and yesterday - last <= self._age_days
        return None if goes_on else last

    def _last_days(self) -> dict[str, int | None]:
        """Return the last day of every symbol, looked for again once a candle came."""
        # As of what was folded before: a candle that comes while a thread looks is looked for again.
        folded = self._folded
        if self._lasts[0] != folded:
            self._lasts = (folded, {each: self._last_day(each) for each in self.symbols})
        return self._lasts[1]

    def _last_day(self, symbol: str) -> int | None:
        newest = self.candles.newest(self.venue, symbol, "1d")
        return None if newest is None else newest.open_ts // DAY_NS

    def returns(self, symbol: str) -> Returns:
        """Return the simple returns of a symbol, none of an unknown one; the same until a candle comes."""
        folded = self._folded_of.get(symbol, 0)
        before, found = self._returns.get(symbol, (-1, None))
        if found is None or before != folded:
            found = self._computed(symbol)
            self._returns[symbol] = (folded, found)
        return found

    def _computed(self, symbol: str) -> Returns:
        candles = [each for each in self.candles.since(self.venue, symbol, "1d", 0) if each.closed]
        days = np.array([candle.open_ts // DAY_NS for candle in candles], dtype=np.int64)
        return simple_returns(days, np.array([candle.close for candle in candles], dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Returns:
    """Returns of one symbol: over each day (days since 1970 UTC, ascending), fractions."""

    days: NDArray[np.int64]
    values: Vector
    suspects: tuple[Suspect, ...] = ()  # days that moved out of all proportion; some are left out
    wrong: tuple[tuple[int, float], ...] = ()  # days whose close is no price, and the close

    def last(self, lookback: int | None) -> Returns:
        """Return the newest `lookback` days, and what was wrong in their time."""
        if lookback is None or len(self.days) <= lookback:
            return self
        since = int(self.days[-lookback])
        suspects = tuple(each for each in self.suspects if each.day >= since)
        wrong = tuple(each for each in self.wrong if each[0] >= since)
        return Returns(self.days[-lookback:], self.values[-lookback:], suspects, wrong)


@dataclass(frozen=True)
class Scenarios:
    """Returns of several symbols, each over the days it has; `dropped` were too young, or had ended."""

    symbols: tuple[str, ...]
    dropped: tuple[str, ...]
    days: NDArray[np.int64]  # (T,), that any of them has
    R: Matrix  # (T, n), NaN where a symbol has no return

    @property
    def observations(self) -> NDArray[np.int64]:
        """Return the days of each symbol, (n,)."""
        return np.asarray((~np.isnan(self.R)).sum(axis=0))


def simple_returns(days: NDArray[np.int64], closes: Vector) -> Returns:
    """Return ``close / close of the day before - 1`` for each day that has a day before, bad prints apart."""
    priced = is_price(closes)
    wrong = tuple(zip(days[~priced].tolist(), closes[~priced].tolist(), strict=True))
    days, closes = days[priced], closes[priced]
    consecutive = np.diff(days) == 1
    days, values = days[1:][consecutive], (closes[1:] / closes[:-1] - 1.0)[consecutive]
    found = suspects(days, np.diff(np.log(closes))[consecutive])
    for each in found:
        values[days == each.day] = each.counted
    out = [day for each in found if not each.kept for day in (each.day, each.day + 1)]
    stays = ~np.isin(days, out)
    return Returns(days[stays], values[stays], found, wrong)


def scenarios(symbols: Sequence[str], series: Sequence[Returns], needed: int) -> Scenarios:
    """Return what each symbol has; those of fewer than `needed` days are dropped, unless all are."""
    kept = [i for i, each in enumerate(series) if len(each.days) >= needed] or list(range(len(symbols)))
    days = series[kept[0]].days
    for i in kept[1:]:
        days = np.union1d(days, series[i].days)
    R = np.full((len(days), len(kept)), np.nan)
    for column, i in enumerate(kept):
        R[np.searchsorted(days, series[i].days), column] = series[i].values
    dropped = tuple(symbols[i] for i in range(len(symbols)) if i not in kept)
    return Scenarios(tuple(symbols[i] for i in kept), dropped, days, R)
