"""Kraken's book messages: the window of each depth, the checksum, the text of the numbers.

References
----------
docs.kraken.com/exchange, WebSocket v2 book and the guide book-checksum-v2, as of 2026-08.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from zlib import crc32

from libs.common.time_units import NS_PER_S
from simulator.venues.venue import crossing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from simulator.exchange_book import ExchangeBook, Level, Side
    from simulator.venues.venue import Pair

_CHECKED: Final = 10  # levels a side under the checksum, whatever the depth


@dataclass(frozen=True, slots=True)
class BookFrame:
    """One book message of one depth."""

    topic: str
    pair: Pair
    kind: str  # snapshot or update
    ts_ns: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    top_bids: tuple[Level, ...]  # the checked levels after this message
    top_asks: tuple[Level, ...]

    def text(self) -> str:
        """Return the true message."""
        return self.render(self.bids, self.asks, checksum(self.top_bids, self.top_asks))

    def corrupted(self, random: Random) -> str | None:
        """Return it with one level under the checksum damaged, or None if it changes none.

        The checksum stays, so it no longer fits: a size is altered, or a deletion misses its level.
        """
        del random  # the least damage that shows
        true = checksum(self.top_bids, self.top_asks)
        bids = damaged(self.bids, self.top_bids)
        if bids is not None:
            return self.render(bids, self.asks, true)
        asks = damaged(self.asks, self.top_asks)
        return None if asks is None else self.render(self.bids, asks, true)

    def crossed(self, random: Random) -> str:
        """Return it with a bid above the best ask and a checksum that fits; without asks, as it is."""
        if not self.top_asks:
            return self.text()
        bids = crossing(self.bids, self.top_asks[0][0], random, 100_000_000)
        top_bids = (bids[0], *self.top_bids)[:_CHECKED]
        return self.render(bids, self.asks, checksum(top_bids, self.top_asks))

    def render(self, bids: Iterable[Level], asks: Iterable[Level], crc: int) -> str:
        """Return it with these levels and this checksum."""
        return (
            f'{{"channel":"book","type":"{self.kind}","data":[{{"symbol":"{self.pair.name}",'
            f'"bids":{_levels(self.pair, bids)},"asks":{_levels(self.pair, asks)},"checksum":{crc},'
            f'"timestamp":"{rfc3339(self.ts_ns)}"}}]}}'
        )


def damaged(levels: tuple[Level, ...], top: tuple[Level, ...]) -> tuple[Level, ...] | None:
    """Return a side's changes with one of the checked levels wrong, or None if they change none."""
    for index, (tick, lots) in enumerate(levels):
        if (tick, lots) in top:
            return (*levels[:index], (tick, lots + 1), *levels[index + 1 :])
        if not lots and top and abs(tick - top[0][0]) < abs(top[-1][0] - top[0][0]):
            return (*levels[:index], *levels[index + 1 :])
    return None


def checksum(bids: Iterable[Level], asks: Iterable[Level]) -> int:
    """Return the CRC32 of the ten best levels a side, best first, asks before bids.

    The text of a price or size without its point and leading zeros is its number of steps in decimal.
    """
    text = "".join([f"{tick}{lots}" for side in (asks, bids) for tick, lots in side])
    return crc32(text.encode())


def rfc3339(ts_ns: int) -> str:
    """Return a time as Kraken writes it, with microseconds."""
    seconds, rest = divmod(ts_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def _levels(pair: Pair, levels: Iterable[Level]) -> str:
    price, size = pair.price.text, pair.size.text
    return "[" + ",".join([f'{{"price":{price(tick)},"qty":{size(lots)}}}' for tick, lots in levels]) + "]"


class Window:
    """The best `depth` levels of a side as a subscriber holds them, of which it learns every change."""

    def __init__(self, side: Side, depth: int) -> None:
        self._side = side
        self._depth = depth
        self._worst = self._boundary()

    def _boundary(self) -> int | None:
        """Return the key of the last level inside; None if the whole side is."""
        keys = self._side.keys
        return keys[self._depth - 1] if len(keys) >= self._depth else None

    def changes(self, touched: Iterable[Level]) -> tuple[Level, ...]:
        """Return what a subscriber must be told after `touched` changed.

        A level that falls out because better ones came is not mentioned: the client truncates. One that moves
        up into the window because better ones went is sent with its size.
        """
        side, before = self._side, self._worst
        after = self._worst = self._boundary()
        told: dict[int, int] = {}
        for tick, lots in touched:
            key = tick * side.sign
            bound = after if lots else before
            if bound is None or key <= bound:
                told[key] = lots
        if before is not None and (after is None or after > before):
            for key in reversed(side.keys[: self._depth]):
                if key <= before:
                    break
                told[key] = side.lots[key]
        return tuple((key * side.sign, told[key]) for key in sorted(told))


def tops_of(book: ExchangeBook) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    """Return the bids and asks under the checksum."""
    return tuple(book.bids.levels(_CHECKED)), tuple(book.asks.levels(_CHECKED))
