"""Canonical symbols, and what a venue demands of an order.

Ticks, lots, minima and fees are defaults as the venues published them (`venues`): they round paper orders and
price them, and never reach a venue. USD and USDT are different quotes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from libs.common.venues import VENUES, venue_of
from libs.common.venues.kraken import V1_ASSETS
from libs.common.venues.venue import joined

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from libs.common.venues.venue import Instrument

# Those that end in another one are here so that a text with both readings is seen to have them.
QUOTES: Final = (
    *("FDUSD", "PYUSD", "RLUSD", "BUSD", "TUSD", "USDT", "USDC", "USD"),
    *("AEUR", "EUR", "GBP", "CHF", "JPY", "BTC", "ETH", "BNB"),
)
MAX_SIZE: Final = 1e12  # base units of one order; more is a mistake of units
_PAIR: Final = re.compile(r"[A-Z0-9]{1,12}-[A-Z0-9]{1,12}")


class UnknownSymbolError(ValueError):
    """A text that names no BASE-QUOTE pair."""


class AmbiguousSymbolError(UnknownSymbolError):
    """A text without separator that may be any of several pairs."""


class UnknownInstrumentError(ValueError):
    """A pair that this venue's table does not list."""


def canonical_symbol(text: str, quotes: Collection[str] = QUOTES) -> str:
    """Return ``BTC-USDT`` for ``BTCUSDT``, ``BTC/USDT``, ``btc-usdt`` or ``btc_usdt``.

    Without separator it is the pair that the table of instruments lists under these letters; if none is
    listed, the only one that ends in one of `quotes`.

    Parameters
    ----------
    quotes
        Assets that an unlisted pair may be quoted in: of a venue's own spelling, those of the venue.

    Raises
    ------
    UnknownSymbolError
        If the text has no recognisable quote or holds other characters than ASCII letters and digits.
    AmbiguousSymbolError
        If it may be several pairs; the message lists them.
    """
    unknown = f"{text[:40]!r} is no symbol; write it like BTC-USDT, BTCUSDT or BTC/USDT"
    if not text.isascii():  # upper() makes an S of U+017F
        raise UnknownSymbolError(unknown)
    base, separator, quote = re.sub(r"[/_]", "-", text.upper()).partition("-")
    if separator:
        found = [f"{base}-{quote}"]
    elif base in _LISTED:
        found = [_LISTED[base]]
    else:
        found = [f"{base.removesuffix(each)}-{each}" for each in quotes if base.endswith(each)]
    found = [symbol for symbol in found if _PAIR.fullmatch(symbol)]
    if len(found) > 1:
        raise AmbiguousSymbolError(f"{text!r} may be any of {', '.join(found)}: write the one that is meant")
    if not found:
        raise UnknownSymbolError(unknown)
    return found[0]


def kraken_v1_symbol(spelling: str) -> str:
    """Return ``BTC-CHF`` for Kraken's ``XBT/CHF``."""
    ours = {theirs: asset for asset, theirs in V1_ASSETS.items()}
    return canonical_symbol("-".join(ours.get(asset, asset) for asset in spelling.split("/")))


INSTRUMENTS: Final[Mapping[tuple[str, str], Instrument]] = {
    (row.venue, row.symbol): row for venue in VENUES.values() for row in venue.instruments()
}
_LISTED: Final = {joined(symbol): symbol for _, symbol in INSTRUMENTS}


def instrument_of(venue: str, symbol: str) -> Instrument:
    """Return what `venue` demands of an order in `symbol` (canonical).

    Raises
    ------
    UnknownVenueError
        If the venue is unknown.
    UnknownInstrumentError
        If the venue's table has no such pair; the message lists its pairs.
    """
    venue_of(venue)
    try:
        return INSTRUMENTS[venue, symbol]
    except KeyError:
        known = ", ".join(s for v, s in INSTRUMENTS if v == venue)
        raise UnknownInstrumentError(f"{venue} has no {symbol} in its table; it lists: {known}") from None
