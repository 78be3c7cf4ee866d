"""Amounts that no arithmetic may meet: NaN, the infinities, and numbers of absurd size; pure."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from libs.common.schemas import inside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import Event

MOST_DIGITS: Final = 40  # before or behind the point


def absurd_amount(event: Event) -> str | None:
    """Return what is wrong with the first such Decimal in `event`, however deep, and where; None without one.

    MessagePack has no decimals: they are text, and the codec takes all that Python's `Decimal` does.
    """
    found = _absurd(event)
    return None if found is None else f"{type(event).__name__}{found[0]} is {found[1]}, which is no amount"


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields that may hold Decimals; messages of markets, the most by far, have none."""
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)  # noqa: S101 -- of a struct it is
    return tuple(field.name for field in found.fields if _names_amount(field.type))


def _names_amount(info: inspect.Type) -> bool:
    return isinstance(info, inspect.DecimalType) or any(map(_names_amount, inside(info)))


def _absurd(value: Any) -> tuple[str, str] | None:  # noqa: ANN401 -- any field of an event
    """Return the way to the first one and the number, in words that are made only where there is one."""
    kind = type(value)
    if value is None:
        return None
    if kind is Decimal:
        shown = _wrong(value)
        return None if shown is None else ("", shown)
    if kind is tuple or kind is list:
        items: Iterable[tuple[str, Any]] = zip(repeat(""), value)
    elif kind is dict:
        items = value.items()
    elif issubclass(kind, msgspec.Struct):
        items = ((name, getattr(value, name)) for name in _fields(kind))
    else:
        return None
    for name, each in items:
        if (found := _absurd(each)) is not None:
            return (f".{name}{found[0]}" if name else found[0]), found[1]
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
