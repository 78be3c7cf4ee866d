"""Shares of an order at several venues, each in whole lots of its own and none under a minimum; pure.

======  ==================================================  ==========
symbol  meaning                                             unit
======  ==================================================  ==========
q_v     share of venue v; Q their sum                       base units
D_v     depth of v, N children                              base units
f_v     cost of v whatever is sent: half spread, fee        bps
c_v     cost of a child as large as D_v, ``k phi``          bps
mu      marginal cost, the same at all venues that are used bps
======  ==================================================  ==========
"""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PRECISION: Final = 50
HALVINGS: Final = 60


class Lots(NamedTuple):
    """What a venue's orders must be, base units."""

    lot: Decimal
    least: Decimal  # whole lots


class Curve(NamedTuple):
    """What a venue costs: ``f + c (q / (N D))^alpha``, bps of the mid."""

    venue: str
    f: float
    c: float
    alpha: float
    depth: float


def floored(quantity: Decimal, lot: Decimal) -> Decimal:
    """Return the most whole lots in a quantity, base units."""
    with localcontext(prec=_PRECISION, rounding=ROUND_FLOOR):
        return (quantity / lot).to_integral_value() * lot


def whole_shares(
    quantity: Decimal, weights: Mapping[str, Decimal], lots: Mapping[str, Lots]
) -> dict[str, Decimal]:
    """Return shares in the proportions of the weights, the largest first; empty where no venue takes any.

    Each is in whole lots of its venue; remainders go to the venue with the finest lot, and what not even that
    takes stays out. A share under its venue's minimum joins the largest other one.
    """
    left = {venue: weight for venue, weight in weights.items() if weight > 0 and venue in lots}
    while left:
        shares = _rounded(quantity, left, lots)
        small = [venue for venue, share in shares.items() if share < lots[venue].least]
        if not small:
            return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
        smallest = min(small, key=lambda venue: (shares[venue], venue))
        weight = left.pop(smallest)
        if left:
            left[max(left, key=lambda venue: (shares[venue], venue))] += weight
    return {}


def _rounded(
    quantity: Decimal, weights: Mapping[str, Decimal], lots: Mapping[str, Lots]
) -> dict[str, Decimal]:
    finest = min(weights, key=lambda venue: (lots[venue].lot, -weights[venue], venue))
    with localcontext(prec=_PRECISION, rounding=ROUND_FLOOR):
        total = sum(weights.values(), Decimal(0))
        shares = {
            venue: floored(quantity * weight / total, lots[venue].lot)
            for venue, weight in weights.items()
            if venue != finest
        }
        shares[finest] = floored(quantity - sum(shares.values(), Decimal(0)), lots[finest].lot)
    return shares


def levelled(curves: Sequence[Curve], Q: float, N: int) -> dict[str, float]:
    """Return the shares of least cost ``sum q_v (f_v + c_v (q_v / (N D_v))^alpha)``, base units; of few 0.

    Notes
    -----
    The cost is convex, so at the least ``f_v + (1 + alpha) c_v (q_v / (N D_v))^alpha = mu`` wherever q_v > 0
    (Karush-Kuhn-Tucker), and mu is found by bisection. With equal costs the shares are as the depths.
    """
    usable = [each for each in curves if each.depth > 0 and each.c > 0]
    if not usable or Q <= 0:
        return {}
    low = min(each.f for each in usable)
    high = min(each.f + (1 + each.alpha) * each.c * (Q / (N * each.depth)) ** each.alpha for each in usable)
    for _ in range(HALVINGS):
        mu = (low + high) / 2
        if math.fsum(_share(each, mu, N) for each in usable) < Q:
            low = mu
        else:
            high = mu
    return {each.venue: share for each in usable if (share := _share(each, high, N)) > 0}


def _share(curve: Curve, mu: float, N: int) -> float:
    if mu <= curve.f:
        return 0.0
    x = ((mu - curve.f) / ((1 + curve.alpha) * curve.c)) ** (1 / curve.alpha)
    return float(N * curve.depth * x)
