"""`Ladder`: the synthetic book around a price, as a depth profile has it; pure.

Both sides are alike, so the book says nothing of where its price goes: its imbalance is 0, and its microprice
the mid. Each of at most `LEVELS` levels a side stands at its distance of the profile, in whole ticks, and
holds what the profile has between it and the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from libs.common.events import BookTop, Features
from libs.common.instruments import instrument_of

if TYPE_CHECKING:
    from decimal import Decimal

    from backtest.sources.depth import DepthProfile
    from libs.common.events import Level

LEVELS: Final = 50  # as many as a top has
NEAREST_BPS: Final = 0.05  # of the second level
DEPTH_BPS: Final = 10.0  # of `Features.depth_bid`, from the mid
_BPS: Final = 1e-4
_FIRST: Final = np.ones(1, bool)


class _Shape(NamedTuple):
    """What a top shows at one price."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    features: Features


class Ladder:
    """The books of one market; changes in place.

    Parameters
    ----------
    scale
        What the profile's depth is multiplied by.
    """

    def __init__(
        self, venue: str, symbol: str, profile: DepthProfile, epoch: int, scale: float = 1.0
    ) -> None:
        instrument = instrument_of(venue, symbol)
        self.venue, self.symbol, self.epoch, self.seq = venue, symbol, epoch, 0
        self._tick, self._lot = float(instrument.tick), float(instrument.lot)
        self._ticks_per_unit, self._lots_per_unit = _per_unit(instrument.tick), _per_unit(instrument.lot)
        self._half = profile.spread_bps / 2 * _BPS
        reach = profile.distances_bps[-1]
        away = np.append(0.0, np.geomspace(min(NEAREST_BPS, reach / 2), reach, LEVELS - 1))
        self._away = away * _BPS
        held = np.interp(away, profile.distances_bps, profile.notional) * scale
        self._notional = np.diff(held, prepend=0.0)
        self._truncated = reach + profile.spread_bps / 2 < DEPTH_BPS
        self._price = 0.0
        self._shape: _Shape | None = None

    def top(self, price: float, ts: int) -> BookTop:
        """Return the book around a price (quote units, over 0), as of a time (ns UTC)."""
        if price != self._price or self._shape is None:
            self._price, self._shape = price, self._shaped(price)
        self.seq += 1
        bids, asks, features = self._shape
        return BookTop(
            venue=self.venue,
            symbol=self.symbol,
            epoch=self.epoch,
            seq=self.seq,
            venue_seq=None,
            bids=bids,
            asks=asks,
            features=features,
            venue_ts=ts,
            received_ts=ts,
        )

    def _shaped(self, price: float) -> _Shape:
        best_bid = max(1, round(price * (1 - self._half) / self._tick))
        best_ask = max(best_bid + 1, round(price * (1 + self._half) / self._tick))
        steps = np.rint(self._away * (price / self._tick))
        lots = np.rint(self._notional / (price * self._lot))
        first = np.concatenate((_FIRST, steps[1:] != steps[:-1]))
        if not first.all():
            starts = first.nonzero()[0]
            steps, lots = steps[starts], np.add.reduceat(lots, starts)
        lots[0] = max(1.0, lots[0])  # the best level is there
        there = (lots > 0) & (steps < best_bid)
        steps, lots = steps[there], lots[there]
        sizes = (lots / self._lots_per_unit).tolist()
        prices = ((best_bid - steps) / self._ticks_per_unit).tolist()
        bids = tuple(zip(prices, sizes, strict=True))
        prices = ((best_ask + steps) / self._ticks_per_unit).tolist()
        asks = tuple(zip(prices, sizes, strict=True))
        mid = (bids[0][0] + asks[0][0]) / 2
        depth_bid, depth_ask = _near(bids, mid), _near(asks, mid)
        features = Features(
            mid=mid,
            microprice=mid,
            spread_bps=(asks[0][0] - bids[0][0]) / mid / _BPS,
            obi=0.0,
            depth_bid=depth_bid,
            depth_ask=depth_ask,
            depth_truncated=self._truncated,
        )
        return _Shape(bids, asks, features)


def _near(levels: tuple[Level, ...], mid: float) -> float:
    """Return what stands within `DEPTH_BPS` of the mid."""
    width, held = mid * DEPTH_BPS * _BPS, 0.0
    for price, size in levels:
        if abs(price - mid) > width:
            break
        held += size
    return held


def _per_unit(step: Decimal) -> float:
    """Return how many steps make one: whole, so that a number of steps over it is the float of its digits."""
    per = 1 / step
    return float(per) if per == per.to_integral_value() or step > 1 else 1 / float(step)
