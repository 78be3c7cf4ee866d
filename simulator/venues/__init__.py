"""One file per exchange: its protocols, as a pure state machine over the market."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.venues.binance import Binance
from simulator.venues.bybit import Bybit
from simulator.venues.coinbase import Coinbase
from simulator.venues.kraken import Kraken
from simulator.venues.okx import Okx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulator.venues.venue import Exchange, Venue

VENUES: Final[Mapping[str, Callable[[Exchange], Venue]]] = {
    "binance": Binance,
    "bybit": Bybit,
    "coinbase": Coinbase,
    "kraken": Kraken,
    "okx": Okx,
}
