"""Realised volatility of 1-minute prices: what is assumed while the router knows no forecast.

References
----------
.. [1] Zhang, Mykland & Ait-Sahalia (2005), A tale of two time scales: averaging over offset grids.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from libs.common.time_units import MINUTE_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle

GRID: Final = 5  # minutes between prices of a grid, and number of offset grids
MIN_BARS: Final = 5
_DAY_MINUTES: Final = 1440


def sigma_day(minutes: Sequence[Candle]) -> float | None:
    """Return the volatility, fraction per day; None with fewer than five 5-minute returns.

    Parameters
    ----------
    minutes
        Closed 1m candles in any order; missing ones are skipped, never taken as no change.

    Notes
    -----
    ``v = RV x 1440 / minutes``, ``RV = sum ln^2(m_t / m_{t-5})`` on each of the five offset grids [1]_; the
    grids are averaged by the minutes that each covers.
    """
    closes = {candle.open_ts // MINUTE_NS: candle.close for candle in minutes}
    squares = [
        math.log(close / closes[minute - GRID]) ** 2
        for minute, close in closes.items()
        if minute - GRID in closes
    ]
    if len(squares) < MIN_BARS:
        return None
    return math.sqrt(math.fsum(squares) * _DAY_MINUTES / (GRID * len(squares)))
