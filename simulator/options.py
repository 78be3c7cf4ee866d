"""Options on the coins of the simulated market: what is listed, and the chain of quotes as of any time.

The smile follows the market: its level the variance of the last day, its slope the trend of the last eight
hours; forwards lie above the index as funding has longs pay. Everything is a function of seed and time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from math import ceil, exp, floor, log, log10, sqrt, tanh
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.funding import INTEREST, INTERVALS_A_YEAR
from simulator.latent import NS_DAY, NS_MINUTE
from simulator.smile import Smile, black_76, implied_volatility

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulator.funding import Perpetuals
    from simulator.latent import LatentPrices
    from simulator.smile import Quote

COINS: Final = ("BTC", "ETH")  # whose options are paid in the coin
YEAR_NS: Final = 365 * NS_DAY
EXPIRY_HOUR: Final = 8  # UTC
_EXPIRY_NS: Final = EXPIRY_HOUR * 3600 * NS_PER_S
_DAILIES, _WEEKLIES, _MONTHLIES, _QUARTERLIES = 3, 3, 3, 4
_FRIDAY: Final = 4
_QUARTER: Final = 3  # months

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_FLOOR: Final = 0.10  # volatility never looks calmer than this
_PREMIUM: Final = 1.10  # implied over realised volatility
_LONG_RUN: Final = 1.15  # over a calm market's: regimes and clusters on average
_PULL: Final = 8.0  # per year: half a volatility shock is gone from forward variance in a month
_RHO: Final = -0.08
_RHO_TREND: Final = 0.25
_RHO_FEAR: Final = 0.08
_ETA: Final = 0.9  # times (1 + 0.41) is below 2

_CARRY: Final = 0.06  # forwards over index, a year, where funding is the interest alone
_CARRY_FUNDING: Final = 0.25  # of what funding is beyond that

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_STEPS_A_SD: Final = 4.0  # strikes per standard deviation
_RANGE_SDS: Final = 3.5

_TICK, _FINE_TICK, _FINE_BELOW = 0.0005, 0.0001, 0.005  # coins
_HALF_SPREAD_IV: Final = 0.006  # at the money, fraction of one
_OPEN_INTEREST: Final = {"BTC": 600.0, "ETH": 6000.0}  # coins, of a typical contract at the money


@dataclass(frozen=True, slots=True)
class Contract:
    """One listed option."""

    name: str  # as in BTC-27MAR26-90000-C
    series: str  # as in BTC-27MAR26
    coin: str
    expiry_ns: int
    strike: float
    is_call: bool
    period: str  # day, week or month
    listed_ns: int


@dataclass(frozen=True, slots=True)
class Option:
    """One option at one time; prices in coins, volatilities as fractions of one."""

    contract: Contract
    forward: float
    sigma: float
    quote: Quote
    bid: float | None
    ask: float
    open_interest: float  # coins
    volume: float  # coins, of the last day
    years: float

    def implied(self, price: float | None) -> float:
        """Return the volatility of a price; 0 if it is none or below what any volatility gives."""
        if price is None:
            return 0.0
        contract = self.contract
        return implied_volatility(price, self.forward, contract.strike, self.years, is_call=contract.is_call)


@dataclass(frozen=True, slots=True)
class Surface:
    """A coin's smile and forwards at one time."""

    coin: str
    ts_ns: int
    index: float  # quote units
    carry: float  # a year, fraction
    smile: Smile

    def years(self, expiry_ns: int) -> float:
        """Return T."""
        return (expiry_ns - self.ts_ns) / YEAR_NS

    def forward(self, expiry_ns: int) -> float:
        """Return F, quote units."""
        return self.index * exp(self.carry * self.years(expiry_ns))

    def sigma(self, contract: Contract) -> float:
        """Return a contract's volatility, a year's."""
        k = log(contract.strike / self.forward(contract.expiry_ns))
        return self.smile.volatility(k, self.years(contract.expiry_ns))

    def quote(self, contract: Contract) -> Quote:
        """Return a contract's value and sensitivities."""
        forward, years = self.forward(contract.expiry_ns), self.years(contract.expiry_ns)
        return black_76(forward, contract.strike, years, self.sigma(contract), is_call=contract.is_call)


