"""Amounts that no arithmetic may meet: NaN, the infinities, and numbers of absurd size; pure."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

if TYPE_CHECKING:
    from libs.common.events import Event

MOST_DIGITS: Final = 40  # before or behind the point


def absurd_amount(event: Event) -> str | None:
    """Return what is wrong with the first such Decimal in `event`, however deep, and where; None without one.

    MessagePack has no decimals: they are text, and the codec takes all that Python's `Decimal` does.
    """
    return None if _sound(event) else _absurd(event, type(event).__name__)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields that may hold Decimals; messages of markets, the most by far, have none."""
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)  # noqa: S101 -- of a struct it is
    return tuple(field.name for field in found.fields if _names_amount(field.type))


def _names_amount(info: inspect.Type) -> bool:
    match info:
        case inspect.DecimalType():
            return True
        case inspect.StructType(fields=fields):
            return any(_names_amount(field.type) for field in fields)
        case inspect.UnionType(types=kinds) | inspect.TupleType(item_types=kinds):
            return any(map(_names_amount, kinds))
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return _names_amount(item)
        case inspect.DictType(key_type=key, value_type=value):
            return _names_amount(key) or _names_amount(value)
    return False


def _sound(value: Any) -> bool:  # noqa: ANN401 -- any field of an event
    """Return whether all is well; of nearly all messages it is, and no words are needed."""
    if value is None:
        return True
    kind = type(value)
    if kind is Decimal:
        return _wrong(value) is None
    if kind is tuple or kind is list:
        return all(map(_sound, value))
    if kind is dict:
        return all(map(_sound, value.values()))
    if issubclass(kind, msgspec.Struct):
        return all(_sound(getattr(value, name)) for name in _fields(kind))
    return True


def _absurd(value: Any, where: str) -> str | None:  # noqa: ANN401 -- any field of an event
    match value:
        case Decimal():
            shown = _wrong(value)
            return None if shown is None else f"{where} is {shown}, which is no amount"
        case msgspec.Struct():
            fields = ((name, getattr(value, name)) for name in _fields(type(value)))
            return next(filter(None, (_absurd(field, f"{where}.{name}") for name, field in fields)), None)
        case tuple() | list():
            return next(filter(None, (_absurd(each, where) for each in value)), None)
        case dict():
            return next(filter(None, (_absurd(each, f"{where}.{key}") for key, each in value.items())), None)
    return None


def _wrong(value: Decimal) -> str | None:
    """Return the number, shortly, if it is no amount."""
    text = str(value)
    if len(text) <= MOST_DIGITS and text.lower() == text.upper():  # a few digits; no exponent, no word
        return None
    if not value.is_finite():
        return text
    digits = abs(int(value.as_tuple().exponent))
    absurd = digits > 2 * MOST_DIGITS or (value and abs(value.adjusted()) > MOST_DIGITS)
    return f"{value:.3e}" if absurd else None
