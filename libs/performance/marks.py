"""Marks of equity, folded as they come: closes of periods, the curve, drawdown and exposure; pure.

Years of minutes are not kept. What is:

=============  =====================================================================  ==================
what           of it                                                                  at most
=============  =====================================================================  ==================
closes         the last mark of each UTC day; of hours and minutes only until there   one a day, and
               are twice `ENOUGH` of the longer ones                                  some 5,000 others
curve          the last, least and most equity and the deepest drawdown of stretches  1,024
               of a minute, doubled whenever there are more
drawdown       the running peak, the deepest fall and the longest                     1
exposure       integrals over time, and extremes                                      1
=============  =====================================================================  ==================

A mark of a minute counts at the minute, though it is taken a moment after it: the one at midnight closes the
day before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from libs.common.events import EquityMarked

HOUR_NS: Final = 60 * MINUTE_NS
ENOUGH: Final = 30  # returns of a period, from which shorter periods are not looked at
POINTS: Final = 1_024  # of the curve
HOLDS_NS: Final = 2 * MINUTE_NS  # for which a mark speaks: beyond, nobody knows what was held


class Mark(NamedTuple):
    """What a mark of equity is folded from; money in quote units."""

    ts: int  # ns UTC
    equity: float
    prices: Mapping[str, float]  # mids by symbol


class Closes:
    """The last mark of each period of a length; changes in place."""

    def __init__(self, width_ns: int) -> None:
        self.width_ns = width_ns
        self._near_ns = max(MINUTE_NS, width_ns // 288)  # of an end: 5 minutes of a day
        self.first: Mark | None = None
        self.last: dict[int, Mark] = {}  # by the number of the period: its end is (number + 1) * width

    def take(self, mark: Mark) -> None:
        """Take the next mark; one at a boundary closes the period that ends there."""
        if self.first is None:
            self.first = mark
        self.last[(mark.ts - 1) // self.width_ns] = mark

    def whole(self, number: int) -> bool:
        """Tell whether a period's close was taken at its end, or near enough."""
        close = self.last.get(number)
        return close is not None and (number + 1) * self.width_ns - close.ts <= self._near_ns

    def pairs(self) -> Iterator[tuple[int, Mark, Mark]]:
        """Yield number, the close before and the close of each period whose both ends were marked.

        The first mark of all stands for the close before, where it was taken at the begin of its period.
        """
        first = self.first
        for number, close in self.last.items():
            before = self.last.get(number - 1) if self.whole(number - 1) else None
            if before is None and first is not None:
                begin = number * self.width_ns
                before = first if 0 <= first.ts - begin <= self._near_ns else None
            if before is not None and before is not close and self.whole(number):
                yield number, before, close


class Stretch:
    """A point of the curve; changes in place."""

    __slots__ = ("close", "deepest", "high", "low", "number")

    def __init__(self, number: int, mark: Mark, drawdown: float) -> None:
        self.number, self.close = number, mark
        self.low = self.high = mark.equity
        self.deepest = drawdown

    def take(self, close: Mark, low: float, high: float, deepest: float) -> None:
        """Take what comes next."""
        self.close = close
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.deepest = min(self.deepest, deepest)


class Curve:
    """Equity over time at `POINTS` points at most; changes in place."""

    def __init__(self) -> None:
        self.width_ns = MINUTE_NS
        self.points: list[Stretch] = []

    def take(self, mark: Mark, drawdown: float) -> None:
        """Take the next mark."""
        number = (mark.ts - 1) // self.width_ns
        if self.points and self.points[-1].number >= number:
            self.points[-1].take(mark, mark.equity, mark.equity, drawdown)
            return
        self.points.append(Stretch(number, mark, drawdown))
        if len(self.points) > POINTS:
            self._halve()

    def _halve(self) -> None:
        self.width_ns *= 2
        kept: list[Stretch] = []
        for point in self.points:
            point.number //= 2
            if kept and kept[-1].number == point.number:
                kept[-1].take(point.close, point.low, point.high, point.deepest)
            else:
                kept.append(point)
        self.points = kept


