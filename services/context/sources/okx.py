"""OKX: funding and basis of perpetual swaps, by symbol as BTC-USDT-SWAP; pure.

`fundingTime` is when the rate is paid, `nextFundingTime` the payment after it: between them lies an interval.

References
----------
https://www.okx.com/docs-v5/en/#public-data-rest-api-get-funding-rate, -get-mark-price and
#public-data-rest-api-get-index-tickers, read 2026-11: 10 to 20 requests in 2 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

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

D = TypeVar("D")

OK: Final = "0"
UNKNOWN: Final = "51001"  # "Instrument ID does not exist"
DEFAULT_HOURS: Final = 8.0
MS_PER_HOUR: Final = 3_600_000
MARKS: Final = "/api/v5/public/mark-price?instType=SWAP"


class Answer(msgspec.Struct, Generic[D]):
    """What every answer is."""

    code: str
    msg: str = ""
    data: list[D] = []


class Funding(msgspec.Struct):
    """A row of funding-rate."""

    fundingRate: str  # noqa: N815 -- the venue's names, here and below
    fundingTime: str  # noqa: N815
    nextFundingTime: str = ""  # noqa: N815
    ts: str = ""


class Mark(msgspec.Struct):
    """A row of mark-price."""

    instId: str  # noqa: N815
    markPx: str  # noqa: N815
    ts: str


class Index(msgspec.Struct):
    """A row of index-tickers."""

    instId: str  # noqa: N815
    idxPx: str  # noqa: N815
    ts: str


def funding_path(symbol: str) -> str:
    """Return where the funding of a symbol's swap is."""
    return f"/api/v5/public/funding-rate?instId={symbol}-SWAP"


def index_path(symbol: str) -> str:
    """Return where a symbol's index is."""
    return f"/api/v5/market/index-tickers?instId={symbol}"


def requests(symbols: Collection[str]) -> tuple[Get, ...]:
    """Return what to ask: all marks, and of each symbol its funding and its index."""
    each = [Get(path(symbol)) for symbol in sorted(symbols) for path in (funding_path, index_path)]
    return (Get(MARKS), *each) if symbols else ()


def read(replies: Mapping[str, bytes], symbols: Collection[str], _now: int) -> Reading:
    """Return funding and basis of the symbols that have a swap.

    Raises
    ------
    MalformedError
        If the list of marks has another form.
    """
    marks = {row.instId: row for row in _rows(replies[MARKS], Mark)}
    if not marks:
        raise MalformedError("the answer lists no perpetual")
    reading = Reading()
    for symbol in sorted(symbols):
        if (mark := marks.get(f"{symbol}-SWAP")) is None:
            continue
        for part in (_funding, _basis):
            try:
                reading.values += part(symbol, mark, replies)
            except MalformedError as error:
                reading.faults.append(f"{symbol}: {error}")
    return reading


def _funding(symbol: str, _mark: Mark, replies: Mapping[str, bytes]) -> list[Value]:
    found = []
    for row in _rows(replies[funding_path(symbol)], Funding):
        due = positive(row.fundingTime, "fundingTime")
        after = positive(row.nextFundingTime, "nextFundingTime") if row.nextFundingTime else 0.0
        hours = (after - due) / MS_PER_HOUR if after > due else DEFAULT_HOURS
        rate = per_8_hours(number(row.fundingRate, "fundingRate"), hours)
        found.append(Value(symbol, "fundingRate", rate, _ns(row.ts)))
    return found


def _basis(symbol: str, mark: Mark, replies: Mapping[str, bytes]) -> list[Value]:
    return [
        Value(
            symbol,
            "basisBps",
            basis_bps(positive(mark.markPx, "markPx"), positive(index.idxPx, "idxPx")),
            min(_ns(mark.ts), _ns(index.ts)),
        )
        for index in _rows(replies[index_path(symbol)], Index)
        if index.instId == symbol
    ]


def _ns(ms: str) -> int:
    return int(positive(ms, "ts")) * NS_PER_MS


def _rows(body: bytes, row: type[D]) -> list[D]:
    answer = parsed(body, Answer[row])  # type: ignore[valid-type]  # a form made of a value
    if answer.code == UNKNOWN:
        return []
    if answer.code != OK:
        raise MalformedError(f"refused with code {answer.code[:8]}: {answer.msg[:100]}")
    return answer.data


SOURCE: Final = Source(
    name="okx",
    names=("fundingRate", "basisBps"),
    host="https://www.okx.com",
    simulated="okx",
    period_s=10.0,
    oldest_s=60.0,
    rate=Rate(tokens=5, burst=10),
    requests=requests,
    read=read,
)
