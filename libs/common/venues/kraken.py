"""Kraken: WebSocket v2, and the frozen v1, for recordings."""

from __future__ import annotations

from typing import Final

from libs.common.venues.venue import Hosts, Limits, Venue

_HOSTS: Final = Hosts("wss://ws.kraken.com", "https://api.kraken.com")
# Public REST about 1 request/s (unpublished); about 150 connection attempts in 10 min.
_LIMITS: Final = Limits(10, 20, 1, 1, 75, 600)
V1_ASSETS: Final = {"BTC": "XBT", "DOGE": "XDG"}  # as v1 and REST spell them


def _slashed(symbol: str) -> str:
    return symbol.replace("-", "/")


def _v1(symbol: str) -> str:
    return "/".join(V1_ASSETS.get(asset, asset) for asset in symbol.split("-"))


_PROBE: Final = "/0/public/Time"

# Fees: the public schedule, lowest tier, as collected in 2026-08. Instruments: AssetPairs, 2026-08.
VENUES: Final = (
    Venue(
        "kraken",
        _slashed,
        taker_bps=40.0,
        maker_bps=25.0,
        hosts=_HOSTS,
        limits=_LIMITS,
        probe_path=_PROBE,
        table="""
        BTC-USDT  0.1  0.00000001 0.00005  0.5
        ETH-USDT  0.01 0.00000001 0.001    0.5
        SOL-USDT  0.01 0.00000001 0.02     0.5
        BTC-USD   0.1  0.00000001 0.00005  0.5
        ETH-USD   0.01 0.00000001 0.001    0.5
        """,
    ),
    Venue("kraken-v1", _v1, taker_bps=40.0, maker_bps=25.0, hosts=_HOSTS, limits=_LIMITS, probe_path=_PROBE),
)
