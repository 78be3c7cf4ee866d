"""A smile of one expiry: volatility by call delta, and what is read off it; pure.

Each strike has one volatility, that of its option out of the money: of the put below the forward, of the call
at and above it. The call of that strike has it too, as puts and calls of a strike differ by a forward
(put-call parity). So the smile is one curve of volatility over the call's forward delta N(d1), which falls
as strikes rise, and between two strikes it is a straight line in delta.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from services.context.black76 import CALL, forward_delta
from services.context.source import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CALL_25: Final = 0.25
PUT_25: Final = 0.75  # a put's delta of -0.25: N(d1) - N(-d1) parity, 1 - 0.25
WING: Final = 0.02  # deltas nearer to 0 or 1 than this
STRADDLE: Final = 0.5  # the deltas of put and call are opposite: K = F exp(sigma^2 T / 2)


@dataclass(frozen=True, slots=True)
class Smile:
    """One expiry's."""

    T: float  # years
    points: Sequence[tuple[float, float]]  # (call delta, volatility), strikes rising

    def at(self, delta: float) -> float:
        """Return the volatility at a call's forward delta, linear between the strikes around it.

        Raises
        ------
        MalformedError
            If there is no strike on one side, or deltas pass this one more than once, as prices of no market
            would have it.
        """
        *inner, (last, _) = self.points
        sides = [*(point >= delta for point, _ in inner), last > delta]  # a strike at an end is enough
        passed = sum(sides)
        if not 0 < passed < len(sides):
            side = "above" if passed else "below"
            raise MalformedError(f"the surface is one-sided: no strike {side} the call of delta {delta:g}")
        if not all(sides[:passed]):
            raise MalformedError(f"deltas of calls do not fall through {delta:g} while strikes rise")
        (over, high), (under, low) = self.points[passed - 1], self.points[passed]
        return high + (over - delta) / (over - under) * (low - high)

    @property
    def rr25(self) -> float:
        """The 25-delta risk reversal, sigma(25-delta call) - sigma(25-delta put)."""
        return self.at(CALL_25) - self.at(PUT_25)

    @property
    def atm(self) -> float:
        """The volatility of the delta-neutral straddle."""
        return self.at(STRADDLE)


def smile_of(F: float, T: float, puts: Mapping[float, float], calls: Mapping[float, float]) -> Smile:  # noqa: N803 -- textbook symbols
    """Return the smile of volatilities by strike.

    Raises
    ------
    MalformedError
        If there is no usable option on one side of the forward, or deltas do not fall while strikes rise, as
        prices of no market would have it. In the wings, where volatilities are rough, they need not.
    """
    chosen = {K: sigma for K, sigma in puts.items() if K < F} | {K: s for K, s in calls.items() if K >= F}
    strikes = sorted(chosen)
    if not strikes or not strikes[0] < F <= strikes[-1]:
        missing = "put below" if not strikes or strikes[0] >= F else "call above"
        raise MalformedError(f"the surface is one-sided: there is no usable {missing} the forward {F:g}")
    points = [(forward_delta(CALL, F, K, T, chosen[K]), chosen[K]) for K in strikes]
    for (over, _), (under, _) in pairwise(points):
        if WING < over <= under < 1 - WING:
            raise MalformedError(f"deltas of calls do not fall from {over:.3f} while strikes rise")
    return Smile(T, points)


def term_slope(near: Smile, far: Smile) -> float:
    """Return how at-the-money volatility rises with the square root of time, fraction per year.

    Notes
    -----
    (sigma_far - sigma_near) / (sqrt(T_far) - sqrt(T_near)): shocks that fade move volatilities of expiries by
    about 1/sqrt(T), so slopes over the root compare better from week to week than slopes over T.
    """
    return (far.atm - near.atm) / (math.sqrt(far.T) - math.sqrt(near.T))
