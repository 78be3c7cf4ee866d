"""A model of Coinbase: a full book in band, and a count of the connection's frames that other channels share.

Independent of services and simulator, as `tests.model_exchange` is; from Kraken's model it takes that the
snapshot comes in band, which is how the world knows to send it after connecting.
"""

from __future__ import annotations

import json

from tests.l2_world import World
from tests.model_exchange import Book, KrakenModel, book_of


class CoinbaseModel(KrakenModel):
    """BTC-USDT on one connection at a time; `frames` says which truth each number stands for."""

    venue = "coinbase"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.number = 0
        self.truth: dict[int, Book] = {}  # by the frame's number on this connection

    @property
    def now(self) -> Book:
        return book_of(self.true.bids, self.true.asks)

    def snapshot_frame(self) -> bytes:
        """Return what a new connection begins with."""
        self.number = 0
        self.truth.clear()
        bids, asks = self.now
        return self._book_frame("snapshot", list(bids), list(asks))

    def next_frame(self) -> bytes:
        """Change the book and return the frame that says so."""
        bids, asks = self.true.change()
        return self._book_frame("update", bids, asks)

    def other_frame(self) -> bytes:
        """Return a frame of another channel or product, which counts like any other."""
        if self.random.random() < 0.5:
            return self._counted("heartbeats", [{"current_time": "x", "heartbeat_counter": 1}])
        level = {"side": "bid", "event_time": "x", "price_level": "1.5", "new_quantity": "1"}
        return self._counted("l2_data", [{"type": "update", "product_id": "ETH-USDT", "updates": [level]}])

    def corrupt_frame(self) -> bytes:
        """Return a frame with another number than is due."""
        self.number += self.random.randint(1, 1000)
        return self.next_frame()

    def crossing_frame(self) -> bytes:
        """Return a frame with the right number whose bid lies above the best ask."""
        return self._book_frame("update", [(min(self.true.asks) + 1, 1.0)], [])

    def _book_frame(
        self, kind: str, bids: list[tuple[float, float]], asks: list[tuple[float, float]]
    ) -> bytes:
        self.truth[self.number] = self.now
        zero = self.random.choice(["0", "0.0", "0.00000000"])
        updates = [
            {
                "side": side,
                "event_time": "2026-08-09T21:05:48.170326Z",
                "price_level": f"{price:.2f}",
                "new_quantity": f"{size:.8f}" if size else zero,
            }
            for side, levels in (("bid", bids), ("offer", asks))
            for price, size in levels
        ]
        return self._counted("l2_data", [{"type": kind, "product_id": "BTC-USDT", "updates": updates}])

    def _counted(self, channel: str, events: list[dict[str, object]]) -> bytes:
        frame = {
            "channel": channel,
            "timestamp": "2026-08-09T21:05:48.483587501Z",
            "sequence_num": self.number,
            "events": events,
        }
        self.number += 1
        return json.dumps(frame, separators=(",", ":")).encode()


class CoinbaseWorld(World):
    """A world whose published books are held against the truth at the frame they carry the number of."""

    def __init__(self, seed: int = 7) -> None:
        self.model = CoinbaseModel(seed)
        super().__init__(self.model)

    def truth_holds(self) -> bool:
        return self.reader.book == self.model.truth[self._venue_seq]
