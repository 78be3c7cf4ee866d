"""OKX v5, spot: today's protocol, and that of 2022, for recordings (today's books fail its checksum)."""

from __future__ import annotations

from typing import Final

from libs.common.venues.venue import Hosts, Limits, Venue

_HOSTS: Final = Hosts("wss://ws.okx.com:8443", "https://www.okx.com")
# okx.com/docs-v5/en, 2026-07: candlesticks history 20 requests in 2 s and 3 connections a second, per IP.
_LIMITS: Final = Limits(10, 2, 1, 1, 1.5, 1)

_PROBE: Final = "/api/v5/public/time"

# Fees: the public schedule, lowest tier, as collected in 2026-08. Instruments: public/instruments, the newest
# seen.
VENUES: Final = (
    Venue(
        "okx",
        str,
        taker_bps=10.0,
        maker_bps=8.0,
        hosts=_HOSTS,
        limits=_LIMITS,
        probe_path=_PROBE,
        table="""
        BTC-USDT  0.1  0.00000001 0.00001  0
        ETH-USDT  0.01 0.000001   0.0001   0
        SOL-USDT  0.01 0.000001   0.001    0
        """,
    ),
    Venue("okx-v5-2022", str, taker_bps=10.0, maker_bps=8.0, hosts=_HOSTS, limits=_LIMITS, probe_path=_PROBE),
)
