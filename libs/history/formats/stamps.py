"""Times of archives: seconds since 1970 in several units, all turned into int ns UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.time_units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from libs.history.columns import Bools, Ints

NS_PER_US: Final = 1000
EARLIEST_TS: Final = 1_230_768_000 * NS_PER_S  # 2009: before it there was nothing to trade
LATEST_TS: Final = 4_102_444_800 * NS_PER_S  # 2100
_LEAST_US: Final = 10**14  # a number above is of microseconds, one below of milliseconds: until the year 5138


def are_times(ts: Ints, unit_ns: int = 1) -> Bools:
    """Return which of these can be times."""
    return (ts >= EARLIEST_TS // unit_ns) & (ts < LATEST_TS // unit_ns)


def from_ms_or_us(stamps: Ints) -> tuple[Ints, Bools]:
    """Return in ns UTC what is in milliseconds or microseconds, each by its size; and which can be times."""
    in_us = stamps >= _LEAST_US
    possible = np.where(in_us, are_times(stamps, NS_PER_US), are_times(stamps, NS_PER_MS))
    return stamps * np.where(in_us, NS_PER_US, NS_PER_MS) * possible, possible
