"""Bitstamp."""

from __future__ import annotations

from typing import Final

from libs.common.venues.venue import Hosts, Limits, Venue, joined


def _lower(symbol: str) -> str:
    return joined(symbol).lower()


# Fees: the public schedule, lowest paid tier, as collected in 2026-08.
VENUES: Final = (
    Venue(
        "bitstamp",
        _lower,
        taker_bps=40.0,
        maker_bps=30.0,
        hosts=Hosts("wss://ws.bitstamp.net", "https://www.bitstamp.net"),
        # bitstamp.net/api, 2026-07: 400 requests/s and 10,000 in 10 min; connections are not limited there.
        limits=Limits(5000, 600, 1, 1, 150, 300),
        probe_path="/api/v2/ticker/btcusd/",
    ),
)
