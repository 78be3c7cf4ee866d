"""The REST paths that tell of perpetuals and options, by venue; each follows the venue's prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "binance-usdm": (
        "/fapi/v1/premiumIndex",
        "/fapi/v1/fundingInfo",
        "/futures/data/globalLongShortAccountRatio",
    ),
    "bybit": ("/v5/market/tickers",),
    "deribit": (
        "/api/v2/public/get_book_summary_by_currency",
        "/api/v2/public/get_instruments",
        "/api/v2/public/get_index_price",
        "/api/v2/public/ticker",
    ),
    "okx": (
        "/api/v5/public/funding-rate",
        "/api/v5/public/mark-price",
        "/api/v5/market/index-tickers",
    ),
}
