"""The venues with what is measured of their books, best first; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeAlias

from libs.common.events import BookState
from services.gateway.http.views import SYMBOL_METRICS, VENUE_ENTRY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import Struct

    from libs.common.events import VenueMetrics
    from services.gateway.reading.book_status import BookStatus

    Book: TypeAlias = tuple[VenueMetrics, BookStatus]


def venue_entries(books: Iterable[Book], symbol: str | None, now: int) -> list[Struct]:
    """Return the venues, best first: by the cost of the reference order in `symbol`, then by venue id."""
    by_venue: defaultdict[str, list[Book]] = defaultdict(list)
    for metrics, status in books:
        by_venue[metrics.venue].append((metrics, status))
    if symbol is None:
        counts = Counter(metrics.symbol for each in by_venue.values() for metrics, _ in each)
        symbol = min(counts, key=lambda each: (-counts[each], each), default="")
    entries = [_entry(each, symbol, now) for each in by_venue.values()]
    return [entry for *_, entry in sorted(entries, key=lambda each: each[:-1])]


def _entry(books: list[Book], symbol: str, now: int) -> tuple[bool, float, str, Struct]:
    """Return a venue's entry behind what it is sorted by."""
    books.sort(key=lambda book: book[0].symbol)
    main, status = next((book for book in books if book[0].symbol == symbol), books[0])
    cost = main.reference_cost_bps if status.state is BookState.LIVE else None
    symbols = tuple(SYMBOL_METRICS(metrics, status=each, now=now) for metrics, each in books)
    score = None if cost is None else -cost
    entry = VENUE_ENTRY(main, status=status, score=score, symbols=symbols)
    return cost is None, cost or 0.0, main.venue, entry
