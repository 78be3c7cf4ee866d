from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from libs.common.amounts import absurd_amount
from libs.common.events import AssessRisk
from services.portfolio.positions import flat
from tests.execution_market import NOW, an_order

POSITION = flat("BTC-USDT", NOW)


@pytest.mark.parametrize(
    "amount", ["NaN", "sNaN", "Infinity", "-Infinity", "1e41", "-1e41", "1e-81", "0e-100000"]
)
def test_what_is_no_amount_is_found_however_deep_and_named(amount: str) -> None:
    wrong = AssessRisk(command_id="c", position=replace(POSITION, cash=Decimal(amount)))
    assert str(absurd_amount(wrong)).startswith("AssessRisk.position.cash is ")


@pytest.mark.parametrize("amount", ["0", "-0", "0e-60", "1e12", "-1e12", "0.000000000000000001"])
def test_an_amount_is_none(amount: str) -> None:
    assert absurd_amount(AssessRisk(command_id="c", position=replace(POSITION, cash=Decimal(amount)))) is None
    assert absurd_amount(replace(POSITION, quantity=an_order().order_qty)) is None
