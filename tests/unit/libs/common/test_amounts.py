from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import inspect
from msgspec.structs import replace

from libs.common.amounts import absurd_amount
from libs.common.events import AssessRisk
from libs.common.topics import TOPICS
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


def test_messages_are_made_of_nothing_else_than_what_is_looked_into() -> None:
    """A set, a Raw or an Any could hold a Decimal unseen, and a type within itself would have no end."""
    known = (
        inspect.BoolType,
        inspect.BytesType,
        inspect.DecimalType,
        inspect.EnumType,
        inspect.FloatType,
        inspect.IntType,
        inspect.LiteralType,
        inspect.NoneType,
        inspect.StrType,
    )
    left = [inspect.type_info(event) for topic in TOPICS.values() for event in topic.events]
    while left:
        match left.pop():
            case inspect.StructType(fields=fields):
                left += [field.type for field in fields]
            case inspect.UnionType(types=kinds) | inspect.TupleType(item_types=kinds):
                left += kinds
            case inspect.VarTupleType(item_type=kind) | inspect.ListType(item_type=kind):
                left.append(kind)
            case inspect.Metadata(type=kind):
                left.append(kind)
            case inspect.DictType(value_type=kind):
                left.append(kind)
            case found:
                assert isinstance(found, known), found
