"""Implementation shortfall of a finished parent order, exact in Decimal.

References
----------
.. [1] Perold (1988), The implementation shortfall: paper versus reality.
.. [2] Kissell (2006), The expanded implementation shortfall.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.events import ShortfallBps, TakerSide

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS: Final = ("timing", "spread", "walk")  # of the impact
AMOUNTS: Final = ("delay", "impact", "opportunity", "fees", "total", *PARTS)
_PRECISION: Final = 50  # digits; sums of products of prices and quantities stay exact


class ShortfallFill(msgspec.Struct, frozen=True, kw_only=True):
    """A fill and the book that its child was submitted on."""

    qty: Decimal  # base units
    px: Decimal  # quote units, as are the others
    mid_px: Decimal  # M_i
    best_px: Decimal  # O_i: best price of the taken side


class ShortfallChild(msgspec.Struct, frozen=True, kw_only=True):
    """All fills of a child and the book that it was submitted on."""

    qty: Decimal  # base units
    paid: Decimal  # or earned: the exact sum of quantity times price, quote units
    mid_px: Decimal  # M_i
    best_px: Decimal  # O_i: best price of the taken side


class ShortfallInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What happened; prices in quote units."""

    side: TakerSide
    quantity: Decimal  # Q, base units
    decision_px: Decimal  # P_d: mid at the decision
    arrival_px: Decimal  # P_a: mid at the first child
    end_px: Decimal  # P_e: mid at the end
    fills: tuple[ShortfallFill, ...] = ()  # one by one
    children: tuple[ShortfallChild, ...] = ()  # those whose fills are not among `fills`
    fees: Decimal  # quote units


def shortfall(inputs: ShortfallInputs) -> ShortfallBps:
    """Return the decomposition, in bps and, in its detail, exactly in quote units; a cost is positive.

    Raises
    ------
    ValueError
        If quantity or decision price is not positive, or more was filled than ordered.

    Notes
    -----
    With s = +1 for a buy and -1 for a sell: ``delay = s Q (P_a - P_d)``, ``impact = s sum q_i (p_i - P_a)``,
    ``opportunity = s (Q - q) (P_e - P_a)`` [2]_. With the fees they sum exactly to the paper profit
    ``s Q (P_e - P_d)`` less the real one ``s sum q_i (P_e - p_i) - fees`` [1]_.
    """
    Q, P_d, P_a, P_e = inputs.quantity, inputs.decision_px, inputs.arrival_px, inputs.end_px
    with localcontext(prec=_PRECISION):
        children = (*map(_alone, inputs.fills), *inputs.children)
        s = Decimal(1) if inputs.side == "buy" else Decimal(-1)
        q = sum((c.qty for c in children), Decimal(0))
        if not (Q > 0 and P_d > 0 and q <= Q):
            raise ValueError(
                f"filled {q} of {Q} decided at {P_d}; it must be 0 <= filled <= Q, Q > 0, P_d > 0"
            )
        delay = s * Q * (P_a - P_d)
        impact = s * sum((c.paid - c.qty * P_a for c in children), Decimal(0))
        opportunity = s * (Q - q) * (P_e - P_a)
        total = delay + impact + opportunity + inputs.fees
        timing = s * sum((c.qty * (c.mid_px - P_a) for c in children), Decimal(0))
        spread = s * sum((c.qty * (c.best_px - c.mid_px) for c in children), Decimal(0))
        walk = s * sum((c.paid - c.qty * c.best_px for c in children), Decimal(0))

        def bps(amount: Decimal) -> float:
            return float(amount * 10_000 / (Q * P_d))

        amounts = {
            "delay": delay,
            "impact": impact,
            "opportunity": opportunity,
            "fees": inputs.fees,
            "total": total,
            "timing": timing,
            "spread": spread,
            "walk": walk,
        }
        return ShortfallBps(
            delay_bps=bps(delay),
            impact_bps=bps(impact),
            opportunity_bps=bps(opportunity),
            fees_bps=bps(inputs.fees),
            total_bps=bps(total),
            detail={"timing_bps": bps(timing), "spread_bps": bps(spread), "walk_bps": bps(walk)}
            | {name: f"{amount:f}" for name, amount in amounts.items()},
        )


def summed(costs: Mapping[str, ShortfallBps], values: Mapping[str, Decimal]) -> ShortfallBps | None:
    """Return what the legs of an order cost together, exact in quote units; None of no leg.

    Parameters
    ----------
    costs
        What each leg that sent a child cost, by venue.
    values
        What each leg was worth at the decision, by venue, quote units: Q P_d. Of one leg its own cost is
        returned as it is.
    """
    if len(costs) == len(values) == 1:
        return next(iter(costs.values()))
    value = sum(values.values(), Decimal(0))
    if not costs or not value:
        return None
    with localcontext(prec=_PRECISION):
        amounts = {
            name: sum((Decimal(str(cost.detail[name])) for cost in costs.values()), Decimal(0))
            for name in AMOUNTS
        }
        bps = {name: float(amount * 10_000 / value) for name, amount in amounts.items()}
    return ShortfallBps(
        delay_bps=bps["delay"],
        impact_bps=bps["impact"],
        opportunity_bps=bps["opportunity"],
        fees_bps=bps["fees"],
        total_bps=bps["total"],
        detail={f"{name}_bps": bps[name] for name in PARTS}
        | {name: f"{amount:f}" for name, amount in amounts.items()},
    )


def _alone(fill: ShortfallFill) -> ShortfallChild:
    paid = fill.qty * fill.px
    return ShortfallChild(qty=fill.qty, paid=paid, mid_px=fill.mid_px, best_px=fill.best_px)
