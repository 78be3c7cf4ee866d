"""What a field, a number and a word mean, as data on their type.

``mid: Annotated[QuoteUnits, meaning("(best bid + best ask) / 2")]`` is a float to Python and on the wire.
What it means and the alias's unit ride along as msgspec `Meta`, which costs nothing without a constraint.
``libs/common/schemas.py`` makes of them the one description that every document and program shows.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, Self, TypeAlias

from msgspec import Meta

MOMENT: Final = "moment"
"""Unit of a moment: ns since 1970 UTC on topics, ms over HTTP."""


def meaning(text: str, *, null: str | None = None) -> Meta:
    """Return what a field means, without its unit; of a nullable one also when it is null (while, before)."""
    return Meta(description=text, extra=None if null is None else {"null": null})


def unit(text: str) -> Meta:
    """Return the unit of a number."""
    return Meta(extra={"unit": text})


class Word(StrEnum):
    """One of a few words, each with its meaning: ``READY = "ready", "it does all of its work"``."""

    _value_: str
    meaning: str

    def __new__(cls, word: str, meaning: str = "") -> Self:
        """Return the word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member


Ns: TypeAlias = Annotated[int, unit(MOMENT)]
"""A moment, ns since 1970 UTC."""
EpochMs: TypeAlias = Annotated[int, unit("ms since 1970 UTC")]
"""A moment in ms on topics too."""
SpanNs: TypeAlias = Annotated[int, unit("ns")]
Milliseconds: TypeAlias = Annotated[float, unit("ms")]
Seconds: TypeAlias = Annotated[float, unit("s")]
Days: TypeAlias = Annotated[int, unit("days")]

QuoteUnits: TypeAlias = Annotated[float, unit("quote units")]
BaseUnits: TypeAlias = Annotated[float, unit("base units")]
QuoteAmount: TypeAlias = Annotated[Decimal, unit("quote units")]
BaseAmount: TypeAlias = Annotated[Decimal, unit("base units")]

Bps: TypeAlias = Annotated[float, unit("bps")]
PerSecond: TypeAlias = Annotated[float, unit("per second")]
PerDay: TypeAlias = Annotated[float, unit("fraction per day")]
Returns: TypeAlias = Annotated[float, unit("return units")]
OfCapital: TypeAlias = Annotated[float, unit("share of capital")]
OfEquity: TypeAlias = Annotated[float, unit("fraction of equity")]
Share: TypeAlias = Annotated[float, unit("0 to 1")]
Balance: TypeAlias = Annotated[float, unit("-1 to 1")]
Pure: TypeAlias = Annotated[float, unit("a pure number")]
ByName: TypeAlias = Annotated[float, unit("numbers in the unit of their name")]
"""A value of a mapping whose keys are names with a declared unit."""

Count: TypeAlias = Annotated[int, unit("count")]
Ordinal: TypeAlias = Annotated[int, unit("ordinal")]
"""A running number, a version or another name that is a number: only its order counts."""
