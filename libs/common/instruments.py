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
    from collections.abc import Callable, Mapping

# Longest first, so that BTCUSDT is not read as BTCUSD + T.
QUOTES: Final = ("FDUSD", "USDT", "USDC", "USD", "EUR", "GBP", "CHF", "JPY", "BTC", "ETH", "BNB")
MAX_SIZE: Final = 1e9  # base units of one order; more is a mistake of units
_ASSET: Final = re.compile(r"[A-Z0-9]{1,12}")


class UnknownSymbolError(ValueError):
    """A text that names no BASE-QUOTE pair."""


class UnknownVenueError(ValueError):
    """A venue id that is not in the table."""


class UnknownInstrumentError(ValueError):
    """A pair that this venue's table does not list."""


def canonical_symbol(text: str) -> str:
    """Return ``BTC-USDT`` for ``BTCUSDT``, ``BTC/USDT``, ``btc-usdt`` or ``btc_usdt``.

    Raises
    ------
    UnknownSymbolError
        If the text has no recognisable quote or holds other characters than letters and digits.
    """
    base, separator, quote = re.sub(r"[/_]", "-", text.upper()).partition("-")
    if not separator:
        quote = next((q for q in QUOTES if base.endswith(q) and base != q), "")
        base = base.removesuffix(quote)
    if not (quote and _ASSET.fullmatch(base) and _ASSET.fullmatch(quote)):
        raise UnknownSymbolError(f"{text[:40]!r} is no symbol; write it like BTC-USDT, BTCUSDT or BTC/USDT")
    return f"{base}-{quote}"


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
