"""`BookWatch`: one book rebuilt from its topic, and what a person watching it should know."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from libs.common.events import BookSnapshot
from libs.common.followed_book import FollowedBook, Step
from libs.common.live_books import PATIENCE, owner_fault
from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from libs.cli.names import BookId
    from libs.common.events import BookDelta, BookHealth

RATE_WINDOW_S: Final = 5
TOUCHED_NS: Final = 300_000_000  # how long a changed level stays highlighted


class BookWatch(FollowedBook):
    """Folds one book's keyframes, deltas and healths; changed in place.

    Attributes
    ----------
    confirmed
        How many keyframes showed exactly the book that the deltas had given.
    notice
        The last remarkable event, in words; empty before the first.
    """

    def __init__(self, book_id: BookId) -> None:
        super().__init__()
        self.book_id = book_id
        self.confirmed = 0
        self.notice = ""
        self._arrivals: deque[int] = deque()  # received_ts of the deltas of the last seconds
        self._touched: deque[tuple[int, frozenset[float]]] = deque()  # (received_ts, prices)

    def on_message(self, event: BookSnapshot | BookDelta) -> None:
        """Take the next message of the book's topic."""
        first, was_in_step = not self.has_book, self.in_step
        step = self.follow(event)
        match step:
            case Step.OLD:
                return
            case Step.HOLE:
                if was_in_step:
                    self.notice = f"hole: {self.trouble}; waiting for a keyframe"
                return
            case Step.REBUILT:
                self.notice = f"rebuilt: {self.trouble}"
            case Step.CONFIRMED:
                self.confirmed += 1
            case Step.RENEWED if not first:
                self.notice = f"new epoch {event.epoch}: l2 synchronised the book anew"
                self.confirmed = 0
            case Step.HEALED:
                self.notice = f"healed by the keyframe at seq {event.seq}"
            case _:
                pass
        self._note_arrival(event)

    def on_health(self, health: BookHealth | None) -> None:
        """Take the next health of the book; None is the tombstone of a book nobody wants any more."""
        if health is None:
            self.notice = "the subscription ended: l2 dropped this book"
        elif self.health is not None and health.state != self.health.state:
            self.notice = f"{self.health.state} → {health.state}: {health.reason}"
        self.hear(health)

    def on_undecodable(self, reason: str) -> None:
        """Take a message that is no message; what it said is missing from the book."""
        self.lose(reason)
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
        now = event.received_ts
        if isinstance(event, BookSnapshot):
            return
        self._arrivals.append(now)
        self._touched.append((now, frozenset(price for price, _ in (*event.bids, *event.asks))))
        self.rate(now)  # both queues forget what is old, watched or not
        self.touched(now)
