"""A model of OKX for tests: a true book with updates chained by ids, and the world that follows it.

As deliberately naive as `model_exchange.py`, and independent of the services and of the simulator.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

from tests.l2_world import World
from tests.model_exchange import Book, TrueBook, book_of

if TYPE_CHECKING:
    from collections.abc import Iterable


class OkxModel:
    """Updates with arbitrary steps of `seqId`; now and then a keep-alive, now and then a reset."""

    venue = "okx"

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.true = TrueBook(self.random)
        self.id = 1000

    @property
    def now(self) -> Book:
        return book_of(self.true.bids, self.true.asks)

    def snapshot_frame(self) -> bytes:
        bids, asks = self.now
        return self._frame("snapshot", bids, asks, -1)

    def next_frame(self) -> bytes:
        if self.random.random() < 0.1:
            return self.keep_alive_frame()
        if self.random.random() < 0.05:
            return self.reset_frame()
        return self.update_frame()

    def update_frame(self) -> bytes:
        """Change the book; ids go on by any step."""
        return self._changed(self.id + self.random.randint(1, 90))

    def reset_frame(self) -> bytes:
        """Change the book; after maintenance ids start over."""
        return self._changed(self.random.randint(0, self.id - 1) if self.id else 1)

    def keep_alive_frame(self) -> bytes:
        return self._frame("update", (), (), self.id)

    def crossing_frame(self) -> bytes:
        """Return an update in its place in the chain whose bid lies above the best ask."""
        previous, self.id = self.id, self.id + 1
        return self._frame("update", [(min(self.true.asks) + 1, 1.0)], (), previous)

    def _changed(self, last: int) -> bytes:
        bids, asks = self.true.change()
        previous, self.id = self.id, last
        return self._frame("update", bids, asks, previous)

    def _frame(
        self,
        action: str,
        bids: Iterable[tuple[float, float]],
        asks: Iterable[tuple[float, float]],
        previous: int,
    ) -> bytes:
        sides = {
            side: [[f"{price:g}", f"{size:.8f}", "0", "1" if size else "0"] for price, size in levels]
            for side, levels in (("asks", asks), ("bids", bids))
        }
        data = sides | {"ts": "1787612486307", "checksum": 0, "seqId": self.id, "prevSeqId": previous}
        arg = {"channel": "books", "instId": "BTC-USDT"}
        return json.dumps({"arg": arg, "action": action, "data": [data]}).encode()


class OkxWorld(World):
    """The l2 core before the model; a new connection is told the book first."""

    exchange: OkxModel  # type: ignore[assignment]  # the world names its own two models only

    def __init__(self, seed: int) -> None:
        super().__init__(OkxModel(seed))  # type: ignore[arg-type]  # for the same reason

    def open(self, connection: int) -> None:
        super().open(connection)
        self.deliver_on(connection, self.exchange.snapshot_frame())
