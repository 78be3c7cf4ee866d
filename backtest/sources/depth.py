"""How wide and how deep a book is, measured: the profile that a synthetic book is made of; pure.

======  ==================================================================  ===========
symbol  meaning                                                             unit
======  ==================================================================  ===========
S       best ask less best bid, of the mid                                  bps
d       distance from the best price of a side, of the mid                  bps
N(d)    value of all levels of a side up to that distance                   quote units
q       value of an order that takes                                        quote units
c(q)    its mean price against the mid                                      bps
======  ==================================================================  ===========

A profile is the mean of S, so that half of it is what the touch costs on average, and for each distance of
`GRID` the median of N over both sides of all samples, a sample a second. Between two distances N is linear.
It ends where fewer than nine samples of ten know the book: what lies beyond the levels of the snapshot that a
book began with is not known, and is not made up.

Its error is measured on what it was not fitted to: fitted to the first half of the samples it is compared
with each book of the second half, by S, by N and by c of orders of several values.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Level
    from libs.common.order_book import OrderBook

GRID: Final = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)  # d, bps
ORDERS: Final = (1_000.0, 10_000.0, 100_000.0)  # q
KNOWN_SHARE: Final = 0.9
LEAST_SAMPLES: Final = 10
_BPS: Final = 1e-4
_NOTHING: Final = 1e-9  # less is the rounding of floats


class TooFewBooksError(ValueError):
    """There are not enough books to measure a profile; the text says how many there are."""


class Errors(NamedTuple):
    """How far a profile is from books that it was not fitted to."""

    spread_bps: float  # mean |S - its own|
    depth: float  # median over samples, sides and distances of |N / its own - 1|
    cost_bps: tuple[float | None, ...]  # of each of `ORDERS`: mean c less its own; None: beyond what is known
    cost_spread_bps: tuple[float | None, ...]  # mean |c less its own|


class DepthProfile(NamedTuple):
    """What the books of one market are like."""

    venue: str
    symbol: str
    spread_bps: float  # mean S
    distances_bps: tuple[float, ...]  # d, the first 0
    notional: tuple[float, ...]  # N(d), rising
    minute_notional: float | None  # value traded a minute while it was measured; None: not known
    samples: int
    errors: Errors
    source: str  # where and when, in words

    def words(self) -> str:
        """Say what it is, and how wrong."""
        costs = ", ".join(
            f"{error:+.2g} (+-{spread:.2g}) bps for {order:,.0f}"
            for order, error, spread in zip(
                ORDERS, self.errors.cost_bps, self.errors.cost_spread_bps, strict=True
            )
            if error is not None and spread is not None
        )
        return (
            f"{self.venue} {self.symbol}: spread {self.spread_bps:.3g} bps (error"
            f" {self.errors.spread_bps:.2g}), depth to {self.distances_bps[-1]:g} bps (median error"
            f" {self.errors.depth:.0%}), cost of an order that takes {costs or 'not known'}; {self.source},"
            f" {self.samples} books"
        )


class _Sample(NamedTuple):
    spread_bps: float
    notional: tuple[tuple[float, ...], tuple[float, ...]]  # bids and asks at `GRID`; nan: not known
    costs: tuple[float, ...]  # of `ORDERS`, mean of both sides; nan: more than is known


class DepthMeasure:
    """Takes samples of one market's books; changes in place."""

    def __init__(self, venue: str, symbol: str) -> None:
        self.venue, self.symbol = venue, symbol
        self._samples: list[_Sample] = []

    def add(self, book: OrderBook, known: tuple[float, float]) -> None:
        """Take a book that is two-sided and uncrossed; others are passed by.

        Parameters
        ----------
        known
            The lowest bid and the highest ask up to which all levels are known.
        """
        mid = book.mid
        if mid is None or book.crossed:
            return
        bids = [level for level in book.bids() if level[0] >= known[0]]
        asks = [level for level in book.asks() if level[0] <= known[1]]
        if bids and asks:
            sides = (_sums(bids, mid), _sums(asks, mid))
            costs = tuple(float(np.mean([_cost(side, mid, q) for side in (bids, asks)])) for q in ORDERS)
            self._samples.append(_Sample((asks[0][0] - bids[0][0]) / mid / _BPS, sides, costs))

    def profile(self, source: str, minute_notional: float | None = None) -> DepthProfile:
        """Return the profile of all samples, with the error of one of the first half on the second.

        Raises
        ------
        TooFewBooksError
            If there are fewer than `LEAST_SAMPLES`.
        """
        count = len(self._samples)
        if count < LEAST_SAMPLES:
            raise TooFewBooksError(
                f"{self.venue} {self.symbol}: {count} books; a profile needs {LEAST_SAMPLES}, a second apart"
            )
        half = count // 2
        first = self._fitted(self._samples[:half])
        spread, distances, notional = self._fitted(self._samples)
        return DepthProfile(
            self.venue,
            self.symbol,
            _rounded(spread),
            distances,
            tuple(map(_rounded, notional)),
            None if minute_notional is None else _rounded(minute_notional),
            count,
            _errors(*first, self._samples[half:]),
            source,
        )

    def _fitted(self, samples: Sequence[_Sample]) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
        sums = np.array([side for sample in samples for side in sample.notional])
        known = np.isfinite(sums).mean(axis=0) >= KNOWN_SHARE
        reach = int(known.argmin()) if not known.all() else len(GRID)
        notional = np.maximum.accumulate(np.nanmedian(sums[:, :reach], axis=0))
        spread = float(np.mean([sample.spread_bps for sample in samples]))
        return spread, GRID[:reach], tuple(notional.tolist())


