"""How a source shows what its books were a moment ago, to who is about to look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.events import BookHealth, BookTop
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, book_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backtest.bus import Bus


def show_books(bus: Bus, said: Iterable[object]) -> None:
    """Show the tops among what was said, then the healths: none is judged beside one that is out of date.

    Venues are compared with each other at each health, and one whose word is some seconds old is left out.
    """
    tops, healths = [], []
    for event in said:
        if isinstance(event, BookTop):
            tops.append((book_key(event.venue, event.symbol), event))
        elif isinstance(event, BookHealth):
            healths.append((book_key(event.venue, event.symbol), event))
    if tops:
        bus.show_together(L2_BOOK_TOPS, tops)
    if healths:
        bus.show_together(L2_BOOK_HEALTH, healths)
