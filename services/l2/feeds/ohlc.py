"""From a venue's rows of open, high, low, close to `Candle` events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from libs.common.events import Candle
from services.l2.feeds.feed import BadFrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Interval


class OhlcRow(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of a venue's trades."""

    open_ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int


def candles_of(venue: str, symbol: str, interval: Interval, rows: Sequence[OhlcRow]) -> tuple[Candle, ...]:
    """Return the rows as candles; all but the last are closed, since a later one has begun.

    Raises
    ------
    BadFrameError
        If the rows do not rise in time, or a row's prices contradict each other.
    """
    candles = []
    for at, row in enumerate(rows):
        if at and row.open_ts <= rows[at - 1].open_ts:
            raise BadFrameError(f"{venue}: candle {at} opens at {row.open_ts}, not after the one before")
        if not row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high:
            raise BadFrameError(f"{venue}: the candle that opens at {row.open_ts} leaves its low and high")
        candles.append(
            Candle(
                venue=venue,
                symbol=symbol,
                interval=interval,
                open_ts=row.open_ts,
                open=row.open,
                high=row.high,
                low=row.low,
                close=row.close,
                volume=row.volume,
                trades=row.trades,
                closed=at < len(rows) - 1,
            )
        )
    return tuple(candles)