def cost_bps(profile: tuple[float, Sequence[float], Sequence[float]], order: float) -> float:
    """Return c of an order against a spread, distances and their N; nan beyond the last one."""
    spread, distances, notional = profile
    if order > notional[-1]:
        return float("nan")
    paid = min(order, notional[0]) * distances[0]
    for (d0, n0), (d1, n1) in pairwise(zip(distances, notional, strict=True)):
        taken = min(order, n1) - n0
        if taken > 0:
            paid += taken * (d0 + (d1 - d0) * taken / (n1 - n0) / 2)
    return spread / 2 + paid / order


def _errors(
    spread: float, distances: Sequence[float], notional: Sequence[float], samples: Sequence[_Sample]
) -> Errors:
    spreads = np.array([sample.spread_bps for sample in samples])
    sums = np.array([side[: len(distances)] for sample in samples for side in sample.notional])
    costs = np.array([sample.costs for sample in samples])
    off = costs - np.array([cost_bps((spread, distances, notional), order) for order in ORDERS])
    known = np.isfinite(off).mean(axis=0) >= KNOWN_SHARE
    return Errors(
        _rounded(float(np.abs(spreads - spread).mean())),
        _rounded(float(np.nanmedian(np.abs(sums / np.array(notional) - 1)))),
        tuple(_rounded(float(np.nanmean(off[:, at]))) if known[at] else None for at in range(len(ORDERS))),
        tuple(
            _rounded(float(np.nanmean(np.abs(off[:, at])))) if known[at] else None
            for at in range(len(ORDERS))
        ),
    )


def _sums(levels: Sequence[Level], mid: float) -> tuple[float, ...]:
    """Return N at each distance of `GRID`; nan beyond the last level."""
    prices, sizes = np.array(levels).T
    away = np.abs(prices - prices[0]) / mid / _BPS
    total = np.cumsum(prices * sizes)
    at = np.searchsorted(away, np.array(GRID) + 1e-9, side="right")
    reached = np.array(GRID) <= away[-1]
    return tuple(np.where(reached, total[at - 1], np.nan).tolist())


def _cost(levels: Sequence[Level], mid: float, order: float) -> float:
    """Return c of an order that takes these levels; nan if they hold less."""
    left, paid = order, 0.0
    for price, size in levels:
        taken = min(left, price * size)
        paid += taken * abs(price - mid) / mid / _BPS
        left -= taken
        if left <= 0:
            return paid / order
    return float("nan")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) > _NOTHING else 0.0
