from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from services.portfolio.positions import filled, flat, marked
from tests.fills import a_fill

if TYPE_CHECKING:
    from libs.common.events import Position


def after(*fills: tuple[str, str, str]) -> Position:
    position = flat("BTC-USDT", 0)
    for n, (side, size, price) in enumerate(fills):
        fill = a_fill(str(n), side=side, last_qty=Decimal(size), last_px=Decimal(price), fee=Decimal("0.5"))
        position = filled(position, fill, n)
    return position


def test_the_average_price_is_that_of_what_was_bought() -> None:
    position = after(("buy", "1", "100"), ("buy", "3", "120"))
    assert position.avg_price == Decimal(115)
    assert position.fees == 1


def test_selling_a_part_realises_its_share_and_leaves_the_average() -> None:
    position = after(("buy", "4", "100"), ("sell", "1", "130"))
    assert position.realized_pnl == 30
    assert position.avg_price == 100
    assert position.quantity == 3


def test_a_flip_closes_everything_and_then_opens_at_the_new_price() -> None:
    position = after(("buy", "2", "100"), ("sell", "5", "90"))
    assert position.realized_pnl == -20
    assert position.quantity == -3
    assert position.basis == -270
    assert position.avg_price == 90


def test_a_short_position_earns_when_the_mark_falls() -> None:
    position = marked(after(("sell", "2", "100")), 80.5, 7, 9)
    assert position.unrealized_pnl == 39
    assert position.mark_ts == 7


def test_a_third_of_a_basis_that_does_not_divide_is_released_to_the_last_place() -> None:
    position = after(
        ("buy", "3", "33.33"), ("sell", "1", "0.01"), ("sell", "1", "0.01"), ("sell", "1", "0.01")
    )
    assert position.basis == 0
    assert position.realized_pnl == Decimal("0.03") - Decimal("99.99")
