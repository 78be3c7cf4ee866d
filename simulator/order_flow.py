"""The traders of one book: quotes that follow the latent price, orders that take them, and noise.

Whoever trades here knows a little of the next seconds, so the imbalance of quotes and trades leads the price.
Each action is one event of the exchange: it changes a few levels and gets one update id.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, floor, log, sqrt, tanh
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.exchange_book import BookChange, ExchangeBook, Side
from simulator.latent import FLOW, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from libs.common.venues.venue import Instrument
    from simulator.exchange_book import Level, SideName
    from simulator.latent import LatentPrices
    from simulator.profiles import SymbolProfile, VenueProfile

LEAD_NS: Final = 4 * NS_PER_S  # how far the informed look ahead
_INFORMED: Final = 0.7  # weight of what they know
_NOISE: Final = 1.0  # weight of what only looks like it
_NOISE_S: Final = 3.0  # memory of the noise, seconds
_BIAS_S: Final = 120.0  # memory of the venue's price bias, seconds
_SIZE_LEAN: Final = 0.6  # log size a full lean adds to the favoured side's quotes
_TRADE_LEAN: Final = 0.35  # probability a full lean adds to its side of the trades

_STALE: Final = 0.35  # a quote nearer to the price than this many half-spreads is picked off or pulled
_WIDE: Final = 1.8  # a best quote further than this many half-spreads is improved
_TRADE, _RESIZE, _PLACE = 0.10, 0.60, 0.80  # cumulated shares of the noise actions; the rest cancels
_DISTANCES_BPS: Final = (
    (0.50, 4.0),
    (0.85, 40.0),
    (1.0, 250.0),
)  # cumulated share, mean distance of new quotes
_DEEP_BPS: Final = 100.0  # how far the quotes of a book reach that is deeper than its profile's
_DEEP_TICKS: Final = 2  # prices for each of those quotes, where the tick is too coarse for that
_DEEPEST: Final = 0.9  # of the price
_TRIES: Final = 4  # to find a price without a quote
_SIZE_SD: Final = 0.9  # of log sizes
_TRADE_SIZE: Final = 0.05  # median order that takes, in typical levels
_TRADE_SD: Final = 1.3  # of its logarithm: a few are many times the median
_SENSE_NS: Final = 10_000_000  # traders look at the world at most this often
_EVEN: Final = 0.5
_BLOCK: Final = 4096  # random numbers drawn at once
_PARTS: Final = 32


@dataclass(frozen=True, slots=True)
class Ramp:
    """A shift of the log price: from one value to another within a time, then it stays."""

    begins_ns: int = 0
    ends_ns: int = 0
    start: float = 0.0
    goal: float = 0.0

    def at(self, ts_ns: int) -> float:
        """Return the shift at a time."""
        if ts_ns >= self.ends_ns:
            return self.goal
        share = max(0, ts_ns - self.begins_ns) / (self.ends_ns - self.begins_ns)
        return self.start + share * (self.goal - self.start)


@dataclass(frozen=True, slots=True)
class Pair:
    """One symbol at one venue, with everything its flow depends on."""

    venue: VenueProfile
    symbol: SymbolProfile
    instrument: Instrument
    column: int  # of the symbol in the latent prices


class OrderFlow:
    """Drives one book; the same seed and times give the same actions.

    Parameters
    ----------
    actions_per_s
        Mean number of actions per second, above zero.
    start_ns
        UTC; the book is built for this time.
    levels
        A side, on average; 0 is as many as the venue's profile has.
    """

    def __init__(
        self,
        pair: Pair,
        latent: LatentPrices,
        seed: int,
        index: int,
        actions_per_s: float,
        start_ns: int,
        levels: int = 0,
    ) -> None:
        self._pair = pair
        self._latent = latent
        self._gap_ns = NS_PER_S / actions_per_s
        self._tick = float(pair.instrument.tick)
        self._lot = float(pair.instrument.lot)
        self._level_notional = pair.venue.level_notional * pair.symbol.depth
        rng = stream(seed, FLOW, (start_ns // NS_PER_S) * 64 + index)
        self._uniform = _endless(lambda: rng.random(_BLOCK))
        self._normal = _endless(lambda: rng.standard_normal(_BLOCK))
        self._lag_ns = pair.venue.lag_ms * NS_PER_MS
        self._noise = 0.0
        self._bias = 0.0
        self._lean = 0.0
        self._shift = Ramp()
        self._levels = levels or pair.venue.levels
        self._deep_share = max(0.0, 1.0 - pair.venue.levels / self._levels)
        self._withheld: tuple[SideName, list[Level]] | None = None
        self._fair = self._price(start_ns)
        self._sensed_ns = start_ns
        self.next_ns = start_ns + int(-log(1.0 - next(self._uniform)) * self._gap_ns)
        # Ids rise across restarts: 10,000 a second is more than a book can use.
        self.book = ExchangeBook(pair.venue.venue, pair.symbol.symbol, start_ns // 100_000)
        self._build(start_ns)

    def step(self, now_ns: int) -> Iterator[BookChange]:
        """Yield the change of every action that is due, as it happens; a long silence is not made up for."""
        if now_ns - self.next_ns > NS_PER_S:
            self.next_ns = now_ns
        while self.next_ns <= now_ns:
            change = self._act(self.next_ns)
            if change is not None:
                yield change
            self.next_ns += 1 + int(-log(1.0 - next(self._uniform)) * self._gap_ns)

    def withhold(self, name: SideName, ts_ns: int) -> BookChange | None:
        """Take a side out of the book, until `give_back`; the other one goes on without trades."""
        if self._withheld is not None:
            return None
        side = self.book.bids if name == "bids" else self.book.asks
        self._withheld = (name, side.empty())
        return self.book.commit(ts_ns)

    def give_back(self, ts_ns: int) -> BookChange | None:
        """Put back the levels of the side that was withheld, but for those that the price has passed."""
        if self._withheld is None:
            return None
        (name, levels), self._withheld = self._withheld, None
        bids, fair = name == "bids", self._price(ts_ns)
        book = self.book
        side, other = (book.bids, book.asks) if bids else (book.asks, book.bids)
        for tick, lots in levels:
            if tick * side.sign > other.best * side.sign:
                side.set(tick, lots)
        if not side.keys:
            half = max(0.5, fair * self._pair.venue.spread_bps * 0.5e-4)
            lots = self._quote_lots(fair, 0.0, 0.0)
            if bids:
                book.place_bid(floor(fair - half), lots)
            else:
                book.place_ask(ceil(fair + half), lots)
        return book.commit(ts_ns)

    def drift(self, bps: float, lasts_ns: int, now_ns: int) -> None:
        """Let the price that this book follows move away from the latent one, and stay there."""
        here = self._shift.at(now_ns)
        self._shift = Ramp(now_ns, now_ns + lasts_ns, here, here + bps * 1e-4)

    def stay(self, begun_ns: int, now_ns: int) -> None:
        """End the drift that began then where it has come to, if no other has begun since."""
        if self._shift.begins_ns == begun_ns:
            self._shift = Ramp(goal=self._shift.at(now_ns))

    def _price(self, ts_ns: int) -> float:
        """Return the price this venue's traders believe in, in ticks."""
        value = self._latent.log_price(self._pair.column, ts_ns - self._lag_ns)
        return exp(value + self._bias * 1e-4 + self._shift.at(ts_ns)) / self._tick

    def _act(self, ts_ns: int) -> BookChange | None:
        if ts_ns - self._sensed_ns >= _SENSE_NS:
            self._lean = self._update_lean(ts_ns)
            self._fair = self._price(ts_ns)
            self._sensed_ns = ts_ns
        lean, fair = self._lean, self._fair
        half = max(0.5, fair * self._pair.venue.spread_bps * 0.5e-4)
        if self._withheld is not None:
            self._tend(fair, half, lean)
        elif not self._follow(fair, half, lean, ts_ns):
            self._trade_or_quote(fair, half, lean, ts_ns)
        return self.book.commit(ts_ns)

    def _update_lean(self, ts_ns: int) -> float:
        """Return the imbalance of this moment's flow, in (-1, 1); above zero wants to buy."""
        elapsed = (ts_ns - self._sensed_ns) / NS_PER_S
        memory = exp(-elapsed / _NOISE_S)
        self._noise = memory * self._noise + sqrt(1.0 - memory * memory) * next(self._normal)
        memory = exp(-elapsed / _BIAS_S)
        shock = sqrt(1.0 - memory * memory) * self._pair.venue.bias_bps
        self._bias = memory * self._bias + shock * next(self._normal)
        column, seen_ns = self._pair.column, ts_ns - self._lag_ns
        latent = self._latent
        ahead = latent.log_price(column, seen_ns + LEAD_NS) - latent.log_price(column, seen_ns)
        scale = latent.second_vol(column, ts_ns) * sqrt(LEAD_NS / NS_PER_S)
        return tanh(_INFORMED * ahead / scale + _NOISE * self._noise)

    def _tend(self, fair: float, half: float, lean: float) -> None:
        """Let the only side there is follow the price, and change a level of it."""
        is_bid = self.book.bids.keys != []
        side, favoured = (self.book.bids, lean) if is_bid else (self.book.asks, -lean)
        _pull(side, floor(fair - _STALE * half) if is_bid else ceil(fair + _STALE * half))
        if next(self._uniform) < _EVEN:
            self._place(is_bid=is_bid, fair=fair, half=half, favoured=favoured)
        else:
            self._resize(side, fair, favoured)

    def _follow(self, fair: float, half: float, lean: float, ts_ns: int) -> bool:
        """Pick off or pull stale quotes and improve wide ones; return whether anything was done."""
        book, done = self.book, False
        lowest_ask, highest_bid = ceil(fair + _STALE * half), floor(fair - _STALE * half)
        if book.asks.best < lowest_ask:
            done = True
            if next(self._uniform) < _TRADE_LEAN:
                book.take("buy", self._trade_lots(fair), lowest_ask - 1, ts_ns)
            _pull(book.asks, lowest_ask)
        elif book.bids.best > highest_bid:
            done = True
            if next(self._uniform) < _TRADE_LEAN:
                book.take("sell", self._trade_lots(fair), highest_bid + 1, ts_ns)
            _pull(book.bids, highest_bid)
        slack = _WIDE * half + 1.0
        if book.asks.best > fair + slack:
            done = True
            tick = ceil(fair + half * (0.8 + 0.6 * next(self._uniform)))
            book.place_ask(tick, self._quote_lots(fair, 0.0, -lean))
        if book.bids.best < fair - slack:
            done = True
            tick = floor(fair - half * (0.8 + 0.6 * next(self._uniform)))
            book.place_bid(tick, self._quote_lots(fair, 0.0, lean))
        return done

    def _trade_or_quote(self, fair: float, half: float, lean: float, ts_ns: int) -> None:
        book, kind = self.book, next(self._uniform)
        if kind < _TRADE:
            reach = ceil(fair * 20e-4)
            if next(self._uniform) < _EVEN + _TRADE_LEAN * lean:
                book.take("buy", self._trade_lots(fair), book.asks.best + reach, ts_ns)
            else:
                book.take("sell", self._trade_lots(fair), book.bids.best - reach, ts_ns)
            return
        is_bid = next(self._uniform) < _EVEN
        side, favoured = (book.bids, lean) if is_bid else (book.asks, -lean)
        if kind < _RESIZE:
            self._resize(side, fair, favoured)
        elif kind < _PLACE:
            self._place(is_bid=is_bid, fair=fair, half=half, favoured=favoured)
        # Cancels are as frequent as placements when the side has its usual number of levels.
        elif len(side) > max(1.0, next(self._uniform) * self._levels):
            side.set(side.keys[int(next(self._uniform) * len(side))] * side.sign, 0)

    def _resize(self, side: Side, fair: float, favoured: float) -> None:
        """Give a level near the top another size."""
        index = min(len(side) - 1, int(-log(1.0 - next(self._uniform)) * 5.0))
        tick = side.keys[index] * side.sign
        side.set(tick, self._quote_lots(fair, abs(tick - fair) / fair * 1e4, favoured))

    def _place(self, *, is_bid: bool, fair: float, half: float, favoured: float) -> None:
        side = self.book.bids if is_bid else self.book.asks
        for _ in range(_TRIES):
            distance_bps = self._distance_bps(fair)
            ticks = half + distance_bps * 1e-4 * fair
            tick = max(1, floor(fair - ticks)) if is_bid else ceil(fair + ticks)
            if tick * side.sign not in side.lots:
                break
        lots = self._quote_lots(fair, distance_bps, favoured)
        if is_bid:
            self.book.place_bid(tick, lots)
        else:
            self.book.place_ask(tick, lots)

    def _distance_bps(self, fair: float) -> float:
        which = next(self._uniform)
        if self._deep_share:
            if which < self._deep_share:
                ticks = max(_DEEP_BPS * 1e-4 * fair, _DEEP_TICKS * self._levels)
                return min(ticks, _DEEPEST * fair) / fair * 1e4 * next(self._uniform)
            which = (which - self._deep_share) / (1.0 - self._deep_share)
        mean = next(mean for share, mean in _DISTANCES_BPS if which < share)
        return -log(1.0 - next(self._uniform)) * mean

    def _quote_lots(self, fair: float, distance_bps: float, favoured: float) -> int:
        """Return a size that grows with the distance, and with the flow's favour near the top."""
        log_size = _SIZE_SD * next(self._normal) + log(1.0 + min(distance_bps, 400.0) / 20.0)
        if distance_bps < 5.0:  # noqa: PLR2004 - bps: only quotes near the top know the flow
            log_size += _SIZE_LEAN * favoured
        return self._lots(fair, exp(log_size - 0.5 * _SIZE_SD**2))

    def _trade_lots(self, fair: float) -> int:
        """Return the size of an order that takes."""
        return self._lots(fair, _TRADE_SIZE * exp(_TRADE_SD * next(self._normal)))

    def _lots(self, fair: float, levels: float) -> int:
        """Return a number of typical levels in lots, at least one."""
        return max(1, int(levels * self._level_notional / (fair * self._tick * self._lot)))

    def _build(self, ts_ns: int) -> None:
        """Fill an empty book around the price of its first moment."""
        fair = self._fair
        half = max(0.5, fair * self._pair.venue.spread_bps * 0.5e-4)
        self.book.place_bid(floor(fair - half), self._quote_lots(fair, 0.0, 0.0))
        self.book.place_ask(ceil(fair + half), self._quote_lots(fair, 0.0, 0.0))
        for _ in range(self._levels):
            self._place(is_bid=True, fair=fair, half=half, favoured=0.0)
            self._place(is_bid=False, fair=fair, half=half, favoured=0.0)
        self.book.commit(ts_ns)


def _pull(side: Side, limit_tick: int) -> None:
    """Cancel the quotes better than a limit, but never the last of a side."""
    limit = limit_tick * side.sign
    while len(side) > 1 and side.keys[0] < limit:
        side.set(side.best, 0)


def _endless(draw: Callable[[], NDArray[np.float64]]) -> Iterator[float]:
    """Yield numbers one by one, drawn a block at a time, of which only a part is objects."""
    while True:
        for part in np.split(draw(), _PARTS):
            yield from part.tolist()
