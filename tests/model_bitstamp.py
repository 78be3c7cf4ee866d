"""A model of Bitstamp for tests: diffs that carry their time and nothing else."""

from __future__ import annotations

import json

from tests.model_exchange import BinanceModel, book_of, text


class BitstampModel(BinanceModel):
    """The truth is kept by the time of each diff, µs, which l2 shows as the venue's sequence."""

    venue = "bitstamp"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        start = 1_641_343_695_572_693
        self.truth = {start: self.truth[self.id]}
        self.id = start

    def next_frame(self) -> bytes:
        bids, asks = self.true.change()
        self.id += self.random.randint(1, 400_000)
        self.truth[self.id] = book_of(self.true.bids, self.true.asks)
        return self.frame(bids, asks)

    def snapshot(self) -> bytes:
        return self.snapshot_of(self.id)

    def snapshot_of(self, at: int) -> bytes:
        bids, asks = self.truth[at]
        return json.dumps(self._stamped(at) | {"bids": text(list(bids)), "asks": text(list(asks))}).encode()

    def crossing_frame(self) -> bytes:
        self.id += 1
        self.truth[self.id] = book_of(self.true.bids, self.true.asks)
        return self.frame([(min(self.true.asks) + 1, 1.0)], [])

    def frame(self, bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> bytes:
        data = self._stamped(self.id) | {"bids": text(bids), "asks": text(asks)}
        return json.dumps({"data": data, "channel": "diff_order_book_btcusdt", "event": "data"}).encode()

    def _stamped(self, at: int) -> dict[str, object]:
        return {"timestamp": str(at // 1_000_000), "microtimestamp": str(at)}
