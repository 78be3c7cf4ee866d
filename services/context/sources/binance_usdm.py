"""Binance USD-M futures: funding and basis of perpetuals, by symbol as BTCUSDT; pure.

`lastFundingRate` is the rate of the interval that runs, which `nextFundingTime` ends. Intervals of contracts
that are not 8 h are told apart, and seldom change.

References
----------
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Mark-Price and
.../Get-Funding-Rate-Info, read 2026-11: without a symbol, 10 of 2400 a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.time_units import NS_PER_MS
from libs.common.token_bucket import Rate
from services.context.source import (
    Get,
    MalformedError,
    Reading,
    Source,
    Value,
    basis_bps,
    number,
    parsed,
    per_8_hours,
    positive,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PREMIUM: Final = "/fapi/v1/premiumIndex"
INTERVALS: Final = "/fapi/v1/fundingInfo"
DEFAULT_HOURS: Final = 8.0


class Premium(msgspec.Struct):
    """A row of premiumIndex."""

    symbol: str
    markPrice: str  # noqa: N815 -- the venue's names, here and below
    indexPrice: str  # noqa: N815
    lastFundingRate: str  # noqa: N815
    time: int  # ms


class Interval(msgspec.Struct):
    """A row of fundingInfo."""

    symbol: str
    fundingIntervalHours: float  # noqa: N815


def requests(symbols: Collection[str]) -> tuple[Get, ...]:
    """Return what to ask: both lists are whole."""
    return (Get(PREMIUM), Get(INTERVALS, keep_s=3600.0)) if symbols else ()


def read(replies: Mapping[str, bytes], symbols: Collection[str], _now: int) -> Reading:
    """Return funding and basis of the symbols that have a perpetual.

    Raises
    ------
    MalformedError
        If a list has another form.
    """
    rows = {row.symbol: row for row in parsed(replies[PREMIUM], list[Premium])}
    if not rows:
        raise MalformedError("the answer lists no perpetual")
    hours = {row.symbol: row.fundingIntervalHours for row in parsed(replies[INTERVALS], list[Interval])}
    reading = Reading()
    for symbol in sorted(symbols):
        name = symbol.replace("-", "")
        if (row := rows.get(name)) is not None:
            try:
                reading.values += _values(symbol, row, hours.get(name, DEFAULT_HOURS))
            except MalformedError as error:
                reading.faults.append(f"{symbol}: {error}")
    return reading


def _values(symbol: str, row: Premium, hours: float) -> list[Value]:
    rate = per_8_hours(
        number(row.lastFundingRate, "lastFundingRate"), positive(hours, "fundingIntervalHours")
    )
    basis = basis_bps(positive(row.markPrice, "markPrice"), positive(row.indexPrice, "indexPrice"))
    ts = row.time * NS_PER_MS
    return [Value(symbol, "fundingRate", rate, ts), Value(symbol, "basisBps", basis, ts)]


SOURCE: Final = Source(
    name="binance-usdm",
    names=("fundingRate", "basisBps"),
    host="https://fapi.binance.com",
    simulated="binance-usdm",
    period_s=10.0,
    oldest_s=60.0,
    rate=Rate(tokens=2, burst=4),
    requests=requests,
    read=read,
)
