"""Numbers that come as text: ASCII digits and nothing else, since Python and pydantic read far more.

``int(" 1_0")`` is 10, and ``Decimal`` reads the digits of every script: what a caller may have meant
otherwise is refused.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

from pydantic import BeforeValidator

AMOUNT: Final = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_DECIMAL: Final = re.compile(f"[+-]?{AMOUNT}")
_WHOLE: Final = re.compile(r"-?[0-9]+")


def decimal_of(text: str) -> Decimal:
    """Return the number that a text is.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    try:
        return Decimal(_require(_DECIMAL, text, "a number in text, of the digits 0 to 9"))
    except InvalidOperation:  # an exponent beyond all bounds
        raise ValueError("must be a number in text, of a size that there is") from None


def _whole(value: object) -> object:
    return _require(_WHOLE, value, "a whole number of the digits 0 to 9") if isinstance(value, str) else value


def _fraction(value: object) -> object:
    return _require(_DECIMAL, value, "a number of the digits 0 to 9") if isinstance(value, str) else value


WHOLE: Final = BeforeValidator(_whole)  # of an int of an address
FRACTION: Final = BeforeValidator(_fraction)  # of a float of an address


def _require(form: re.Pattern[str], text: str, what: str) -> str:
    if form.fullmatch(text) is None:
        raise ValueError(f"must be {what}, without spaces or underscores")
    return text
