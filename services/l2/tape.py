"""`Tape`: the public trades of one book, each counted once, and what its venue's stamps are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.events import Trade
from libs.common.time_units import NS_PER_S
from services.l2.messages import TradesMissing
from services.l2.stamps import StampGate
from services.l2.trade_memory import TradeMemory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.l2.features import TradeFlow
    from services.l2.feeds.feed import Feed
    from services.l2.feeds.venue_messages import VenueTrade
    from services.l2.history import History
    from services.l2.maintainer import Counts
    from services.l2.messages import Output
    from services.l2.oddities import Oddities

BEGUN_ANEW_NS: Final = (
    5 * NS_PER_S
)  # the book's venue time never goes back by more, save that a recording restarts


class Tape:
    """The trades and stamps of one book, over all its connections; changed in place.

    Parameters
    ----------
    counts, flow, history, oddities
        What is counted, and told of each trade.
    """

    def __init__(
        self,
        feed: Feed,
        symbol: str,
        counts: Counts,
        flow: TradeFlow,
        history: History,
        oddities: Oddities,
    ) -> None:
        self._feed = feed
        self._symbol = symbol
        self._key = f"{feed.venue}:{symbol}"
        self._counts = counts
        self._flow = flow
        self._history = history
        self._oddities = oddities
        self._gate = StampGate()
        self._trades = TradeMemory(contiguous=feed.contiguous_trades)
        self._newest_ts: int | None = None  # of the book's messages, by the venue's clock

    def admits(self, stamp: int, now: int) -> bool:
        """Return whether a time of the venue's can be true."""
        return self._gate.admits(stamp, now)

    def on_book_time(self, venue_ts: int) -> None:
        """Note a time of the published book: where it falls back far, a recording is played again."""
        newest = self._newest_ts
        if newest is None or venue_ts >= newest:
            self._newest_ts = venue_ts
        elif venue_ts < newest - BEGUN_ANEW_NS:
            self._trades.clear()
            self._newest_ts = venue_ts

    def on_trade(self, trade: VenueTrade, now: int) -> list[Output]:
        """Publish a trade, if it was not counted already."""
        said = self._count(trade, now)
        self._counts.repeated_trades += said is None
        return said or []

    def take_over(self, held: Iterable[VenueTrade], now: int) -> list[Output]:
        """Go on with the trades that a new line said while the old one was still counted.

        One that both said shows that none is missing between them. Without one, the ids show it, or the
        venue's history has to supply the minutes since the last trade.
        """
        since = self._trades.newest_ts
        said = [self._count(trade, now) for trade in held]
        if None not in said and not self._feed.contiguous_trades:
            self._history.distrust(since)
        return [output for each in said for output in each or ()]

    def _count(self, trade: VenueTrade, now: int) -> list[Output] | None:
        """Count a trade and say so; return None where it was counted already."""
        out: list[Output] = []
        if not trade.size:
            self._trades.hole_before(trade)  # its id came, so it leaves no hole
            return self._oddities.ignored("a trade of size 0", now)
        if not self.admits(trade.venue_ts, now):
            self._trades.hole_before(trade)  # its id came, so it leaves no hole
            self._history.distrust(None)  # of a minute that nobody knows
            return self._oddities.false_stamp(trade.venue_ts, now)
        since = self._trades.newest_ts
        if not self._trades.is_news(trade):
            return None
        if missing := self._trades.hole_before(trade):
            self._counts.trade_holes += 1
            self._counts.missing_trades += missing
            self._flow.clear()
            self._history.distrust(since)
            out.append(TradesMissing(self._key, trade.trade_id, missing))
        self._flow.add(trade.side, trade.size, now)
        said = Trade(
            venue=self._feed.venue,
            symbol=self._symbol,
            trade_id=trade.trade_id,
            price=trade.price,
            size=trade.size,
            side=trade.side,
            venue_ts=trade.venue_ts,
            received_ts=now,
        )
        self._history.on_trade(trade, now)
        return [*out, said]
