"""The sources that are known, one module each, in the order in which they are preferred; pure.

A new one is a module with a `SOURCE`, and its line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.told import STUB
from services.context.sources import (
    binance_ratio,
    binance_usdm,
    blockchain_info,
    bybit,
    deribit,
    fear_greed,
    mempool_space,
    okx,
    stub,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.context.source import Source

SOURCES: Final[Mapping[str, Source]] = {
    module.SOURCE.name: module.SOURCE
    for module in (
        binance_usdm,
        okx,
        bybit,
        deribit,
        fear_greed,
        binance_ratio,
        blockchain_info,
        mempool_space,
        stub,
    )
}
LIVE: Final = tuple(name for name in SOURCES if name != STUB)
SIMULATED: Final = ("binance-usdm", "okx", "bybit", "deribit", STUB)
REPLAYED: Final = (STUB,)
