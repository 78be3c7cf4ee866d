"""Replay of Binance's perpetuals: as spot, but diffs are chained by ``pu``.

Rules and formats: developers.binance.com/docs/derivatives, USDS-margined and COIN-margined futures, as read
in 2026-11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.instruments import UnknownSymbolError, canonical_symbol
from simulator.replay_binance import BINANCE_QUOTES, DIFFS, BinanceBook, BinanceReplay

if TYPE_CHECKING:
    from simulator.replay_binance import Depth, Snapshot

_PERPETUAL: Final = "_PERP"


class _Book(BinanceBook):
    """A book whose snapshots carry the times of its last change."""

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self._event_ms = 0
        self._transaction_ms = 0

    def joins(self, depth: Depth, last: int) -> bool:
        """Tell whether a diff is the next of the chain, or contains the snapshot's id."""
        return depth.previous == last or depth.first <= last

    def update(self, change: Depth) -> None:
        """Apply a diff, or keep it until the book is known."""
        super().update(change)
        if self.last == change.last:
            self._event_ms, self._transaction_ms = change.event_ms, change.transaction_ms

    def snapshot(self, reply: Snapshot) -> None:
        """Know the book from a recorded reply."""
        self._event_ms, self._transaction_ms = reply.event_ms, reply.transaction_ms
        super().snapshot(reply)

    def reply(self, levels: int) -> dict[str, object]:
        """Return the body of a snapshot of at most so many levels a side."""
        return super().reply(levels) | {"E": self._event_ms, "T": self._transaction_ms}


class BinanceFuturesReplay(BinanceReplay):
    """What both futures markets have in common."""

    default_limit = 500
    max_limit = 1000

    def new_book(self, symbol: str) -> BinanceBook:
        """Return a book that is not known yet."""
        return _Book(symbol)

    def topic_of(self, stream: str) -> str:
        """Return one name for diffs at any pace: the recording has one pace, and whoever asks gets that."""
        return f"{stream.partition('@')[0]}@depth" if DIFFS.fullmatch(stream) else stream


class BinanceUsdmReplay(BinanceFuturesReplay):
    """The market margined in USDT."""

    venue = "binance-usdm"
    hosts = frozenset({"fstream.binance.com", "fapi.binance.com"})
    rest_path = "/fapi/v1"

    def read_symbol(self, spelling: str) -> str:
        """Return the canonical symbol of a perpetual; contracts that are delivered have an underscore."""
        if "_" in spelling:
            raise UnknownSymbolError(f"{spelling[:40]!r} is no perpetual")
        return canonical_symbol(spelling, BINANCE_QUOTES)


class BinanceCoinmReplay(BinanceFuturesReplay):
    """The market margined in the coin."""

    venue = "binance-coinm"
    hosts = frozenset({"dstream.binance.com", "dapi.binance.com"})
    rest_path = "/dapi/v1"

    def read_symbol(self, spelling: str) -> str:
        """Return ``BTC-USD`` for ``BTCUSD_PERP``; contracts that are delivered end in a date."""
        if not spelling.endswith(_PERPETUAL):
            raise UnknownSymbolError(f"{spelling[:40]!r} is no perpetual")
        return canonical_symbol(spelling.removesuffix(_PERPETUAL), ("USD",))
