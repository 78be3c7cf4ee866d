"""What the service sees of the other services: books, metrics, candles, risk, positions and signals; pure.

A book is used only if `usable` finds no fault. Everything that is used of it is recorded where it was used,
with the book's epoch and seq.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from libs.common.asked_instruments import instrument_in, instruments_of
from libs.common.candle_view import Candles
from libs.common.events import BookTop
from libs.common.instruments import INSTRUMENTS
from libs.common.live_books import Patience, usable
from libs.common.time_units import NS_PER_MS
from libs.common.topics import (
    L2_BOOK_HEALTH,
    PORTFOLIO_POSITIONS,
    PORTFOLIO_RISK,
    VENUES_METRICS,
    book_key,
)
from libs.common.trading_limits import limits_of
from libs.common.venue_fees import fees_from, fees_of
from libs.common.views import View
from services.execution.audit.logged import CandleLines
from services.execution.book_view import BookView
from services.execution.broker.exact_amounts import exact
from services.execution.limits.controls_view import Controls
from services.execution.policy_view import PolicyView
from services.execution.signal_view import SignalView
from services.execution.trade_view import TradeView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.events import (
        BookHealth,
        Candle,
        Limits,
        LimitUse,
        Position,
        RiskBudget,
        TakerSide,
        VenueMetrics,
    )
    from libs.common.venue_fees import Fees
    from libs.common.venues.venue import Instrument
    from services.execution.settings import ExecutionSettings

VOLUME_DAYS: Final = 30  # that a profile rests on


@dataclass(frozen=True, slots=True)
class Unusable:
    """A book that may not be used, and why."""

    reason: str


@dataclass(slots=True)
class Exceeded:
    """The limits that the views were found to exceed when they were looked at last; changes in place."""

    seen: tuple[object, ...] = ()
    uses: tuple[tuple[LimitUse, int], ...] = ()  # and the time of the news of each, ns


class Seen(NamedTuple):
    """The ends of two windows of candles."""

    of_minutes: Sequence[Candle]
    of_days: Sequence[Candle]
    minutes: tuple[Candle, ...]
    days: tuple[Candle, ...]


@dataclass(frozen=True)
class MarketData:
    """The views, and questions to them."""

    settings: ExecutionSettings
    tops: BookView = field(default_factory=BookView)
    healths: View[BookHealth] = field(default_factory=lambda: View(L2_BOOK_HEALTH))
    metrics: View[VenueMetrics] = field(default_factory=lambda: View(VENUES_METRICS))
    risk: View[RiskBudget] = field(default_factory=lambda: View(PORTFOLIO_RISK))
    positions: View[Position] = field(default_factory=lambda: View(PORTFOLIO_POSITIONS))
    controls: Controls = field(default_factory=Controls)
    policies: PolicyView = field(default_factory=PolicyView)
    signals: SignalView = field(default_factory=SignalView)
    trades: TradeView = field(default_factory=TradeView)
    lines: CandleLines = field(default_factory=CandleLines)
    exceeded: Exceeded = field(default_factory=Exceeded)
    _seen: dict[str, Seen] = field(default_factory=dict)
    halting: dict[str, int] = field(default_factory=dict)  # scopes halted here, not read back: the news, ns

    @cached_property
    def candles(self) -> Candles:
        """The minutes of all venues, and the days of the reference venue."""
        return Candles(days_venue=self.settings.reference_venue, volume_days=VOLUME_DAYS)

    @property
    def views(self) -> tuple[View[Any], ...]:
        """All of them, for the wiring."""
        told = (self.risk, self.positions, self.controls, self.policies, self.signals)
        return (self.tops, self.healths, self.metrics, self.trades, *told, *self.candles.views)

    @cached_property
    def _patience(self) -> Patience:
        return Patience.of_seconds(self.settings.book_silence_s, self.settings.book_age_s)

    @cached_property
    def _tiers(self) -> Mapping[str, Fees]:
        return fees_from(self.settings.fees)

    def fees(self, venue: str) -> Fees:
        """Return what a venue takes of our trades, bps."""
        return fees_of(venue, self._tiers)

    def limits(self, symbol: str | None) -> Limits:
        """Return the trading limits that hold for a symbol, or for the book; see `limits_of`."""
        return limits_of(self.controls.items, symbol, self.settings.limits())

    def book(self, venue: str, symbol: str, now: int) -> BookTop | Unusable:
        """Return the book, if it is LIVE, two-sided and fresh at `now`."""
        key = book_key(venue, symbol)
        top, health = self.tops.items.get(key), self.healths.items.get(key)
        if instrument_in(venue, symbol, health) is None:  # of a newer version, or not to be traded here
            return Unusable(f"{venue} {symbol}: neither the venue nor the table says what an order is to be")
        fault = usable(top, health, now, self._patience)
        if fault is not None or top is None:
            return Unusable(f"{venue} {symbol}: {fault}")
        return top

    def books(self, symbol: str, now: int) -> Mapping[str, BookTop | Unusable]:
        """Return the symbol's book at each venue that lists it, by venue."""
        return {venue: self.book(venue, symbol, now) for venue in self.instruments(symbol)}

    def instrument(self, venue: str, symbol: str) -> Instrument | None:
        """Return what the venue demands of an order, as it said last, else as the table has it."""
        return instrument_in(venue, symbol, self.healths.items.get(book_key(venue, symbol)))

    def instrument_at(self, top: BookTop) -> Instrument:
        """Return what the venue of a usable book demands of an order."""
        instrument = self.instrument(top.venue, top.symbol)
        assert instrument is not None  # noqa: S101 -- else the book is not usable
        return instrument

    def instruments(self, symbol: str) -> Mapping[str, Instrument]:
        """Return the instrument of a symbol at each venue that lists it."""
        return instruments_of(symbol, self.healths.items)

    @property
    def symbols(self) -> tuple[str, ...]:
        """All symbols that a venue is known to list."""
        told = {key.decode(errors="replace").rpartition(":")[2] for key in self.healths.items}
        known = {symbol for _, symbol in INSTRUMENTS}
        return tuple(sorted(known.union(each for each in told if self.instruments(each))))

    def reference_book(self, symbol: str, now: int) -> BookTop | Unusable:
        """Return the reference venue's book if it is LIVE, else the first that is."""
        reference = self.settings.reference_venue
        unusable = None
        for venue in sorted(self.instruments(symbol), key=lambda each: (each != reference, each)):
            found = self.book(venue, symbol, now)
            if isinstance(found, BookTop):
                return found
            unusable = unusable or found
        return unusable or Unusable(f"no venue lists {symbol}")

    def minutes(self, symbol: str, venue: str | None = None) -> Sequence[Candle]:
        """Return the closed 1m candles of the last two days told, oldest first; default: the reference's."""
        return self.candles.window(venue or self.settings.reference_venue, symbol, "1m")

    def days(self, symbol: str) -> Sequence[Candle]:
        """Return the closed 1d candles of the reference venue, oldest first."""
        return self.candles.window(self.settings.reference_venue, symbol, "1d")

    def seen(self, symbol: str) -> Seen:
        """Return the newest candles that a policy sees of a symbol, the same ones until another closes."""
        minutes, days, kept = self.minutes(symbol), self.days(symbol), self._seen.get(symbol)
        if kept is None or kept.of_minutes is not minutes or kept.of_days is not days:
            most = self.settings
            same = kept is not None and kept.of_days is days
            kept = Seen(
                minutes,
                days,
                tuple(minutes[-most.minutes :]),
                kept.days if same and kept else tuple(days[-most.days :]),
            )
            self._seen[symbol] = kept
        return kept

    def volume_since(self, venue: str, symbol: str, since_ts: int) -> float:
        """Return the volume told so far of the minutes that began at or after `since_ts`, base units."""
        series = self.candles.series(venue, symbol, "1m", since_ts=since_ts, closed=False)
        return sum((candle.volume for candle in series), 0.0)

    def depth(self, top: BookTop, side: TakerSide) -> float:
        """Return D: the 60 s median of the taken side's depth within 10 bps, base units.

        Where the spread is so wide that nothing stands there, the size of the best level.
        """
        levels = top.asks if side == "buy" else top.bids
        return self.tops.median_depth(top.venue, top.symbol, side) or levels[0][1]

    def latency_ns(self, venue: str, symbol: str) -> int:
        """Return an order's simulated way to the venue, ns: its measured request time, else the setting."""
        metrics = self.metrics.items.get(book_key(venue, symbol))
        measured = None if metrics is None else metrics.request_p50_ms
        return round((self.settings.latency_ms if measured is None else measured) * NS_PER_MS)

    def cash(self, budget: RiskBudget) -> Decimal:
        """Return what of the equity is not in positions, quote units."""
        held = sum(
            (abs(p.quantity) * exact(p.mark) for p in self.positions.items.values() if p.mark is not None),
            Decimal(0),
        )
        return max(Decimal(0), budget.equity - held)
