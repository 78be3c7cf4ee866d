"""Perpetual contracts of the simulated market: index, mark price, premium and funding, as of any time.

All of it is a function of seed, symbol, venue and time, as the latent price is; no venue has a book of them.

Symbols
-------
P : premium of a perpetual over its index, fraction of the index
I : interest rate of one funding interval, fraction
F : funding rate of one interval, fraction; above zero longs pay shorts
z : log return of the last eight hours, in standard deviations of a calm market
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, sqrt, tanh
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.time_units import NS_PER_S
from simulator.latent import CROWD, MINUTES, NS_DAY, NS_MINUTE, PREMIUM, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.latent import LatentPrices

    Floats = NDArray[np.float64]

PERPETUAL_VENUES: Final = ("binance-usdm", "okx", "bybit")
INTERVAL_HOURS: Final = 8
INTERVAL_NS: Final = INTERVAL_HOURS * 3600 * NS_PER_S
INTERVALS_A_YEAR: Final = 365 * 24 // INTERVAL_HOURS
INTEREST: Final = 0.0001  # I
CLAMP: Final = 0.0005  # the most that interest and premium may differ before F follows the premium
CAP: Final = 0.003  # of F, either way

# Whoever bets on the trend pays for it: P is 2 bp in a calm market and at most 10 bp more or less, and every
# venue differs a little each minute.
_CALM_PREMIUM: Final = 2e-4
_TREND_PREMIUM: Final = 10e-4
_VENUE_PREMIUM: Final = 0.5e-4
_TREND_MINUTES: Final = 480
# Of small accounts more than half are long, and the more of them the further the price has fallen in a day.
_CALM_LONGS: Final = 0.4  # log odds
_AGAINST_TREND: Final = 0.6
_CROWD_NOISE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Perpetual:
    """One contract at one time."""

    venue: str
    symbol: str
    ts_ns: int
    index: float  # quote units
    mark: float  # quote units
    premium: float  # P now, fraction
    average_premium: float  # fraction; of the running interval
    rate: float  # F as it would be settled now, fraction
    settled_rate: float  # F of the interval before
    next_ns: int  # when F is settled

    @property
    def basis_bps(self) -> float:
        """Mark over index, in basis points of the index."""
        return (self.mark / self.index - 1.0) * 1e4


def average_premium(premiums: Floats) -> float:
    """Return the mean of an interval's premiums so far, each weighted by its place: the newest counts most.

    References
    ----------
    Binance, "Introduction to Binance Futures Funding Rates": (1 P1 + 2 P2 + ... + n Pn) / (1 + ... + n).
    There a premium is taken every five seconds, here every minute.
    """
    weights = np.arange(1, len(premiums) + 1)
    return float(weights @ premiums / weights.sum())


def funding_rate(premium: float) -> float:
    """Return F for an average premium.

    References
    ----------
    The same: F = P + clamp(I - P, -0.05 %, 0.05 %), within the cap; I is 0.01 % per eight hours. OKX and
    Bybit publish the same formula.
    """
    rate = premium + min(max(INTEREST - premium, -CLAMP), CLAMP)
    return min(max(rate, -CAP), CAP)


class Perpetuals:
    """The contracts of every symbol at every venue of `PERPETUAL_VENUES`; pure."""

    def __init__(self, latent: LatentPrices) -> None:
        self._latent = latent
        self._columns = {symbol: column for column, symbol in enumerate(latent.symbols)}
        scale = sqrt(_TREND_MINUTES / MINUTES)
        self._trend_sd = {symbol: latent.day_vol[column] * scale for symbol, column in self._columns.items()}
        self._noise = lru_cache(maxsize=16)(self._make_noise)
        self._settled = lru_cache(maxsize=256)(self._settle)
        self._sampled = lru_cache(maxsize=256)(self._sample)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every canonical symbol, in the market's order."""
        return self._latent.symbols

    def index(self, symbol: str, ts_ns: int) -> float:
        """Return the fair spot price, quote units; what one exchange alone does does not move it."""
        return exp(self._latent.log_price(self._columns[symbol], ts_ns))

    def day_range(self, symbol: str, ts_ns: int) -> tuple[float, float, float]:
        """Return the index now, and its lowest and highest of a day by the minute, quote units."""
        index = self.index(symbol, ts_ns)
        path = self._latent.minutes(self._columns[symbol], ts_ns // NS_MINUTE - MINUTES + 1, MINUTES)
        return index, min(index, exp(path.min())), max(index, exp(path.max()))

    def trend(self, symbol: str, ts_ns: int) -> float:
        """Return z."""
        column, latent = self._columns[symbol], self._latent
        moved = latent.log_price(column, ts_ns) - latent.log_price(column, ts_ns - _TREND_MINUTES * NS_MINUTE)
        return float(moved / self._trend_sd[symbol])

    def premium(self, venue: str, symbol: str, ts_ns: int) -> float:
        """Return P."""
        day, rest = divmod(ts_ns, NS_DAY)
        noise = self._noise(venue, day)[rest // NS_MINUTE, self._columns[symbol]]
        lean = tanh(self.trend(symbol, ts_ns))
        return _CALM_PREMIUM + _TREND_PREMIUM * lean + _VENUE_PREMIUM * float(noise)

    def at(self, venue: str, symbol: str, ts_ns: int) -> Perpetual:
        """Return a contract as it is at a time."""
        index, premium = self.index(symbol, ts_ns), self.premium(venue, symbol, ts_ns)
        began_ns = ts_ns // INTERVAL_NS * INTERVAL_NS
        minutes = (ts_ns - began_ns) // NS_MINUTE
        average = self._sampled(venue, symbol, began_ns, minutes) if minutes else premium
        return Perpetual(
            venue,
            symbol,
            ts_ns,
            index,
            index * (1.0 + premium),
            premium,
            average,
            funding_rate(average),
            self._settled(venue, symbol, began_ns),
            began_ns + INTERVAL_NS,
        )

    def longs(self, symbol: str, ts_ns: int) -> float:
        """Return the share of accounts that are long, in (0, 1)."""
        column, latent = self._columns[symbol], self._latent
        moved = latent.log_price(column, ts_ns) - latent.log_price(column, ts_ns - NS_DAY)
        noise = stream(latent.seed, CROWD, ts_ns // NS_MINUTE).standard_normal(len(self.symbols))[column]
        lean = tanh(moved / float(latent.day_vol[column]))
        odds = exp(_CALM_LONGS - _AGAINST_TREND * lean + _CROWD_NOISE * float(noise))
        return odds / (1.0 + odds)

    def _settle(self, venue: str, symbol: str, at_ns: int) -> float:
        began_ns = at_ns - INTERVAL_NS
        return funding_rate(self._sampled(venue, symbol, began_ns, INTERVAL_NS // NS_MINUTE))

    def _sample(self, venue: str, symbol: str, began_ns: int, minutes: int) -> float:
        """Return the average premium of the ends of an interval's first minutes."""
        column, first = self._columns[symbol], began_ns // NS_MINUTE + 1
        paths = self._latent.minutes(column, first - _TREND_MINUTES, minutes + _TREND_MINUTES)
        lean = np.tanh((paths[_TREND_MINUTES:] - paths[:-_TREND_MINUTES]) / self._trend_sd[symbol])
        noise = np.array(
            [
                self._noise(venue, minute // MINUTES)[minute % MINUTES, column]
                for minute in range(first, first + minutes)
            ]
        )
        return average_premium(_CALM_PREMIUM + _TREND_PREMIUM * lean + _VENUE_PREMIUM * noise)

    def _make_noise(self, venue: str, day: int) -> Floats:
        number = day * len(PERPETUAL_VENUES) + PERPETUAL_VENUES.index(venue)
        rng = stream(self._latent.seed, PREMIUM, number)
        return rng.standard_normal((MINUTES, len(self.symbols)))
