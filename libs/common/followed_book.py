"""`FollowedBook`: one book rebuilt from its topic by whoever reads it, and whether it may be used; pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from libs.common.events import BookSnapshot, BookState, BookTop
from libs.common.live_books import BookFault, follows
from libs.common.order_book import KeyframeMismatchError, OrderBook, SequenceGapError

if TYPE_CHECKING:
    from libs.common.events import BookDelta, BookHealth
    from libs.common.live_books import Patience

AWAITED: Final = "its first keyframe is on its way, within 10 s"
LOOKED_AT: Final = 50  # levels a side that are looked at before use, as many as a top has


class Step(Enum):
    """What a message did to a book."""

    OLD = "it is older than the book"
    FOLLOWED = "a delta that follows the book, or the keyframe of a later seq"
    CONFIRMED = "a keyframe that shows exactly the book that the deltas gave"
    RENEWED = "a keyframe of a later epoch, or the first one"
    HEALED = "a keyframe, after a hole"
    HOLE = "a delta that does not follow the book: some before it are missing"
    REBUILT = "a keyframe that shows another book than the deltas gave"


class FollowedBook:
    """Folds one book's keyframes, deltas and healths; changed in place.

    Attributes
    ----------
    in_step
        Whether every delta since the last keyframe has arrived, so that `book` is the book.
    health
        What its owner said last; None before, and once the book is dropped.
    dropped
        Whether its health is a tombstone: l2 keeps it no more.
    trouble
        Why the book is not in step, or was not, in words; empty before the first time.
    received_ts
        When the last message came out of the venue's socket, ns UTC; None before the first.
    """

    def __init__(self) -> None:
        self.book = OrderBook()
        self.in_step = False
        self.health: BookHealth | None = None
        self.dropped = False
        self.trouble = ""
        self.received_ts: int | None = None

    @property
    def has_book(self) -> bool:
        """Whether a keyframe has been seen."""
        return self.book.epoch is not None

    def follow(self, event: BookSnapshot | BookDelta) -> Step:
        """Take the next message of the book's topic."""
        before, was_in_step = (self.book.epoch, self.book.seq), self.in_step
        try:
            if not self.book.follow(event):
                return Step.OLD
        except SequenceGapError as error:
            self.in_step = False
            if was_in_step or not self.trouble:
                self.trouble = str(error)
            return Step.HOLE
        except KeyframeMismatchError as error:
            self.trouble = str(error)
            self.book = OrderBook()
            self.book.follow(event)
            self.in_step, self.received_ts = True, event.received_ts
            return Step.REBUILT
        self.received_ts = event.received_ts
        if not isinstance(event, BookSnapshot):
            return Step.FOLLOWED
        self.in_step = True
        if before[0] != event.epoch:
            return Step.RENEWED
        if not was_in_step:
            return Step.HEALED
        return Step.CONFIRMED if before[1] == event.seq else Step.FOLLOWED

    def hear(self, health: BookHealth | None) -> None:
        """Take the next health of the book; None is the tombstone of a book nobody wants any more."""
        self.health = health
        self.dropped = health is None

    def lose(self, reason: str) -> None:
        """Take a message of the book that cannot be read; what it said is missing from the book."""
        self.in_step = False
        self.trouble = reason

    def fault(self, now: int, patience: Patience) -> BookFault | None:
        """Return why the book may not be used at `now` (ns UTC), None if it may; see `live_books.usable`."""
        if self.dropped:
            return BookFault(BookState.DISCONNECTED, "nobody subscribes to this book")
        top = self._top()
        if (fault := follows(top, self.health, now, patience)) is not None:
            awaited = top is None and fault.state is BookState.SYNCING and self.health is not None
            return fault._replace(reason=AWAITED) if awaited and not fault.by_owner else fault
        if not self.in_step:
            return BookFault(BookState.GAP, f"{self.trouble}; its next keyframe heals it, within 10 s")
        return None

    def _top(self) -> BookTop | None:
        """Return the best of the book as a top, without features: nobody has told any."""
        epoch, seq, received_ts = self.book.epoch, self.book.seq, self.received_ts
        if epoch is None or seq is None or received_ts is None or self.health is None:
            return None
        return BookTop(
            venue=self.health.venue,
            symbol=self.health.symbol,
            epoch=epoch,
            seq=seq,
            venue_seq=self.book.venue_seq,
            bids=self.book.bids(LOOKED_AT),
            asks=self.book.asks(LOOKED_AT),
            features=None,
            venue_ts=None,
            received_ts=received_ts,
        )
