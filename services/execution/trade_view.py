"""The newest trades of the books in which something rests, in order; pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from libs.common.events import Trade
from libs.common.topics import L2_TRADES
from libs.common.views import Last, View

if TYPE_CHECKING:
    from collections.abc import Iterator

KEEP: Final = 4_096  # trades of a book: more than come between two looks at it


class TradeView(View[Trade]):
    """A view that decodes and keeps the trades of books that are watched; others are passed by.

    Trades are numbered by book as they are folded. What was traded before a book was watched, or is older
    than the newest `KEEP`, is not known: a queue stays as long then.
    """

    def __init__(self) -> None:
        super().__init__(L2_TRADES)
        self._watched: dict[int, frozenset[bytes]] = {}  # by who watches
        self._wanted: frozenset[bytes] = frozenset()
        self._trades: dict[bytes, deque[Trade]] = {}
        self._numbers: dict[bytes, int] = {}

    @property
    def patient(self) -> bool:
        """Whether its records may wait for others: a trade is looked at with the top that follows it."""
        return True

    def start(self, _now: int) -> Last:
        """Return the end of the log: older trades move no queue."""
        return Last(0)

    def wants(self, key: bytes) -> bool:
        """Return whether something rests in the book."""
        return key in self._wanted

    def watch(self, who: int, books: frozenset[bytes]) -> None:
        """Keep the trades of these books for `who`, instead of those it watched before."""
        if self._watched.get(who, frozenset()) == books:
            return
        self._watched[who] = books
        self._wanted = frozenset().union(*self._watched.values())
        for book in self._trades.keys() - self._wanted:
            del self._trades[book]

    def fold(self, partition: int, offset: int, key: bytes, event: Trade | None) -> None:
        """Apply one record; see `View.fold`."""
        self._pass(partition, offset)
        if event is not None and key in self._wanted:
            self._trades.setdefault(key, deque(maxlen=KEEP)).append(event)
            self._numbers[key] = self.end(key) + 1

    def end(self, book: bytes) -> int:
        """Return the number that the book's next trade gets."""
        return self._numbers.get(book, 0)

    def since(self, book: bytes, number: int) -> Iterator[tuple[int, Trade]]:
        """Yield the book's trades from this number on, numbered, oldest first, as far as they are kept."""
        trades = self._trades.get(book, ())
        first = self.end(book) - len(trades)
        for place in range(max(0, number - first), len(trades)):
            yield first + place, trades[place]
