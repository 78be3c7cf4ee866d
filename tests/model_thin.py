"""A model of Binance whose book is as thin as a test wants it, to the point of having no side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.model_exchange import BinanceModel

if TYPE_CHECKING:
    from tests.model_exchange import Side


class Thin(BinanceModel):
    """Binance, whose book loses sides and gets them back."""

    def change(self, bids: Side, asks: Side) -> bytes:
        """Make the book hold these levels; return the diff that says so."""
        changed = []
        for held, wanted in ((self.true.bids, bids), (self.true.asks, asks)):
            levels = {price: 0.0 for price in held if price not in wanted} | wanted
            held.clear()
            held.update(wanted)
            changed.append([[f"{price:.2f}", f"{size:.8f}"] for price, size in levels.items()])
        self.id += 1
        self.truth[self.id] = tuple(sorted(bids.items(), reverse=True)), tuple(sorted(asks.items()))
        data = {"e": "depthUpdate", "E": 1_700_000_000_000, "s": "BTCUSDT", "U": self.id, "u": self.id}
        data |= {"b": changed[0], "a": changed[1]}
        return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}).encode()
