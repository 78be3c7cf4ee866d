"""The book that a replay maintains beside the frames it sends, in the venue's own digits."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_EARLY: Final = 10_000  # changes kept from before a book's reply: 17 minutes at 10/s
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


class ReplayedBook(Protocol):
    """One instrument's book of a recording."""

    symbol: str
    depth: int | None  # levels a side; None: all

    def truth(self) -> Truth | None:
        """Return the book as of the last frame sent; None while it is not known."""

    def forget(self) -> None:
        """Know the book no more, until its next snapshot."""


class SnapshotBook:
    """A book that is known from a snapshot on its stream on."""

    def __init__(self, symbol: str, depth: int | None = None) -> None:
        self.symbol = symbol
        self.depth = depth
        self.levels = TextBook()
        self.sequence = 0  # of the last message
        self.known = False

    def take(
        self, bids: Iterable[Row], asks: Iterable[Row], *, whole: bool, sequence: int | None = None
    ) -> None:
        """Take a message; where the venue numbers none, its sequence counts them."""
        self.sequence = self.sequence + 1 if sequence is None else sequence
        if whole:
            self.levels.replace(bids, asks)
            self.known = True
        else:
            self.levels.apply(bids, asks)
        if self.depth is not None:
            self.levels.truncate(self.depth)

    def truth(self) -> Truth | None:
        """Return the book as of the last frame sent; None while it is not known."""
        return self.levels.truth(self.sequence) if self.known else None

    def forget(self) -> None:
        """Know the book no more, until its next snapshot."""
        self.known = False


Change = TypeVar("Change")


class RepliedBook(ABC, Generic[Change]):
    """A book that is known from a recorded REST reply on; changes before it are kept for it."""

    depth: int | None = None

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.levels = TextBook()
        self.last: int | None = None  # the venue's id of the last change; None: not known
        self.replies = 0  # recorded, still to come
        self._early: deque[Change] = deque(maxlen=MAX_EARLY)

    @abstractmethod
    def apply(self, change: Change, last: int) -> None:
        """Apply a change to a book at `last`."""

    def update(self, change: Change) -> None:
        """Apply a change, or keep it until the book is known."""
        if self.last is None:
            self._early.append(change)
        else:
            self.apply(change, self.last)

    def load(self, last: int, bids: Iterable[Row], asks: Iterable[Row]) -> None:
        """Know the book from a recorded reply."""
        self.replies -= 1
        self.levels.replace(bids, asks)
        self.last = last
        early, self._early = self._early, deque(maxlen=MAX_EARLY)
        for change in early:
            self.update(change)

    def truth(self) -> Truth | None:
        """Return the book as of the last frame sent; None while it is not known."""
        return None if self.last is None else self.levels.truth(self.last)

    def forget(self) -> None:
        """Know the book no more, until its next reply."""
        self.last = None
        self._early.clear()
