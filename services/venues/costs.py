"""What taking `size` from one book is expected to cost, part by part, in bps of that book's own mid; pure.

========== ======================================================= ==========
symbol     meaning                                                 unit
========== ======================================================= ==========
s          +1 for a buy, -1 for a sell                             1
m          mid of the venue's own book                             quote
VWAP       average price of walking the taken side for the size    quote
sigma      volatility of the mid                                   1 / sqrt(day)
tau        delay of an order (95 %)                                s
a, b       Beta posterior of the venue being well                  1
u          used share of the venue's rate limit                    1
========== ======================================================= ==========
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from libs.common.events import CostBps
from libs.common.time_units import DAY_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import BookTop, Level, TakerSide

BPS: Final = 1e4
ROUNDING: Final = 1e-12  # of sums of sizes, relative
FREE_SHARE: Final = 0.5  # of a rate limit may be used before it costs anything


@dataclass(frozen=True, slots=True)
class Walk:
    """The levels that an order of a size would take."""

    best: float  # quote units
    vwap: float
    last: float  # the worst price taken
    levels: int


def taken_side(top: BookTop, side: TakerSide) -> tuple[Level, ...]:
    """Return the levels that an aggressor of `side` meets, best first."""
    return top.asks if side == "buy" else top.bids


def sign_of(side: TakerSide) -> int:
    """Return +1 for a buy, -1 for a sell."""
    return 1 if side == "buy" else -1


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


def latency_bps(sigma_day: float, delay_s: float) -> float:
    """Return the expected adverse move of the mid while an order is under way.

    Notes
    -----
    The move is N(0, sigma^2 tau), and only its adverse half costs: ``E[max(0, N(0, v))] = sqrt(v / (2 pi))``.
    """
    return BPS * sigma_day * math.sqrt(delay_s / DAY_S) / math.sqrt(2 * math.pi)


def retry_bps(alpha: float, beta: float, latency: float, half_spread: float) -> float:
    """Return what failures are expected to cost per success: another delay, and crossing the spread anew.

    Notes
    -----
    ``E[(1 - p) / p] = b / (a - 1)`` for ``p ~ Beta(a, b)``, a > 1.
    """
    return beta / (alpha - 1) * (latency + half_spread)


def pressure_bps(rate_remaining: float) -> float:
    """Return the price of using a venue whose rate limit is more than half used; grows without bound.

    Notes
    -----
    ``max(0, (u - 1/2) / (1 - u))`` bps.
    """
    used = 1.0 - rate_remaining
    return math.inf if used >= 1.0 else max(0.0, (used - FREE_SHARE) / (1.0 - used))


def mid_of(top: BookTop) -> float:
    """Return ``(b1 + a1) / 2`` of a book with two sides."""
    return (top.bids[0][0] + top.asks[0][0]) / 2


@dataclass(frozen=True, slots=True)
class Terms:
    """What does not depend on the size: of one venue, symbol and side."""

    taker_bps: float
    sigma_day: float
    delay_s: float
    alpha: float
    beta: float
    rate_remaining: float


def cost_bps(walked: Walk, mid: float, side: TakerSide, terms: Terms) -> CostBps:
    """Return the parts of the expected cost of an order that takes `walked`.

    Notes
    -----
    ``spread = 1e4 s (best - m) / m`` and ``impact = 1e4 s (VWAP - best) / m``, so together s (VWAP - m).
    """
    s = sign_of(side)
    spread = BPS * s * (walked.best - mid) / mid
    latency = latency_bps(terms.sigma_day, terms.delay_s)
    return CostBps(
        spread=spread,
        impact=max(0.0, BPS * s * (walked.vwap - walked.best) / mid),  # rounding may give -1e-12
        fee=terms.taker_bps,
        latency=latency,
        reliability=retry_bps(terms.alpha, terms.beta, latency, spread) + pressure_bps(terms.rate_remaining),
    )
