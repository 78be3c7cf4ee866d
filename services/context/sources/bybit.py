"""Bybit linear perpetuals: funding and basis, by symbol as BTCUSDT; pure.

References
----------
https://bybit-exchange.github.io/docs/v5/market/tickers, read 2026-11: `fundingIntervalHour` is not in every
row, `time` is of the answer; 600 requests in 5 s for an address.
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

UNKNOWN: Final = 10001  # parameters: of this request, a symbol that is not listed
DEFAULT_HOURS: Final = 8.0


class Ticker(msgspec.Struct):
    """A row of tickers."""

    symbol: str
    markPrice: str  # noqa: N815 -- the venue's names, here and below
    indexPrice: str  # noqa: N815
    fundingRate: str = ""  # noqa: N815 -- empty of what expires
    fundingIntervalHour: str = ""  # noqa: N815


class Tickers(msgspec.Struct):
    """The rows; none where the venue refuses."""

    rows: tuple[Ticker, ...] = msgspec.field(name="list", default=())


class Answer(msgspec.Struct):
    """What an answer is."""

    retCode: int  # noqa: N815
    retMsg: str  # noqa: N815
    result: Tickers
    time: int  # ms


def path(symbol: str) -> str:
    """Return where a symbol's ticker is."""
    return f"/v5/market/tickers?category=linear&symbol={symbol.replace('-', '')}"


def requests(symbols: Collection[str]) -> tuple[Get, ...]:
    """Return what to ask: each symbol's ticker."""
    return tuple(Get(path(symbol)) for symbol in sorted(symbols))


def read(replies: Mapping[str, bytes], symbols: Collection[str], _now: int) -> Reading:
    """Return funding and basis of the symbols that have a perpetual."""
    reading = Reading()
    for symbol in sorted(symbols):
        try:
            reading.values += _values(symbol, parsed(replies[path(symbol)], Answer))
        except MalformedError as error:
            reading.faults.append(f"{symbol}: {error}")
    return reading


def _values(symbol: str, answer: Answer) -> list[Value]:
    if answer.retCode == UNKNOWN:
        return []
    if answer.retCode != 0:
        raise MalformedError(f"refused with code {answer.retCode}: {answer.retMsg[:100]}")
    found = []
    for row in answer.result.rows:
        if row.symbol != symbol.replace("-", "") or not row.fundingRate:
            continue
        hours = (
            positive(row.fundingIntervalHour, "fundingIntervalHour")
            if row.fundingIntervalHour
            else DEFAULT_HOURS
        )
        rate = per_8_hours(number(row.fundingRate, "fundingRate"), hours)
        basis = basis_bps(positive(row.markPrice, "markPrice"), positive(row.indexPrice, "indexPrice"))
        ts = answer.time * NS_PER_MS
        found += [Value(symbol, "fundingRate", rate, ts), Value(symbol, "basisBps", basis, ts)]
    return found


SOURCE: Final = Source(
    name="bybit",
    names=("fundingRate", "basisBps"),
    host="https://api.bybit.com",
    simulated="bybit",
    period_s=10.0,
    oldest_s=60.0,
    rate=Rate(tokens=10, burst=20),
    requests=requests,
    read=read,
)
