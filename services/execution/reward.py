"""What an execution earned its policy, in return units, net of costs; pure.

===========  ==================================================================  ============
symbol       meaning                                                             unit
===========  ==================================================================  ============
f            signal of the policy                                                1, in [-1, 1]
s            side of the order: +1 buy, -1 sell                                  1
P_d, P_h     mid at the decision and at the horizon                              quote units
q, p, F      filled quantity, average price, fees                                base, quote
===========  ==================================================================  ============

``reward = f (P_h/P_d - 1) - |f| (s (p/P_d - 1) + F/(q P_d))``: what a position of `f` units earns from the
decision to the horizon, less what it cost to enter it, per unit of its value at the decision. Leaving it is
not charged.
"""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from libs.common.events import TakerSide


class RewardInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What happened."""

    signal: float
    side: str | None  # None: nothing was traded
    decision_px: Decimal
    horizon_px: Decimal
    filled: Decimal  # base units
    cum_quote: Decimal  # quote units
    fees: Decimal


def reward(inputs: RewardInputs) -> float:
    """Return the reward; of no fill what the signal alone earned, which is 0 for a flat one."""
    P_d = inputs.decision_px
    earned = inputs.signal * float(inputs.horizon_px / P_d - 1)
    if inputs.side is None or not inputs.filled:
        return earned
    return earned - abs(inputs.signal) * float(_entry_cost(inputs, "buy" if inputs.side == "buy" else "sell"))


def _entry_cost(inputs: RewardInputs, side: TakerSide) -> Decimal:
    s = 1 if side == "buy" else -1
    value = inputs.filled * inputs.decision_px
    return s * (inputs.cum_quote / value - 1) + inputs.fees / value
