"""A model of Binance's perpetuals for tests: events chained by ``pu``, in ids shared with other symbols."""

from __future__ import annotations

import json

from tests.model_exchange import BinanceModel, book_of, text


class FuturesModel(BinanceModel):
    """Each event holds two changes; the book is known after either, and so may a snapshot be of either."""

    def __init__(self, seed: int, venue: str) -> None:
        super().__init__(seed)
        self.venue = venue
        self.name = "BTCUSDT_PERP" if venue == "binance-coinm" else "BTCUSDT"
        self.inside = self.id  # an id within the last event
        self.snapshot_inside = False

    def next_frame(self) -> bytes:
        previous = self.id
        bids, asks = self.true.change()
        first = previous + self.random.randint(1, 70)
        self.inside = first + self.random.randint(0, 20)
        self.truth[self.inside] = book_of(self.true.bids, self.true.asks)
        more_bids, more_asks = self.true.change()
        self.id = self.inside + self.random.randint(1, 20)
        self.truth[self.id] = book_of(self.true.bids, self.true.asks)
        merged_bids, merged_asks = dict(bids) | dict(more_bids), dict(asks) | dict(more_asks)
        return self.frame(previous, first, list(merged_bids.items()), list(merged_asks.items()))

    def snapshot(self) -> bytes:
        return self.snapshot_of(self.inside if self.snapshot_inside else self.id)

    def snapshot_of(self, at: int, said: int | None = None) -> bytes:
        """Return the book as it was at an id, if need be under another id."""
        bids, asks = self.truth[at]
        body = {"lastUpdateId": at if said is None else said, "E": 1_700_000_000_000, "T": 1_700_000_000_000}
        return json.dumps(body | {"bids": text(list(bids)), "asks": text(list(asks))}).encode()

    def crossing_frame(self) -> bytes:
        """Return an event in its place in the chain whose bid lies above the best ask."""
        previous, self.id = self.id, self.id + 5
        self.truth[self.id] = book_of(self.true.bids, self.true.asks)
        return self.frame(previous, self.id, [(min(self.true.asks) + 1, 1.0)], [])

    def frame(
        self, previous: int, first: int, bids: list[tuple[float, float]], asks: list[tuple[float, float]]
    ) -> bytes:
        data = {"e": "depthUpdate", "E": 1_700_000_000_000, "T": 1_700_000_000_000, "s": self.name}
        data |= {"U": first, "u": self.id, "pu": previous, "b": text(bids), "a": text(asks)}
        return json.dumps({"stream": f"{self.name.lower()}@depth@100ms", "data": data}).encode()
