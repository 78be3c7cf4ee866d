"""Candles out of history, each told when its minute or day is over; where there are none, from the trades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.time_units import DAY_NS, MINUTE_NS
from libs.history.candle_days import end_of
from libs.history.reader import read_candles
from services.l2.candles import GRACE_NS, CandleBuilder
from services.l2.feeds.venue_messages import VenueTrade

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from libs.common.events import Candle, Trade
    from libs.history.layout import BookFolder
    from services.l2.policy import Policy


def known_candles(root: Path, book: BookFolder, begin: int, policy: Policy) -> Iterator[Candle]:
    """Yield what l2 would have of the time before: as far back as it asks a venue, oldest first."""
    minutes_from = begin - policy.history_minutes * MINUTE_NS
    for candle in read_candles(root, book, begin - policy.history_days * DAY_NS, begin + 1):
        if candle.interval == "1d" or candle.open_ts >= minutes_from:
            yield candle


class KeptCandles:
    """The candles of one book in the range of a run; changed in place.

    Where history has a candle that is over in the range, it has all of them; else they are built from trades
    as l2 builds them, but for the minute in which the run begins.
    """

    def __init__(self, root: Path, book: BookFolder, begin: int, end: int) -> None:
        self._kept = read_candles(root, book, begin + 1, end + 1)
        self._next = next(self._kept, None)
        self._builder: CandleBuilder | None = None
        if self._next is None:
            self._builder = CandleBuilder(*book)
            self._builder.begin(begin)
        self._closes_at = begin - begin % MINUTE_NS + 2 * MINUTE_NS + GRACE_NS

    def recall(self, known: Sequence[Candle]) -> None:
        """Count what was there before the range: a day is the sum of its minutes."""
        if self._builder is not None:
            self._builder.recall(known)

    @property
    def next_ts(self) -> int | None:
        """When the next candle is told, ns; None behind the last one."""
        if self._builder is not None:
            return self._closes_at
        return None if self._next is None else end_of(self._next) + GRACE_NS

    def add(self, trade: Trade) -> None:
        """Count a trade where candles are built."""
        if self._builder is not None:
            self._builder.add(
                VenueTrade(
                    trade_id=trade.trade_id,
                    price=trade.price,
                    size=trade.size,
                    side=trade.side,
                    venue_ts=trade.venue_ts,
                )
            )

    def take(self, now: int) -> list[Candle]:
        """Return what is over by now (ns UTC)."""
        found: list[Candle] = []
        if self._builder is not None:
            if now >= self._closes_at:
                self._closes_at += MINUTE_NS
                found += self._builder.close_until(now)
            return found
        while self._next is not None and end_of(self._next) + GRACE_NS <= now:
            found.append(self._next)
            self._next = next(self._kept, None)
        return found
