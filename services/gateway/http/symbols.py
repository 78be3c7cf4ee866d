"""What callers may call a symbol or a venue, made exact."""

from __future__ import annotations

from libs.common.instruments import AmbiguousSymbolError, UnknownSymbolError, canonical_symbol
from libs.common.venues import UnknownVenueError, venue_named
from services.gateway.http.bodies import invalid
from services.gateway.http.problems import UNKNOWN_SYMBOL, UNKNOWN_VENUE, FieldError, ProblemError


def symbol_of(text: str, field: str = "symbol") -> str:
    """Return the canonical symbol.

    Raises
    ------
    ProblemError
        404 if the text is none, 422 of `field` with the candidates if it may be several.
    """
    try:
        return canonical_symbol(text)
    except AmbiguousSymbolError as error:
        raise invalid([FieldError(field, str(error))]) from error
    except UnknownSymbolError as error:
        raise ProblemError(UNKNOWN_SYMBOL, f"{error}.") from error


def venue_id_of(text: str) -> str:
    """Return the venue's id, in whatever case it comes.

    Raises
    ------
    ProblemError
        404 if there is none.
    """
    try:
        return venue_named(text).venue
    except UnknownVenueError as error:
        raise ProblemError(UNKNOWN_VENUE, f"{error}.") from error
