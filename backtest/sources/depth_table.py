"""Depth profiles measured on recorded books, by ``python -m backtest.sources.depth_measuring``.

Each says when it was measured, for how long, and how far it is from books that it was not fitted to. They
are of minutes of one day each: books of other days are wider or narrower, and by how much is not known. Who
has days of books measures his own.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from backtest.sources.depth import DepthProfile, Errors

MEASURED: Final = (
    DepthProfile(
        venue="binance",
        symbol="BTC-USDT",
        spread_bps=0.002327,
        distances_bps=(0.0, 0.1, 0.25, 0.5, 1.0, 2.0),
        notional=(121900.0, 142000.0, 160700.0, 189400.0, 263200.0, 428700.0),
        minute_notional=2490000.0,
        samples=557,
        errors=Errors(
            spread_bps=0.001408,
            depth=0.4196,
            cost_bps=(0.002344, 0.01604, 0.2058),
            cost_spread_bps=(0.002454, 0.01612, 0.2059),
        ),
        source="a recording, 650 s of 2024-08-08",
    ),
    DepthProfile(
        venue="binance-usdm",
        symbol="BTC-USDT",
        spread_bps=0.02308,
        distances_bps=(0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0),
        notional=(
            191900.0,
            209300.0,
            229600.0,
            273200.0,
            442700.0,
            913600.0,
            3332000.0,
            8778000.0,
            20380000.0,
        ),
        minute_notional=26050000.0,
        samples=344,
        errors=Errors(
            spread_bps=0.01378,
            depth=0.4208,
            cost_bps=(0.007026, 0.0126, 0.09914),
            cost_spread_bps=(0.007026, 0.0126, 0.09914),
        ),
        source="a recording, 345 s of 2024-08-08",
    ),
    DepthProfile(
        venue="bybit-200",
        symbol="BTC-USDT",
        spread_bps=0.01535,
        distances_bps=(0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0),
        notional=(40060.0, 45440.0, 47770.0, 51380.0, 88340.0, 327200.0, 763600.0, 1518000.0),
        minute_notional=1209.0,
        samples=43,
        errors=Errors(
            spread_bps=0.0, depth=0.1725, cost_bps=(0.0, 0.0, 0.1299), cost_spread_bps=(0.0, 0.0, 0.1299)
        ),
        source="a recording, 42 s of 2026-08-09",
    ),
    DepthProfile(
        venue="bybit-200",
        symbol="ETH-USDT",
        spread_bps=0.05199,
        distances_bps=(0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0),
        notional=(10580.0, 10580.0, 10580.0, 11090.0, 15960.0, 34520.0, 228400.0, 767600.0, 2272000.0),
        minute_notional=4603.0,
        samples=42,
        errors=Errors(
            spread_bps=0.0,
            depth=0.3631,
            cost_bps=(0.0, 0.1136, 0.2137),
            cost_spread_bps=(0.0, 0.1136, 0.2137),
        ),
        source="a recording, 42 s of 2026-08-09",
    ),
    DepthProfile(
        venue="coinbase",
        symbol="BTC-USD",
        spread_bps=0.001536,
        distances_bps=(0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
        notional=(
            16270.0,
            41120.0,
            43170.0,
            97170.0,
            309300.0,
            627700.0,
            1466000.0,
            2590000.0,
            5871000.0,
            14140000.0,
            16830000.0,
        ),
        minute_notional=19210.0,
        samples=24,
        errors=Errors(
            spread_bps=0.0, depth=0.07672, cost_bps=(0.0, 0.0, 0.06381), cost_spread_bps=(0.0, 0.0, 0.06381)
        ),
        source="a recording, 24 s of 2026-08-09",
    ),
    DepthProfile(
        venue="coinbase",
        symbol="ETH-USD",
        spread_bps=0.3777,
        distances_bps=(0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
        notional=(
            204.9,
            2115.0,
            4316.0,
            23640.0,
            54640.0,
            133500.0,
            467000.0,
            880700.0,
            2578000.0,
            12310000.0,
            13340000.0,
        ),
        minute_notional=62550.0,
        samples=24,
        errors=Errors(
            spread_bps=0.2279,
            depth=0.335,
            cost_bps=(0.1162, 0.1507, 0.1515),
            cost_spread_bps=(0.1226, 0.1578, 0.1515),
        ),
        source="a recording, 24 s of 2026-08-09",
    ),
    DepthProfile(
        venue="okx-v5-2022",
        symbol="BTC-USDT",
        spread_bps=0.1653,
        distances_bps=(0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
        notional=(837.2, 1336.0, 3028.0, 3028.0, 3201.0, 12370.0, 116000.0, 437300.0, 1177000.0, 1949000.0),
        minute_notional=601700.0,
        samples=11,
        errors=Errors(
            spread_bps=0.2909,
            depth=0.8095,
            cost_bps=(0.5093, 1.033, 0.3935),
            cost_spread_bps=(0.5989, 1.033, 0.8216),
        ),
        source="a recording, 11 s of 2022-05-13",
    ),
)


class NoProfileError(ValueError):
    """No profile is measured that could stand for a market; the text says which there are."""


class Found(NamedTuple):
    """A profile for a market, and whose it is."""

    profile: DepthProfile
    own: bool  # it was measured on a book of this venue and symbol, or on one of its protocols
    same_asset: bool  # it is of the same base asset


_FAMILY: Final = {"bybit-200": "bybit", "okx-v5-2022": "okx", "coinbase-exchange": "coinbase"}


def profile_for(venue: str, symbol: str) -> Found:
    """Return the profile that is nearest to a market: its own, of its asset elsewhere, of its venue.

    Raises
    ------
    NoProfileError
        If the venue is not in the table, nor the asset.
    """
    base = symbol.partition("-")[0]
    of_asset: list[Found] = []
    of_venue: list[Found] = []
    for profile in MEASURED:
        same_venue = family(profile.venue) == family(venue)
        if same_venue and profile.symbol == symbol:
            return Found(profile, own=True, same_asset=True)
        if profile.symbol.partition("-")[0] == base:
            of_asset.insert(0 if same_venue else len(of_asset), Found(profile, own=False, same_asset=True))
        elif same_venue:
            of_venue.append(Found(profile, own=False, same_asset=False))
    for found in (*of_asset, *of_venue):
        return found
    known = ", ".join(f"{each.venue} {each.symbol}" for each in MEASURED)
    raise NoProfileError(
        f"no depth profile stands for {venue} {symbol}; there are {known}. Measure one on days of its"
        " books with `python -m backtest.sources.depth_measuring FOLDER`"
    )


def family(venue: str) -> str:
    """Return the venue that a protocol is of."""
    return _FAMILY.get(venue, venue)
