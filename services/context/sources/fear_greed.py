"""The Fear & Greed index of alternative.me: one number a day for the whole market; pure.

References
----------
https://alternative.me/crypto/fear-and-greed-index/ (API), read 2026-11: value from 0, extreme fear, to 100,
extreme greed, and its timestamp in seconds, both as text; 60 requests a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.time_units import DAY_S, NS_PER_S
from libs.common.token_bucket import Rate
from libs.common.told import EVERY_SYMBOL
from services.context.source import Get, MalformedError, Reading, Source, Value, number, parsed, positive

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PATH: Final = "/fng/?limit=1"
MIDDLE: Final = 50.0


class Day(msgspec.Struct):
    """A row of the index."""

    value: str
    timestamp: str  # s


class Answer(msgspec.Struct):
    """What an answer is."""

    data: list[Day]


def requests(symbols: Collection[str]) -> tuple[Get, ...]:
    """Return what to ask: the newest day."""
    return (Get(PATH),) if symbols else ()


def read(replies: Mapping[str, bytes], _symbols: Collection[str], _now: int) -> Reading:
    """Return the sentiment of every symbol: (value - 50) / 50, so -1 is extreme fear.

    Raises
    ------
    MalformedError
        If the answer cannot be used.
    """
    days = parsed(replies[PATH], Answer).data
    if not days:
        raise MalformedError("the answer has no day")
    score = (number(days[0].value, "value") - MIDDLE) / MIDDLE
    ts = int(positive(days[0].timestamp, "timestamp")) * NS_PER_S
    return Reading([Value(EVERY_SYMBOL, "sentiment", score, ts)])


SOURCE: Final = Source(
    name="fear-greed",
    names=("sentiment",),
    host="https://api.alternative.me",
    simulated="",
    period_s=600.0,
    oldest_s=2.0 * DAY_S,
    rate=Rate(tokens=1, burst=2),
    requests=requests,
    read=read,
)
