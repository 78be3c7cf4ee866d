"""The simulator's latent price with a ladder of each venue's quotes around it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from libs.common.events import BookTop, Candle, Features
from libs.common.instruments import instrument_of
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_S
from simulator.latent import LatentPrices, stream
from simulator.order_flow import LEAD_NS
from simulator.profiles import VENUES, symbol_profile

if TYPE_CHECKING:
    from decimal import Decimal

LEVELS: Final = 50
EPOCH: Final = 1


class Ladder:
    """The quotes of one symbol at one venue: their distances from the price, and their sizes."""

    def __init__(self, venue: str, symbol: str) -> None:
        profile, of = VENUES[venue], symbol_profile(symbol)
        instrument = instrument_of(venue, symbol)
        self.venue, self.symbol = venue, symbol
        self._tick, self._lot = float(instrument.tick), float(instrument.lot)
        self._half = profile.spread_bps * 0.5e-4
        # A fifth of a profile's levels stand within 10 bps, and their sizes grow with the distance.
        step = 10e-4 / max(10.0, profile.levels * 0.2)
        self._distance = self._half + step * np.arange(LEVELS)
        self._notional = profile.level_notional * of.depth * (1 + 1e4 * self._distance / 20)
        self._decimals, self._size_decimals = _decimals(instrument.tick), _decimals(instrument.lot)
        self.seq = 0

    def top(self, price: float, lean: float, now: int) -> BookTop:
        """Return the book around `price` while the flow leans so, in (-1, 1)."""
        self.seq += 1
        bids = np.floor(price * (1 - self._distance) / self._tick + 1e-9) * self._tick
        asks = np.ceil(price * (1 + self._distance) / self._tick - 1e-9) * self._tick
        sizes = np.maximum(self._notional / price, self._lot)
        near = np.where(self._distance < 5e-4, 0.6 * lean, 0.0)
        bid_levels = self._levels(bids, sizes * np.exp(near))
        ask_levels = self._levels(asks, sizes * np.exp(-near))
        (b1, qb), (a1, qa) = bid_levels[0], ask_levels[0]
        mid = (b1 + a1) / 2
        Qb, Qa = math.fsum(q for _, q in bid_levels[:5]), math.fsum(q for _, q in ask_levels[:5])
        features = Features(
            mid=mid,
            microprice=b1 + (a1 - b1) * qb / (qb + qa),
            spread_bps=1e4 * (a1 - b1) / mid,
            obi=(Qb - Qa) / (Qb + Qa),
            depth_bid=math.fsum(q for p, q in bid_levels if p >= mid * (1 - 1e-3)),
            depth_ask=math.fsum(q for p, q in ask_levels if p <= mid * (1 + 1e-3)),
            depth_truncated=False,
        )
        return BookTop(
            venue=self.venue,
            symbol=self.symbol,
            epoch=EPOCH,
            seq=self.seq,
            venue_seq=None,
            bids=bid_levels,
            asks=ask_levels,
            features=features,
            venue_ts=now,
            received_ts=now,
        )

    def _levels(self, prices: Any, sizes: Any) -> tuple[tuple[float, float], ...]:
        summed: dict[float, float] = {}
        for price, size in zip(prices.tolist(), sizes.tolist(), strict=True):
            key = round(price, self._decimals)
            summed[key] = summed.get(key, 0.0) + size
        return tuple((price, round(size, self._size_decimals)) for price, size in summed.items())


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


class Market:
    """The prices of a stretch of the simulator's history, and the quotes around them."""

    def __init__(self, latent: LatentPrices, venues: tuple[str, ...]) -> None:
        self.latent, self.venues = latent, venues
        self.ladders = {
            (venue, symbol): Ladder(venue, symbol) for venue in venues for symbol in latent.symbols
        }

    def price(self, symbol: str, ts: int) -> float:
        """Return the price that all venues follow, quote units."""
        return math.exp(self.latent.log_price(self.latent.symbols.index(symbol), ts))

    def tops(self, now: int) -> list[BookTop]:
        """Return every book as it is now; its imbalance leads the price as the simulator's does."""
        tops = []
        for column, symbol in enumerate(self.latent.symbols):
            here, ahead = (self.latent.log_price(column, ts) for ts in (now, now + LEAD_NS))
            scale = self.latent.second_vol(column, now) * math.sqrt(LEAD_NS / NS_PER_S)
            noise = stream(self.latent.seed, 60 + column, now // NS_PER_S).standard_normal()
            lean = math.tanh(0.7 * (ahead - here) / scale + noise)
            tops += [self.ladders[venue, symbol].top(math.exp(here), lean, now) for venue in self.venues]
        return tops

    def candle(self, venue: str, symbol: str, interval: Any, open_ts: int, length: int) -> Candle:
        """Return a closed candle of the price; its volume is what a usual minute has."""
        column = self.latent.symbols.index(symbol)
        day, rest = divmod(open_ts, DAY_NS)
        first, last = rest // MINUTE_NS, (rest + length) // MINUTE_NS
        path = np.exp(self.latent.day(day).log_price[first : last + 1, column])
        profile, of = VENUES[venue], symbol_profile(symbol)
        notional = of.minute_notional * profile.volume_share * (length / MINUTE_NS)
        return Candle(
            venue=venue,
            symbol=symbol,
            interval=interval,
            open_ts=open_ts,
            open=float(path[0]),
            high=float(path.max()),
            low=float(path.min()),
            close=float(path[-1]),
            volume=notional / float(path[-1]),
            trades=100,
            closed=True,
        )
