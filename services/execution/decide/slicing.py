"""Whole lots of a parent order: shares that sum exactly, none below the minimum."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import PlannedSlice, TakerSide

_PRECISION: Final = 50


def smallest_child(lot: Decimal, min_qty: Decimal, min_notional: Decimal, price: Decimal) -> Decimal:
    """Return the least quantity in whole lots that the venue takes at `price`."""
    with localcontext(prec=_PRECISION, rounding=ROUND_CEILING):
        least = max(lot, min_qty, min_notional / price)
        return (least / lot).to_integral_value() * lot


def split(quantity: Decimal, weights: Sequence[float], lot: Decimal) -> list[Decimal]:
    """Return shares in whole lots by largest remainder, ties to the earlier; they sum to `quantity`.

    What `quantity` holds beyond whole lots goes to the last share.
    """
    with localcontext(prec=_PRECISION, rounding=ROUND_FLOOR):
        lots = int((quantity / lot).to_integral_value())
        total = sum(map(Decimal, weights))
        exact = [lots * Decimal(weight) / total for weight in weights]
        whole = [int(share) for share in exact]
        order = sorted(range(len(whole)), key=lambda at: whole[at] - exact[at])
        for at in order[: lots - sum(whole)]:
            whole[at] += 1
        shares = [share * lot for share in whole]
        shares[-1] += quantity - lots * lot
        return shares


def join_small(shares: Sequence[Decimal], least: Decimal) -> list[Decimal]:
    """Return the shares with each below `least` moved to the next, the last to the one before; zeros stay."""
    joined = [Decimal(0)] * len(shares)
    carried = Decimal(0)
    kept = -1
    for at, share in enumerate(shares):
        carried += share
        if carried >= least:
            joined[at], carried, kept = carried, Decimal(0), at
    joined[kept] += carried  # with none kept, the last carries all
    return joined


def limit_price(side: TakerSide, best: float, protection_bps: float, tick: Decimal) -> Decimal:
    """Return the best price plus the protection, rounded to the tick towards the mid, never past the best.

    A buyer's limit rounds down and a seller's up, so that the protection is never exceeded.
    """
    sign, rounding = (1, ROUND_FLOOR) if side == "buy" else (-1, ROUND_CEILING)
    with localcontext(prec=_PRECISION, rounding=rounding):
        best_px = (Decimal(repr(best)) / tick).to_integral_value(rounding="ROUND_HALF_EVEN") * tick
        limit = (best_px * (1 + sign * Decimal(protection_bps) / 10_000) / tick).to_integral_value() * tick
        if side == "buy":
            return max(best_px, limit)
        return max(tick, min(best_px, limit))


def reschedule(
    unscheduled: Decimal, slices: tuple[PlannedSlice, ...], lot: Decimal, least: Decimal
) -> tuple[PlannedSlice, ...]:
    """Spread what is not at a venue over the slices still to come, in their proportions.

    The quantities sum to `unscheduled` exactly; none is below `least` unless all of it is.

    Raises
    ------
    ValueError
        If there is something to spread and no slice.
    """
    if unscheduled <= 0:
        return ()
    if not slices:
        raise ValueError(f"{unscheduled} is left and no slice is to come")
    shares = join_small(split(unscheduled, [float(each.size) for each in slices], lot), least)
    return tuple(replace(each, size=share) for each, share in zip(slices, shares, strict=True) if share)


def pov_child(
    unscheduled: Decimal, volume_since_last: float, participation: float, lot: Decimal, least: Decimal
) -> Decimal:
    """Return the next child of a POV parent: ``rho`` times the volume since the last one, base units.

    Whole lots, rounded down; 0 while below `least` (the volume then counts towards the next). A rest that
    would be too small to send later is taken along.
    """
    if not math.isfinite(volume_since_last) or volume_since_last < 0:
        raise ValueError(f"the volume since the last child is {volume_since_last}; it must be finite, >= 0")
    with localcontext(prec=_PRECISION, rounding=ROUND_FLOOR):
        share = Decimal(participation) * Decimal(volume_since_last)
        child = min(unscheduled, (share / lot).to_integral_value() * lot)
        if child < min(least, unscheduled) or child <= 0:
            return Decimal(0)
        return unscheduled if unscheduled - child < least else child
