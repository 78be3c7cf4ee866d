"""Stands in for sentiment and on-chain activity where no network is asked; its numbers mean nothing; pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from libs.common.told import STUB
from services.context.source import Get, Reading, Source, Value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

HOUR_NS: Final = 3_600 * NS_PER_S
NAMES: Final = ("sentiment", "onchain")


def requests(_symbols: Collection[str]) -> tuple[Get, ...]:
    """Return that nothing is asked."""
    return ()


def read(_replies: Mapping[str, bytes], symbols: Collection[str], now: int) -> Reading:
    """Return this hour's numbers: the same for the same symbol and hour, uniform in [-1, 1], from a hash."""
    hour = now // HOUR_NS
    return Reading(
        [
            Value(symbol, name, _drawn(name, symbol, hour), hour * HOUR_NS, (hour + 1) * HOUR_NS)
            for symbol in sorted(symbols)
            for name in NAMES
        ]
    )


def _drawn(name: str, symbol: str, hour: int) -> float:
    digest = hashlib.sha256(f"{name}/{symbol}/{hour}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / (2**31) - 1.0


SOURCE: Final = Source(
    name=STUB,
    names=NAMES,
    host="",
    simulated="",
    period_s=10.0,
    oldest_s=3_600.0,
    rate=None,
    requests=requests,
    read=read,
)
