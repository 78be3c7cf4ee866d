"""Options on a forward: Black's price and deltas; pure.

=========  =====================================================  ==========
symbol     meaning                                                unit
=========  =====================================================  ==========
``F``      forward price of the underlying at the expiry          quote units
``K``      strike                                                 quote units
``T``      time to the expiry                                     years
``sigma``  volatility                                             1/year**0.5
``r``      interest rate, continuous                              1/year
``phi``    +1 of a call, -1 of a put                              1
=========  =====================================================  ==========

References
----------
F. Black, The pricing of commodity contracts, Journal of Financial Economics 3 (1976) 167-179, equation (16).
D. Reiswich, U. Wystup, A guide to FX options quoting conventions, The Journal of Derivatives 18 (2010) 58-68:
forward delta, delta-neutral straddle, risk reversal.
"""

from __future__ import annotations

import math
from typing import Final

CALL: Final = 1
PUT: Final = -1
_SQRT_2: Final = math.sqrt(2.0)


def price(phi: int, F: float, K: float, T: float, sigma: float, r: float = 0.0) -> float:  # noqa: N803 -- the formula's own
    """Return the value of an option, quote units.

    Notes
    -----
    exp(-r T) phi (F N(phi d1) - K N(phi d2)): equation (16) of Black, of a call; a put by its parity.
    """
    d1, d2 = _d(F, K, T, sigma)
    return math.exp(-r * T) * phi * (F * normal_cdf(phi * d1) - K * normal_cdf(phi * d2))


def forward_delta(phi: int, F: float, K: float, T: float, sigma: float) -> float:  # noqa: N803
    """Return the forward delta, phi N(phi d1): of the call from 0 to 1, of the put from -1 to 0.

    Notes
    -----
    Undiscounted: forwards, not spot, hedge it, so no ``r`` is in it (Reiswich and Wystup, "forward delta").
    The derivative of the value by ``F``, which a venue calls delta, is exp(-r T) times this. It is not
    premium-adjusted, whatever coin the premium is paid in.
    """
    d1, _ = _d(F, K, T, sigma)
    return phi * normal_cdf(phi * d1)


def normal_cdf(x: float) -> float:
    """Return the standard normal distribution's value, N(x); exact in its lower tail too."""
    return math.erfc(-x / _SQRT_2) / 2


def _d(F: float, K: float, T: float, sigma: float) -> tuple[float, float]:  # noqa: N803
    spread = sigma * math.sqrt(T)
    d1 = math.log(F / K) / spread + spread / 2
    return d1, d1 - spread
