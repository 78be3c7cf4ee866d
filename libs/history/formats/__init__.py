"""The foreign formats that `bookrunner history import` reads, and what each of them is to the import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.history.formats.binance_quotes import BinanceBands, BinanceQuotes
from libs.history.formats.binance_trades import BinanceKlines, BinanceTrades
from libs.history.formats.bybit import BybitBooks
from libs.history.formats.format import Format, UnreadableSourceError
from libs.history.formats.tardis import HEADS, TardisBooks, TardisTrades

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HEADS", "Format", "UnreadableSourceError", "formats"]


def formats() -> Sequence[Format]:
    """Return all of them, in the order in which they are tried."""
    return (
        BinanceKlines(),
        BinanceTrades(),
        BinanceQuotes(),
        BinanceBands(),
        BybitBooks(),
        TardisBooks(),
        TardisTrades(),
    )
