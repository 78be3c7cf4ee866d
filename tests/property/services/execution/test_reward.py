from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.reward import RewardInputs, reward

PRICES = st.decimals("10", "100000", places=2)
QUANTITIES = st.decimals("0.001", "100", places=3)


@given(
    st.floats(0.01, 1),
    st.sampled_from([1, -1]),
    PRICES,
    st.decimals("0.5", "2", places=4),
    st.lists(st.tuples(st.decimals("0.99", "1.01", places=4), QUANTITIES), min_size=1, max_size=4),
    st.decimals("0", "0.01", places=5),
)
def test_the_reward_is_the_profit_of_the_filled_position_marked_at_the_horizon_per_unit_of_signal(
    size: float,
    s: int,
    decision: Decimal,
    move: Decimal,
    fills: list[tuple[Decimal, Decimal]],
    fee_rate: Decimal,
) -> None:
    horizon = decision * move
    paid = sum((decision * rel * qty for rel, qty in fills), Decimal(0))
    filled = sum((qty for _, qty in fills), Decimal(0))
    fees = paid * fee_rate
    cash = -s * paid - fees
    profit = cash + s * filled * horizon  # as an accountant has it
    expected = size * float(profit / (filled * decision))
    found = reward(
        RewardInputs(
            signal=s * size,
            side="buy" if s > 0 else "sell",
            decision_px=decision,
            horizon_px=horizon,
            filled=filled,
            cum_quote=paid,
            fees=fees,
        )
    )
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_flat_signal_earns_nothing() -> None:
    inputs = RewardInputs(
        signal=0.0,
        side=None,
        decision_px=Decimal(100),
        horizon_px=Decimal(120),
        filled=Decimal(0),
        cum_quote=Decimal(0),
        fees=Decimal(0),
    )
    assert reward(inputs) == 0.0
