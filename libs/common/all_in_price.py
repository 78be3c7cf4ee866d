"""What taking a size at a venue costs all in, against one fair mid: the rule of all who choose; pure.

The venues service scores by it, and a paper order without a venue is placed by it, so that a look and a deal
say the same.

========== =============================================================== ==========
symbol     meaning                                                         unit
========== =============================================================== ==========
s          +1 for a buy, -1 for a sell                                     1
f          fair mid: median of the mids of the symbol's usable books       quote
m          mid of the venue's own book                                     quote
VWAP       average price of walking the taken side for the size            quote
b          basis ``1e4 (m / f - 1)``                                       bps
beta       lasting basis: what b returns to                                bps
phi_tau    share of b - beta expected to be left as an order arrives       1
phi_H      the same as the position is given up                            1
c          taker fee                                                       bps
========== =============================================================== ==========

Notes
-----
Who buys at a venue pays its VWAP and holds what is worth ``F = f (1 + (beta + phi_H (b - beta)) / 1e4)``
there when the position ends, by the conditional mean of a mean-reverting basis [1]_. The order meets a book
whose mid has gone ``(1 - phi_tau) (b - beta)`` of its way back. So, in bps of f,

    s (VWAP - m) / f + s (phi_tau - phi_H) (b - beta) + c VWAP / f + reliability + slippage

A lasting basis (b = beta) is no bargain: the same coin is sold there at the same discount. One that lasts as
long as the position (phi_H = 1) is none either. One of a moment counts whole, as far as the order finds it.

References
----------
.. [1] Uhlenbeck and Ornstein (1930), Phys. Rev. 36, 823, eq. 21; for prices of one coin at several venues
   Makarov and Schoar (2020), J. Financ. Econ. 135, 293, whose gaps between venues of one region are gone in
   minutes while those that capital controls make stay for months.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from libs.common.events import CostBps
from libs.common.venues import venue_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from libs.common.events import BookTop, Level, TakerSide, VenueMetrics
    from libs.common.venues.venue import Instrument

BPS: Final = 1e4
ROUNDING: Final = 1e-12  # of sums of sizes, relative
LOT_ROUNDING: Final = 1e-6  # of a lot: sizes are floats that mean whole lots
OFF_MARKET_BPS: Final = 10.0  # a mid further from the fair one is not believed


@dataclass(frozen=True, slots=True)
class Walk:
    """The levels that an order of a size would take."""

    best: float  # quote units
    vwap: float
    last: float  # the worst price taken
    levels: int


@dataclass(frozen=True, slots=True)
class Charges:
    """What a venue costs beside the prices of its book; each in bps, the shares in 0 to 1."""

    taker_bps: float
    lasting_bps: float = 0.0  # beta
    at_arrival: float = 1.0  # phi_tau
    at_exit: float = 0.0  # phi_H
    reliability_bps: float = 0.0
    slippage_bps: float = 0.0


@dataclass(frozen=True, slots=True)
class Quote:
    """What one venue asks for an order, or for as much of it as its book shows."""

    venue: str
    available: float  # base units, at most the order's size
    whole: bool  # it takes the whole size alone
    walked: Walk  # for `available`
    cost: CostBps

    @property
    def rank(self) -> tuple[float, float, str]:
        """Sort by it, best first: the cheapest of those that take all, then who takes most of it."""
        if self.whole:
            return -math.inf, self.cost.total, self.venue
        return -self.available, self.cost.total, self.venue


def charges_of(venue: str, metrics: VenueMetrics | None) -> Charges:
    """Return what was measured last of a venue, or only its fee where nothing was."""
    taker_bps = venue_of(venue).taker_bps
    if metrics is None:
        return Charges(taker_bps)
    return Charges(
        taker_bps,
        lasting_bps=metrics.lasting_basis_bps,
        at_arrival=metrics.basis_at_arrival,
        at_exit=metrics.basis_at_exit,
        reliability_bps=metrics.reliability_bps,
        slippage_bps=metrics.expected_slippage_bps,
    )


def taken_side(top: BookTop, side: TakerSide) -> tuple[Level, ...]:
    """Return the levels that an aggressor of `side` meets, best first."""
    return top.asks if side == "buy" else top.bids


def sign_of(side: TakerSide) -> int:
    """Return +1 for a buy, -1 for a sell."""
    return 1 if side == "buy" else -1


def mid_of(top: BookTop) -> float:
    """Return ``(b1 + a1) / 2`` of a book with two sides."""
    return (top.bids[0][0] + top.asks[0][0]) / 2


def fair_mid(tops: Iterable[BookTop]) -> float | None:
    """Return the median mid of the books that may be used, None if there are none."""
    mids = [mid_of(top) for top in tops]
    return median(mids) if mids else None


def basis_bps(mid: float, fair: float) -> float:
    """Return how far a mid is above the fair one."""
    return BPS * (mid - fair) / fair


def walk(levels: Sequence[Level], size: float) -> Walk | None:
    """Walk the book for `size` base units; None where it is not that deep: nothing is extrapolated.

    Notes
    -----
    ``VWAP = (sum of p_i q_i over full levels + p_last rest) / size``.
    """
    paid, left = 0.0, size
    for number, (price, available) in enumerate(levels, 1):
        taken = min(available, left)
        paid += price * taken
        left -= taken
        if left <= size * ROUNDING:
            return Walk(levels[0][0], paid / (size - left), price, number)
    return None


def depth_of(levels: Sequence[Level]) -> float:
    """Return the base units that are visible."""
    return math.fsum(available for _, available in levels)


def least_size(instrument: Instrument, price: float) -> float:
    """Return the least order in base units at this price: the venue's lot, minimum size and minimum value."""
    return max(float(instrument.lot), float(instrument.min_qty), float(instrument.min_notional) / price)