def expiries(now_ns: int) -> Mapping[int, str]:
    """Return what is listed at a time, soonest first: the moment of expiry and day, week or month.

    References
    ----------
    Deribit, "Inverse Options" (support pages, as read in 2026-11): expiry at 08:00 UTC; three days, three
    Fridays, the last Fridays of three months, and those of four quarters.
    """
    today = datetime.fromtimestamp((now_ns - _EXPIRY_NS) // NS_PER_S, UTC).date()
    listed: dict[date, str] = {}
    months = _last_fridays(today)
    quarters = [day for day in months if day.month % _QUARTER == 0][:_QUARTERLIES]
    first_friday = today + timedelta(1 + (_FRIDAY - today.weekday() - 1) % 7)
    for day in (*months[:_MONTHLIES], *quarters):
        listed[day] = "month"
    for week in range(_WEEKLIES):
        listed.setdefault(first_friday + timedelta(7 * week), "week")
    for ahead in range(1, _DAILIES + 1):
        listed.setdefault(today + timedelta(ahead), "day")
    return {_expiry(day): listed[day] for day in sorted(listed)}


def _last_fridays(today: date) -> Sequence[date]:
    """Return the last Fridays, after today, of this month and of the next fifteen."""
    fridays = []
    for ahead in range(16):
        year, month = divmod(today.year * 12 + today.month + ahead, 12)  # of the month after
        last = date(year, month + 1, 1) - timedelta(1)
        friday = last - timedelta((last.weekday() - _FRIDAY) % 7)
        if friday > today:
            fridays.append(friday)
    return fridays


def _expiry(day: date) -> int:
    return (day - date(1970, 1, 1)).days * NS_DAY + _EXPIRY_NS


class Options:
    """The chains of every coin of `COINS` that the market has; pure."""

    def __init__(self, latent: LatentPrices, perpetuals: Perpetuals) -> None:
        self._latent = latent
        self._perpetuals = perpetuals
        self._columns = {
            coin: latent.symbols.index(f"{coin}-USDT") for coin in COINS if f"{coin}-USDT" in latent.symbols
        }
        self._smile = lru_cache(maxsize=64)(self._make_smile)
        self._listing = lru_cache(maxsize=8)(self._make_listing)
        self._chain = lru_cache(maxsize=8)(self._make_chain)
        self._values = lru_cache(maxsize=4)(self._make_values)

    @property
    def coins(self) -> tuple[str, ...]:
        """Every coin with options."""
        return tuple(self._columns)

    def index(self, coin: str, ts_ns: int) -> float:
        """Return the fair price of a coin, quote units."""
        return self._perpetuals.index(f"{coin}-USDT", ts_ns)

    def surface(self, coin: str, ts_ns: int) -> Surface:
        """Return the smile and the forwards at a time; the smile is told anew each minute."""
        minute = ts_ns // NS_MINUTE
        smile, carry = self._smile(coin, minute)
        return Surface(coin, ts_ns, self.index(coin, ts_ns), carry, smile)

    def listing(self, coin: str, ts_ns: int) -> Mapping[str, Contract]:
        """Return what is listed by name, in order of expiry and strike; it changes at 08:00 UTC only."""
        return self._listing(coin, (ts_ns - _EXPIRY_NS) // NS_DAY)

    def chain(self, coin: str, ts_ns: int) -> Sequence[Option]:
        """Return every option as of a millisecond."""
        return self._chain(coin, ts_ns // NS_PER_MS)

    def option(self, contract: Contract, ts_ns: int) -> Option:
        """Return one option as of a millisecond."""
        return self._option(contract, self.surface(contract.coin, ts_ns // NS_PER_MS * NS_PER_MS))

    def value_before(self, contract: Contract, ts_ns: int) -> float:
        """Return what an option would have been worth a day before a minute, coins."""
        before_ns = ts_ns // NS_MINUTE * NS_MINUTE - NS_DAY
        return self.surface(contract.coin, before_ns).quote(contract).value

    def values_before(self, coin: str, ts_ns: int) -> Mapping[str, float]:
        """Return what each option of a minute would have been worth a day before, by name, coins."""
        return self._values(coin, ts_ns // NS_MINUTE)

    def _make_values(self, coin: str, minute: int) -> Mapping[str, float]:
        ts_ns = minute * NS_MINUTE
        before = self.surface(coin, ts_ns - NS_DAY)
        listed = self.listing(coin, ts_ns).items()
        return {name: before.quote(contract).value for name, contract in listed}

    def _make_smile(self, coin: str, minute: int) -> tuple[Smile, float]:
        column, ts_ns = self._columns[coin], minute * NS_MINUTE
        realised = self._latent.day_variance(column, minute) * 365.0
        calm = float(self._latent.day_vol[column]) ** 2 * 365.0
        short, long_run = max(_FLOOR**2, realised * _PREMIUM**2), calm * _LONG_RUN**2
        symbol = f"{coin}-USDT"
        trend = tanh(self._perpetuals.trend(symbol, ts_ns))
        fear = tanh(0.5 * log(short / long_run))
        smile = Smile(short, long_run, _PULL, _RHO + _RHO_TREND * trend - _RHO_FEAR * fear, _ETA)
        funding = self._perpetuals.at("binance-usdm", symbol, ts_ns).rate
        return smile, _CARRY + _CARRY_FUNDING * INTERVALS_A_YEAR * (funding - INTEREST)

    def _make_listing(self, coin: str, day: int) -> Mapping[str, Contract]:
        began_ns = day * NS_DAY + _EXPIRY_NS
        surface = self.surface(coin, began_ns)
        contracts = []
        for expiry_ns, period in expiries(began_ns).items():
            moment = datetime.fromtimestamp(expiry_ns // NS_PER_S, UTC)
            series = f"{coin}-{moment.day}{_MONTHS[moment.month - 1]}{moment.year % 100:02}"
            contracts += [
                Contract(
                    f"{series}-{strike:.10g}-{side}",
                    series,
                    coin,
                    expiry_ns,
                    strike,
                    side == "C",
                    period,
                    began_ns,
                )
                for strike in _strikes(surface, expiry_ns)
                for side in "CP"
            ]
        return {contract.name: contract for contract in contracts}

    def _make_chain(self, coin: str, ts_ms: int) -> tuple[Option, ...]:
        ts_ns = ts_ms * NS_PER_MS
        surface = self.surface(coin, ts_ns)
        return tuple(self._option(contract, surface) for contract in self.listing(coin, ts_ns).values())

    def _option(self, contract: Contract, surface: Surface) -> Option:
        forward, years = surface.forward(contract.expiry_ns), surface.years(contract.expiry_ns)
        sigma = surface.sigma(contract)
        quote = black_76(forward, contract.strike, years, sigma, is_call=contract.is_call)
        theta = surface.smile.theta(years)
        away = abs(log(contract.strike / forward)) / sqrt(theta)
        half = quote.vega * 100.0 * _HALF_SPREAD_IV * (1.0 + away) / forward + 0.5 * _FINE_TICK
        liking = exp(-0.5 * away) * (0.3 + _lot(self._latent.seed, contract.name))
        interest = _OPEN_INTEREST[contract.coin] * liking * (1.5 if contract.period == "month" else 0.6)
        volume = 0.15 * interest * _lot(self._latent.seed, f"{contract.name}/{surface.ts_ns // NS_DAY}")
        bid, ask = down(quote.value - half), up(quote.value + half)
        return Option(
            contract,
            forward,
            sigma,
            quote,
            bid or None,
            ask,
            round(interest, 1),
            round(volume, 1),
            years,
        )


def _strikes(surface: Surface, expiry_ns: int) -> Sequence[float]:
    """Return round prices around the forward, the farther apart the later the expiry."""
    forward = surface.forward(expiry_ns)
    sd = sqrt(surface.smile.theta(surface.years(expiry_ns)))
    wanted = forward * sd / _STEPS_A_SD
    power = 10.0 ** floor(log10(wanted))
    step = next(power * size for size in _STEPS if power * size >= wanted)
    lowest = max(1, ceil(forward * exp(-_RANGE_SDS * sd) / step))
    highest = floor(forward * exp(_RANGE_SDS * sd) / step)
    return [round(number * step, 10) for number in range(lowest, highest + 1)]


def _lot(seed: int, name: str) -> float:
    """Return a number in [0, 1) that a name always draws."""
    return int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=6).digest()) / 2**48


def _tick_of(price: float) -> float:
    """Return the tick at a price, coins."""
    return _FINE_TICK if price < _FINE_BELOW else _TICK


def down(price: float) -> float:
    """Return a price in coins, lowered to its tick."""
    tick = _tick_of(price)
    return max(0.0, round(floor(price / tick + 1e-9) * tick, 4))


def up(price: float) -> float:
    """Return a price in coins, raised to its tick."""
    tick = _tick_of(price)
    return round(ceil(price / tick - 1e-9) * tick, 4)
