"""The cheapest way to take a size from several venues at once; pure.

    min sum_v C_v(x_v)   subject to   sum_v x_v = Q,   x_v = 0 or x_v >= n_v

in whole lots. ``C_v`` is the cost of walking venue v's book: convex and piecewise linear, its slope (bps of
the symbol's fair mid, fee and penalties included) never falls; infinite beyond what the book shows. Taking
the cheapest next lot across venues is then optimal, for it takes the Q smallest marginal costs, and any
exchange swaps one for a larger (Gross 1956; Fox 1966). Minima n_v break convexity: if the plain answer misses
one, or takes more venues than may be used, every subset of the venues is tried with its minima taken first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from heapq import merge
from itertools import combinations
from operator import itemgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TOLERANCE: Final = 1e-6  # of a lot: sizes are floats that mean whole lots
MAX_ENUMERATED: Final = 6  # venues; 63 subsets


@dataclass(frozen=True, slots=True)
class Ladder:
    """One venue's offer."""

    venue: str
    levels: tuple[tuple[float, float], ...]  # (marginal cost in bps, size in lots), cheapest first
    min_lots: int  # the least the venue accepts


@dataclass(frozen=True, slots=True)
class Split:
    """Lots by venue, none of them 0, and their summed cost in bps times lots."""

    lots: Mapping[str, int]
    cost: float


def whole_lots(size: float) -> int:
    """Return how many whole lots a size, given in lots, holds."""
    return math.floor(size + TOLERANCE)


def steps(ladder: Ladder) -> Iterator[tuple[float, int]]:
    """Yield (cost of a lot in bps, so many such lots); a lot that straddles levels costs their average."""
    part, cost = 0.0, 0.0  # of a lot that the level before left unfinished
    for slope, size in ladder.levels:
        left = size
        if part:
            missing = 1.0 - part
            if left < missing - TOLERANCE:
                part, cost = part + left, cost + slope * left
                continue
            yield cost + slope * missing, 1
            left, part, cost = left - missing, 0.0, 0.0
        whole = whole_lots(left)
        if whole:
            yield slope, whole
        rest = left - whole
        if rest > TOLERANCE:
            part, cost = rest, slope * rest


def cost_of(ladder: Ladder, lots: int) -> float | None:
    """Return the cost (bps times lots) of taking so many lots from one venue; None if it has fewer."""
    cost, left = 0.0, lots
    for slope, available in steps(ladder):
        taken = min(available, left)
        cost += slope * taken
        left -= taken
        if not left:
            return cost
    return None if left else cost


def split(ladders: Sequence[Ladder], lots: int, most: int | None = None) -> Split | None:
    """Return the cheapest split of `lots` over at most `most` venues, None where these cannot fill them.

    Of equals the one over the fewest venues. With more than six venues, where a minimum or `most` binds, the
    six that are cheapest alone are considered.
    """
    most = len(ladders) if most is None else min(most, len(ladders))
    plain = _greedy(ladders, lots, forced=False)
    if plain is None or (
        len(plain.lots) <= most
        and all(plain.lots.get(each.venue, each.min_lots) >= each.min_lots for each in ladders)
    ):
        return plain
    if len(ladders) > MAX_ENUMERATED:
        alone = {each.venue: cost_of(each, lots) for each in ladders}
        infinite = math.inf
        ladders = sorted(ladders, key=lambda each: infinite if (cost := alone[each.venue]) is None else cost)[
            :MAX_ENUMERATED
        ]
    best: Split | None = None
    for count in range(1, min(most, len(ladders)) + 1):
        for subset in combinations(ladders, count):
            found = _greedy(subset, lots, forced=True)
            if found is not None and (best is None or found.cost < best.cost):
                best = found
    return best


def _greedy(ladders: Sequence[Ladder], lots: int, *, forced: bool) -> Split | None:
    """Take lots in the order of their marginal cost; `forced`: every venue's minimum first."""
    taken = {each.venue: each.min_lots if forced else 0 for each in ladders}
    left = lots - sum(taken.values())
    if left < 0:
        return None
    cost = 0.0
    offers = []
    for each in ladders:
        first = cost_of(each, taken[each.venue]) if taken[each.venue] else 0.0
        if first is None:
            return None
        cost += first
        offers.append(_offer(each, taken[each.venue]))
    for slope, available, venue in merge(*offers, key=itemgetter(0)):
        if not left:
            break
        more = min(available, left)
        taken[venue] += more
        cost += slope * more
        left -= more
    if left:
        return None
    return Split({venue: count for venue, count in taken.items() if count}, cost)


def _offer(ladder: Ladder, skip: int) -> Iterator[tuple[float, int, str]]:
    for slope, available in steps(ladder):
        skipped = min(skip, available)
        skip -= skipped
        if available > skipped:
            yield slope, available - skipped, ladder.venue
