"""Books of several venues at one moment after the other: of the simulator, and of a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import fmean
from typing import TYPE_CHECKING, Final

from libs.common.events import BookTop, Features
from libs.common.venues import venue_of
from libs.common.venues.venue import Instrument
from services.l2.feeds.binance import BinanceFeed
from services.l2.feeds.binance_futures import BinanceFuturesFeed
from services.l2.feeds.venue_messages import VenueDelta, VenueTrade
from services.l2.maintainer import BookMaintainer
from simulator.latent import LatentPrices
from simulator.market import Market
from simulator.profiles import instrument_at
from simulator.recordings import RestReply, open_recording
from tests.recordings import BINANCE_SPOT, BINANCE_USDM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from libs.common.events import Level
    from services.l2.feeds.feed import Feed

SYMBOL: Final = "BTC-USDT"
STEP_NS: Final = 100_000_000
LEVELS: Final = 50  # a side, as tops carry
WITHIN: Final = 1e-3  # of the mid: the depth of a book
START_NS: Final = 1_770_000_000_000_000_000
BASIS_NS: Final = 60_000_000_000
RATE: Final = 400.0  # messages a second over all venues


@dataclass
class Frame:
    """All books at one moment."""

    ts: int  # ns
    tops: dict[str, BookTop]
    volumes: dict[str, float] = field(default_factory=dict)  # traded since the first frame, base units


def a_top(venue: str, bids: Sequence[Level], asks: Sequence[Level], ts: int) -> BookTop:
    """Return the top of a book of two sides."""
    mid = (bids[0][0] + asks[0][0]) / 2
    depth_bid = math.fsum(size for price, size in bids if price >= mid * (1 - WITHIN))
    depth_ask = math.fsum(size for price, size in asks if price <= mid * (1 + WITHIN))
    features = Features(
        mid=mid,
        microprice=mid,
        spread_bps=1e4 * (asks[0][0] - bids[0][0]) / mid,
        obi=0.0,
        depth_bid=depth_bid,
        depth_ask=depth_ask,
        depth_truncated=False,
    )
    return BookTop(
        venue=venue,
        symbol=SYMBOL,
        epoch=1,
        seq=ts // STEP_NS,
        venue_seq=None,
        bids=tuple(bids[:LEVELS]),
        asks=tuple(asks[:LEVELS]),
        features=features,
        venue_ts=ts,
        received_ts=ts,
    )


def simulated(seed: int, venues: Sequence[str], seconds: float) -> Iterator[Frame]:
    """Yield the simulator's books each 100 ms."""
    market = Market(
        LatentPrices(seed, (SYMBOL,)), venues=venues, rate=RATE, start_ns=START_NS, history_days=1
    )
    traded = dict.fromkeys(venues, 0.0)
    lots = {venue: float(instrument_at(venue, SYMBOL).lot) for venue in venues}
    ticks = {venue: instrument_at(venue, SYMBOL).tick for venue in venues}
    for at in range(1, round(seconds * 1e9 / STEP_NS)):
        ts = START_NS + at * STEP_NS
        for change in market.step(ts):
            traded[change.venue] += sum(each.lots for each in change.prints) * lots[change.venue]
        tops = {}
        for venue in venues:
            book, lot = market.book(venue, SYMBOL), instrument_at(venue, SYMBOL).lot
            bids, asks = (
                [(float(tick * ticks[venue]), float(count * lot)) for tick, count in side.levels(4 * LEVELS)]
                for side in (book.bids, book.asks)
            )
            if bids and asks:
                tops[venue] = a_top(venue, bids, asks, ts)
        yield Frame(ts, tops, dict(traded))


def has_recording() -> bool:
    """Whether the recording is there."""
    return all(path.is_file() for path in (*BINANCE_SPOT, BINANCE_USDM))


def recorded() -> Iterator[Frame]:
    """Yield Binance's spot and USD-M books of 2024-08-08 each 100 ms, while both were recorded.

    What the perpetual's price is beside the spot's lasts, and is no bargain: its prices are scaled by the
    ratio of the mids in the first minute.
    """
    first: list[Frame] = []
    scale = 0.0
    for frame in _recorded():
        if not scale:
            first.append(frame)
            if frame.ts - first[0].ts >= BASIS_NS:
                scale = fmean(_mid(each, "binance") / _mid(each, "binance-usdm") for each in first)
                yield from (_scaled(each, scale) for each in first)
            continue
        yield _scaled(frame, scale)


def _mid(frame: Frame, venue: str) -> float:
    features = frame.tops[venue].features
    assert features is not None
    return features.mid


def _scaled(frame: Frame, scale: float) -> Frame:
    top = frame.tops["binance-usdm"]
    bids, asks = ([(price * scale, size) for price, size in side] for side in (top.bids, top.asks))
    scaled = a_top(top.venue, bids, asks, frame.ts)
    return Frame(frame.ts, frame.tops | {top.venue: scaled}, frame.volumes)


def _recorded() -> Iterator[Frame]:
    books = [
        _Played(BinanceFeed(), BINANCE_SPOT[:1]),
        _Played(BinanceFuturesFeed("binance-usdm", "/fapi/v1"), (BINANCE_USDM,)),
    ]
    ts = max(book.begin for book in books) // STEP_NS * STEP_NS
    while all(book.to(ts) for book in books):
        tops = {
            book.venue: a_top(book.venue, book.levels("bid"), book.levels("ask"), ts)
            for book in books
            if book.maintainer.live
        }
        if len(tops) == len(books):
            yield Frame(ts, tops, {book.venue: book.traded for book in books})
        ts += STEP_NS


class _Played:
    """One book of a recording, at any moment later than the last."""

    def __init__(self, feed: Feed, paths: Sequence[Path]) -> None:
        self.venue, self.traded = feed.venue, 0.0
        self.maintainer = BookMaintainer(feed, SYMBOL, 0, 10_000, "bench")
        self.maintainer.sync(0, "a bench")
        self._feed = feed
        self._records = (record for path in paths for record in open_recording(path).records())
        self._next = next(self._records, None)
        assert self._next is not None
        self.begin = self._next.ts

    def levels(self, side: str) -> list[Level]:
        book = self.maintainer.book
        return list((book.bids if side == "bid" else book.asks)(4 * LEVELS))

    def to(self, ts: int) -> bool:
        """Play up to `ts`; false once the recording is over."""
        while self._next is not None and self._next.ts <= ts:
            record = self._next
            if isinstance(record, RestReply):
                self.maintainer.on_snapshot(self._feed.parse_snapshot(record.text.encode()), record.ts)
            else:
                for message in self._feed.parse(record.text.encode(), SYMBOL):
                    if isinstance(message, VenueDelta):
                        self.maintainer.on_delta(message, record.ts)
                    elif isinstance(message, VenueTrade):
                        self.traded += message.size
            self._next = next(self._records, None)
        return self._next is not None


def instrument_in(venue: str) -> Instrument:
    """Return what the venue demands; of the perpetual as Binance said in 2024."""
    if venue == "binance-usdm":
        return Instrument(venue, SYMBOL, Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(100))
    return instrument_at(venue, SYMBOL)


def fee_of(venue: str) -> float:
    """Return the taker fee of the table, bps."""
    return venue_of(venue).taker_bps
