"""The orders behind the levels of an exchange's book: who stands where in the queue of each price; pure.

A layer under the book: it follows what each action changed, and adds up to the same sizes. Trades take the
first in the queue. What else a level loses is canceled, by those in a hurry first, so that the patient gather
in front; what it gains joins at its end. A probe is an order that nobody sees: it stands in a queue, takes
nothing from others, and is filled as it would be there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from simulator.latent import stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

    from simulator.exchange_book import BookChange, ExchangeBook, Level, Print, SideName

ORDERS: Final = 7  # purpose of the random stream; see `latent`
_MORE: Final = 0.6  # probability that what a level gains is one order more
HASTE_SD: Final = 1.5  # of the logarithm of an order's haste

Kind: TypeAlias = Literal["add", "cancel", "trade"]
SIDES: Final[tuple[SideName, SideName]] = ("bids", "asks")


@dataclass(slots=True)
class Order:
    """An order in a queue."""

    number: int
    lots: int
    haste: float  # how often it cancels, beside others


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """What happened to one order, as a feed of orders would tell it."""

    kind: Kind
    ts_ns: int
    side: SideName
    tick: int
    number: int
    lots: int  # how many came, or went


@dataclass(slots=True)
class Probe:
    """An order of which the exchange says all: what stands in front, and how much of it is filled."""

    side: SideName
    tick: int
    lots: int
    ahead: list[int]  # numbers of the orders in front
    filled: int = 0
    filled_ns: int | None = None  # when the last lot was

    @property
    def sign(self) -> int:
        """+1 of a bid, -1 of an ask."""
        return 1 if self.side == "bids" else -1

    def fill(self, lots: int, ts_ns: int) -> None:
        """Fill as much of it as is left, of so many lots."""
        if self.filled < self.lots and lots > 0:
            self.filled = min(self.lots, self.filled + lots)
            if self.filled == self.lots:
                self.filled_ns = ts_ns


@dataclass(slots=True)
class ExchangeOrders:
    """The orders of one book.

    Parameters
    ----------
    book
        As it stands; every change of it from now on must be given to `apply`.
    seed, index
        The same, and the same changes, give the same orders.
    haste_sd
        Of the logarithm of the orders' haste; 0: whoever stands where, all cancel alike.
    """

    book: ExchangeBook
    seed: int
    index: int = 0
    hear: Callable[[OrderEvent], None] | None = None
    haste_sd: float = HASTE_SD
    probes: list[Probe] = field(default_factory=list)
    _queues: dict[SideName, dict[int, list[Order]]] = field(default_factory=lambda: {"bids": {}, "asks": {}})
    _random: Generator = field(init=False)
    _number: int = 0

    def __post_init__(self) -> None:
        self._random = stream(self.seed, ORDERS, self.index)
        for name in SIDES:
            side = self.book.bids if name == "bids" else self.book.asks
            for tick, lots in side.levels():
                self._add(name, tick, lots, 0)

    def queue(self, side: SideName, tick: int) -> list[Order]:
        """Return the orders of a level, the first in front."""
        return self._queues[side].get(tick, [])

    def join(self, side: SideName, tick: int, lots: int) -> Probe:
        """Let a probe join the end of a queue."""
        probe = Probe(side, tick, lots, [order.number for order in self.queue(side, tick)])
        self.probes.append(probe)
        return probe

    def leave(self, probe: Probe) -> None:
        """Take a probe out."""
        self.probes.remove(probe)

    def ahead(self, probe: Probe) -> int:
        """Return the lots that stand in front of a probe."""
        there = set(probe.ahead)
        return sum(order.lots for order in self.queue(probe.side, probe.tick) if order.number in there)

    def apply(self, change: BookChange) -> None:
        """Let the orders do what one action of the exchange did."""
        for trade in change.prints:
            self._trade(trade)
        for name, levels in zip(SIDES, (change.bids, change.asks), strict=True):
            for level in levels:
                self._set(name, level, change.ts_ns)
        for probe in self.probes:
            self._cross(probe, change)

    def _trade(self, trade: Print) -> None:
        name: SideName = "asks" if trade.taker == "buy" else "bids"
        for probe in self.probes:
            if probe.side != name:
                continue
            if trade.tick == probe.tick:
                probe.fill(trade.lots - self.ahead(probe), trade.ts_ns)
            elif trade.tick * probe.sign < probe.tick * probe.sign:
                probe.fill(trade.lots, trade.ts_ns)
        self._take(name, trade)

    def _take(self, name: SideName, trade: Print) -> None:
        queue, left = self._queues[name][trade.tick], trade.lots
        while left:
            first = queue[0]
            size = min(left, first.lots)
            first.lots -= size
            left -= size
            self._tell("trade", trade.ts_ns, name, trade.tick, first.number, size)
            if not first.lots:
                queue.pop(0)

    def _cross(self, probe: Probe, change: BookChange) -> None:
        """Fill a probe with what came to rest at its price, or through it."""
        for tick, lots in change.asks if probe.side == "bids" else change.bids:
            if tick * probe.sign <= probe.tick * probe.sign:
                probe.fill(lots, change.ts_ns)

    def _set(self, name: SideName, level: Level, ts_ns: int) -> None:
        tick, lots = level
        queue = self._queues[name].setdefault(tick, [])
        there = sum(order.lots for order in queue)
        if lots > there:
            self._add(name, tick, lots - there, ts_ns)
        elif lots < there:
            self._cancel(name, tick, there - lots, ts_ns)
        if not lots:
            del self._queues[name][tick]

    def _add(self, name: SideName, tick: int, lots: int, ts_ns: int) -> None:
        queue = self._queues[name].setdefault(tick, [])
        count = min(lots, int(self._random.geometric(1.0 - _MORE)))
        cuts = sorted({int(cut) for cut in self._random.integers(1, lots, count - 1)}) if count > 1 else []
        for begin, end in zip([0, *cuts], [*cuts, lots], strict=True):
            self._number += 1
            haste = exp(self.haste_sd * float(self._random.standard_normal()))
            queue.append(Order(self._number, end - begin, haste))
            self._tell("add", ts_ns, name, tick, self._number, end - begin)

    def _cancel(self, name: SideName, tick: int, lots: int, ts_ns: int) -> None:
        queue = self._queues[name][tick]
        while lots:
            weights = [order.haste for order in queue]
            chosen = float(self._random.random()) * sum(weights)
            place = 0
            while place < len(queue) - 1 and chosen >= weights[place]:
                chosen -= weights[place]
                place += 1
            size = min(lots, queue[place].lots)
            queue[place].lots -= size
            lots -= size
            self._tell("cancel", ts_ns, name, tick, queue[place].number, size)
            if not queue[place].lots:
                queue.pop(place)

    def _tell(self, kind: Kind, ts_ns: int, side: SideName, tick: int, number: int, lots: int) -> None:
        if self.hear is not None:
            self.hear(OrderEvent(kind, ts_ns, side, tick, number, lots))
