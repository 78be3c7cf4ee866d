"""The price that all venues of a symbol follow: a fixed function of (seed, symbol, time).

A day's 1440 minute returns are drawn from a stream keyed by the seed and the day, so any minute since the
genesis day can be asked for at any time, a restart continues where the clock is, and candles of the past need
no storage. Within a minute a Brownian bridge of one-second steps joins its two ends.

Symbols
-------
X : log price less log anchor, one per symbol
v : logarithm of the common volatility factor, one per half-hour block
e : correlated standard normals, shape (minutes, symbols)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from math import log, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.random import Generator, Philox

from libs.common.time_units import NS_PER_S
from simulator.profiles import symbol_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GENESIS_DAY: Final = 19_358  # 2023-01-01, in days since 1970
MINUTES: Final = 1440  # a day
BLOCKS: Final = 48  # a day; a block of 30 minutes keeps one regime and one volatility
NS_MINUTE: Final = 60 * NS_PER_S
NS_DAY: Final = MINUTES * NS_MINUTE

_DAYS, _SECONDS, HISTORY, FLOW, WIRE, PREMIUM, CROWD = range(1, 8)  # purposes of random streams

_PULL: Final = log(2) / 60  # per day: X halves its distance to the anchor in 60 days, where nothing drifts
_VOL_MEMORY: Final = 0.97  # of v, per block
_VOL_SD: Final = 0.35  # stationary standard deviation of v
_MACRO_STAY: Final = 0.97  # probability that tomorrow has today's regime
_BLOCK_STAY: Final = 0.85  # probability that the next block has this block's regime
_BLOCK_MACRO: Final = 0.80  # else: probability of falling back to the day's regime


class Regime(IntEnum):
    """What kind of market a block is; names in lower case are those of the contract."""

    BULL = 0
    BEAR = 1
    SIDEWAYS = 2
    VOLATILE = 3


# Per regime: drift in standard deviations of a block, volatility factor, and the weight of the previous
# minute's shock in this minute's return (positive trends, negative reverts). Drift and weight are the edges
# that there are to be found.
_DRIFT: Final = np.array([0.40, -0.40, 0.0, 0.0])
_VOLATILITY: Final = np.array([0.9, 1.1, 0.6, 2.0])
_ECHO: Final = np.array([0.15, 0.15, -0.35, 0.0])


def stream(seed: int, purpose: int, index: int) -> Generator:
    """Return the random stream of one purpose and index, independent of all others."""
    return Generator(Philox(key=np.array([seed, (purpose << 48) | index], dtype=np.uint64)))


@dataclass(frozen=True, slots=True)
class DayPath:
    """One day's latent market."""

    log_price: Floats  # shape (1441, symbols); row m is the start of minute m, the last the end of the day
    minute_vol: Floats  # shape (1440,); times a symbol's `day_vol` it is its standard deviation per minute
    regimes: tuple[Regime, ...]  # one per block


@dataclass(frozen=True, slots=True)
class _Opening:
    deviation: Floats  # X, shape (symbols,)
    log_vol: float  # v
    macro: Regime
    block: Regime


