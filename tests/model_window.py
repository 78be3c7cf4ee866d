"""A model of Binance for tests whose book is far deeper than its snapshot, and whose market moves."""

from __future__ import annotations

import json

from services.l2.feeds.binance import BinanceFeed
from tests.l2_world import World
from tests.model_exchange import BinanceModel, book_of, text

TICK = 0.1  # about one bps of the price
LEVELS = 600


class WindowFeed(BinanceFeed):
    """Binance spot with a snapshot of so many levels a side."""

    def __init__(self, limit: int) -> None:
        self.snapshot_limit = limit


class WindowModel(BinanceModel):
    """A level at each tick; the market moves by eating one side and leaving orders on the other."""

    def __init__(self, seed: int, limit: int) -> None:
        super().__init__(seed)
        self.limit = limit
        self.best_ask = 10_001  # in ticks; the best bid is two below
        self.true.bids = {self._price(9_999 - step): self._size() for step in range(LEVELS)}
        self.true.asks = {self._price(10_001 + step): self._size() for step in range(LEVELS)}
        self.truth = {self.id: book_of(self.true.bids, self.true.asks)}

    def move(self, ticks: int) -> bytes:
        """Move up, or down where negative, by so many ticks; return the diff."""
        bids: dict[float, float] = {}
        asks: dict[float, float] = {}
        for _ in range(abs(ticks)):
            step = 1 if ticks > 0 else -1
            self.best_ask += step
            if step > 0:
                asks[self._price(self.best_ask - 1)] = 0.0
                bids[self._price(self.best_ask - 2)] = self._size()
            else:
                bids[self._price(self.best_ask - 1)] = 0.0
                asks[self._price(self.best_ask)] = self._size()
        return self._changed(bids, asks)

    def next_frame(self) -> bytes:
        """Change one level near the touch."""
        return self._changed({self._price(self.best_ask - 3): self._size()}, {})

    def far_frame(self, ticks: int) -> bytes:
        """Change one ask so far from the best one."""
        return self._changed({}, {self._price(self.best_ask + ticks): self._size()})

    def snapshot(self) -> bytes:
        bids, asks = (list(side[: self.limit]) for side in self.truth[self.id])
        return json.dumps({"lastUpdateId": self.id, "bids": text(bids), "asks": text(asks)}).encode()

    def _changed(self, bids: dict[float, float], asks: dict[float, float]) -> bytes:
        for side, changes in ((self.true.bids, bids), (self.true.asks, asks)):
            side.update(changes)
            for price in [price for price, size in changes.items() if not size]:
                del side[price]
        first, self.id = self.id + 1, self.id + self.random.randint(1, 5)
        self.truth[self.id] = book_of(self.true.bids, self.true.asks)
        data = {"e": "depthUpdate", "E": 1_700_000_000_000, "s": "BTCUSDT", "U": first, "u": self.id}
        data |= {"b": text(list(bids.items())), "a": text(list(asks.items()))}
        return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}).encode()

    @staticmethod
    def _price(ticks: int) -> float:
        return round(ticks * TICK, 1)

    def _size(self) -> float:
        return self.random.randint(1, 999) / 100


class WindowWorld(World):
    """l2 before that market; what it publishes is the truth wherever it is known."""

    exchange: WindowModel

    def __init__(self, limit: int, seed: int = 7) -> None:
        self.market = WindowModel(seed, limit)
        self.snapshots: list[int] = []  # when they were asked for
        super().__init__(self.market, feeds={"binance": WindowFeed(limit)})

    @property
    def room_bps(self) -> float:
        return self.state.sessions[self.key].maintainer.book.room_bps

    def truth_holds(self) -> bool:
        return self.known(*self.reader.book) == self.known(*self.market.truth[self._venue_seq])

    def answer(self) -> None:
        self.snapshots += [self.now] * len(self.fetches)
        super().answer()
