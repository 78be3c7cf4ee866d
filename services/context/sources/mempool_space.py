"""mempool.space: what a transaction pays to be confirmed, of BTC; pure.

References
----------
https://mempool.space/docs/api/rest#get-recommended-fees, read 2026-11: sat/vB. The answer has no time of its
own: it is of the moment it is read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.token_bucket import Rate
from services.context.source import Get, Reading, Source, Value, dollar_symbols, parsed, positive

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PATH: Final = "/api/v1/fees/recommended"
MIDDLE: Final = 10.0  # sat/vB


class Fees(msgspec.Struct):
    """What an answer is."""

    halfHourFee: float  # noqa: N815 -- their name


def requests(symbols: Collection[str]) -> tuple[Get, ...]:
    """Return what to ask."""
    return (Get(PATH),) if dollar_symbols("BTC", symbols) else ()


def read(replies: Mapping[str, bytes], symbols: Collection[str], now: int) -> Reading:
    """Return the pressure of fees: log10(halfHourFee / 10 sat/vB) within -1 and 1.

    So 1 sat/vB, the least that is relayed as a rule, is -1, and 100 is 1.

    Raises
    ------
    MalformedError
        If the answer cannot be used.
    """
    fee = positive(parsed(replies[PATH], Fees).halfHourFee, "halfHourFee")
    score = max(-1.0, min(1.0, math.log10(fee / MIDDLE)))
    return Reading([Value(symbol, "onchain", score, now) for symbol in dollar_symbols("BTC", symbols)])


SOURCE: Final = Source(
    name="mempool-space",
    names=("onchain",),
    host="https://mempool.space",
    simulated="",
    period_s=600.0,
    oldest_s=600.0,
    rate=Rate(tokens=1, burst=2),
    requests=requests,
    read=read,
)
