"""One pure mapper per exchange, and the table of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from services.l2.feeds.binance import BinanceFeed
from services.l2.feeds.binance_futures import BinanceFuturesFeed
from services.l2.feeds.bitstamp import BitstampFeed
from services.l2.feeds.bybit import BybitFeed
from services.l2.feeds.coinbase import CoinbaseFeed
from services.l2.feeds.coinbase_exchange import CoinbaseExchangeFeed
from services.l2.feeds.kraken import KrakenFeed
from services.l2.feeds.kraken_v1 import KrakenV1Feed
from services.l2.feeds.okx import OkxFeed
from services.l2.feeds.okx_2022 import Okx2022Feed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.l2.feeds.feed import Feed

_ALL: Final[tuple[Feed, ...]] = (
    BinanceFeed(),
    BinanceFuturesFeed("binance-usdm", "/fapi/v1"),
    BinanceFuturesFeed("binance-coinm", "/dapi/v1"),
    BitstampFeed(),
    BybitFeed(),
    BybitFeed(200),
    CoinbaseFeed(),
    CoinbaseExchangeFeed(),
    KrakenFeed(),
    KrakenV1Feed(),
    OkxFeed(),
    Okx2022Feed(),
)

FEEDS: Final[Mapping[str, Feed]] = MappingProxyType({feed.venue: feed for feed in _ALL})
"""Every feed by its venue's id."""
