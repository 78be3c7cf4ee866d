"""What a venue is expected to cost beside the prices of its book: basis, delay, failures, slippage; pure.

========== ======================================================= ==========
symbol     meaning                                                 unit
========== ======================================================= ==========
sigma      volatility of the mid                                   1 / sqrt(day)
tau        mean delay of an order                                  s
H          time for which a position is held                       s
a, b       Beta posterior of the venue being well                  1
D          mean duration of an outage                              s
U          mean time between outages, ``D a / b``                  s
n          own orders behind the measured slippage, decayed        1
========== ======================================================= ==========
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from libs.common.all_in_price import BPS, Charges
from libs.common.same import Same
from libs.common.time_units import DAY_S
from services.venues.basis import Basis, lasting_bps, share_left

HOLDING_S: Final = 3600.0
OUTAGE_S: Final = 10.0  # a trial of the Beta: no shorter outage is told apart
CREDIBILITY: Final = 20.0  # orders: an order's slippage varies so many times as much as venues' means do


def immediacy_bps(sigma_day: float, seconds: float) -> float:
    """Return what it is worth to be able to trade in this time; at most, and nothing where the price rests.

    Notes
    -----
    ``E|N(0, sigma^2 t)| = sigma sqrt(2 t / pi)``: the first term in ``sigma sqrt(t)`` of the bound on the
    discount of what cannot be traded for t [1]_.

    References
    ----------
    .. [1] Longstaff (1995), How Much Can Marketability Affect Security Values?, J. Finance 50, 1767.
    """
    return BPS * sigma_day * math.sqrt(2 * seconds / (math.pi * DAY_S))


def stuck_probability(alpha: float, beta: float, outage_s: float, holding_s: float) -> float:
    """Return the probability that a venue which is well now is not when the position is to be given up.

    Notes
    -----
    Of the two states well and not, left at the rates 1/U and 1/D:
    ``b / (a + b) (1 - exp(-H (1/U + 1/D)))`` (Ross, Introduction to Probability Models, 11th ed., ex. 6.11).
    """
    rate = (1 + beta / alpha) / outage_s
    return beta / (alpha + beta) * -math.expm1(-holding_s * rate)


def reliability_bps(terms: Terms) -> float:
    """Return what failures are expected to cost: tries that are lost, and being stuck with what was bought.

    Notes
    -----
    Entering: each try takes tau and fails with 1 - p, p ~ Beta(a, b), so ``b / (a - 1)`` tries are lost on
    average (``E[(1 - p) / p]``), and the trader waits for tau times that. Leaving: with
    `stuck_probability` the venue is down, and is so for another D on average (exponential). Either time is
    priced by `immediacy_bps`; by Jensen's inequality that is not less than the mean over its distribution.
    """
    lost = terms.beta / (terms.alpha - 1)
    stuck = stuck_probability(terms.alpha, terms.beta, terms.outage_s, terms.holding_s)
    entering = immediacy_bps(terms.sigma_day, lost * terms.delay_s)
    return entering + stuck * immediacy_bps(terms.sigma_day, terms.outage_s)


def credible_bps(measured_bps: float, orders: float) -> float:
    """Return the slippage to expect of the next order: the measured mean, shrunk to 0 with few orders.

    Notes
    -----
    ``n / (n + k)`` of the mean, k the variance of one order's slippage over that between venues (Bühlmann
    1967, ASTIN Bull. 4, 199).
    """
    return measured_bps * orders / (orders + CREDIBILITY)


@dataclass(frozen=True, slots=True)
class Terms:
    """What does not depend on the size: of one venue and symbol."""

    taker_bps: float
    sigma_day: float
    delay_s: float
    alpha: float
    beta: float
    rate_remaining: float
    outage_s: float = OUTAGE_S
    holding_s: float = HOLDING_S
    basis: Basis = field(default_factory=Basis)
    slippage_bps: float = 0.0  # to be expected


def charges(terms: Terms) -> Charges:
    """Return the terms as what they cost."""
    return _charges(Same(terms))


@lru_cache(maxsize=64)
def _charges(same: Same[Terms]) -> Charges:
    terms = same.it  # a venue is judged for both sides, and for itself
    return Charges(
        terms.taker_bps,
        lasting_bps=lasting_bps(terms.basis),
        at_arrival=share_left(terms.basis, terms.delay_s),
        at_exit=share_left(terms.basis, terms.holding_s),
        reliability_bps=reliability_bps(terms),
        slippage_bps=terms.slippage_bps,
    )
