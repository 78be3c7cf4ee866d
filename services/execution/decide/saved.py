"""What a split saved: its children against the same ones at the best single venue; pure.

Each child of another venue is sent once more, virtually: it walks the single venue's book at that moment,
behind what was virtually sent there before and has not come back. What the legs really took of that book is
taken off by who calls. Children of the single venue itself count the same in both, though behind the virtual
ones they would have cost more: so what is told is at most what was saved.

======  ==================================================  ===========
symbol  meaning                                             unit
======  ==================================================  ===========
s       +1 of a buy, -1 of a sell                           1
A, C    paid really, and virtually: price and fee           quote units
V       value of the order at the decision                  quote units
======  ==================================================  ===========

    saved = s (C - A) / V

Where the book shows too little, the rest of the child is priced at its last level: less than it would have
cost.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.events import TakerSide  # noqa: TC001 -- msgspec resolves annotations at run time
from services.execution.broker.depletion import Depleted, beyond, deplete, taken_of

if TYPE_CHECKING:
    from collections.abc import Iterable

BPS: Final = Decimal(10_000)
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """The children of other venues so far, as they were and as they would have been."""

    actual: Decimal = Decimal(0)  # A, quote units: fees are added to a buy's price, and taken off a sell's
    virtual: Decimal = Decimal(0)  # C
    taken: tuple[Depleted, ...] = ()  # of the single venue's book, virtually
    unshown: Decimal = Decimal(0)  # base units that its book did not show
    untold: Decimal = Decimal(0)  # base units that were filled while it had no LIVE book


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What was filled of a child at another venue."""

    side: TakerSide
    qty: Decimal  # base units
    quote: Decimal  # quote units, fees apart
    fees: Decimal  # quote units
    ts: int  # ns


def single_cost(
    so_far: Elsewhere,
    filled: Filled,
    offered: Iterable[tuple[Decimal, Decimal]] | None,
    taker_bps: Decimal,
    half_life_ns: int,
) -> Elsewhere:
    """Return what is known after one more child.

    Parameters
    ----------
    offered
        (price, size) of the taken side of the single venue's LIVE book at that moment, best first, beyond
        what was really taken of it; None, or empty: there is none, and the child counts as untold.
    taker_bps
        Fee of the single venue.
    half_life_ns
        Of what is taken until it is back: the paper broker's.
    """
    s = 1 if filled.side == "buy" else -1
    levels = [] if offered is None else list(offered)
    if not levels:
        return msgspec.structs.replace(so_far, untold=so_far.untold + filled.qty)
    with localcontext(_EXACT):
        paid, rest, price = Decimal(0), filled.qty, levels[-1][0]
        for level, size in beyond(levels, taken_of(so_far.taken, filled.side, filled.ts)):
            part = min(rest, size)
            paid, rest = paid + part * level, rest - part
            if not rest:
                break
        paid += rest * price
        return Elsewhere(
            actual=so_far.actual + filled.quote + s * filled.fees,
            virtual=so_far.virtual + paid * (1 + s * taker_bps / BPS),
            taken=deplete(so_far.taken, filled.side, filled.qty, filled.ts, half_life_ns),
            unshown=so_far.unshown + rest,
            untold=so_far.untold,
        )


def saved_bps(found: Elsewhere, side: TakerSide, value: Decimal) -> float | None:
    """Return what was saved, bps of the order's `value` (quote units) at the decision; negative: lost.

    None where a child could not be told, or there is no value: a sum of some children is not that of all.
    """
    if found.untold or value <= 0:
        return None
    s = 1 if side == "buy" else -1
    with localcontext(_EXACT):
        return float(s * (found.virtual - found.actual) / value * BPS)
