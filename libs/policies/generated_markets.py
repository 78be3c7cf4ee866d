"""Markets on which a policy is checked: seeded random walks, and what real ones do to the unprepared; pure.

Each kind is one path of prices, cut at several moments: of two markets of a kind the later one holds all that
the earlier one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.random import Generator, Philox

from libs.common.events import Candle, Features
from libs.common.policy import Book, Market
from libs.common.time_units import DAY_S, MINUTE_NS, NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from libs.common.events import Interval

SYMBOL: Final = "BTC-USDT"
VENUES: Final = ("binance", "coinbase", "kraken")
BEGIN_TS: Final = 1_700_006_400 * NS_PER_S  # a UTC midnight
DAY_NS: Final = DAY_S * NS_PER_S
MINUTES: Final = 180
DAYS: Final = 120
CUTS: Final = (0, 1, 2, 5, 60)  # minutes after the first market of a kind
LEVELS: Final = 20
NEAR: Final = 1e-3  # of the mid: within it a level counts for the depth


class Kind(NamedTuple):
    """A kind of market."""

    name: str
    price: float = 30_000.0  # quote units
    sigma: float = 5e-4  # of a minute's log return
    missing: float = 0.0  # share of the candles that nobody told
    minutes: int = MINUTES
    days: int = DAYS
    books: int = len(VENUES)


KINDS: Final = (
    Kind("a random walk"),
    Kind("holes in the candles", missing=0.3),
    Kind("no candle", minutes=0, days=0),
    Kind("one candle", minutes=1, days=1),
    Kind("no book", books=0),
    Kind("one book", books=1),
    Kind("a price that stands still", sigma=0.0),
    Kind("tiny prices", price=1e-8),
    Kind("huge prices", price=1e9),
    Kind("a violent market", sigma=0.1),
    Kind("nothing at all", minutes=0, days=0, books=0),
)


class Case(NamedTuple):
    """A market, and what it is for people."""

    name: str
    market: Market


def cases(symbol: str = SYMBOL, seed: int = 1) -> list[Case]:
    """Return the markets, those of a kind by ascending time."""
    return [case for place, kind in enumerate(KINDS) for case in _of(kind, symbol, (seed, place))]


def _of(kind: Kind, symbol: str, key: tuple[int, int]) -> Iterator[Case]:
    rng = Generator(Philox(key=key[0] * len(KINDS) + key[1]))
    minutes = _candles(rng, kind, symbol, "1m", max(CUTS) + kind.minutes if kind.minutes else 0)
    days = _candles(rng, kind, symbol, "1d", kind.days)
    kept = rng.random(len(minutes)) >= kind.missing
    for cut in CUTS:
        seen = minutes[: len(minutes) - (max(CUTS) - cut)] if minutes else []
        end_ts = seen[-1].open_ts + MINUTE_NS if seen else BEGIN_TS + cut * MINUTE_NS
        mid = seen[-1].close if seen else kind.price
        told = [candle for candle, is_told in zip(seen, kept, strict=False) if is_told]
        venues = VENUES[: kind.books]
        books = {venue: _book(rng, venue, mid, end_ts) for venue in venues}
        market = Market(
            symbol=symbol,
            ts=end_ts + NS_PER_S,
            minutes=tuple(told[-kind.minutes :]) if kind.minutes else (),
            days=tuple(days),
            features=books[venues[0]].features if venues else None,
            books=books,
        )
        yield Case(f"{kind.name}, minute {cut}", market)


def _candles(rng: Generator, kind: Kind, symbol: str, interval: Interval, count: int) -> list[Candle]:
    step = MINUTE_NS if interval == "1m" else DAY_NS
    sigma = kind.sigma if interval == "1m" else min(40 * kind.sigma, 0.3)
    begin = BEGIN_TS if interval == "1m" else BEGIN_TS - count * DAY_NS
    # Bounded: a walk of violent steps may reach prices that no candle has.
    walk = np.clip(np.cumsum(rng.normal(0.0, sigma, size=count)), -20.0, 20.0)
    closes = kind.price * np.exp(walk)
    spread = np.exp(np.abs(rng.normal(0.0, sigma, size=count)))
    volumes = rng.gamma(2.0, 5.0, size=count) * (rng.random(count) > 0.05)  # noqa: PLR2004 -- some are empty
    found, before = [], kind.price
    for n in range(count):
        close = float(closes[n])
        high, low = max(before, close) * float(spread[n]), min(before, close) / float(spread[n])
        found.append(
            Candle(
                venue=VENUES[0],
                symbol=symbol,
                interval=interval,
                open_ts=begin + n * step,
                open=before,
                high=high,
                low=low,
                close=close,
                volume=float(volumes[n]),
                trades=int(volumes[n] * 3),
                closed=True,
            )
        )
        before = close
    return found


def _book(rng: Generator, venue: str, mid: float, ts: int) -> Book:
    steps = np.cumsum(rng.exponential(5e-5, size=(2, LEVELS)) + 1e-6, axis=1)
    sizes = rng.gamma(1.5, 1.0, size=(2, LEVELS)) + 1e-6
    bids = [(mid * (1 - float(s)), float(q)) for s, q in zip(steps[0], sizes[0], strict=True)]
    asks = [(mid * (1 + float(s)), float(q)) for s, q in zip(steps[1], sizes[1], strict=True)]
    return Book(
        venue=venue,
        bids=tuple(bids),
        asks=tuple(asks),
        features=_features(bids, asks),
        epoch=ts // 1_000_000,
        seq=int(rng.integers(1, 1_000_000)),
        received_ts=ts,
    )


def _features(bids: Sequence[tuple[float, float]], asks: Sequence[tuple[float, float]]) -> Features:
    (bid, bid_size), (ask, ask_size) = bids[0], asks[0]
    mid = (bid + ask) / 2
    near = [sum(q for p, q in side if abs(p - mid) <= NEAR * mid) for side in (bids, asks)]
    top = [sum(q for _, q in side[:5]) for side in (bids, asks)]
    return Features(
        mid=mid,
        microprice=(bid * ask_size + ask * bid_size) / (bid_size + ask_size),
        spread_bps=1e4 * (ask - bid) / mid,
        obi=(top[0] - top[1]) / (top[0] + top[1]),
        depth_bid=near[0],
        depth_ask=near[1],
        depth_truncated=False,
    )
