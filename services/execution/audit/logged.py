"""What an execution's audit entries say of its decisions: their inputs and what was decided; pure.

Candles are written as text, one a line, so that the canonical form of hundreds of them is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from libs.common.audit_chain import jsonable
from libs.common.events import Candle, Features
from libs.common.policy import Market
from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.events import BookTop

COLUMNS: Final = ("open_ts", "open", "high", "low", "close", "volume", "trades")


class LoggedMarket(msgspec.Struct, frozen=True, kw_only=True):
    """A `Market` as the audit log keeps it; times are ns."""

    venue: str
    symbol: str
    minutes: str
    days: str
    features: Features | None
    ts: int = 0  # as of when; 0: an older version did not write it


def logged_market(market: Market, venue: str, symbol: str) -> LoggedMarket:
    """Return what a policy saw, as it is logged."""
    return LoggedMarket(
        venue=venue,
        symbol=symbol,
        minutes=_lines(market.minutes),
        days=_lines(market.days),
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


def decision(inputs: object, output: object, **others: object) -> Mapping[str, Any]:
    """Return the payload of a decision that can be made again."""
    return {"inputs": jsonable(inputs), "output": jsonable(output)} | {
        name: jsonable(value) for name, value in others.items()
    }


def seen(top: BookTop) -> Mapping[str, object]:
    """Return which state of which book was used."""
    return {
        "venue": top.venue,
        "epoch": top.epoch,
        "seq": top.seq,
        "receivedMs": top.received_ts // NS_PER_MS,
    }


def _lines(candles: Sequence[Candle]) -> str:
    # in the order of COLUMNS; spelt out, as a loop over names takes three times as long
    return "\n".join(
        [
            f"{candle.open_ts},{candle.open!r},{candle.high!r},{candle.low!r},{candle.close!r},{candle.volume!r},"
            f"{candle.trades}"
            for candle in candles
        ]
    )


def _candles(logged: LoggedMarket, interval: str, text: str) -> tuple[Candle, ...]:
    rows = (dict(zip(COLUMNS, line.split(","), strict=True)) for line in text.splitlines())
    common = {"venue": logged.venue, "symbol": logged.symbol, "interval": interval, "closed": True}
    return tuple(msgspec.convert({"type": "Candle", **common, **row}, Candle, strict=False) for row in rows)
