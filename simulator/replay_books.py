"""The book that a replay maintains beside the frames it sends, in the venue's own digits."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

Row: TypeAlias = tuple[str, ...]  # price, size and what else the venue writes per level, as on the wire


class Truth(msgspec.Struct, frozen=True, rename="camel"):
    """A book as of the last frame sent; levels are (price, size), best first."""

    venue_seq: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


class TextBook:
    """Both sides of a book, each level kept as the venue spelt it."""

    def __init__(self) -> None:
        self._bids: dict[float, Row] = {}
        self._asks: dict[float, Row] = {}

    def replace(self, bids: Iterable[Row], asks: Iterable[Row]) -> None:
        """Forget everything and take these levels."""
        self._bids.clear()
        self._asks.clear()
        self.apply(bids, asks)

    def apply(self, bids: Iterable[Row], asks: Iterable[Row]) -> None:
        """Set levels in order; size zero deletes, and an unknown level may be deleted too."""
        for side, rows in ((self._bids, bids), (self._asks, asks)):
            for row in rows:
                if float(row[1]):
                    side[float(row[0])] = row
                else:
                    side.pop(float(row[0]), None)

    def truncate(self, depth: int) -> None:
        """Keep the best `depth` levels a side."""
        for price in heapq.nsmallest(len(self._bids) - depth, self._bids):
            del self._bids[price]
        for price in heapq.nlargest(len(self._asks) - depth, self._asks):
            del self._asks[price]

    def bids(self, limit: int | None = None) -> list[Row]:
        """Return the highest bids, best first."""
        return [self._bids[price] for price in sorted(self._bids, reverse=True)[:limit]]

    def asks(self, limit: int | None = None) -> list[Row]:
        """Return the lowest asks, best first."""
        return [self._asks[price] for price in sorted(self._asks)[:limit]]

    def truth(self, venue_seq: int) -> Truth:
        """Return the book in numbers."""
        return Truth(
            venue_seq,
            tuple((float(row[0]), float(row[1])) for row in self.bids()),
            tuple((float(row[0]), float(row[1])) for row in self.asks()),
        )
