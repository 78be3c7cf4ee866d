"""One file per exchange: its protocols, as a pure state machine over the market."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.venues.binance import Binance
from simulator.venues.binance_usdm import BinanceUsdm
from simulator.venues.bybit import Bybit
from simulator.venues.coinbase import Coinbase
from simulator.venues.deribit import Deribit
from simulator.venues.kraken import Kraken
from simulator.venues.okx import Okx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulator.derivatives import Derivatives
    from simulator.venues.venue import AnswersRest, Exchange, Venue

VENUES: Final[Mapping[str, Callable[[Exchange], Venue]]] = {
    "binance": Binance,
    "bybit": Bybit,
    "coinbase": Coinbase,
    "kraken": Kraken,
    "okx": Okx,
}

# Of which there are no books and no sockets here, only answers about derivatives.
BOOKLESS: Final[Mapping[str, Callable[[Derivatives], AnswersRest]]] = {
    "binance-usdm": BinanceUsdm,
    "deribit": Deribit,
}
