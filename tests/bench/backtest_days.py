"""Days of history for the benchmark of backtests: a seeded walk as candles, and a book around it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from libs.common.events import BookDelta, BookSnapshot, Candle
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.history.faults import FaultReport
from libs.history.writer import DayWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from libs.common.events import Interval, Level

VENUE: Final = "binance"
BEGIN: Final = 20_000 * DAY_NS  # of the run; the days and minutes before it are history
PRICES: Final[Mapping[str, float]] = {"BTC-USDT": 60_000.0, "ETH-USDT": 2500.0, "SOL-USDT": 150.0}
DAYS_BEFORE: Final = 130
MINUTES_BEFORE: Final = 2880
LEVELS: Final = 200  # of a side, a hundredth of a percent of them changed by each message
TICK: Final = 0.01
STEP_NS: Final = 100 * NS_PER_MS
DEVIATION: Final = 4e-4  # of a minute's log return


def write_candles(root: Path, minutes: int) -> None:
    """Write the candles of all symbols: days and minutes before `BEGIN`, and so many minutes from it on."""
    with DayWriter(root, FaultReport(), source="bench") as days:
        for symbol, price in PRICES.items():
            for candle in _candles(symbol, price, minutes):
                days.write(candle)


def write_book(root: Path, messages: int, changes: int) -> None:
    """Write a book of BTC-USDT that begins at `BEGIN`: a snapshot, then messages 100 ms apart."""
    with DayWriter(root, FaultReport(), source="bench") as days:
        for message in _messages(messages, changes):
            days.write(message)


def _candles(symbol: str, price: float, minutes: int) -> Iterator[Candle]:
    random = Random(symbol)
    for n in range(-DAYS_BEFORE, 0):
        close = price * (1 + random.gauss(0, DEVIATION * 38))
        yield _candle(symbol, "1d", BEGIN + n * DAY_NS, price, close, random.uniform(500, 5000))
        price = close
    for n in range(-MINUTES_BEFORE, minutes):
        close = price * (1 + random.gauss(0, DEVIATION))
        yield _candle(symbol, "1m", BEGIN + n * MINUTE_NS, price, close, random.uniform(1, 40))
        price = close


def _candle(symbol: str, interval: Interval, open_ts: int, price: float, close: float, size: float) -> Candle:
    return Candle(
        venue=VENUE,
        symbol=symbol,
        interval=interval,
        open_ts=open_ts,
        open=round(price, 2),
        high=round(max(price, close), 2),
        low=round(min(price, close), 2),
        close=round(close, 2),
        volume=round(size, 5),
        trades=100,
        closed=True,
    )


def _messages(count: int, changes: int) -> Iterator[BookSnapshot | BookDelta]:
    random, symbol = Random(7), "BTC-USDT"
    mid, epoch = PRICES[symbol], BEGIN // NS_PER_MS
    bids, asks = (tuple(_level(mid, side * n, random) for n in range(1, LEVELS + 1)) for side in (-1, 1))
    yield BookSnapshot(
        venue=VENUE,
        symbol=symbol,
        epoch=epoch,
        seq=0,
        venue_seq=None,
        bids=bids,
        asks=asks,
        venue_ts=BEGIN,
        received_ts=BEGIN + NS_PER_MS,
        reason="resync",
    )
    for seq in range(1, count):
        ts = BEGIN + seq * STEP_NS
        changed = [random.randint(1, LEVELS) for _ in range(changes)]
        yield BookDelta(
            venue=VENUE,
            symbol=symbol,
            epoch=epoch,
            seq=seq,
            venue_seq=None,
            bids=tuple(_level(mid, -n, random) for n in {*changed[::2]}),
            asks=tuple(_level(mid, n, random) for n in {*changed[1::2]}),
            venue_ts=ts,
            received_ts=ts + NS_PER_MS,
        )


def _level(mid: float, ticks: int, random: Random) -> Level:
    return round(mid + TICK * ticks, 2), round(random.uniform(0.1, 9.9), 5)


def minutes_of(messages: int) -> int:
    """Return how many minutes so many messages of a book last, from the first that begins on."""
    return messages * STEP_NS // (60 * NS_PER_S) + 1
