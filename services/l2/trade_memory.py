"""Which public trades were counted already, and where the venue's trade ids have holes.

The memory of a book is bounded: the newest `MOST` trades, each with what tells it from another of the same
id, since a venue's ids may begin anew. What is older than all of them is no news. It outlives connections,
for a venue may repeat its last trades to whoever connects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from services.l2.feeds.venue_messages import VenueTrade

MOST: Final = 4096


class TradeMemory:
    """The trades of one book, newest last; changed in place.

    Parameters
    ----------
    contiguous
        Whether the venue's ids are whole numbers that rise by 1.
    """

    def __init__(self, *, contiguous: bool) -> None:
        self._contiguous = contiguous
        self.clear()

    def clear(self) -> None:
        """Forget all trades: the venue's time began anew, as when a recording is played again."""
        self._counted: dict[str, tuple[int, float, float]] = {}
        self._forgotten_ts: int | None = None  # the newest time of what was forgotten
        self._highest: int | None = None
        self._newest_ts: int | None = None

    def __len__(self) -> int:
        return len(self._counted)

    @property
    def newest_ts(self) -> int | None:
        """The latest venue time (ns) of a counted trade, None before the first."""
        return self._newest_ts

    def is_news(self, trade: VenueTrade) -> bool:
        """Return whether the trade has to be counted, and remember it."""
        mark = (trade.venue_ts, trade.price, trade.size)
        is_old = self._forgotten_ts is not None and trade.venue_ts < self._forgotten_ts
        if is_old or self._counted.get(trade.trade_id) == mark:
            return False
        self._counted.pop(trade.trade_id, None)
        self._counted[trade.trade_id] = mark
        if len(self._counted) > MOST:
            forgotten_ts = self._counted.pop(next(iter(self._counted)))[0]
            self._forgotten_ts = max(forgotten_ts, self._forgotten_ts or forgotten_ts)
        self._newest_ts = max(trade.venue_ts, self._newest_ts or trade.venue_ts)
        return True

    def hole_before(self, trade: VenueTrade) -> int:
        """Return how many ids were left out before this trade, which is news."""
        if not self._contiguous:
            return 0
        number = int(trade.trade_id)
        highest = self._highest
        if highest is None or number > highest or number <= highest - MOST:  # far below: the ids began anew
            self._highest = number
        return 0 if highest is None else max(0, number - highest - 1)
