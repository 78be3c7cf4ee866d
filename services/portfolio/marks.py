"""What a symbol is worth now: the mid of a book that is proven LIVE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from libs.common.asked_instruments import instruments_of
from libs.common.live_books import usable
from libs.common.topics import book_key

if TYPE_CHECKING:
    from libs.common.events import BookHealth, BookTop
    from libs.common.live_books import Patience
    from libs.common.views import View


class Mark(NamedTuple):
    """A mid in quote units, and when it was received (ns UTC)."""

    price: float
    ts: int


@dataclass(frozen=True)
class Books:
    """The views of the books; one is LIVE only while its owner says so often enough."""

    tops: View[BookTop]
    healths: View[BookHealth]
    reference: str  # the venue whose mid counts first
    patience: Patience  # with a book

    def mark(self, symbol: str, now: int) -> Mark | None:
        """Return the mid of the reference venue, else of the first LIVE one that lists the symbol."""
        first = self._mid(self.reference, symbol, now)
        if first is not None:
            return first
        others = (self._mid(venue, symbol, now) for venue in self.venues_of(symbol))
        return next((mark for mark in others if mark is not None), None)

    def _mid(self, venue: str, symbol: str, now: int) -> Mark | None:
        key = book_key(venue, symbol)
        top, health = self.tops.items.get(key), self.healths.items.get(key)
        if top and top.features and usable(top, health, now, self.patience) is None:
            return Mark(top.features.mid, top.received_ts)
        return None

    def symbols(self) -> list[str]:
        """Return the symbols that have a book, in order."""
        return sorted({top.symbol for top in list(self.tops.items.values())})

    def venues_of(self, symbol: str) -> tuple[str, ...]:
        """Return the venues that list the symbol, as they say themselves or as the table has it."""
        return tuple(instruments_of(symbol, self.healths.items))
