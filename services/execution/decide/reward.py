"""What a decision earned: the change of equity over its window, net of what it cost to trade; pure.

===========  ==================================================================  ============
symbol       meaning                                                             unit
===========  ==================================================================  ============
M_0, M_1     reference mid at the begin and at the end of the window             quote units
m_f          reference mid at a fill                                             quote units
q_0          held before the decision, signed                                    base units
s, q, p      side of a fill (+1 buy, -1 sell), its quantity and its price        1, base, quote
F            fees of the decision's own fills                                    quote units
W            equity of the book at the decision                                  quote units
===========  ==================================================================  ============

``gross = q_0 (M_1 - M_0) + sum s q (M_1 - m_f)`` over all fills of the symbol within the window: the path of
the position that was held, at the reference mid. ``cost = sum s q (p - m_f) + F`` over the decision's own
fills, whenever they came. ``reward = (gross - cost) / W``; ``unchanged = q_0 (M_1 - M_0) / W`` is what the
position held before would have earned.

The gross of a window is the difference of ``G(t) = sum_{f <= t} -s q m_f + Q(t) M(t)`` at its ends, so those
of abutting windows telescope: rewards times W sum to the change of cash plus position at the mid. Only what
orders on their own cost is in no reward: no decision made them. It is the additive profit of [1]_ with the
fills themselves for the stylised change of position.

References
----------
.. [1] Moody & Saffell (2001), Learning to trade via direct reinforcement, IEEE Transactions on Neural
   Networks 12(4), section II.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.context_fields import REWARD_LIMIT
from services.execution.broker.exact_amounts import EXACT

if TYPE_CHECKING:
    from libs.common.events import OrderFilled

MOST: Final = REWARD_LIMIT  # |reward| that is taught: all of the equity


class RewardInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What happened."""

    begin_mid: Decimal  # M_0
    end_mid: Decimal  # M_1
    held: Decimal  # q_0
    traded: Decimal  # sum s q of the fills within the window, whoever traded
    mid_cash: Decimal  # sum -s q m_f of these
    cost: Decimal  # of the decision's own fills
    equity: Decimal  # W, over 0


class Earned(msgspec.Struct, frozen=True, kw_only=True):
    """What was earned."""

    reward: float  # in [-MOST, MOST], fraction of equity
    unchanged: float  # fraction of equity
    gross: Decimal  # quote units
    cost: Decimal  # quote units
    cut: bool  # the reward is beyond MOST


def reward(inputs: RewardInputs) -> Earned:
    """Return the reward and what it is made of.

    Raises
    ------
    ValueError
        If the equity is not positive.
    """
    if inputs.equity <= 0:
        raise ValueError(f"the equity is {inputs.equity}: a reward is a fraction of one over 0")
    with localcontext(EXACT):
        after = inputs.held + inputs.traded
        gross = inputs.mid_cash + after * inputs.end_mid - inputs.held * inputs.begin_mid
        unchanged = inputs.held * (inputs.end_mid - inputs.begin_mid)
        net = float((gross - inputs.cost) / inputs.equity) + 0.0
        return Earned(
            reward=min(max(net, -MOST), MOST),
            unchanged=float(unchanged / inputs.equity) + 0.0,  # no -0.0
            gross=gross,
            cost=inputs.cost,
            cut=abs(net) > MOST,
        )


def fill_cost(fill: OrderFilled, mid: Decimal) -> Decimal:
    """Return ``s q (p - m_f)`` and the fee of a fill, quote units; below 0 where its price was the better."""
    with localcontext(EXACT):
        return signed_qty(fill) * (fill.last_px - mid) + fill.fee


def signed_qty(fill: OrderFilled) -> Decimal:
    """Return ``s q`` of a fill, base units."""
    return fill.last_qty if fill.side == "buy" else -fill.last_qty
