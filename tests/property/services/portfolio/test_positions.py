"""The laws of positions hold exactly after any fills."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.portfolio.positions import exact, filled, flat, marked, profit
from tests.fills import a_fill

SIZES = st.decimals("0.00000001", "50", places=8, allow_nan=False)
PRICES = st.decimals("0.01", "99999", places=2, allow_nan=False)
FEES = st.decimals("0", "20", places=8, allow_nan=False)
FILLS = st.lists(st.tuples(st.sampled_from(["buy", "sell"]), SIZES, PRICES, FEES), min_size=1, max_size=40)


@given(fills=FILLS, mark=st.floats(0.01, 1e5))
def test_fills_conserve_cash_and_quantity(
    fills: list[tuple[str, Decimal, Decimal, Decimal]], mark: float
) -> None:
    position = flat("BTC-USDT", 0)
    quantity = cash = fees = Fraction(0)
    for n, (side, size, price, fee) in enumerate(fills):
        position = filled(position, a_fill(str(n), side=side, last_qty=size, last_px=price, fee=fee), n)
        signed = Fraction(size) if side == "buy" else -Fraction(size)
        quantity += signed
        cash -= signed * Fraction(price) + Fraction(fee)
        fees += Fraction(fee)
        assert Fraction(position.quantity) == quantity
        assert Fraction(position.cash) == cash
        assert position.quantity or position.basis == 0, "flat means basis 0"
        assert position.basis * position.quantity >= 0, "a cost has the sign of its position"
    position = marked(position, mark, 1, 1)
    worth = Fraction(position.quantity) * Fraction(exact(mark))
    assert Fraction(position.fees) == fees
    assert Fraction(position.cash) + worth == Fraction(profit(position))
    assert position.fills == len(fills)


@given(fills=FILLS)
def test_buying_and_selling_as_much_realises_the_difference_of_the_cash(
    fills: list[tuple[str, Decimal, Decimal, Decimal]],
) -> None:
    position = flat("BTC-USDT", 0)
    for n, (side, size, price, _) in enumerate(fills):
        position = filled(
            position, a_fill(str(n), side=side, last_qty=size, last_px=price, fee=Decimal(0)), n
        )
    if position.quantity:
        back = "sell" if position.quantity > 0 else "buy"
        close = a_fill(
            "end", side=back, last_qty=abs(position.quantity), last_px=Decimal(100), fee=Decimal(0)
        )
        position = filled(position, close, 0)
    assert position.basis == position.quantity == 0
    assert position.avg_price is None
    assert position.realized_pnl == position.cash
