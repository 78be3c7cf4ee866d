"""What a venue demands of an order: as it says itself, else as the table has it; pure.

What it says is told by the owner of its book, with each health.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from libs.common.instruments import INSTRUMENTS
from libs.common.topics import book_key
from libs.common.venues import VENUES
from libs.common.venues.venue import Instrument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import BookHealth, InstrumentTerms

# Below, and above MOST, is no step, whoever wrote it: the 28 digits of a Decimal hold MOST in such steps.
LEAST_STEP: Final = Decimal("1e-15")
MOST: Final = Decimal("1e12")


def instrument_in(venue: str, symbol: str, health: BookHealth | None) -> Instrument | None:
    """Return what `venue` demands of an order in `symbol`; None where nobody knows, or its fees."""
    if venue not in VENUES:
        return None
    terms = None if health is None else told_terms(health)
    if terms is None:
        return INSTRUMENTS.get((venue, symbol))
    return _told(venue, symbol, terms)


def told_terms(health: BookHealth) -> InstrumentTerms | None:
    """Return what a health says that the venue demands; None if nothing, or what no order can be made to."""
    terms = health.terms
    return terms if terms is not None and _is_finite(terms) and _is_possible(terms) else None


def instruments_of(symbol: str, healths: Mapping[bytes, BookHealth]) -> dict[str, Instrument]:
    """Return the instrument of a symbol at each venue that is known to have it, those of the table first."""
    found = {
        venue: instrument_in(venue, symbol, healths.get(key)) for venue, key in _books_of(symbol).items()
    }
    return {venue: instrument for venue, instrument in found.items() if instrument is not None}


@lru_cache(maxsize=256)
def _books_of(symbol: str) -> Mapping[str, bytes]:
    """Return the key of a symbol's book at each venue that may have it, those of the table first."""
    listed = [venue for venue, of in INSTRUMENTS if of == symbol]
    return {venue: book_key(venue, symbol) for venue in dict.fromkeys((*listed, *VENUES))}


def _is_finite(terms: InstrumentTerms) -> bool:
    """Tell whether they are numbers: what is none can neither be compared nor be a key."""
    return all(each.is_finite() for each in (terms.tick, terms.lot, terms.min_qty, terms.min_notional))


@lru_cache(maxsize=1024)
def _is_possible(terms: InstrumentTerms) -> bool:
    """Tell whether orders can be made to terms that are numbers."""
    steps, least = (terms.tick, terms.lot), (terms.min_qty, terms.min_notional)
    return all(LEAST_STEP <= step <= MOST for step in steps) and all(0 <= each <= MOST for each in least)


@lru_cache(maxsize=1024)
def _told(venue: str, symbol: str, terms: InstrumentTerms) -> Instrument:
    return Instrument(venue, symbol, terms.tick, terms.lot, terms.min_qty, terms.min_notional)
