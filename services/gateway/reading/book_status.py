"""What callers read of a book's state: its owner's word, unless the book may not be used; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.events import BookState
from libs.common.live_books import usable

if TYPE_CHECKING:
    from libs.common.events import BookHealth, BookTop
    from libs.common.live_books import Patience


class BookStatus(NamedTuple):
    """A book's state as callers see it."""

    state: BookState
    reason: str


_WAITING: Final = BookStatus(BookState.SYNCING, "waiting for the l2 process to take the subscription up")


def status_of(top: BookTop | None, health: BookHealth | None, now: int, patience: Patience) -> BookStatus:
    """Return the state of a subscribed book: LIVE only where it is usable."""
    if top is None and health is None:
        return _WAITING
    fault = usable(top, health, now, patience)
    if fault is None and health is not None:
        return BookStatus(health.state, health.reason)
    assert fault is not None  # noqa: S101 -- without a health no book is usable
    return BookStatus(fault.state, fault.reason)
