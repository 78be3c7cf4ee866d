"""Candles of one pair: the past from the latent price, the present from the trades of the book.

Past minutes are a function of (seed, symbol, open time) alone and days are made of minutes, so both intervals
agree, and the last past candle closes where the live market began.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.time_units import NS_PER_S
from simulator.latent import HISTORY, MINUTES, NS_DAY, NS_MINUTE, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.exchange_book import Print
    from simulator.latent import LatentPrices
    from simulator.order_flow import Pair

INTERVALS: Final = {"1m": NS_MINUTE, "1d": NS_DAY}

_MINUTE_TRADES: Final = 2500.0  # of the most active symbol, all venues
_VOLUME_SD: Final = 0.5  # of a minute's log volume
_COLUMNS: Final = 64  # symbols whose streams of a day stand side by side
_HALF_BITS: Final = 32  # of an int64


@dataclass(slots=True)
class Candle:
    """One interval; prices in ticks, volumes in lots, quote volumes in ticks times lots."""

    open_ns: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    quote: int = 0
    trades: int = 0
    taker_lots: int = 0  # bought by takers
    taker_quote: int = 0

    def add(self, trade: Print) -> None:
        """Fold a trade in."""
        self.high = max(self.high, trade.tick)
        self.low = min(self.low, trade.tick)
        self.close = trade.tick
        self.lots += trade.lots
        self.quote += trade.tick * trade.lots
        self.trades += 1
        if trade.taker == "buy":
            self.taker_lots += trade.lots
            self.taker_quote += trade.tick * trade.lots


def merged(open_ns: int, parts: list[Candle]) -> Candle:
    """Return the candle that consecutive candles make together; `parts` is not empty."""
    return Candle(
        open_ns,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.lots for part in parts),
        sum(part.quote for part in parts),
        sum(part.trades for part in parts),
        sum(part.taker_lots for part in parts),
        sum(part.taker_quote for part in parts),
    )


@lru_cache(maxsize=16)
def _drawn(
    latent: LatentPrices, seed: int, day: int, column: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what a symbol's minutes have in common at all venues.

    Returns
    -------
    prices
        Open, high, low and close, shape (4, 1440), quote units.
    busy
        Relative volume, mean one.
    skew
        Share of the volume that takers bought.

    Notes
    -----
    Between its ends a and b a minute is a Brownian bridge of variance s^2, whose maximum is
    (a + b + sqrt((b - a)^2 - 2 s^2 ln U)) / 2 with U uniform; the minimum mirrors it. The two are drawn
    independently, which ignores that a bridge with a high maximum has a slightly higher minimum.

    References
    ----------
    Glasserman (2003), Monte Carlo Methods in Financial Engineering, section 6.4, maximum of a bridge.
    """
    path = latent.day(day)
    a, b = path.log_price[:-1, column], path.log_price[1:, column]
    s = latent.day_vol[column] * path.minute_vol
    rng = stream(seed, HISTORY, (column // _COLUMNS << 32) + day * _COLUMNS + column % _COLUMNS)
    uniforms = 1.0 - rng.random((2, MINUTES))
    reach = np.sqrt((b - a) ** 2 - 2.0 * s**2 * np.log(uniforms))
    log_prices = np.stack([a, (a + b + reach[0]) / 2.0, (a + b - reach[1]) / 2.0, b])
    move = (b - a) / s
    hour = np.arange(MINUTES) / 60.0
    shape = 1.0 + 0.35 * np.cos((hour - 15.0) / 24.0 * 2.0 * np.pi)  # busiest at 15:00 UTC
    noise = np.exp(_VOLUME_SD * rng.standard_normal(MINUTES) - _VOLUME_SD**2 / 2.0)
    busy = shape * noise * (0.6 + 0.5 * np.abs(move))  # E|N| = 0.8, so the mean is one
    return np.exp(log_prices), busy, 0.5 + 0.25 * np.tanh(move)


def _exact_sums(rows: NDArray[np.int64]) -> list[int]:
    """Return each row's sum as a Python int: a busy day of 1e-8 lots comes near the end of int64."""
    upper = (rows >> _HALF_BITS).sum(axis=1).tolist()
    lower = (rows & ((1 << _HALF_BITS) - 1)).sum(axis=1).tolist()
    return [(high << _HALF_BITS) + low for high, low in zip(upper, lower, strict=True)]


class PastCandles:
    """Candles of the time before the live market, for one pair."""

    def __init__(self, pair: Pair, latent: LatentPrices, seed: int) -> None:
        self._pair = pair
        self._latent = latent
        self._seed = seed
        self._minutes = lru_cache(maxsize=2)(self._rows)
        self.day = lru_cache(maxsize=4096)(self._day)

    def minute(self, minute: int) -> Candle:
        """Return the candle of a minute, counted since 1970."""
        day, index = divmod(minute, MINUTES)
        return Candle(minute * NS_MINUTE, *self._minutes(day)[:, index].tolist())

    def _day(self, day: int) -> Candle:
        rows = self._rows(day)
        o, h, low, c = rows[:4]
        sums = _exact_sums(rows[4:])
        return Candle(day * NS_DAY, int(o[0]), int(h.max()), int(low.min()), int(c[-1]), *sums)

    def until(self, day: int, minutes: int) -> list[Candle]:
        """Return the first candles of a day, and keep none."""
        columns = self._rows(day).T[:minutes].tolist()
        return [Candle(day * NS_DAY + index * NS_MINUTE, *column) for index, column in enumerate(columns)]

    def _rows(self, day: int) -> NDArray[np.int64]:
        """Return the fields of a day's candles after `open_ns`, shape (9, 1440)."""
        pair = self._pair
        prices, busy, skew = _drawn(self._latent, self._seed, day, pair.column)
        tick, lot = float(pair.instrument.tick), float(pair.instrument.lot)
        rows = np.empty((9, MINUTES), dtype=np.int64)
        ticks, (lots, quote, trades, bought, bought_quote) = rows[:4], rows[4:]
        ticks[:] = np.rint(prices / tick)
        notional = pair.symbol.minute_notional * pair.venue.volume_share * busy
        mean = np.rint(ticks.sum(axis=0) / len(ticks)).astype(np.int64)
        lots[:] = np.maximum(1, notional / (mean * tick * lot))
        quote[:] = lots * mean
        minute_trades = _MINUTE_TRADES * pair.symbol.activity * pair.venue.volume_share
        trades[:] = np.maximum(1, minute_trades * busy)
        bought[:] = lots * skew
        bought_quote[:] = bought * mean
        return rows


class Candles:
    """All candles of one pair: past ones, then those of the trades it is shown.

    Parameters
    ----------
    start_ns
        UTC; the minute of this time begins in the past and goes on with live trades.
    """

    def __init__(self, pair: Pair, latent: LatentPrices, past: PastCandles, start_ns: int) -> None:
        self._past = past
        self._first_minute = start_ns // NS_MINUTE
        self._first_day = start_ns // NS_DAY
        *before, begun = past.until(self._first_day, self._first_minute % MINUTES + 1)
        opening = _opening(pair, latent, begun, start_ns)
        self._minutes = [opening]  # contiguous from the first minute on
        self._days = [merged(self._first_day * NS_DAY, [*before, opening])]

    def add(self, trade: Print) -> None:
        """Fold a trade in; trades arrive in time order."""
        self.advance(trade.ts_ns)
        self._minutes[-1].add(trade)
        self._days[-1].add(trade)

    def advance(self, now_ns: int) -> None:
        """Begin every interval up to this time; one without trades stays flat at the last price."""
        for series, length in ((self._minutes, NS_MINUTE), (self._days, NS_DAY)):
            while series[-1].open_ns + length <= now_ns:
                last = series[-1].close
                series.append(Candle(series[-1].open_ns + length, last, last, last, last))

    def between(self, interval: str, first_ns: int, last_ns: int, earliest_ns: int) -> list[Candle]:
        """Return copies of the candles that open in [first, last] and not before `earliest_ns`.

        Parameters
        ----------
        interval
            A key of `INTERVALS`.
        earliest_ns
            The start of the history that is told; none is made up before it.
        """
        length = INTERVALS[interval]
        live, past = (self._minutes, self._past.minute) if interval == "1m" else (self._days, self._past.day)
        first = -(-max(first_ns, earliest_ns) // length)
        last = min(last_ns, live[-1].open_ns) // length
        origin = live[0].open_ns // length
        return [replace(live[n - origin] if n >= origin else past(n)) for n in range(first, last + 1)]


def _opening(pair: Pair, latent: LatentPrices, whole: Candle, start_ns: int) -> Candle:
    """Return the part of a minute's candle up to the start of the live market in it."""
    tick = float(pair.instrument.tick)
    times = [*range(whole.open_ns, start_ns, NS_PER_S), start_ns]
    path = [round(exp(latent.log_price(pair.column, ts)) / tick) for ts in times]
    share = (start_ns - whole.open_ns) / NS_MINUTE
    lots, bought = int(whole.lots * share), int(whole.taker_lots * share)
    mean = round(sum(path) / len(path))
    trades = int(whole.trades * share)
    return Candle(
        whole.open_ns,
        path[0],
        max(path),
        min(path),
        path[-1],
        lots,
        lots * mean,
        trades,
        bought,
        bought * mean,
    )
