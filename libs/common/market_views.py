"""The market of a symbol as policies see it, folded from the topics of l2; pure.

Whoever folds the same topics up to the same offsets finds the same market for the same moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from libs.common.asked_instruments import instruments_of
from libs.common.candle_view import Candles
from libs.common.live_books import PATIENCE, Patience, usable
from libs.common.policy import Book, Market
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_CANDLES, L2_CANDLES_DAILY, book_key
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import BookHealth, BookTop, Features


class Newness(NamedTuple):
    """What of a symbol is new, where it differs from before."""

    minute: int  # when its newest closed minute began, ns UTC; 0: none is known
    tops: tuple[tuple[int, int], ...]  # epoch and seq of its books


class MarketViews:
    """Views of books and candles, and the markets that they show.

    Parameters
    ----------
    reference_venue
        Whose candles are seen, and whose book's features before others'.
    minutes, days
        How many closed candles are seen at most.
    """

    def __init__(
        self, reference_venue: str, minutes: int, days: int, patience: Patience = PATIENCE["features"]
    ) -> None:
        self._venue = reference_venue
        self._minutes = minutes
        self._days = days
        self._patience = patience
        self._tops: View[BookTop] = View(L2_BOOK_TOPS)
        self._healths: View[BookHealth] = View(L2_BOOK_HEALTH)
        self._candles = Candles(topics=(L2_CANDLES, L2_CANDLES_DAILY), venue=reference_venue)

    @property
    def views(self) -> tuple[View[Any], ...]:
        """All of them."""
        return (self._tops, self._healths, *self._candles.views)

    def market(self, symbol: str, now: int) -> Market:
        """Return the market of a symbol at `now` (ns UTC), without parameters of a policy."""
        books = self._books(symbol, now)
        return Market(
            symbol=symbol,
            ts=now,
            minutes=tuple(self._candles.window(self._venue, symbol, "1m")[-self._minutes :]),
            days=tuple(self._candles.window(self._venue, symbol, "1d")[-self._days :]),
            features=self._features(symbol, books),
            books=books,
        )

    def seen(self, partition: int) -> dict[str, int]:
        """Return by topic the offset in a partition before which everything was folded, and nothing after."""
        return {view.topic.name: view.position(partition) for view in self.views}

    def news(self) -> Mapping[str, Newness]:
        """Return what is new, by symbol that has a book."""
        tops: dict[str, list[tuple[int, int]]] = {}
        for top in self._tops.items.values():
            tops.setdefault(top.symbol, []).append((top.epoch, top.seq))
        return {symbol: Newness(self._newest(symbol), tuple(each)) for symbol, each in tops.items()}

    def newness(self, symbol: str) -> Newness:
        """Return what is new of one symbol."""
        return self.news().get(symbol) or Newness(self._newest(symbol), ())

    def _newest(self, symbol: str) -> int:
        minutes = self._candles.window(self._venue, symbol, "1m")
        return minutes[-1].open_ts if minutes else 0

    def _books(self, symbol: str, now: int) -> dict[str, Book]:
        found = {}
        for key, top in self._tops.items.items():
            if top.symbol != symbol or key != book_key(top.venue, symbol) or top.features is None:
                continue
            if usable(top, self._healths.items.get(key), now, self._patience) is None:
                found[top.venue] = Book(
                    venue=top.venue,
                    bids=top.bids,
                    asks=top.asks,
                    features=top.features,
                    epoch=top.epoch,
                    seq=top.seq,
                    received_ts=top.received_ts,
                )
        return dict(sorted(found.items()))

    def _features(self, symbol: str, books: Mapping[str, Book]) -> Features | None:
        """Return those of the reference venue's book, else of the first venue that takes orders."""
        listed = sorted(instruments_of(symbol, self._healths.items), key=lambda v: (v != self._venue, v))
        return next((books[venue].features for venue in listed if venue in books), None)
