"""What a message must hold for any number to be made of it; pure.

Topics are open to every writer that the broker lets write, so a message that is well formed may still hold
what cannot be. Such a one is left out and counted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from libs.common.context_fields import REWARD_LIMIT
from libs.common.live_books import MOST_PRICE

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import EquityMarked, ExecutionRecord, PaperOrder, PolicyChosen, PolicyRewarded

MOST: Final = 1e15  # of any amount of money, quote units
LEAST_PRICE: Final = 1e-12  # quote units
MOST_RETURN: Final = 1e6  # of an expected reward


def mark_of(event: EquityMarked) -> EquityMarked | None:
    """Return the mark with those prices that may be; None where an amount may not."""
    amounts = (event.equity, event.realized_pnl, event.unrealized_pnl, event.fees, *event.values.values())
    if not all(map(_is_amount, amounts)):
        return None
    if all(LEAST_PRICE <= price <= MOST_PRICE for price in event.marks.values()):
        return event
    marks = {each: price for each, price in event.marks.items() if LEAST_PRICE <= price <= MOST_PRICE}
    return replace(event, marks=marks)


def is_record(record: ExecutionRecord) -> bool:
    """Tell whether costs and results may be made of an execution."""
    reward, plan = record.reward, record.plan
    prices, amounts = [], [leg.size for leg in record.legs]
    if plan is not None:
        prices.append(plan.mid)
        amounts.append(plan.size)
    if reward is not None:
        amounts += [amount for amount in (reward.gross, reward.cost) if amount is not None]
    forecasts = [bps for leg in record.legs for bps in (leg.expected_bps, leg.fee_bps)]
    return (
        all(abs(price) <= MOST_PRICE for price in prices)
        and all(map(_is_amount, amounts))
        and all(abs(bps) <= MOST for bps in forecasts)
        and all(map(is_order, record.orders))
        and _has_amounts(record)
    )


def is_order(order: PaperOrder) -> bool:
    """Tell whether fills of an order may be what it says."""
    prices, amounts = (order.mid, order.expected_px), (order.cum_qty, order.cum_quote, order.fees)
    return all(abs(price) <= MOST_PRICE for price in prices) and all(map(_is_amount, amounts))


def _has_amounts(record: ExecutionRecord) -> bool:
    cost = record.shortfall
    if cost is None:
        return True
    try:
        return math.isfinite(cost.total_bps) and all(
            abs(float(each)) <= MOST for each in cost.detail.values()
        )
    except ValueError:
        return False


def is_choice(event: PolicyChosen) -> bool:
    """Tell whether the choice says of each policy what its value needs."""
    return event.policy_id in event.propensities and all(
        0 <= p <= 1 and abs(event.means.get(name, math.inf)) <= MOST_RETURN
        for name, p in event.propensities.items()
    )


def is_reward(event: PolicyRewarded) -> bool:
    """Tell whether the reward is one that the router takes."""
    return abs(event.reward) <= REWARD_LIMIT


def _is_amount(amount: Decimal) -> bool:
    return amount.is_finite() and abs(amount) <= MOST