def flat_bps(charges: Charges, mid: float, fair: float, side: TakerSide) -> tuple[float, float]:
    """Return the basis and the latency part, which depend on no size.

    Notes
    -----
    ``s (1 - phi_H) (b - beta)`` and ``-s (1 - phi_tau) (b - beta)``.
    """
    gap = sign_of(side) * (basis_bps(mid, fair) - charges.lasting_bps)
    return gap * (1 - charges.at_exit), -gap * (1 - charges.at_arrival)


def cost_bps(walked: Walk, mid: float, fair: float, side: TakerSide, charges: Charges) -> CostBps:
    """Return the parts of the expected cost of an order that takes `walked`, in bps of the fair mid.

    Notes
    -----
    ``spread = 1e4 s (best - m) / f`` and ``impact = 1e4 s (VWAP - best) / f``, so together s (VWAP - m) / f.
    """
    s = sign_of(side)
    basis, latency = flat_bps(charges, mid, fair, side)
    return CostBps(
        spread=BPS * s * (walked.best - mid) / fair,
        impact=max(0.0, BPS * s * (walked.vwap - walked.best) / fair),  # rounding may give -1e-12
        fee=charges.taker_bps * walked.vwap / fair,
        basis=basis,
        latency=latency,
        reliability=charges.reliability_bps,
        slippage=charges.slippage_bps,
    )


def quote_of(
    top: BookTop, side: TakerSide, size: float, fair: float, instrument: Instrument, charges: Charges
) -> Quote | None:
    """Return what a usable book asks for `size`, or for the whole lots it shows; None where it shows none."""
    levels = taken_side(top, side)
    available, walked = size, walk(levels, size)
    whole = walked is not None
    if walked is None:
        lot = float(instrument.lot)
        available = math.floor(depth_of(levels) / lot + LOT_ROUNDING) * lot
        walked = walk(levels, available) if available > 0 else None
    if walked is None:
        return None
    cost = cost_bps(walked, mid_of(top), fair, side, charges)
    return Quote(top.venue, available, whole, walked, cost)


def best_book(
    offers: Sequence[tuple[BookTop, Instrument, VenueMetrics | None]], side: TakerSide, size: float
) -> BookTop:
    """Return the book where `size` is best taken, of one or more usable ones of a symbol.

    Who takes less than its own minimum, or is off the market, is asked only where all are.
    """
    fair = fair_mid(top for top, _, _ in offers)
    assert fair is not None  # noqa: S101 -- there is a book
    ranked = []
    for top, instrument, metrics in offers:
        quote = quote_of(top, side, size, fair, instrument, charges_of(top.venue, metrics))
        taken = 0.0 if quote is None else quote.available
        best = taken_side(top, side)[0][0]
        least = least_size(instrument, best if quote is None else min(best, quote.walked.last))
        barred = taken < least or abs(basis_bps(mid_of(top), fair)) > OFF_MARKET_BPS
        rank = (-0.0, 0.0, top.venue) if quote is None else quote.rank
        ranked.append(((barred, rank), top))
    return min(ranked, key=lambda each: each[0])[1]
