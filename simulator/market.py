"""Every book of every venue, driven by one clock reading at a time."""

from __future__ import annotations

from math import expm1
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS
from simulator.candles import Candles, PastCandles
from simulator.derivatives import Derivatives
from simulator.latent import NS_DAY
from simulator.order_flow import OrderFlow, Pair
from simulator.profiles import VENUES, instrument_at, symbol_profile
from simulator.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from simulator.candles import Candle
    from simulator.exchange_book import BookChange, ExchangeBook
    from simulator.latent import LatentPrices
    from simulator.profiles import VenueProfile

# Messages per action, measured over 15 simulated minutes of every pair: book and trade messages where each
# change is sent, trade and best-price messages where depth is batched.
_PER_ACTION: Final = 1.12
_PER_ACTION_BATCHED: Final = 0.36
_LEAST_ACTIONS_PER_S: Final = 0.05
_REST_NS: Final = 50 * NS_PER_MS  # between two looks at whether a pair still rests
_STEPS: Final = 50  # of a bisection


class Market:
    """The simulated exchanges; pure, and the same for the same seed and the same steps.

    Parameters
    ----------
    latent
        Prices, seed and symbols.
    rate
        Aimed messages per second over all books and channels.
    start_ns
        UTC; the live market begins here and continues the history before it.
    history_days
        Daily candles told before today; minutes are told as far back.
    levels
        A side of each book, on average; 0 is as many as its venue's profile has.
    """

    def __init__(
        self,
        latent: LatentPrices,
        *,
        venues: Sequence[str],
        rate: float,
        start_ns: int,
        history_days: int,
        levels: int = 0,
    ) -> None:
        seed, symbols = latent.seed, latent.symbols
        self.derivatives = Derivatives(latent)
        self.earliest_ns = (start_ns // NS_DAY - history_days) * NS_DAY
        share = sum(VENUES[venue].message_share for venue in venues)
        activity = sum(symbol_profile(symbol).activity for symbol in symbols)
        pairs = {
            (venue, symbol): Pair(VENUES[venue], symbol_profile(symbol), instrument_at(venue, symbol), column)
            for venue in venues
            for column, symbol in enumerate(symbols)
        }
        past = {key: PastCandles(pair, latent, seed) for key, pair in pairs.items()}
        by_symbol = sorted(pairs, key=lambda key: pairs[key].column)  # which share what is drawn
        for day in range(self.earliest_ns // NS_DAY, start_ns // NS_DAY):  # in order, so it is walked once
            for key in by_symbol:
                past[key].day(day)  # kept, so that asking for years of them is quick
        self._flows: dict[tuple[str, str], OrderFlow] = {}
        self._candles: dict[tuple[str, str], Candles] = {}
        for index, (key, pair) in enumerate(pairs.items()):
            messages = rate * (pair.venue.message_share / share) * (pair.symbol.activity / activity)
            actions = _actions_per_s(pair.venue, messages)
            self._flows[key] = OrderFlow(pair, latent, seed, index, actions, start_ns, levels)
            self._candles[key] = Candles(pair, latent, past[key], start_ns)
        self._keys = tuple(pairs)
        self._due = Schedule[int]()  # places in `_keys`
        for place, flow in enumerate(self._flows.values()):
            self._due.add(place, flow.next_ns)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every (venue, canonical symbol)."""
        return tuple(self._flows)

    @property
    def due_ns(self) -> int:
        """When `step` has something to do."""
        return self._due.due_ns

    def book(self, venue: str, symbol: str) -> ExchangeBook:
        """Return the truth about one pair."""
        return self._flows[venue, symbol].book

    def flow(self, venue: str, symbol: str) -> OrderFlow:
        """Return the traders of one pair."""
        return self._flows[venue, symbol]

    def step(self, now_ns: int, resting: Collection[tuple[str, str]] = frozenset()) -> Iterator[BookChange]:
        """Let everything happen that is due by `now_ns`, save in the pairs that rest.

        Until the next change is asked for, its book is exactly as it was after this one; changes of one book
        are in order. A caller takes them all.
        """
        for place in sorted(self._due.take(now_ns)):
            key = self._keys[place]
            flow = self._flows[key]
            if key in resting:
                self._due.add(place, now_ns + _REST_NS)
            else:
                candles = self._candles[key]
                for change in flow.step(now_ns):
                    for trade in change.prints:
                        candles.add(trade)
                    yield change
                self._due.add(place, flow.next_ns)

    def candles(
        self, venue: str, symbol: str, interval: str, first_ns: int, last_ns: int, now_ns: int
    ) -> list[Candle]:
        """Return the candles that open in [first, last], the running one included."""
        candles = self._candles[venue, symbol]
        candles.advance(now_ns)
        return candles.between(interval, first_ns, last_ns, self.earliest_ns)


def _actions_per_s(profile: VenueProfile, messages_per_s: float) -> float:
    """Return how many actions make this many messages.

    Notes
    -----
    Of b batches a second those are sent in which one of a actions falls, b (1 - exp(-a / b)) on average.
    """
    low, high = _LEAST_ACTIONS_PER_S, max(_LEAST_ACTIONS_PER_S, messages_per_s / _PER_ACTION)
    if not profile.batch_ms:
        return high
    batches_per_s = 1000.0 / profile.batch_ms
    high = max(low, messages_per_s / _PER_ACTION_BATCHED)
    for _ in range(_STEPS):
        actions = (low + high) / 2.0
        sent = -batches_per_s * expm1(-actions / batches_per_s) + _PER_ACTION_BATCHED * actions
        low, high = (actions, high) if sent < messages_per_s else (low, actions)
    return high
