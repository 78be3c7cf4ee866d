"""Amounts that no arithmetic may meet: NaN, the infinities, and numbers of absurd size; pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from libs.common.events import Event

MOST_DIGITS: Final = 40  # before or behind the point


def absurd_amount(event: Event) -> str | None:
    """Return what is wrong with the first such Decimal in `event`, however deep, and where; None without one.

    MessagePack has no decimals: they are text, and the codec takes all that Python's `Decimal` does.
    """
    return _absurd(event, type(event).__name__)


def _absurd(value: Any, where: str) -> str | None:  # noqa: ANN401 -- any field of an event
    match value:
        case Decimal():
            if not value.is_finite():
                return f"{where} is {value}, which is no amount"
            digits = abs(int(value.as_tuple().exponent))
            if digits > 2 * MOST_DIGITS or (value and abs(value.adjusted()) > MOST_DIGITS):
                return f"{where} is {value:.3e}, which is no amount"
        case msgspec.Struct():
            fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
            return next(filter(None, (_absurd(field, f"{where}.{name}") for name, field in fields)), None)
        case tuple():
            return next(filter(None, (_absurd(each, where) for each in value)), None)
        case dict():
            return next(filter(None, (_absurd(each, f"{where}.{key}") for key, each in value.items())), None)
    return None
