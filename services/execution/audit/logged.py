"""What an execution's audit entries say of its decisions: their inputs and what was decided; pure.

Candles are written as text, one a line, so that the canonical form of hundreds of them is cheap.
"""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from libs.common.events import Candle, Features
from libs.common.policy import Market
from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.events import BookTop

MOST_GONE: Final = 64  # candles that one look may have missed, for the lines of the others to be kept
COLUMNS: Final = ("open_ts", "open", "high", "low", "close", "volume", "trades")


class LoggedMarket(msgspec.Struct, frozen=True, kw_only=True):
    """A `Market` as the audit log keeps it; times are ns."""

    venue: str
    symbol: str
    minutes: str
    days: str
    features: Features | None
    ts: int = 0  # as of when; 0: an older version did not write it


class CandleLines:
    """Writes candles; of those that it wrote last under the same name it has the lines still."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], _Written] = {}

    def text(self, symbol: str, interval: str, candles: Sequence[Candle]) -> str:
        """Return the lines of these candles."""
        last = self._last.get((symbol, interval), _NOTHING)
        if last.candles is not candles:
            gone = _gone(last.candles, candles)
            lines = last.lines[gone:]
            lines += [_line(candle) for candle in candles[len(lines) :]]
            last = self._last[symbol, interval] = _Written(candles, lines, "\n".join(lines))
        return last.text


class _Written(NamedTuple):
    candles: Sequence[Candle]
    lines: list[str]  # of these
    text: str


_NOTHING: Final = _Written((), [], "")


def _gone(before: Sequence[Candle], now: Sequence[Candle]) -> int:
    """Return how many of the first of `before` are none of `now`, which goes on with the rest; or all."""
    for gone in range(min(len(before), MOST_GONE)):
        left = len(before) - gone
        if now and before[gone] is now[0] and left <= len(now) and all(map(is_, before[gone:], now)):
            return gone
    return len(before)


def logged_market(market: Market, venue: str, symbol: str, lines: CandleLines) -> LoggedMarket:
    """Return what a policy saw, as it is logged."""
    return LoggedMarket(
        venue=venue,
        symbol=symbol,
        minutes=lines.text(symbol, "1m", market.minutes),
        days=lines.text(symbol, "1d", market.days),
        features=market.features,
        ts=market.ts,
    )


def market_of(logged: LoggedMarket) -> Market:
    """Return what the policy saw."""
    return Market(
        symbol=logged.symbol,
        ts=logged.ts,
        minutes=_candles(logged, "1m", logged.minutes),
        days=_candles(logged, "1d", logged.days),
        features=logged.features,
    )


def decision(inputs: object, output: object, **others: object) -> Mapping[str, object]:
    """Return the payload of a decision that can be made again."""
    return {"inputs": inputs, "output": output, **others}


def seen(top: BookTop) -> Mapping[str, object]:
    """Return which state of which book was used."""
    return {
        "venue": top.venue,
        "epoch": top.epoch,
        "seq": top.seq,
        "receivedMs": top.received_ts // NS_PER_MS,
    }


def _line(candle: Candle) -> str:
    # in the order of COLUMNS; spelt out, as a loop over names takes three times as long
    return (
        f"{candle.open_ts},{candle.open!r},{candle.high!r},{candle.low!r},{candle.close!r},{candle.volume!r},"
        f"{candle.trades}"
    )


def _candles(logged: LoggedMarket, interval: str, text: str) -> tuple[Candle, ...]:
    rows = (dict(zip(COLUMNS, line.split(","), strict=True)) for line in text.splitlines())
    common = {"venue": logged.venue, "symbol": logged.symbol, "interval": interval, "closed": True}
    return tuple(msgspec.convert({"type": "Candle", **common, **row}, Candle, strict=False) for row in rows)
