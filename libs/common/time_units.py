"""How many of one unit of time make another; moments and spans are int nanoseconds everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
MINUTE_NS: Final = 60 * NS_PER_S
DAY_S: Final = 86_400
DAY_NS: Final = DAY_S * NS_PER_S
UNITS_NS: Final[Mapping[str, int]] = {  # by what a person writes behind a number
    "w": 7 * DAY_NS,
    "d": DAY_NS,
    "h": 60 * MINUTE_NS,
    "m": MINUTE_NS,
    "s": NS_PER_S,
    "ms": NS_PER_MS,
}