class LatentPrices:
    """Correlated prices with stochastic volatility and regimes, for every time since the genesis day.

    Parameters
    ----------
    seed
        Of everything drawn here.
    symbols
        Canonical; the order fixes the columns of every array.
    edge
        Multiplies the drift and the memory of the regimes; at 0 nothing that was tells what comes, but for
        the pull to the anchor, which is 1 bp an hour 20 % from it. What drifts is pulled the harder.
    """

    def __init__(self, seed: int, symbols: Sequence[str], edge: float = 1.0) -> None:
        self.seed = seed
        self._drift, self._echo = edge * _DRIFT, edge * _ECHO
        self._pull = _PULL * (1 + 2 * edge)
        self.symbols = tuple(symbols)
        profiles = [symbol_profile(symbol) for symbol in symbols]
        self.day_vol = np.array([p.day_vol for p in profiles])
        self._anchor = np.log([p.anchor for p in profiles])
        beta = np.array([p.market_beta for p in profiles])
        correlation = np.outer(beta, beta)
        np.fill_diagonal(correlation, 1.0)
        self._mix = np.linalg.cholesky(correlation).T
        steps = np.arange(BLOCKS)
        lags = steps[:, None] - steps[None, :]
        self._vol_filter = np.where(lags >= 0, _VOL_MEMORY ** np.maximum(lags, 0), 0.0)
        self._vol_decay = _VOL_MEMORY ** (steps + 1)
        self._openings = [_Opening(np.zeros(len(profiles)), 0.0, Regime.SIDEWAYS, Regime.SIDEWAYS)]
        # The caches belong to this object and go with it.
        self.day = lru_cache(maxsize=8)(self._day)
        self._minute = lru_cache(maxsize=8)(self._make_minute)
        self._second_vols = lru_cache(maxsize=8)(self._make_second_vols)

    def log_price(self, column: int, ts_ns: int) -> float:
        """Return the log price of a symbol (by its column) at a time, in log quote units."""
        minute, rest = divmod(ts_ns, NS_MINUTE)
        second, part = divmod(rest, NS_PER_S)
        points = self._minute(minute)[column]
        here = points[second]
        return here + (points[second + 1] - here) * (part / NS_PER_S)

    def minutes(self, column: int, first: int, count: int) -> Floats:
        """Return the log prices of a symbol at the starts of so many minutes; `first` is one since 1970."""
        parts, minute = [], first
        while minute < first + count:
            day, index = divmod(minute, MINUTES)
            taken = min(MINUTES - index, first + count - minute)
            parts.append(self.day(day).log_price[index : index + taken, column])
            minute += taken
        return np.concatenate(parts)

    def day_variance(self, column: int, minute: int) -> float:
        """Return the variance of a symbol's log return over the day that ends at the start of a minute."""
        day, index = divmod(minute, MINUTES)
        today, yesterday = self.day(day).minute_vol[:index], self.day(day - 1).minute_vol[index:]
        total = float(today @ today + yesterday @ yesterday)
        return total * float(self.day_vol[column]) ** 2

    def second_vol(self, column: int, ts_ns: int) -> float:
        """Return the standard deviation of a symbol's log return per second, at a time."""
        return self._second_vols(ts_ns // NS_MINUTE)[column]

    def regime(self, ts_ns: int) -> Regime:
        """Return the regime of the half hour around a time."""
        day, rest = divmod(ts_ns, NS_DAY)
        return self.day(day).regimes[rest * BLOCKS // NS_DAY]

    def _day(self, day: int) -> DayPath:
        path, closing = self._walk(day, self._opening(day))
        if len(self._openings) == day + 1 - GENESIS_DAY:
            self._openings.append(closing)  # so that a history told day by day is walked once
        return path

    def _opening(self, day: int) -> _Opening:
        if day < GENESIS_DAY:
            raise ValueError(f"the market began on 2023-01-01; day {day} since 1970 is before that")
        while len(self._openings) <= day - GENESIS_DAY:
            last = GENESIS_DAY + len(self._openings) - 1
            self._openings.append(self._walk(last, self._openings[-1])[1])
        return self._openings[day - GENESIS_DAY]

    def _walk(self, day: int, opening: _Opening) -> tuple[DayPath, _Opening]:
        rng = stream(self.seed, _DAYS, day)
        chances = rng.random((BLOCKS + 1, 2)).tolist()
        macro = _next_regime(opening.macro, opening.macro, _MACRO_STAY, 0.0, *chances[BLOCKS])
        regimes, block = [], opening.block
        for stay, which in chances[:BLOCKS]:
            block = _next_regime(block, macro, _BLOCK_STAY, _BLOCK_MACRO, stay, which)
            regimes.append(block)
        shocks = rng.standard_normal(BLOCKS) * (_VOL_SD * sqrt(1.0 - _VOL_MEMORY**2))
        log_vol = self._vol_decay * opening.log_vol + self._vol_filter @ shocks  # v, an AR(1)
        index = np.array(regimes)
        # E[exp(2v)] = exp(2 sd^2), so the mean variance factor is one.
        block_vol = np.exp(log_vol - _VOL_SD**2) * _VOLATILITY[index]
        minute_vol = np.repeat(block_vol, MINUTES // BLOCKS) / sqrt(MINUTES)
        e = rng.standard_normal((MINUTES, len(self.symbols))) @ self._mix
        echo = np.repeat(self._echo[index], MINUTES // BLOCKS)[:, None]
        noise = e.copy()
        noise[1:] += echo[1:] * e[:-1]
        noise /= np.sqrt(1.0 + echo**2)
        drift = np.repeat(self._drift[index], MINUTES // BLOCKS)[:, None] / sqrt(MINUTES / BLOCKS)
        returns = (noise + drift) * minute_vol[:, None] * self.day_vol - opening.deviation * (
            self._pull / MINUTES
        )
        path = np.vstack([opening.deviation, opening.deviation + np.cumsum(returns, axis=0)])
        end = path[-1].copy()  # a view would keep the whole path
        closing = _Opening(end, float(log_vol[-1]), macro, block)
        return DayPath(self._anchor + path, minute_vol, tuple(regimes)), closing

    def _make_second_vols(self, minute: int) -> tuple[float, ...]:
        day, index = divmod(minute, MINUTES)
        return tuple((self.day_vol * self.day(day).minute_vol[index] / sqrt(60.0)).tolist())

    def _make_minute(self, minute: int) -> tuple[tuple[float, ...], ...]:
        """Return 61 log prices per symbol: a Brownian bridge from this minute's start to the next one's."""
        day, index = divmod(minute, MINUTES)
        path = self.day(day)
        start, end = path.log_price[index], path.log_price[index + 1]
        steps = stream(self.seed, _SECONDS, minute).standard_normal((60, len(self.symbols))) @ self._mix
        walk = np.cumsum(steps * (self.day_vol * path.minute_vol[index] / sqrt(60.0)), axis=0)
        share = np.arange(1, 61)[:, None] / 60.0
        bridge = start + walk + share * (end - start - walk[-1])
        bridge[-1] = end
        return tuple(tuple(column) for column in np.vstack([start, bridge]).T.tolist())


def _next_regime(
    now: Regime, home: Regime, stay: float, to_home: float, chance: float, which: float
) -> Regime:
    if chance < stay:
        return now
    if which < to_home:
        return home
    return Regime(int((which - to_home) / (1.0 - to_home) * len(Regime)))
