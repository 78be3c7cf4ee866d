"""Ways to say whether an order is filled: this system's, two plain rules, and hftbacktest's published models.

The models of hftbacktest are written from their published definitions,
https://hftbacktest.readthedocs.io/en/latest/order_fill.html and `models/queue.rs` of version 0.9: ``chg`` is
what the level lost less what traded since its last change; of it ``1 - prob`` is taken from in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log1p
from typing import TYPE_CHECKING

from services.execution.broker import queue_position

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.execution.broker.queue_position import FrontLaw, Queue


class Estimated:
    """The estimate of the paper broker."""

    def __init__(self, law: FrontLaw, shown: float, lots: float) -> None:
        self.law = law
        self.queue: Queue = queue_position.join(shown, lots, 1)

    def trade(self, lots: float, ts_ns: int) -> None:
        self.queue = queue_position.traded(self.queue, lots, ts_ns, self.law)

    def through(self, size: float) -> None:
        self.queue = queue_position.through(self.queue, size)

    def level(self, lots: float, ts_ns: int) -> None:
        self.queue = queue_position.level(self.queue, lots, ts_ns, 1, self.law)

    def probability(self) -> float:
        return queue_position.fill_probability(self.queue, self.queue.qty, self.law)


class Estimated01(Estimated):
    """The estimate as it fills: the whole order, once the median queue is gone."""

    def probability(self) -> float:
        found = queue_position.ahead(self.queue, self.law)
        return float(found.beyond >= self.queue.qty - queue_position.NONE)


@dataclass
class Touch:
    """A trade at the price fills."""

    shown: float
    lots: float
    filled: bool = False

    def trade(self, _lots: float, _ts_ns: int) -> None:
        self.filled = True

    def through(self, _size: float) -> None:
        self.filled = True

    def level(self, _lots: float, _ts_ns: int) -> None:
        """Ignore sizes."""

    def probability(self) -> float:
        return float(self.filled)


class TradeThrough(Touch):
    """Only trades through the price fill, or the other side at it, with what they bring."""

    brought: float = 0.0

    def through(self, size: float) -> None:
        self.brought += size
        self.filled = self.brought >= self.lots - queue_position.NONE

    def trade(self, _lots: float, _ts_ns: int) -> None:
        """Ignore one at the price: it fills others."""


class RiskAverse(Touch):
    """hftbacktest's RiskAdverseQueueModel: only trades, and what the level shows, shorten the front."""

    def __init__(self, shown: float, lots: float) -> None:
        super().__init__(shown, lots)
        self.front = shown

    def trade(self, lots: float, _ts_ns: int) -> None:
        self.front -= lots

    def through(self, size: float) -> None:
        self.front = min(self.front, 0.0) - size

    def level(self, lots: float, _ts_ns: int) -> None:
        self._fill()
        self.front = min(self.front, lots)

    def probability(self) -> float:
        self._fill()
        return float(self.filled)

    def _fill(self) -> None:
        self.filled = self.filled or -self.front >= self.lots - queue_position.NONE


class Probable(RiskAverse):
    """hftbacktest's ProbQueueModel with a function of what is in front and behind."""

    def __init__(self, behind: Callable[[float, float], float], shown: float, lots: float) -> None:
        super().__init__(shown, lots)
        self.behind, self.traded = behind, 0.0

    def trade(self, lots: float, ts_ns: int) -> None:
        super().trade(lots, ts_ns)
        self.traded += lots

    def level(self, lots: float, _ts_ns: int) -> None:
        self._fill()
        before, self.shown = self.shown, lots
        chg, self.traded = before - lots - self.traded, 0.0
        if chg < 0.0 or self.front < 0.0:
            self.front = min(self.front, lots)
            return
        front, back = self.front, max(0.0, before - self.front)
        prob = self.behind(front, back) if front + back > 0.0 else 1.0
        self.front = min(front - (1.0 - prob) * chg + min(back - prob * chg, 0.0), lots)


def power(n: float) -> Callable[[float, float], float]:
    """PowerProbQueueFunc, f(x) = x^n: SquareProbQueueModel where n is 2."""
    return lambda front, back: back**n / (back**n + front**n)


def power3(n: float) -> Callable[[float, float], float]:
    """PowerProbQueueFunc3."""
    return lambda front, back: 1.0 - (front / (front + back)) ** n


def logarithmic(front: float, back: float) -> float:
    """LogProbQueueFunc, f(x) = log(1 + x)."""
    return log1p(back) / (log1p(back) + log1p(front))
