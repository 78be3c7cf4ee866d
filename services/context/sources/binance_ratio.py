"""Binance USD-M futures: how many accounts are long, by symbol as BTCUSDT; pure.

References
----------
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Long-Short-Ratio,
read 2026-11: longAccount and shortAccount are shares of accounts; 1000 requests in 5 minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.time_units import NS_PER_MS
from libs.common.token_bucket import Rate
from services.context.source import Get, MalformedError, Reading, Source, Value, number, parsed, positive

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

UNKNOWN: Final = -1121  # "Invalid symbol."


class Ratio(msgspec.Struct):
    """A row of globalLongShortAccountRatio."""

    longAccount: str  # noqa: N815 -- the venue's names, here and below
    shortAccount: str  # noqa: N815
    timestamp: int | str  # ms


class Refused(msgspec.Struct):
    """What the venue answers instead."""

    code: int
    msg: str = ""


def path(symbol: str) -> str:
    """Return where a symbol's newest ratio is."""
    return f"/futures/data/globalLongShortAccountRatio?symbol={symbol.replace('-', '')}&period=5m&limit=1"


def requests(symbols: Collection[str]) -> tuple[Get, ...]:
    """Return what to ask: each symbol's ratio."""
    return tuple(Get(path(symbol)) for symbol in sorted(symbols))


def read(replies: Mapping[str, bytes], symbols: Collection[str], _now: int) -> Reading:
    """Return the sentiment of the symbols that have a perpetual."""
    reading = Reading()
    for symbol in sorted(symbols):
        try:
            reading.values += _values(symbol, parsed(replies[path(symbol)], list[Ratio] | Refused))  # type: ignore[arg-type]
        except MalformedError as error:
            reading.faults.append(f"{symbol}: {error}")
    return reading


def _values(symbol: str, answer: list[Ratio] | Refused) -> list[Value]:
    if isinstance(answer, Refused):
        if answer.code == UNKNOWN:
            return []
        raise MalformedError(f"refused with code {answer.code}: {answer.msg[:100]}")
    found = []
    for row in answer:
        long, short = number(row.longAccount, "longAccount"), number(row.shortAccount, "shortAccount")
        if min(long, short) < 0 or long + short <= 0:
            raise MalformedError("longAccount and shortAccount are no shares")
        score = (long - short) / (long + short)  # -1: every account is short
        ts = int(positive(row.timestamp, "timestamp")) * NS_PER_MS
        found.append(Value(symbol, "sentiment", score, ts))
    return found


SOURCE: Final = Source(
    name="binance-ratio",
    names=("sentiment",),
    host="https://fapi.binance.com",
    simulated="binance-usdm",
    period_s=60.0,
    oldest_s=900.0,  # three rows
    rate=Rate(tokens=2, burst=4),
    requests=requests,
    read=read,
)
