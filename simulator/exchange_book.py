"""The exchange's own book of one pair: integer prices and sizes, update ids, trades that consume levels.

Prices are whole ticks and sizes whole lots, so that nothing rounds and every venue can render its own text.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import TakerSide

Level: TypeAlias = tuple[int, int]
"""(price in ticks, size in lots); in a change a size of 0 deletes the level."""

SideName: TypeAlias = Literal["bids", "asks"]

_NOBODY: Final[Level] = (0, 0)  # at the top of an empty side


@dataclass(frozen=True, slots=True)
class Print:
    """A trade as the exchange reports it."""

    trade_id: int
    ts_ns: int
    tick: int
    lots: int
    taker: TakerSide


@dataclass(slots=True)
class BookChange:
    """What one action did to one book; sizes are absolute."""

    venue: str
    symbol: str
    ts_ns: int
    update_id: int
    bids: list[Level]
    asks: list[Level]
    prints: list[Print]
    top_moved: bool  # the best bid or ask, price or size


@dataclass(slots=True)
class Side:
    """One side of a book.

    `keys` ascend from the best level on both sides: a bid's key is its negated tick.
    """

    sign: Literal[1, -1]
    keys: list[int] = field(default_factory=list)
    lots: dict[int, int] = field(default_factory=dict)
    _last_key: int = 0  # the best one before the side became empty
    _touched: dict[int, int] = field(default_factory=dict)
    _added: set[int] = field(default_factory=set)  # levels that were not there when the action began

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def best(self) -> int:
        """The best price in ticks; of an empty side the last it had."""
        return (self.keys[0] if self.keys else self._last_key) * self.sign

    def set(self, tick: int, lots: int) -> None:
        """Give a level its size; 0 removes it."""
        key = tick * self.sign
        present = key in self.lots
        if lots:
            if not present:
                insort(self.keys, key)
                if key not in self._touched:
                    self._added.add(key)
            self.lots[key] = lots
        elif present:
            del self.keys[bisect_left(self.keys, key)]
            del self.lots[key]
            self._last_key = key
            if key in self._added:  # came and went within one action: nobody saw it
                self._added.discard(key)
                del self._touched[key]
                return
        else:
            return
        self._touched[key] = lots

    def levels(self, depth: int | None = None) -> Iterator[Level]:
        """Yield the levels, best first."""
        for key in self.keys[:depth]:
            yield key * self.sign, self.lots[key]

    def empty(self) -> list[Level]:
        """Remove every level, the worst first, and return what was there, best first."""
        there = list(self.levels())
        for tick, _ in reversed(there):
            self.set(tick, 0)
        return there

    def take_touched(self) -> list[Level]:
        """Return the levels set since the last call, and forget them."""
        if not self._touched:
            return []
        changes = [(key * self.sign, lots) for key, lots in self._touched.items()]
        self._touched.clear()
        self._added.clear()
        return changes


class ExchangeBook:
    """The truth about one pair at one venue.

    Parameters
    ----------
    first_id
        Update and trade ids count up from here.
    """

    def __init__(self, venue: str, symbol: str, first_id: int = 0) -> None:
        self.venue = venue
        self.symbol = symbol
        self.bids = Side(-1)
        self.asks = Side(1)
        self.update_id = first_id
        self.trade_id = first_id
        self.last_print: Print | None = None
        self._prints: list[Print] = []
        self._top: tuple[int, int, int, int] | None = None

    def place_bid(self, tick: int, lots: int) -> None:
        """Give a bid its size; one that would cross rests just below the best ask instead."""
        self.bids.set(min(tick, self.asks.best - 1) if self.asks.keys else tick, lots)

    def place_ask(self, tick: int, lots: int) -> None:
        """Give an ask its size; one that would cross rests just above the best bid instead."""
        self.asks.set(max(tick, self.bids.best + 1) if self.bids.keys else tick, lots)

    def take(self, taker: TakerSide, lots: int, limit_tick: int, ts_ns: int) -> int:
        """Trade against the other side up to a limit price; return the lots filled.

        The last level of a side is never taken: trades leave a book its two sides.
        """
        side = self.asks if taker == "buy" else self.bids
        limit = limit_tick * side.sign
        filled = 0
        while filled < lots and len(side.keys) > 1 and side.keys[0] <= limit:
            key = side.keys[0]
            there = side.lots[key]
            size = min(there, lots - filled)
            side.set(key * side.sign, there - size)
            filled += size
            self.trade_id += 1
            self._prints.append(Print(self.trade_id, ts_ns, key * side.sign, size, taker))
        return filled

    def commit(self, ts_ns: int) -> BookChange | None:
        """End an action: give it an update id and return what it changed, or None if nothing."""
        bids, asks = self.bids.take_touched(), self.asks.take_touched()
        if not (bids or asks):
            return None
        self.update_id += 1
        prints, self._prints = self._prints, []
        if prints:
            self.last_print = prints[-1]
        top = (*next(self.bids.levels(1), _NOBODY), *next(self.asks.levels(1), _NOBODY))
        moved, self._top = top != self._top, top
        return BookChange(self.venue, self.symbol, ts_ns, self.update_id, bids, asks, prints, moved)
