"""`BookWatch`: one book rebuilt from its topic, and what a person watching it should know."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from libs.common.events import BookSnapshot
from libs.common.live_books import PATIENCE, owner_fault
from libs.common.order_book import KeyframeMismatchError, OrderBook, SequenceGapError
from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from libs.cli.names import BookId
    from libs.common.events import BookDelta, BookHealth

RATE_WINDOW_S: Final = 5
TOUCHED_NS: Final = 300_000_000  # how long a changed level stays highlighted


class BookWatch:
    """Folds one book's keyframes, deltas and healths; changed in place.

    Attributes
    ----------
    in_step
        Whether every delta since the last keyframe has arrived, so that `book` is the book.
    confirmed
        How many keyframes showed exactly the book that the deltas had given.
    notice
        The last remarkable event, in words; empty before the first.
    """

    def __init__(self, book_id: BookId) -> None:
        self.book_id = book_id
        self.book = OrderBook()
        self.in_step = False
        self.confirmed = 0
        self.notice = ""
        self.health: BookHealth | None = None
        self.dropped = False  # the book's health is a tombstone: l2 keeps it no more
        self.received_ts: int | None = None
        self._arrivals: deque[int] = deque()  # received_ts of the deltas of the last seconds
        self._touched: deque[tuple[int, frozenset[float]]] = deque()  # (received_ts, prices)

    @property
    def has_book(self) -> bool:
        """Whether a keyframe has been seen."""
        return self.book.epoch is not None

    def on_message(self, event: BookSnapshot | BookDelta) -> None:
        """Take the next message of the book's topic."""
        keyframe = isinstance(event, BookSnapshot)
        same_place = (self.book.epoch, self.book.seq) == (event.epoch, event.seq)
        old_epoch = self.book.epoch
        try:
            if not self.book.follow(event):
                return
        except SequenceGapError as error:
            if self.in_step:
                self.notice = f"hole: {error}; waiting for a keyframe"
            self.in_step = False
            return
        except KeyframeMismatchError as error:
            self.notice = f"rebuilt: {error}"
            self.book = OrderBook()
            self.book.follow(event)
            same_place = False
        if keyframe and same_place and self.in_step:
            self.confirmed += 1
        elif keyframe and old_epoch is not None and old_epoch != event.epoch:
            self.notice = f"new epoch {event.epoch}: l2 synchronised the book anew"
            self.confirmed = 0
        elif keyframe and not self.in_step and old_epoch is not None:
            self.notice = f"healed by the keyframe at seq {event.seq}"
        if keyframe:
            self.in_step = True
        self._note_arrival(event)

    def on_health(self, health: BookHealth | None) -> None:
        """Take the next health of the book; None is the tombstone of a book nobody wants any more."""
        if health is None:
            self.dropped = True
            self.notice = "the subscription ended: l2 dropped this book"
        else:
            self.dropped = False
            if self.health is not None and health.state != self.health.state:
                self.notice = f"{self.health.state} → {health.state}: {health.reason}"
        self.health = health

    def on_undecodable(self, reason: str) -> None:
        """Take a message that is no message; what it said is missing from the book."""
        self.in_step = False
        self.notice = f"undecodable message: {reason}; waiting for a keyframe"

    def state(self, now: int) -> tuple[str, str]:
        """Return the state of the book and why, as far as l2 says and this reader can tell."""
        if self.dropped:
            return "DROPPED", "nobody subscribes to this book"
        if self.health is None:
            return "UNKNOWN", "l2 has said nothing about this book's health"
        if (fault := owner_fault(self.health, now, PATIENCE["showing"])) is not None:
            silent_s = (now - self.health.ts) / NS_PER_S
            return "STALE", f"{fault}; its last word, {silent_s:.0f} s ago: {self.health.state}"
        if not self.in_step and self.health.state in {"LIVE", "ONE_SIDED"}:
            return "WAITING", "for a keyframe, which l2 repeats every 10 s"
        return self.health.state, self.health.reason

    def rate(self, now: int) -> float:
        """Return messages per second over the last seconds."""
        while self._arrivals and self._arrivals[0] < now - RATE_WINDOW_S * NS_PER_S:
            self._arrivals.popleft()
        return len(self._arrivals) / RATE_WINDOW_S

    def touched(self, now: int) -> frozenset[float]:
        """Return the prices of the levels that changed a moment ago."""
        while self._touched and self._touched[0][0] < now - TOUCHED_NS:
            self._touched.popleft()
        return frozenset().union(*(prices for _, prices in self._touched))

    def _note_arrival(self, event: BookSnapshot | BookDelta) -> None:
        now = self.received_ts = event.received_ts
        if isinstance(event, BookSnapshot):
            return
        self._arrivals.append(now)
        self._touched.append((now, frozenset(price for price, _ in (*event.bids, *event.asks))))
        self.rate(now)  # both queues forget what is old, watched or not
        self.touched(now)
