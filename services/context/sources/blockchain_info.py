"""blockchain.info: confirmed transactions of a day, of BTC; pure.

References
----------
https://www.blockchain.com/explorer/api/charts_api, read 2026-11: x is the day in seconds UTC, y its number;
one request in 10 s is asked for.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.time_units import DAY_S, NS_PER_S
from libs.common.token_bucket import Rate
from services.context.source import (
    Get,
    MalformedError,
    Reading,
    Source,
    Value,
    dollar_symbols,
    number,
    parsed,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PATH: Final = "/charts/n-transactions?timespan=30days&format=json"
LEAST_DAYS: Final = 10  # before the newest one
WIDTH: Final = 3.0  # standard deviations at which the score is 1


class Day(msgspec.Struct):
    """A point of a chart."""

    x: int
    y: float


class Chart(msgspec.Struct):
    """What an answer is."""

    values: list[Day]


def requests(symbols: Collection[str]) -> tuple[Get, ...]:
    """Return what to ask."""
    return (Get(PATH),) if dollar_symbols("BTC", symbols) else ()


def read(replies: Mapping[str, bytes], symbols: Collection[str], _now: int) -> Reading:
    """Return the activity of BTC: how far the newest day is from those before it.

    Raises
    ------
    MalformedError
        If the answer cannot be used.

    Notes
    -----
    z = (y_n - mean(y_1..y_n-1)) / sd(y_1..y_n-1), the sample's; the score is z / 3 within -1 and 1.
    """
    days = sorted(parsed(replies[PATH], Chart).values, key=lambda day: day.x)
    before = [number(day.y, "y") for day in days[:-1]]
    if len(before) < LEAST_DAYS:
        raise MalformedError(f"the chart has {len(days)} days, fewer than {LEAST_DAYS + 1}")
    spread = stdev(before)
    if spread <= 0:
        raise MalformedError("every day of the chart is alike")
    z = (number(days[-1].y, "y") - fmean(before)) / spread
    score = max(-1.0, min(1.0, z / WIDTH))
    ts = days[-1].x * NS_PER_S
    return Reading([Value(symbol, "onchain", score, ts) for symbol in dollar_symbols("BTC", symbols)])


SOURCE: Final = Source(
    name="blockchain-info",
    names=("onchain",),
    host="https://api.blockchain.info",
    simulated="",
    period_s=600.0,
    oldest_s=3.0 * DAY_S,
    rate=Rate(tokens=1, burst=2),
    requests=requests,
    read=read,
)
