"""From a venue's rows of open, high, low, close to `Candle` events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from libs.common.events import Candle
from services.l2.feeds.feed import BadFrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Interval


class Ohlc(Protocol):
    """What a venue says of one interval's trades."""

    @property
    def open(self) -> float:
        """The first price, quote units."""

    @property
    def high(self) -> float:
        """The highest price."""

    @property
    def low(self) -> float:
        """The lowest price."""

    @property
    def close(self) -> float:
        """The last price."""

    @property
    def volume(self) -> float:
        """Base units."""


OhlcRow: TypeAlias = tuple[int, Ohlc, int]  # when it opens (ns UTC), what was traded, in how many trades


def candles_of(venue: str, symbol: str, interval: Interval, rows: Sequence[OhlcRow]) -> tuple[Candle, ...]:
    """Return the rows as candles; all but the last are closed, since a later one has begun.

    Raises
    ------
    BadFrameError
        If the rows do not rise in time, or a row's prices contradict each other.
    """
    candles = []
    for at, (open_ts, row, trades) in enumerate(rows):
        if at and open_ts <= rows[at - 1][0]:
            raise BadFrameError(f"{venue}: candle {at} opens at {open_ts}, not after the one before")
        if not row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high:
            raise BadFrameError(f"{venue}: the candle that opens at {open_ts} leaves its low and high")
        candles.append(
            Candle(
                venue=venue,
                symbol=symbol,
                interval=interval,
                open_ts=open_ts,
                open=row.open,
                high=row.high,
                low=row.low,
                close=row.close,
                volume=row.volume,
                trades=trades,
                closed=at < len(rows) - 1,
            )
        )
    return tuple(candles)
