"""What our orders have taken of one side of a book, and how it comes back; pure.

The book is told as it is without us, so what we took must be taken off it. It is kept as one volume per side,
which lies from the best price on, wherever that is: levels that go and come back beside their price, or
shrink and grow, are no more than the book shows beyond that volume. The volume comes back exponentially, as
the books of recordings do after trades of others (docs/execution_model.md, Fills).

======  =====================================================  ==========
symbol  meaning                                                unit
======  =====================================================  ==========
E       volume taken that has not come back                    base units
h       half-life of E                                         ns
======  =====================================================  ==========

References
----------
.. [1] Obizhaeva & Wang (2013), Optimal trading strategy and supply/demand dynamics, eq. 6: the book refills
   exponentially.
.. [2] Alfonsi, Fruth & Schied (2010), Optimal execution strategies in limit order books with general shape
   functions, eq. 6: the same for a book of any shape, where the volume E recovers.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.events import TakerSide  # noqa: TC001 -- msgspec resolves annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STEPS: Final = 20  # of a half-life, in which it comes back
FORGOTTEN: Final = 20  # half-lives after which nothing is left: a millionth
PLACES: Final = Decimal("1e-12")  # base units: of what is left; no lot is finer
_POWER: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Depleted(msgspec.Struct, frozen=True, kw_only=True):
    """E of one side at one moment."""

    side: TakerSide  # of the orders that took it
    qty: Decimal  # base units
    ts: int  # ns
    half_life_ns: int


def left_of(depleted: Depleted, now: int) -> Decimal:
    """Return what has not come back at `now` (ns), ``E 2^(-t/h)``, base units [2]_.

    It comes back in steps of h/20, at the same moments whenever it was taken: so an order that waits for it
    is not filled with a little at each look, and what was taken at several times may be summed.
    """
    h = depleted.half_life_ns
    step = max(1, h // STEPS)
    elapsed = max(0, now // step - depleted.ts // step) * step
    if elapsed >= FORGOTTEN * h:
        return Decimal(0)
    with localcontext(_POWER):
        back = Decimal(2) ** (Decimal(-elapsed) / h)
        return (depleted.qty * back).quantize(PLACES)


def taken_of(depleted: Iterable[Depleted], side: TakerSide, now: int) -> Decimal:
    """Return E of a side at `now`, base units; zero where nothing was taken."""
    return sum((left_of(each, now) for each in depleted if each.side == side), Decimal(0))


def deplete(
    depleted: tuple[Depleted, ...], side: TakerSide, qty: Decimal, now: int, half_life_ns: int
) -> tuple[Depleted, ...]:
    """Return what is taken after so much more was taken of a side; the other side stays as it is."""
    others = tuple(each for each in depleted if each.side != side)
    with localcontext(_POWER):
        total = taken_of(depleted, side, now) + qty
    return (*others, Depleted(side=side, qty=total, ts=now, half_life_ns=half_life_ns))


def beyond(levels: Iterable[tuple[Decimal, Decimal]], qty: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield the (price, size) that are left, best first, once the first `qty` base units are gone."""
    for price, size in levels:
        left = size
        if qty:
            with localcontext(_POWER):
                gone = min(size, qty)
                qty, left = qty - gone, size - gone
        if left > 0:
            yield price, left
