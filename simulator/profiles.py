"""How the simulated symbols and venues differ: the numbers of the market, in one place.

The values are chosen, not estimated: near enough to the recorded books that planners and policies meet the
right orders of magnitude, and far enough apart that venues and symbols can be told from one another.

Where many books are wanted there are made-up markets, S000-USDT to S999-USDT: all of one activity, so that a
rate is shared evenly, with the digits of SOL-USDT and prices between its third and its triple.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from libs.common.instruments import instrument_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.venues.venue import Instrument


@dataclass(frozen=True, slots=True)
class SymbolProfile:
    """One symbol of the latent market."""

    symbol: str
    anchor: float  # quote units, the level its price reverts to over months
    day_vol: float  # standard deviation of a calm day's log return
    market_beta: float  # correlation with the common factor, in [0, 1)
    activity: float  # share of a venue's messages, relative to the other symbols
    depth: float  # its level and order sizes in money, relative to a venue's `level_notional`
    minute_notional: float  # quote units traded per minute of history, all venues


@dataclass(frozen=True, slots=True)
class VenueProfile:
    """One exchange: its liquidity, its wire and how far it can be relied on."""

    venue: str
    message_share: float  # of SIMULATOR_RATE
    batch_ms: int  # depth messages are batched this long; 0 is one message per change
    spread_bps: float  # typical best ask minus best bid
    levels: int  # a side, on average
    level_notional: float  # quote units in a typical level near the top
    volume_share: float  # of the symbol's traded volume
    lag_ms: int  # its traders learn the latent price this late
    bias_bps: float  # standard deviation of its slow price bias
    latency_ms: float  # least delay on the wire, one way
    jitter_ms: float  # mean of the exponential delay on top
    disconnects_per_hour: float  # spontaneous, per connection
    rest_error_probability: float  # spontaneous 503, per request


SYMBOLS: Final[Mapping[str, SymbolProfile]] = {
    row.symbol: row
    for row in (
        SymbolProfile("BTC-USDT", 64_000.0, 0.022, 0.90, 1.0, 1.0, 3_000_000.0),
        SymbolProfile("ETH-USDT", 3_200.0, 0.030, 0.85, 0.8, 0.6, 1_500_000.0),
        SymbolProfile("SOL-USDT", 150.0, 0.038, 0.75, 0.6, 0.25, 450_000.0),
    )
}

VENUES: Final[Mapping[str, VenueProfile]] = {
    row.venue: row
    for row in (
        VenueProfile(
            "binance",
            message_share=1.0,
            batch_ms=100,
            spread_bps=0.4,
            levels=800,
            level_notional=12_000.0,
            volume_share=0.7,
            lag_ms=0,
            bias_bps=0.2,
            latency_ms=2.0,
            jitter_ms=1.0,
            disconnects_per_hour=0.1,
            rest_error_probability=0.0005,
        ),
        VenueProfile(
            "bybit",
            message_share=1.0,
            batch_ms=0,  # 20 on the wire, which holds about one change
            spread_bps=0.55,
            levels=600,
            level_notional=8_000.0,
            volume_share=0.4,
            lag_ms=80,
            bias_bps=0.45,
            latency_ms=6.5,
            jitter_ms=3.5,
            disconnects_per_hour=0.3,
            rest_error_probability=0.002,
        ),
        VenueProfile(
            "coinbase",
            message_share=1.0,
            batch_ms=0,
            spread_bps=0.9,
            levels=1000,
            level_notional=7_000.0,
            volume_share=0.25,
            lag_ms=60,
            bias_bps=0.4,
            latency_ms=5.0,
            jitter_ms=2.5,
            disconnects_per_hour=0.2,
            rest_error_probability=0.001,
        ),
        VenueProfile(
            "kraken",
            message_share=1.0,
            batch_ms=0,
            spread_bps=1.4,
            levels=500,
            level_notional=5_000.0,
            volume_share=0.3,
            lag_ms=150,
            bias_bps=0.6,
            latency_ms=8.0,
            jitter_ms=4.0,
            disconnects_per_hour=0.4,
            rest_error_probability=0.003,
        ),
        VenueProfile(
            "okx",
            message_share=1.0,
            batch_ms=100,
            spread_bps=0.7,
            levels=650,
            level_notional=9_000.0,
            volume_share=0.45,
            lag_ms=40,
            bias_bps=0.35,
            latency_ms=5.0,
            jitter_ms=2.0,
            disconnects_per_hour=0.2,
            rest_error_probability=0.001,
        ),
    )
}


_WIRE_OF: Final = {"binance-usdm": "binance", "deribit": "okx"}  # of those without books here


def wire_profile(venue: str) -> VenueProfile:
    """Return the profile whose wire a venue has: its own, or that of one with books."""
    return VENUES[_WIRE_OF.get(venue, venue)]


MARKETS: Final = f"{', '.join(SYMBOLS)} and S000-USDT to S999-USDT"
_MODEL: Final = "SOL-USDT"
_MADE_UP: Final = re.compile(r"S(\d{3})-USDT", re.ASCII)


def symbol_profile(symbol: str) -> SymbolProfile:
    """Return the profile of a canonical symbol.

    Raises
    ------
    ValueError
        If the simulator has no such market; the message lists those it has.
    """
    if (known := SYMBOLS.get(symbol)) is not None:
        return known
    if (made_up := _MADE_UP.fullmatch(symbol)) is not None:
        anchor = 50.0 + int(made_up[1]) * 37 % 400
        return replace(SYMBOLS[_MODEL], symbol=symbol, anchor=anchor, activity=1.0)
    raise ValueError(f"the simulator has no market {symbol[:40]!r}; it has {MARKETS}")


def instrument_at(venue: str, symbol: str) -> Instrument:
    """Return what a simulated venue demands of an order: those of the real one, SOL's of a made-up market."""
    if _MADE_UP.fullmatch(symbol) is None:
        return instrument_of(venue, symbol)
    return replace(instrument_of(venue, _MODEL), symbol=symbol)
