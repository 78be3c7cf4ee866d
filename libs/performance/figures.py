"""`Figure`: a number, or why there is none; pure."""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec

from libs.common.meanings import meaning

Z95: Final = 1.959963984540054  # the normal's 97.5 % quantile


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of what is told; in JSON its names are in camel case, and its moments in ms."""


class Figure(Answer, frozen=True, kw_only=True):
    """A number with its 95 % interval, or why there is none; in the unit of the field that it stands in."""

    value: Annotated[float | None, meaning("the number", null="see `why`")] = None
    low: Annotated[float | None, meaning("lower end of its 95 % interval", null="none is known")] = None
    high: Annotated[float | None, meaning("upper end of that interval", null="none is known")] = None
    why: Annotated[
        str, meaning("why there is no number, or no interval where there is one; else empty, in words")
    ] = ""


def known(value: float, half: float | None = None, why: str = "") -> Figure:
    """Return a number, ± `half`; one that is not finite is unknown."""
    if not math.isfinite(value):
        return unknown("it is no finite number")
    if half is None or not math.isfinite(half):
        return Figure(value=value, why=why)
    return Figure(value=value, low=value - half, high=value + half, why=why)


def unknown(why: str) -> Figure:
    """Return that there is no number, and why."""
    return Figure(why=why)
