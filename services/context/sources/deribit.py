"""Deribit options: skew, volatility at the money and its slope over time, of BTC and ETH; pure.

Every option of a currency is in one answer: `mark_iv` in percent per year, `underlying_price` the forward of
its expiry, bids and asks in coin, null where there is none. Names are as BTC-28MAR25-90000-C; options expire
at 08:00 UTC. Other instruments of the answer, if any, are left out.

The interest rate of the answer is not used: the deltas are forward ones (services/context/black76.py).

References
----------
https://docs.deribit.com/api-reference/market-data/public-get_book_summary_by_currency, read 2026-11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.time_units import DAY_S, NS_PER_MS, NS_PER_S
from libs.common.token_bucket import Rate
from services.context.smile import smile_of, term_slope
from services.context.source import (
    Get,
    MalformedError,
    Reading,
    Source,
    Value,
    base_of,
    dollar_symbols,
    parsed,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from services.context.smile import Smile

CURRENCIES: Final = ("BTC", "ETH")
# To the nearest expiry that is used: of shorter ones, hours and pinning move the skew.
LEAST_DAYS: Final = 7.0
YEAR_S: Final = 365 * DAY_S
EXPIRES_AT_H: Final = 8  # UTC
OLDEST_S: Final = 120.0
MS_PER_S: Final = 1_000
MOST_IV: Final = 1_000.0  # percent
FORWARDS_APART: Final = 0.01  # fraction; more than rows of one expiry may differ
_NAME: Final = re.compile(r"([A-Z]+)-(\d{1,2})([A-Z]{3})(\d{2})-([1-9]\d{0,11})-([CP])")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class Summary(msgspec.Struct):
    """A row of get_book_summary_by_currency."""

    instrument_name: str
    creation_timestamp: int  # ms
    underlying_price: float | None = None
    mark_iv: float | None = None
    bid_price: float | None = None
    ask_price: float | None = None


class Answer(msgspec.Struct):
    """What an answer is, of JSON-RPC."""

    result: list[Summary]


@dataclass(slots=True)
class Expiry:
    """Usable options of one expiry: volatilities by strike."""

    ts: int  # ns UTC
    forwards: list[float] = field(default_factory=list)
    puts: dict[float, float] = field(default_factory=dict)
    calls: dict[float, float] = field(default_factory=dict)
    oldest_ts: int = 0


def path(currency: str) -> str:
    """Return where all options of a currency are."""
    return f"/api/v2/public/get_book_summary_by_currency?currency={currency}&kind=option"


def requests(symbols: Collection[str]) -> tuple[Get, ...]:
    """Return what to ask: the options of each currency that a symbol in dollars trades."""
    return tuple(Get(path(each)) for each in CURRENCIES if dollar_symbols(each, symbols))


def read(replies: Mapping[str, bytes], symbols: Collection[str], now: int) -> Reading:
    """Return skew, volatility and slope; one currency's fault leaves the other's values."""
    reading = Reading()
    for currency in CURRENCIES:
        if path(currency) not in replies:
            continue
        try:
            rows = parsed(replies[path(currency)], Answer).result
            _read_currency(currency, rows, dollar_symbols(currency, symbols), now, reading)
        except MalformedError as error:
            reading.faults.append(f"{currency}: {error}")
    return reading


def _read_currency(
    currency: str, rows: Sequence[Summary], symbols: Sequence[str], now: int, reading: Reading
) -> None:
    expiries = expiries_of(currency, rows, now)
    if not expiries:
        raise MalformedError(f"no usable option expires {LEAST_DAYS:g} days from now or later")
    near = expiries[0]
    smile = _smile(near, now)
    for name, value in (("rr25", smile.rr25), ("atmVol", smile.atm)):
        reading.values += [Value(symbol, name, value, near.oldest_ts) for symbol in symbols]
    if len(expiries) == 1:
        raise MalformedError("there is no second expiry, so no slope")
    far = expiries[1]
    slope = term_slope(smile, _smile(far, now))
    reading.values += [
        Value(symbol, "termSlope", slope, min(near.oldest_ts, far.oldest_ts)) for symbol in symbols
    ]


def expiries_of(currency: str, rows: Sequence[Summary], now: int) -> list[Expiry]:
    """Return the expiries that may be used at `now`, the nearest first, each with its usable options."""
    found: dict[int, Expiry] = {}
    latest = max((row.creation_timestamp for row in rows), default=0)
    for row in rows:
        if latest - row.creation_timestamp > OLDEST_S * MS_PER_S:  # if all are old, so is what they give
            continue
        name = _NAME.fullmatch(row.instrument_name)
        if name is None or base_of(row.instrument_name) != currency:
            continue
        expires = expiry_ts(name[2], name[3], name[4])
        if expires is None or expires - now <= LEAST_DAYS * DAY_S * NS_PER_S:
            continue
        if row.underlying_price is None or row.underlying_price <= 0 or not _is_usable(row):
            continue
        expiry = found.setdefault(expires, Expiry(expires))
        side = expiry.calls if name[6] == "C" else expiry.puts
        side[float(name[5])] = (row.mark_iv or 0.0) / 100
        expiry.forwards.append(row.underlying_price)
        said = row.creation_timestamp * NS_PER_MS
        expiry.oldest_ts = min(expiry.oldest_ts or said, said)
    return [found[ts] for ts in sorted(found)]


def expiry_ts(day: str, month: str, year: str) -> int | None:
    """Return when an option of this date expires, ns UTC; None where there is no such day."""
    try:
        date = datetime(2000 + int(year), _MONTHS.index(month) + 1, int(day), EXPIRES_AT_H, tzinfo=UTC)
    except ValueError:
        return None
    return int(date.timestamp()) * NS_PER_S


def _is_usable(row: Summary) -> bool:
    """Tell whether a row has a volatility, and quotes that are not crossed."""
    if row.mark_iv is None or not 0 < row.mark_iv <= MOST_IV:
        return False
    return not (row.bid_price and row.ask_price and row.bid_price >= row.ask_price)


def _smile(expiry: Expiry, now: int) -> Smile:
    F = median(expiry.forwards)  # noqa: N806 -- textbook
    if max(expiry.forwards) > min(expiry.forwards) * (1 + FORWARDS_APART):
        raise MalformedError("options of one expiry have forwards that are more than 1 % apart")
    return smile_of(F, (expiry.ts - now) / (YEAR_S * NS_PER_S), expiry.puts, expiry.calls)


SOURCE: Final = Source(
    name="deribit",
    names=("rr25", "atmVol", "termSlope"),
    host="https://www.deribit.com",
    simulated="deribit",
    period_s=30.0,
    oldest_s=OLDEST_S,
    rate=Rate(tokens=1, burst=4),
    requests=requests,
    read=read,
)
