"""A stretch of one market as columns: what is read or written in bulk has no object a row.

Each stretch gives its messages as events too, one by one, where somebody wants them so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from libs.common.events import BookDelta, BookSnapshot, Candle, Trade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import Interval, Level

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]


class BookColumns(NamedTuple):
    """Messages of one book, in their order; the levels of all of them lie one after the other.

    The levels of message m are ``first[m]`` to ``first[m + 1]``. A snapshot opens an epoch, with seq 1.
    """

    venue: str
    symbol: str
    epoch: Ints  # shape (messages,), as the next five
    seq: Ints
    snapshot: Bools
    venue_seq: Ints | None  # None: the source has none
    venue_ts: Ints  # ns UTC
    received_ts: Ints  # ns UTC
    first: Ints  # shape (messages + 1,)
    is_bid: Bools  # shape (levels,), as the next two
    price: Floats  # quote units
    size: Floats  # base units; 0 deletes

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.epoch)

    def events(self) -> Iterator[BookSnapshot | BookDelta]:
        """Yield the messages."""
        first, is_bid = self.first.tolist(), self.is_bid.tolist()
        levels: list[Level] = list(zip(self.price.tolist(), self.size.tolist(), strict=True))
        venue_seq = [None] * len(self) if self.venue_seq is None else self.venue_seq.tolist()
        snapshot, times = self.snapshot.tolist(), (self.venue_ts.tolist(), self.received_ts.tolist())
        places = zip(self.epoch.tolist(), self.seq.tolist(), venue_seq, *times, strict=True)
        for m, (epoch, seq, of_venue, venue_ts, received_ts) in enumerate(places):
            low, high = first[m], first[m + 1]
            bids = tuple(level for level, bid in zip(levels[low:high], is_bid[low:high], strict=True) if bid)
            asks = tuple(
                level for level, bid in zip(levels[low:high], is_bid[low:high], strict=True) if not bid
            )
            said: dict[str, Any] = {
                "venue": self.venue,
                "symbol": self.symbol,
                "epoch": epoch,
                "seq": seq,
                "venue_seq": of_venue,
                "venue_ts": venue_ts,
                "received_ts": received_ts,
            }
            if snapshot[m]:
                bids, asks = tuple(sorted(bids, reverse=True)), tuple(sorted(asks))
                yield BookSnapshot(bids=bids, asks=asks, reason="resync", **said)
            else:
                yield BookDelta(bids=bids, asks=asks, **said)


class TradeColumns(NamedTuple):
    """Trades of one market, in their order."""

    venue: str
    symbol: str
    trade_id: NDArray[np.object_]  # text; shape (trades,), as all
    price: Floats  # quote units
    size: Floats  # base units
    is_buy: Bools  # of who took
    venue_ts: Ints  # ns UTC
    received_ts: Ints  # ns UTC

    def __len__(self) -> int:
        """Return the number of trades."""
        return len(self.price)

    def events(self) -> Iterator[Trade]:
        """Yield the trades."""
        for trade_id, price, size, is_buy, venue_ts, received_ts in zip(
            *(column.tolist() for column in self[2:]), strict=True
        ):
            yield Trade(
                venue=self.venue,
                symbol=self.symbol,
                trade_id=trade_id,
                price=price,
                size=size,
                side="buy" if is_buy else "sell",
                venue_ts=venue_ts,
                received_ts=received_ts,
            )


class CandleColumns(NamedTuple):
    """Closed candles of one market and one length, in their order."""

    venue: str
    symbol: str
    interval: Interval
    open_ts: Ints  # ns UTC; shape (candles,), as all
    open: Floats  # quote units, as the next three
    high: Floats
    low: Floats
    close: Floats
    volume: Floats  # base units
    trades: Ints

    def __len__(self) -> int:
        """Return the number of candles."""
        return len(self.open_ts)

    def events(self) -> Iterator[Candle]:
        """Yield the candles."""
        for open_ts, open_, high, low, close, volume, trades in zip(
            *(column.tolist() for column in self[3:]), strict=True
        ):
            yield Candle(
                venue=self.venue,
                symbol=self.symbol,
                interval=self.interval,
                open_ts=open_ts,
                open=open_,
                high=high,
                low=low,
                close=close,
                volume=volume,
                trades=trades,
                closed=True,
            )


Columns: TypeAlias = BookColumns | TradeColumns | CandleColumns
