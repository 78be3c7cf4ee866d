"""Order books kept exactly as each venue's documentation says, and nothing more: the twins of the truth."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aiohttp import ClientSession, ClientWebSocketResponse

Truth = dict[str, Any]


class GapError(AssertionError):
    """The update ids of a stream have a hole."""


class ChecksumError(AssertionError):
    """The venue's checksum is not that of the book."""


class NaiveBook:
    """Two dicts from price to size, as Decimal."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}

    def apply(self, side: str, levels: Iterable[tuple[Decimal, Decimal]]) -> None:
        book: dict[Decimal, Decimal] = getattr(self, side)
        for price, size in levels:
            if size:
                book[price] = size
            else:
                book.pop(price, None)

    def truncate(self, depth: int) -> None:
        self.bids = dict(sorted(self.bids.items(), reverse=True)[:depth])
        self.asks = dict(sorted(self.asks.items())[:depth])

    def top(self, depth: int | None = None) -> tuple[list[list[float]], list[list[float]]]:
        bids = [[float(p), float(q)] for p, q in sorted(self.bids.items(), reverse=True)][:depth]
        return bids, [[float(p), float(q)] for p, q in sorted(self.asks.items())][:depth]


class BinanceClient:
    """The published rule: buffer, snapshot, drop what is older, then U must follow u."""

    def __init__(self) -> None:
        self.book = NaiveBook()
        self.update_id = 0
        self.diffs = 0
        self._first = True

    def snapshot(self, body: dict[str, Any]) -> None:
        self.book = NaiveBook()
        self.update_id, self._first = body["lastUpdateId"], True
        self.book.apply("bids", _pairs(body["bids"]))
        self.book.apply("asks", _pairs(body["asks"]))

    def diff(self, data: dict[str, Any]) -> bool:
        """Apply a diff; return whether it was new."""
        if data["u"] <= self.update_id:
            return False
        expected = self.update_id + 1
        if data["U"] > expected or (not self._first and data["U"] != expected):
            raise GapError(f"{data['U']}..{data['u']} after {self.update_id}")
        self._first = False
        self.book.apply("bids", _pairs(data["b"]))
        self.book.apply("asks", _pairs(data["a"]))
        self.update_id = data["u"]
        self.diffs += 1
        return True


class KrakenClient:
    """Apply, truncate to the subscribed depth, compare the checksum."""

    def __init__(self, depth: int) -> None:
        self.book = NaiveBook()
        self.depth = depth
        self.updates = 0

    def message(self, raw: str) -> None:
        message = json.loads(raw, parse_float=Decimal, parse_int=Decimal)
        if message.get("channel") != "book":
            return
        if message["type"] == "snapshot":
            self.book = NaiveBook()
        else:
            self.updates += 1
        for data in message["data"]:
            for side in ("bids", "asks"):
                self.book.apply(side, [(level["price"], level["qty"]) for level in data[side]])
            self.book.truncate(self.depth)
            if int(data["checksum"]) != self.checksum():
                raise ChecksumError(raw[:200])

    def checksum(self) -> int:
        levels = [*sorted(self.book.asks.items())[:10], *sorted(self.book.bids.items(), reverse=True)[:10]]
        text = "".join(
            format(number, "f").replace(".", "").lstrip("0") for level in levels for number in level
        )
        return crc32(text.encode())


def _pairs(levels: Iterable[list[str]]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(size)) for price, size in levels]


async def texts(socket: ClientWebSocketResponse) -> AsyncIterator[str]:
    """Yield every text frame until the socket closes."""
    async for message in socket:
        yield message.data


async def json_of(client: ClientSession, path: str) -> Any:
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()
