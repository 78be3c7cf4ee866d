"""One pure mapper per exchange, and the table of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from services.l2.feeds.binance import BinanceFeed
from services.l2.feeds.kraken import KrakenFeed
from services.l2.feeds.kraken_v1 import KrakenV1Feed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.l2.feeds.feed import Feed

_ALL: Final[tuple[Feed, ...]] = (BinanceFeed(), KrakenFeed(), KrakenV1Feed())

FEEDS: Final[Mapping[str, Feed]] = MappingProxyType({feed.venue: feed for feed in _ALL})
"""Every feed by its venue's id."""
