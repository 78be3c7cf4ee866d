"""A model exchange for tests: a true book, its frames in the venue's wire format, and a wire that misbehaves.

Deliberately naive (dicts, full sorts, text) and independent of the services and of the simulator, so that it
can stand as the second derivation of what a book must be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from zlib import crc32

Side = dict[float, float]
Book = tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]
"""Bids descending and asks ascending, as (price, size)."""


def book_of(bids: Side, asks: Side, depth: int | None = None) -> Book:
    return tuple(sorted(bids.items(), reverse=True)[:depth]), tuple(sorted(asks.items())[:depth])


@dataclass
class TrueBook:
    """Random but never crossed: each change moves one level near the middle."""

    random: Random
    bids: Side = field(default_factory=dict)
    asks: Side = field(default_factory=dict)
    middle: int = 10_000  # in ticks of 0.1

    def __post_init__(self) -> None:
        for step in range(1, 15):
            self.bids[(self.middle - step) / 10] = self._size()
            self.asks[(self.middle + step) / 10] = self._size()

    def change(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Change a few levels and return them as (price, new size) of bids and of asks."""
        changed: tuple[dict[float, float], dict[float, float]] = ({}, {})
        for _ in range(self.random.randint(1, 4)):
            is_ask = self.random.random() < 0.5
            side = self.asks if is_ask else self.bids
            offset = self.random.randint(1, 18)
            price = (self.middle + offset if is_ask else self.middle - offset) / 10
            size = 0.0 if price in side and len(side) > 11 and self.random.random() < 0.5 else self._size()
            if size:
                side[price] = size
            else:
                side.pop(price, None)
            changed[is_ask][price] = size
        return list(changed[0].items()), list(changed[1].items())

    def _size(self) -> float:
        return self.random.randint(1, 99_999_999) / 100_000_000


def text(levels: list[tuple[float, float]]) -> list[list[str]]:
    return [[f"{price:.2f}", f"{size:.8f}"] for price, size in levels]


class BinanceModel:
    """Diffs with contiguous ids, REST snapshots, and the truth at every id."""

    venue = "binance"
    depth = None

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.true = TrueBook(self.random)
        self.id = 1000
        self.truth: dict[int, Book] = {self.id: book_of(self.true.bids, self.true.asks)}

    def next_frame(self) -> bytes:
        bids, asks = self.true.change()
        first = self.id + 1
        self.id += self.random.randint(1, 5)
        self.truth[self.id] = book_of(self.true.bids, self.true.asks)
        data = {"e": "depthUpdate", "E": 1_700_000_000_000, "s": "BTCUSDT", "U": first, "u": self.id}
        data |= {"b": text(bids), "a": text(asks)}
        return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}).encode()

    def snapshot(self) -> bytes:
        bids, asks = self.truth[self.id]
        body = {"lastUpdateId": self.id, "bids": text(list(bids)), "asks": text(list(asks))}
        return json.dumps(body).encode()

    def raised_frame(self) -> bytes:
        """Return the next diff under ids far too high."""
        frame = json.loads(self.next_frame())
        frame["data"]["U"] += 1_000_000
        frame["data"]["u"] += 1_000_000
        return json.dumps(frame).encode()

    def crossing_frame(self) -> bytes:
        """Return a diff with good ids whose bid lies above the best ask; the exchange never had it."""
        best_ask = min(self.true.asks)
        data = {
            "e": "depthUpdate",
            "E": 1_700_000_000_000,
            "s": "BTCUSDT",
            "U": self.id + 1,
            "u": self.id + 1,
        }
        data |= {"b": text([(best_ask + 1, 1.0)]), "a": []}
        return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}).encode()


class KrakenModel:
    """WS v2 at depth 10: checksums, and no delete for what leaves the window."""

    venue = "kraken"
    depth = 10

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.true = TrueBook(self.random)

    @property
    def now(self) -> Book:
        return book_of(self.true.bids, self.true.asks, self.depth)

    def snapshot_frame(self) -> bytes:
        bids, asks = self.now
        return self._frame("snapshot", list(bids), list(asks))

    def next_frame(self) -> bytes:
        """Change the book; the frame says how its window of ten levels changed."""
        before = self.now
        while self.now == before:
            self.true.change()
        sides = []
        for old, new in zip(before, self.now, strict=True):
            was, now = dict(old), dict(new)
            worst = new[-1][0]
            gone = [
                (price, 0.0)
                for price in was
                if price not in now and (price >= worst) == (old[0][0] > old[-1][0])
            ]
            sides.append(gone + [(price, size) for price, size in new if was.get(price) != size])
        return self._frame("update", *sides)

    def corrupt_frame(self) -> bytes:
        """Return a frame whose sizes are not those of its checksum."""
        frame = json.loads(self.next_frame(), parse_float=str)
        for level in frame["data"][0]["bids"] + frame["data"][0]["asks"]:
            level["qty"] = "1.23456789" if level["qty"] != "1.23456789" else "2.00000000"
        return self._render("update", frame["data"][0])

    def crossing_frame(self) -> bytes:
        asks = self.now[1]
        crossed = [(asks[0][0] + 1, 1.0)]
        frame = json.loads(self._frame("update", crossed, []), parse_float=str)
        return self._render("update", frame["data"][0])

    def _frame(self, kind: str, bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> bytes:
        data = {
            side: [{"price": f"{price:.1f}", "qty": f"{size:.8f}"} for price, size in levels]
            for side, levels in (("bids", bids), ("asks", asks))
        }
        return self._render(kind, data | {"checksum": kraken_crc(*self.now)})

    def _render(self, kind: str, data: dict[str, object]) -> bytes:
        sides = ",".join(
            f'"{side}":['
            + ",".join(f'{{"price":{level["price"]},"qty":{level["qty"]}}}' for level in data[side])  # type: ignore[attr-defined]  # parsed JSON
            + "]"
            for side in ("bids", "asks")
        )
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USDT",{sides},'
            f'"checksum":{data["checksum"]},"timestamp":"2026-08-24T22:21:57.000000Z"}}]}}'
        ).encode()


def kraken_crc(bids: tuple[tuple[float, float], ...], asks: tuple[tuple[float, float], ...]) -> int:
    """CRC32 of docs.kraken.com book-checksum-v2, written out plainly."""
    joined = ""
    for price, size in (*asks[:10], *bids[:10]):
        joined += f"{price:.1f}".replace(".", "").lstrip("0") + f"{size:.8f}".replace(".", "").lstrip("0")
    return crc32(joined.encode())
