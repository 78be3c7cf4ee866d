"""What callers read of a book's state: its owner's word, unless the book may not be used; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.events import BookState
from libs.common.usable_books import book_fault, missing_side

if TYPE_CHECKING:
    from libs.common.events import BookHealth, BookTop


class BookStatus(NamedTuple):
    """A book's state as callers see it."""

    state: BookState
    reason: str


_SILENT: Final = BookStatus(BookState.STALE, "the l2 process is silent: its heartbeat is overdue")
_WAITING: Final = BookStatus(BookState.SYNCING, "waiting for the l2 process to take the subscription up")


def status_of(top: BookTop | None, health: BookHealth | None, now: int, silence_ns: int) -> BookStatus:
    """Return the state of a book; one that its owner calls LIVE is not where `book_fault` finds a fault."""
    if health is None:
        return _WAITING if top is None else _SILENT
    if now - health.ts > silence_ns:
        return _SILENT
    if top is not None and health.state is BookState.LIVE:
        if (missing := missing_side(top.bids, top.asks)) is not None:
            return BookStatus(BookState.ONE_SIDED, missing)
        fault = book_fault(top, health, now, silence_ns)
        if fault is not None:
            return BookStatus(BookState.STALE, fault)
    return BookStatus(health.state, health.reason)