@dataclass
class Falls:
    """The running peak, and the deepest fall below one; changes in place. Times in ns UTC."""

    peak: float = 0.0
    peak_ts: int = 0
    depth: float = 0.0  # of the deepest, <= 0
    deepest_peak: float = 0.0
    deepest_peak_ts: int | None = None
    trough_ts: int | None = None
    recovered_ts: int | None = None
    longest_ns: int = 0
    under: bool = False  # the peak, now

    def take(self, mark: Mark) -> float:
        """Take the next mark; return how far it lies below the peak before it, as a fraction <= 0."""
        if self.trough_ts is not None and self.recovered_ts is None and mark.equity >= self.deepest_peak:
            self.recovered_ts = mark.ts
        if not self.peak_ts or mark.equity >= self.peak:
            if self.peak_ts and self.under:
                self.longest_ns = max(self.longest_ns, mark.ts - self.peak_ts)
            self.peak, self.peak_ts, self.under = mark.equity, mark.ts, False
            return 0.0
        self.under = True
        self.longest_ns = max(self.longest_ns, mark.ts - self.peak_ts)
        fall = mark.equity / self.peak - 1 if self.peak > 0 else 0.0
        if fall < self.depth:
            self.depth, self.deepest_peak, self.deepest_peak_ts = fall, self.peak, self.peak_ts
            self.trough_ts, self.recovered_ts = mark.ts, None
        return fall


@dataclass
class Held:
    """Exposure over time, as fractions of equity; changes in place."""

    seconds: float = 0.0  # of which is known what was held
    gross: float = 0.0  # integral, s
    net: float = 0.0  # integral, s
    equity: float = 0.0  # integral, quote units times s
    gross_max: float = 0.0
    net_max: float = 0.0  # the furthest from 0
    now: tuple[float, float, float] | None = None  # gross, net, equity
    since_ts: int = 0

    def take(self, ts: int, equity: float, values: Mapping[str, float]) -> None:
        """Take the next mark."""
        if self.now is not None:
            lasted_s = min(ts - self.since_ts, HOLDS_NS) / NS_PER_S
            self.seconds += lasted_s
            self.gross += self.now[0] * lasted_s
            self.net += self.now[1] * lasted_s
            self.equity += self.now[2] * lasted_s
        gross = net = 0.0
        if equity > 0:
            gross = sum(map(abs, values.values())) / equity
            net = sum(values.values()) / equity
        self.gross_max = max(self.gross_max, gross)
        if abs(net) > abs(self.net_max):
            self.net_max = net
        self.now, self.since_ts = (gross, net, equity), ts


@dataclass
class Marks:
    """All that is kept of the marks of a book; changes in place."""

    count: int = 0
    first: EquityMarked | None = None
    last: EquityMarked | None = None
    days: Closes = field(default_factory=lambda: Closes(DAY_NS))
    hours: Closes | None = field(default_factory=lambda: Closes(HOUR_NS))
    minutes: Closes | None = field(default_factory=lambda: Closes(MINUTE_NS))
    curve: Curve = field(default_factory=Curve)
    falls: Falls = field(default_factory=Falls)
    held: Held = field(default_factory=Held)
    first_prices: dict[str, float] = field(default_factory=dict)  # of each symbol when it was first marked
    traded: set[str] = field(default_factory=set)  # symbols that were held at a mark
    turned_ns: int = 0  # by how much the clock was set back, in all
    _newest_ts: int = 0

    def take(self, event: EquityMarked) -> None:
        """Take the next mark of the log."""
        ts = event.ts // MINUTE_NS * MINUTE_NS if event.cause == "minute" else event.ts
        if event.ts < self._newest_ts - HOLDS_NS:
            self.turned_ns += self._newest_ts - event.ts
        ts = self._newest_ts = max(ts, self._newest_ts)  # a clock that was set back tells of no time twice
        mark = Mark(ts, float(event.equity), event.marks)
        if self.first is None:
            self.first = event
        self.last = event
        self.count += 1
        for symbol, price in event.marks.items():
            self.first_prices.setdefault(symbol, price)
        self.traded.update(event.values)
        self.curve.take(mark, self.falls.take(mark))
        self.held.take(ts, mark.equity, {each: float(value) for each, value in event.values.items()})
        for closes in (self.days, self.hours, self.minutes):
            if closes is not None:
                closes.take(mark)
        self._forget()

    def _forget(self) -> None:
        """Leave shorter periods, once there are enough longer ones to go by."""
        if self.minutes is not None and self.hours is not None and len(self.hours.last) > 2 * ENOUGH:
            self.minutes = None
        if self.hours is not None and len(self.days.last) > 2 * ENOUGH:
            self.hours = None
