"""`Watch`: what no book may ever say, whatever goes wrong; looked at several times a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.chaos.pending import NOTICE_NS
from tests.chaos.schedule import BLOCKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.chaos.follower import Follower
    from tests.chaos.pending import Pending
    from tests.chaos.schedule import Book

BLOCKED_STATE: Final = "BLOCKED"
AFTER_NS: Final = 15_000_000_000  # in which a venue's books come back: l2's pause of 5 s, a probe, a snapshot


class Watch:
    """Looks at all books; each complaint is made once."""

    def __init__(self, follower: Follower, books: Sequence[Book]) -> None:
        self._follower = follower
        self._books = books
        self._wrong_ts: dict[Book, int] = {}  # when a book was first seen LIVE without a side
        self._blocked_ts: dict[str, int] = {}  # when a venue was last seen to block
        self._told: set[str] = set()

    def look(self, pending: Iterable[Pending], now: int) -> list[str]:
        """Return what is wrong now and was not told yet."""
        for each in pending:
            if each.action.kind == BLOCKED:
                self._blocked_ts.update(dict.fromkeys((book[0] for book in each.books), now))
        wrong = (what for book in self._books for what in self._of(book, now))
        found = [what for what in wrong if what not in self._told]
        self._told.update(found)
        return found

    def _of(self, book: Book, now: int) -> Iterator[str]:
        health, replica = self._follower.health(book), self._follower.replica(book)
        blocked_ts = self._blocked_ts.get(book[0])
        if health.state == BLOCKED_STATE and (blocked_ts is None or now - blocked_ts > AFTER_NS):
            yield f"{':'.join(book)} is BLOCKED ({health.reason}), and {book[0]} blocks nobody"
        if not replica.epoch or (replica.bids and replica.asks) or not health.is_live(now):
            self._wrong_ts.pop(book, None)
            return
        # States and levels are of two topics, one of which is read first.
        if health.ts > self._wrong_ts.setdefault(book, now) + NOTICE_NS:
            empty = "asks" if replica.bids else "bids"
            yield f"{':'.join(book)} is LIVE without {empty} in epoch {replica.epoch}"
