"""The simulator's latent price as candles, and what its own law says that a position in it earns."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from backtest.sources.bars import HISTORY_NS
from libs.common.events import Candle
from libs.common.time_units import DAY_NS, MINUTE_NS
from simulator.latent import _DRIFT, BLOCKS, MINUTES, LatentPrices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOTIONAL = 3_000_000.0  # of a minute, quote units


class LatentCandles:
    """Candles of days for what is long ago, of minutes from two days before `begin` on."""

    def __init__(self, latent: LatentPrices, venues: Sequence[str], begin: int) -> None:
        self.latent, self._begin = latent, begin
        self.books = [(venue, symbol) for venue in venues for symbol in latent.symbols]

    def between(self, book: tuple[str, str], begin: int, end: int) -> Iterator[Candle]:
        column = self.latent.symbols.index(book[1])
        for day in range(max(0, begin - 1) // DAY_NS, end // DAY_NS + 1):
            start = day * DAY_NS
            path = np.exp(self.latent.day(day).log_price[:, column]).tolist()
            if start + DAY_NS <= self._begin - HISTORY_NS:
                if begin <= start + DAY_NS < end:
                    yield a_candle(book, "1d", start, (path[0], max(path), min(path), path[-1]))
                continue
            for minute, (opened, closed) in enumerate(pairwise(path)):
                open_ts = start + minute * MINUTE_NS
                if begin <= open_ts + MINUTE_NS < end:
                    high, low = max(opened, closed), min(opened, closed)
                    yield a_candle(book, "1m", open_ts, (opened, high, low, closed))


def a_candle(
    book: tuple[str, str], interval: str, open_ts: int, prices: tuple[float, float, float, float]
) -> Candle:
    minutes = 1 if interval == "1m" else MINUTES
    return Candle(
        venue=book[0],
        symbol=book[1],
        interval=interval,  # type: ignore[arg-type]
        open_ts=open_ts,
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        volume=NOTIONAL * minutes / prices[3],
        trades=100,
        closed=True,
    )


def law_of(latent: LatentPrices, edge: float, day: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each minute's log return, given the regimes of the day."""
    path = latent.day(day)
    regimes = np.repeat(np.array(path.regimes), MINUTES // BLOCKS)
    sd = path.minute_vol * latent.day_vol[column]
    anchor = float(latent._anchor[column])  # noqa: SLF001 -- its own law
    pull = float(latent._pull) / MINUTES  # noqa: SLF001
    drift = edge * _DRIFT[regimes] / np.sqrt(MINUTES / BLOCKS)
    return drift * sd - (path.log_price[0, column] - anchor) * pull, sd
