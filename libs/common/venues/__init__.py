"""What is known of each venue before it is asked: spelling, fees, limits, hosts, ticks; dates beside them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from libs.common.venues import binance, bitstamp, bybit, coinbase, kraken, okx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.venues.venue import Venue


class UnknownVenueError(ValueError):
    """A venue id that is not in the table."""


VENUES: Final[Mapping[str, Venue]] = {
    venue.venue: venue
    for exchange in (binance, bitstamp, coinbase, kraken, okx, bybit)
    for venue in exchange.VENUES
}


def venue_of(venue: str) -> Venue:
    """Return the venue of this id.

    Raises
    ------
    UnknownVenueError
        If there is none; the message lists those there are.
    """
    try:
        return VENUES[venue]
    except KeyError:
        raise UnknownVenueError(unknown_venue(venue)) from None


def unknown_venue(text: str) -> str:
    """Return in words that there is no such venue, the nearest one first."""
    near = get_close_matches(text[:40].lower(), VENUES, n=1)
    meant = f", did you mean {near[0]}?" if near else ";"
    return f"{text[:40]!r} is no venue{meant} known: {', '.join(VENUES)}"


def venue_named(text: str) -> Venue:
    """Return the venue of an id in any case.

    Raises
    ------
    UnknownVenueError
        If there is none.
    """
    return venue_of(text.lower() if text.isascii() else text)  # lower() makes a k of the Kelvin sign
