"""A model of Bybit for tests: a true book whose topic is counted, with restarts, and its world.

As deliberately naive as `model_exchange.py`, and independent of the services and of the simulator.
"""

from __future__ import annotations

import json
from random import Random

from tests.l2_world import World
from tests.model_exchange import Book, TrueBook, book_of

Levels = list[tuple[float, float]]


class BybitModel:
    """Deltas numbered by ones; now and then the service restarts and counts from one again."""

    venue = "bybit"

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.true = TrueBook(self.random)
        self.id = 1000

    @property
    def now(self) -> Book:
        return book_of(self.true.bids, self.true.asks)

    def snapshot_frame(self) -> bytes:
        bids, asks = self.now
        return self._frame("snapshot", list(bids), list(asks))

    def next_frame(self) -> bytes:
        return self.restart_frame() if self.random.random() < 0.03 else self.delta_frame()

    def delta_frame(self) -> bytes:
        self.id += 1
        return self._frame("delta", *self.true.change())

    def restart_frame(self) -> bytes:
        """Change the book and show it whole, under number one."""
        self.true.change()
        self.id = 1
        return self.snapshot_frame()

    def crossing_frame(self) -> bytes:
        """Return a delta in its turn whose bid lies above the best ask; the exchange never had it."""
        self.id += 1
        return self._frame("delta", [(min(self.true.asks) + 1, 1.0)], [])

    def _frame(self, kind: str, bids: Levels, asks: Levels) -> bytes:
        sides = {
            side: [[f"{price:g}", f"{size:.8f}" if size else "0"] for price, size in levels]
            for side, levels in (("b", bids), ("a", asks))
        }
        data = {"s": "BTCUSDT", **sides, "u": self.id, "seq": 113_099_229_623}
        times = {"ts": 1_787_612_486_116, "cts": 1_787_612_486_108}
        return json.dumps({"topic": "orderbook.50.BTCUSDT", "type": kind, "data": data, **times}).encode()


class BybitWorld(World):
    """The l2 core before the model; a new connection is told the book first."""

    exchange: BybitModel  # type: ignore[assignment]  # the world names its own two models only

    def __init__(self, seed: int) -> None:
        super().__init__(BybitModel(seed))  # type: ignore[arg-type]  # for the same reason

    def open(self, connection: int) -> None:
        super().open(connection)
        self.deliver_on(connection, self.exchange.snapshot_frame())
