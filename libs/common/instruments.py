"""Canonical symbols, each venue's spelling of them, and what a venue demands of an order.

Ticks, lots, minima and fees are defaults as the venues published them (dates beside the tables): they round
paper orders and price them, and never reach a venue. USD and USDT are different quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

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


class UnknownVenueError(ValueError):
    """A venue id that is not in the table."""


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


@dataclass(frozen=True, slots=True)
class Venue:
    """An exchange: how it spells a symbol, and its taker and maker fees of the lowest tier, in bps."""

    venue: str
    spell: Callable[[str], str]
    taker_bps: float
    maker_bps: float


@dataclass(frozen=True, slots=True)
class Instrument:
    """One pair at one venue.

    `tick` and `min_notional` are in quote units, `lot` and `min_qty` in base units.
    """

    venue: str
    symbol: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal
    min_notional: Decimal


_KRAKEN_V1_ASSETS: Final = {"BTC": "XBT", "DOGE": "XDG"}


def _joined(symbol: str) -> str:
    return symbol.replace("-", "")


def _lower(symbol: str) -> str:
    return _joined(symbol).lower()


def _perpetual(symbol: str) -> str:
    return f"{_joined(symbol)}_PERP"


def _slashed(symbol: str) -> str:
    return symbol.replace("-", "/")


def _kraken_v1(symbol: str) -> str:
    return "/".join(_KRAKEN_V1_ASSETS.get(asset, asset) for asset in symbol.split("-"))


def kraken_v1_symbol(spelling: str) -> str:
    """Return ``BTC-CHF`` for Kraken's ``XBT/CHF``."""
    ours = {theirs: asset for asset, theirs in _KRAKEN_V1_ASSETS.items()}
    return canonical_symbol("-".join(ours.get(asset, asset) for asset in spelling.split("/")))


# Fees: each venue's public schedule, lowest tier, as collected in 2026-08.
VENUES: Final[Mapping[str, Venue]] = {
    venue.venue: venue
    for venue in (
        Venue("binance", _joined, taker_bps=10.0, maker_bps=10.0),
        # Perpetuals, for books only: the table of instruments has no row of them, so no order is priced on
        # them. Sizes of binance-coinm are contracts. Fees: binance.com/en/fee/futureFee, 2026-10.
        Venue("binance-usdm", _joined, taker_bps=5.0, maker_bps=2.0),
        Venue("binance-coinm", _perpetual, taker_bps=5.0, maker_bps=2.0),
        Venue("bitstamp", _lower, taker_bps=40.0, maker_bps=30.0),
        Venue("coinbase", str, taker_bps=120.0, maker_bps=60.0),
        # The older protocol, for its recording.
        Venue("coinbase-exchange", str, taker_bps=120.0, maker_bps=60.0),
        Venue("kraken", _slashed, taker_bps=40.0, maker_bps=25.0),
        Venue("kraken-v1", _kraken_v1, taker_bps=40.0, maker_bps=25.0),  # the frozen protocol, for recordings
        Venue("okx", str, taker_bps=10.0, maker_bps=8.0),
        Venue("okx-v5-2022", str, taker_bps=10.0, maker_bps=8.0),  # the protocol of its recordings
        Venue("bybit", _joined, taker_bps=10.0, maker_bps=10.0),
        Venue("bybit-200", _joined, taker_bps=10.0, maker_bps=10.0),  # the depth of its recordings
    )
}

# venue, symbols, tick, lot, min_qty, min_notional: the venues' instrument routes, 2026-08 or the newest seen.
_TABLE: Final = """
binance  BTC-USDT  0.01 0.00001    0.00001  5
binance  ETH-USDT  0.01 0.0001     0.0001   5
binance  SOL-USDT  0.01 0.001      0.001    5
coinbase BTC-USDT  0.01 0.00000001 0.00000001 1
coinbase ETH-USDT  0.01 0.00000001 0.00000001 1
coinbase SOL-USDT  0.01 0.00000001 0.00000001 1
coinbase BTC-USD   0.01 0.00000001 0.00000001 1
coinbase ETH-USD   0.01 0.00000001 0.00000001 1
kraken   BTC-USDT  0.1  0.00000001 0.00005  0.5
kraken   ETH-USDT  0.01 0.00000001 0.001    0.5
kraken   SOL-USDT  0.01 0.00000001 0.02     0.5
kraken   BTC-USD   0.1  0.00000001 0.00005  0.5
kraken   ETH-USD   0.01 0.00000001 0.001    0.5
okx      BTC-USDT  0.1  0.00000001 0.00001  0
okx      ETH-USDT  0.01 0.000001   0.0001   0
okx      SOL-USDT  0.01 0.000001   0.001    0
bybit    BTC-USDT  0.1  0.000001   0.000001 5
bybit    ETH-USDT  0.01 0.00001    0.00001  5
bybit    SOL-USDT  0.01 0.0001     0.0001   5
"""


def _rows() -> Mapping[tuple[str, str], Instrument]:
    rows = (line.split() for line in _TABLE.strip().splitlines())
    return {
        (venue, symbol): Instrument(venue, symbol, *map(Decimal, numbers)) for venue, symbol, *numbers in rows
    }


INSTRUMENTS: Final[Mapping[tuple[str, str], Instrument]] = _rows()
_LISTED: Final = {_joined(symbol): symbol for _, symbol in INSTRUMENTS}


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
        raise UnknownVenueError(f"{venue[:40]!r} is no venue; known: {', '.join(VENUES)}") from None


def venue_named(text: str) -> Venue:
    """Return the venue of an id in any case.

    Raises
    ------
    UnknownVenueError
        If there is none.
    """
    return venue_of(text.lower() if text.isascii() else text)  # lower() makes a k of the Kelvin sign


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
