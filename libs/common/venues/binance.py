"""Binance: spot, and the two kinds of perpetuals, for books only.

The perpetuals have no row of instruments, so no order is priced on them. Sizes of binance-coinm are
contracts.
"""

from __future__ import annotations

from typing import Final

from libs.common.time_units import DAY_S
from libs.common.venues.venue import Hosts, Limits, Venue, joined


def _perpetual(symbol: str) -> str:
    return f"{joined(symbol)}_PERP"


# Fees: the public schedules, lowest tier, as collected in 2026-08; futures: binance.com/en/fee/futureFee,
# 2026-10. Ticks, lots and minima: exchangeInfo, 2026-08 or the newest seen.
VENUES: Final = (
    Venue(
        "binance",
        joined,
        taker_bps=10.0,
        maker_bps=10.0,
        hosts=Hosts("wss://stream.binance.com:9443", "https://api.binance.com"),
        # rest-api.md and web-socket-streams.md of binance-spot-api-docs, 2026-07: 6000 weight/min, a
        # 5000-level snapshot 250, klines 2, exchangeInfo 20; 300 connection attempts in 5 min.
        # "A single connection to stream.binance.com is only valid for 24 hours", the same, 2026-11.
        limits=Limits(3000, 60, 250, 2, 150, 300, instrument_cost=20, connection_life_s=DAY_S),
        probe_path="/api/v3/time",
        table="""
        BTC-USDT  0.01 0.00001    0.00001  5
        ETH-USDT  0.01 0.0001     0.0001   5
        SOL-USDT  0.01 0.001      0.001    5
        """,
    ),
    Venue(
        "binance-usdm",
        joined,
        taker_bps=5.0,
        maker_bps=2.0,
        # Since 2026-04-23 under /public: depth, bookTicker and trade ("Important WebSocket Change Notice").
        hosts=Hosts("wss://fstream.binance.com/public", "https://fapi.binance.com"),
        # developers.binance.com, derivatives, as read in 2026-11: 2400 weight/min each, a 1000-level snapshot
        # 20, 1000 klines 5; connections are not limited there, so as on spot.
        # "Expect to be disconnected at the 24 hour mark", websocket market streams of both, 2026-11.
        limits=Limits(1200, 60, 20, 5, 150, 300, connection_life_s=DAY_S),
        probe_path="/fapi/v1/time",
    ),
    Venue(
        "binance-coinm",
        _perpetual,
        taker_bps=5.0,
        maker_bps=2.0,
        hosts=Hosts("wss://dstream.binance.com", "https://dapi.binance.com"),
        limits=Limits(1200, 60, 20, 5, 150, 300, connection_life_s=DAY_S),  # as binance-usdm
        probe_path="/dapi/v1/time",
    ),
)
