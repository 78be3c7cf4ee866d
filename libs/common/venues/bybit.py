"""Bybit v5, spot: the id of its own of 200 levels is for recordings, and for who wants them live."""

from __future__ import annotations

from typing import Final

from libs.common.venues.venue import Hosts, Limits, Venue, joined

_HOSTS: Final = Hosts("wss://stream.bybit.com", "https://api.bybit.com")
# rate-limit.mdx of bybit-exchange/docs, 2026-07-24: 600 REST requests in 5 s, 500 connections in 5 min.
_LIMITS: Final = Limits(300, 5, 1, 1, 250, 300)

_PROBE: Final = "/v5/market/time"

# Fees: the public schedule, lowest tier, as collected in 2026-08. Instruments: instruments-info, 2026-08.
VENUES: Final = (
    Venue(
        "bybit",
        joined,
        taker_bps=10.0,
        maker_bps=10.0,
        hosts=_HOSTS,
        limits=_LIMITS,
        probe_path=_PROBE,
        table="""
        BTC-USDT  0.1  0.000001   0.000001 5
        ETH-USDT  0.01 0.00001    0.00001  5
        SOL-USDT  0.01 0.0001     0.0001   5
        """,
    ),
    Venue(
        "bybit-200", joined, taker_bps=10.0, maker_bps=10.0, hosts=_HOSTS, limits=_LIMITS, probe_path=_PROBE
    ),
)
