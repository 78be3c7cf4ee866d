"""Coinbase: Advanced Trade, and the older Exchange protocol, for its recording."""

from __future__ import annotations

from typing import Final

from libs.common.venues.venue import Hosts, Limits, Venue

_OWN_BOOKS: Final = frozenset({"USDT-USDC", "EURC-USDC"})


def _alias_of(symbol: str) -> str | None:
    """Return the pair in USD of one in USDC.

    Notes
    -----
    "-USDC product IDs other than USDT-USDC and EURC-USDC return the same data as the matching -USD product."

    References
    ----------
    docs.cdp.coinbase.com, Advanced Trade, websocket-endpoints and websocket-channels, 2026-11.
    """
    base, _, quote = symbol.partition("-")
    return f"{base}-USD" if quote == "USDC" and symbol not in _OWN_BOOKS else None


# Fees: the public schedule, lowest tier, as collected in 2026-08. Instruments: products, 2026-08.
VENUES: Final = (
    Venue(
        "coinbase",
        str,
        taker_bps=120.0,
        maker_bps=60.0,
        hosts=Hosts("wss://advanced-trade-ws.coinbase.com", "https://api.coinbase.com"),
        # docs.cdp.coinbase.com, websocket-rate-limits, 2026-08: 8 connections and 8 messages a second, of
        # which a book sends 3 as it connects; REST about 10 requests/s.
        limits=Limits(5, 1, 1, 1, 1, 0.75),
        probe_path="/api/v3/brokerage/time",
        compressed=True,
        table="""
        BTC-USDT  0.01 0.00000001 0.00000001 1
        ETH-USDT  0.01 0.00000001 0.00000001 1
        SOL-USDT  0.01 0.00000001 0.00000001 1
        BTC-USD   0.01 0.00000001 0.00000001 1
        ETH-USD   0.01 0.00000001 0.00000001 1
        """,
        alias_of=_alias_of,
        aliases="all in USDC but USDT-USDC and EURC-USDC are its pairs in USD",
    ),
    Venue(
        "coinbase-exchange",
        str,
        taker_bps=120.0,
        maker_bps=60.0,
        hosts=Hosts("wss://ws-feed.exchange.coinbase.com", "https://api.exchange.coinbase.com"),
        # docs.cdp.coinbase.com, Exchange rate-limits, 2026-08: 8 WebSocket and 10 REST requests a second.
        limits=Limits(5, 1, 1, 1, 4, 1),
        probe_path="/time",
        compressed=True,
    ),
)
