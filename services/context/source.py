"""What a source of context inputs is: what it is asked for, and what its answers say; pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from libs.common.context_fields import BY_NAME
from libs.common.instruments import UnknownSymbolError, canonical_symbol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from libs.common.token_bucket import Rate

T = TypeVar("T")

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    **{name: (known.low, known.high) for name, known in BY_NAME.items()},
    "atmVol": (1e-3, 10.0),
    "termSlope": (-100.0, 100.0),
}
"""The least and the greatest value that can be meant, by name; those of a scope's own features are here."""
DOLLARS: Final = frozenset({"USD", "USDC", "USDT"})
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SHOWN: Final = 40


class MalformedError(Exception):
    """An answer that cannot be used; its text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Get:
    """What is asked of a source's host by GET."""

    path: str  # with its query
    keep_s: float = 0.0  # for how long the answer is used before it is asked again; 0: once


@dataclass(frozen=True, slots=True)
class Value:
    """A number that an answer gave."""

    symbol: str
    name: str
    value: float
    ts: int  # as of when it is, ns UTC
    until_ts: int | None = None  # the end of its use, where the source knows it


@dataclass(slots=True)
class Reading:
    """What the answers of one poll say; a part that cannot be used does not touch the others."""

    values: list[Value] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """A public source; what stands in `libs/common/context_fields.py` says what its numbers mean."""

    name: str
    names: tuple[str, ...]  # of the inputs that it can give
    host: str  # base address; empty: it is asked for nothing
    simulated: str  # where the simulator serves it, below its own address; empty: nowhere
    period_s: float  # between two polls
    oldest_s: float  # of what it says; older is stale
    rate: Rate | None  # of requests
    requests: Callable[[Collection[str]], tuple[Get, ...]]
    """What to ask for these symbols."""
    read: Callable[[Mapping[str, bytes], Collection[str], int], Reading]
    """What the answers, by path, say of these symbols at `now`; raises MalformedError."""


def parsed(body: bytes, form: type[T]) -> T:
    """Return an answer in its declared form.

    Raises
    ------
    MalformedError
        If it has another form, or is no JSON: a NaN and an Infinity are none.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        raise MalformedError(f"the answer has another form: {error}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedError(f"the answer is no JSON: {error}") from None


def number(text: str | float, what: str) -> float:
    """Return the finite number that a venue writes, as a number or as its digits.

    Raises
    ------
    MalformedError
        If it is none.
    """
    value = float(text) if not isinstance(text, str) or _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise MalformedError(f"{what} is {str(text)[:_SHOWN]!r}, which is no number")
    return value


def positive(text: str | float, what: str) -> float:
    """Return the positive number that a venue writes.

    Raises
    ------
    MalformedError
        If it is none.
    """
    value = number(text, what)
    if value <= 0:
        raise MalformedError(f"{what} is {value:g}, and must be above 0")
    return value


def basis_bps(mark: float, index: float) -> float:
    """Return the perpetual's mark over the index, bps of the index."""
    return (mark / index - 1) * 1e4


def per_8_hours(rate: float, interval_hours: float) -> float:
    """Return a funding rate as a fraction per 8 h, of one that is paid once an interval."""
    return rate * 8 / interval_hours


def is_canonical(symbol: str) -> bool:
    """Tell whether a symbol is as BTC-USDT: only such a one becomes a part of an address."""
    try:
        return canonical_symbol(symbol) == symbol
    except UnknownSymbolError:
        return False


def base_of(symbol: str) -> str:
    """Return what a canonical symbol trades, as BTC of BTC-USDT."""
    return symbol.partition("-")[0]


def dollar_symbols(base: str, symbols: Collection[str]) -> list[str]:
    """Return those of the symbols that are `base` in a dollar, in order."""
    return sorted(
        each for each in symbols if each.partition("-")[0] == base and each.split("-")[-1] in DOLLARS
    )
