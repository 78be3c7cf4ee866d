"""A seeded market of one book for tests of history, with what a naive reader of it knows of every message."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from libs.common.events import BookDelta, BookSnapshot, Candle, Trade
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_MS

if TYPE_CHECKING:
    from libs.common.events import Level

VENUE, SYMBOL = "binance", "BTC-USDT"
MIDNIGHT = 20_500 * DAY_NS
Book: TypeAlias = tuple[dict[float, float], dict[float, float]]


class Told(NamedTuple):
    """What a book's topic says, and the book after each message, by epoch and seq."""

    events: list[BookSnapshot | BookDelta]
    books: dict[tuple[int, int], Book]


def a_market(  # noqa: PLR0913 -- what a test may vary
    messages: int = 600,
    *,
    seed: int = 1,
    begin: int = MIDNIGHT - 20 * MINUTE_NS,
    step_ns: int = 4_000 * NS_PER_MS,
    digits: int = 2,
    keyframe_every: int = 50,
    epoch_every: int = 250,
    venue: str = VENUE,
) -> Told:
    """Return a random book that begins anew now and then, and repeats keyframes."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    events: list[BookSnapshot | BookDelta] = []
    books: dict[tuple[int, int], Book] = {}
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    epoch = seq = 0
    ts = begin
    for at in range(messages):
        ts += int(draw.integers(1, step_ns))
        if at % epoch_every == 0:
            bids, asks = _side(draw, -1, digits), _side(draw, 1, digits)
            epoch, seq = ts // NS_PER_MS, 1
            events.append(_snapshot(venue, epoch, seq, bids, asks, ts, reason="resync"))
        else:
            seq += 1
            changes = (_changes(draw, bids, -1, digits), _changes(draw, asks, 1, digits))
            for held, changed in zip((bids, asks), changes, strict=True):
                for price, size in changed:
                    held[price] = size
                    if not size:
                        del held[price]
            events.append(
                BookDelta(
                    venue=venue,
                    symbol=SYMBOL,
                    epoch=epoch,
                    seq=seq,
                    venue_seq=7 * at if at % 3 else None,
                    bids=changes[0],
                    asks=changes[1],
                    venue_ts=ts - NS_PER_MS if at % 5 else None,
                    received_ts=ts,
                )
            )
        books[epoch, seq] = (dict(bids), dict(asks))
        if at % keyframe_every == keyframe_every - 1:
            events.append(_snapshot(venue, epoch, seq, bids, asks, ts, reason="keyframe"))
    return Told(events, books)


def without_keyframes(told: Told) -> list[BookSnapshot | BookDelta]:
    """Return what a day holds of it: a repeated keyframe says nothing new."""
    return [each for each in told.events if isinstance(each, BookDelta) or each.reason == "resync"]


def trades_of(told: Told, seed: int = 2) -> list[Trade]:
    """Return a trade with every second message."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    return [
        Trade(
            venue=each.venue,
            symbol=each.symbol,
            trade_id=str(1000 + number),
            price=round(float(draw.uniform(99, 101)), 2),
            size=round(float(draw.uniform(0.01, 3)), 5),
            side="buy" if number % 3 else "sell",
            venue_ts=each.received_ts - NS_PER_MS,
            received_ts=each.received_ts,
        )
        for number, each in enumerate(told.events[::2])
    ]


def candles_of(first: int, count: int, interval: str = "1m", venue: str = VENUE) -> list[Candle]:
    """Return closed candles in a row, from a time (ns) on."""
    length = MINUTE_NS if interval == "1m" else DAY_NS
    return [
        Candle(
            venue=venue,
            symbol=SYMBOL,
            interval="1m" if interval == "1m" else "1d",
            open_ts=first + at * length,
            open=100.0 + at,
            high=103.5 + at,
            low=99.25,
            close=101.1 + at / 3,
            volume=12.5 * at,
            trades=at,
            closed=True,
        )
        for at in range(count)
    ]


def _side(draw: np.random.Generator, sign: int, digits: int) -> dict[float, float]:
    distances = np.unique(draw.integers(1, 400, 40))
    return {_price(sign, int(at), digits): _size(draw) for at in distances}


def _changes(
    draw: np.random.Generator, held: dict[float, float], sign: int, digits: int
) -> tuple[Level, ...]:
    deleted = [float(each) for each in draw.choice(sorted(held), 2, replace=False)] if len(held) > 30 else []
    prices = {_price(sign, int(at), digits) for at in draw.integers(1, 400, int(draw.integers(0, 5)))}
    return (*((price, 0.0) for price in deleted), *((price, _size(draw)) for price in prices - {*deleted}))


def _price(sign: int, distance: int, digits: int) -> float:
    return float(round(100 + sign * distance / 10**digits, digits))


def _size(draw: np.random.Generator) -> float:
    return round(float(draw.uniform(0.001, 20)), 6) or 1.0


def _snapshot(
    venue: str,
    epoch: int,
    seq: int,
    bids: dict[float, float],
    asks: dict[float, float],
    ts: int,
    *,
    reason: str,
) -> BookSnapshot:
    return BookSnapshot(
        venue=venue,
        symbol=SYMBOL,
        epoch=epoch,
        seq=seq,
        venue_seq=5,
        bids=tuple(sorted(bids.items(), reverse=True)),
        asks=tuple(sorted(asks.items())),
        venue_ts=ts,
        received_ts=ts,
        reason="resync" if reason == "resync" else "keyframe",
        owner="l2-0",
    )
