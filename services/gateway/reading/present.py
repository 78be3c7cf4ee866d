"""What a decision about a symbol would be made of now, as far as the topics tell; pure.

It is what the execution service would use, but for what only it knows: fills that the portfolio has not seen
yet, and orders on their own, of which those that rest reserve cash and holdings.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from libs.common.asked_instruments import instruments_of
from libs.common.events import BOOK, BookTop
from libs.common.live_books import PATIENCE, usable
from libs.common.time_units import NS_PER_S
from libs.common.told import OWN, signal_fault
from libs.common.topics import book_key, signal_key
from services.gateway.reading.decision_facts import REFERENCE
from services.gateway.reading.logged import record_id
from services.gateway.reading.resized import MODEL, SizingInputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from libs.common.events import ExecutionRecord, PolicySummary, Position, RiskBudget, SymbolRisk
    from libs.common.venues.venue import Instrument
    from libs.common.views import View
    from services.gateway.reading.decision_facts import Decision
    from services.gateway.reading.topic_views import GatewayViews

ZERO: Final = Decimal(0)


class Told(NamedTuple):
    """A number, as of when it is (ns UTC), what is to be said of it, and the records that tell it."""

    value: float | None
    ts: int
    words: str
    ids: tuple[str, ...] = ()
    fault: str = ""  # why it may not be used

    @property
    def usable(self) -> float:
        """What is to be used of it; 0 where nothing may be."""
        return 0.0 if self.fault or self.value is None else self.value


class Book(NamedTuple):
    """A venue's book of the symbol, and why no order is made on it; "" where one may be."""

    top: BookTop | None
    fault: str


@dataclass(frozen=True)
class Present:
    """All that is known of a symbol at a moment.

    Parameters
    ----------
    now
        ns UTC.
    running
        All executions that have not ended.
    neighbours
        Other symbols that are worked where this one is: the execution service knows what they buy.
    chosen
        The newest decision about it; None: there was none.
    sized
        The newest one with a size, of this symbol if there is one: its settings hold still; None: none.
    """

    views: GatewayViews
    symbol: str
    now: int
    running: Sequence[ExecutionRecord]
    neighbours: frozenset[str]
    chosen: Decision | None = None
    sized: Decision | None = None

    @property
    def base(self) -> str:
        """The unit of what is held."""
        return self.symbol.partition("-")[0]

    @property
    def quote(self) -> str:
        """The unit of what it is paid with."""
        return self.symbol.partition("-")[2]

    @cached_property
    def instruments(self) -> Mapping[str, Instrument]:
        """What an order is to be at each venue that lists the symbol."""
        return instruments_of(self.symbol, self.views.healths.items)

    @cached_property
    def books(self) -> Mapping[str, Book]:
        """The book at each of them, the reference venue's first."""
        known = [each.reference for each in (self.chosen, self.sized) if each and each.reference]
        reference = known[0] if known else REFERENCE
        return {
            venue: self._book(venue)
            for venue in sorted(self.instruments, key=lambda each: (each != reference, each))
        }

    @cached_property
    def book(self) -> tuple[str, Book] | None:
        """The first one that orders are made on, and its venue; None: there is none."""
        return next(((venue, book) for venue, book in self.books.items() if not book.fault), None)

    @property
    def budget(self) -> RiskBudget | None:
        """What the risk is."""
        return self.views.risks.items.get(BOOK.encode())

    @property
    def own_risk(self) -> SymbolRisk | None:
        """The symbol's part of it."""
        return None if self.budget is None else self.budget.by_symbol.get(self.symbol)

    @property
    def position(self) -> Position | None:
        """What the portfolio knows to be held."""
        return self.views.positions.items.get(self.symbol.encode())

    @cached_property
    def held(self) -> Decimal:
        """What is held, and what running executions mean to make of it, base units."""
        known = ZERO if self.position is None else self.position.quantity
        return known + self.meant("buy") - self.meant("sell")

    def meant(self, side: str) -> Decimal:
        """Return what running executions of the symbol still mean to trade on a side, base units."""
        return sum((_left(each) for each in self._trading(self.symbol, side)), ZERO)

    @cached_property
    def signal(self) -> Told | None:
        """What the policy chosen last wants; None without a choice."""
        if self.chosen is None:
            return None
        policy_id = self.chosen.choice.policy_id
        if policy_id.startswith(OWN):
            return self._computed(self.chosen)
        key, view = signal_key(policy_id, self.symbol), self.views.signals
        signal = view.items.get(key)
        fault = signal_fault(signal, self.views.policies.items.get(policy_id.encode()), self.now)
        if signal is None:
            return Told(None, self.now, "", (), fault)
        left_s = (signal.valid_until_ts - self.now) / NS_PER_S
        words = f"told {self.ago(signal.inputs_ts)}, and holds for {left_s:.3g} s more" if not fault else ""
        return Told(signal.value, signal.inputs_ts, words, self.ids(view, key), fault)

    @cached_property
    def width(self) -> Told | None:
        """The width of the chosen policy's posterior: as it was chosen, or later if it has learnt since."""
        if self.chosen is None:
            return None
        choice = self.chosen.choice
        scope = choice.scope.encode()
        snapshot = self.views.router_snapshots.items.get(scope)
        summary = self.summary
        if snapshot is None or summary is None or summary.updates == choice.versions.get(choice.policy_id):
            words = f"as of its choice {self.ago(choice.ts)}"
            return Told(choice.width, choice.ts, words, (self.chosen.choice_id,))
        words = f"as of the router's snapshot {self.ago(snapshot.ts)}, at the context of its last choice"
        width = summary.high - summary.low
        return Told(width, snapshot.ts, words, self.ids(self.views.router_snapshots, scope))

    @property
    def summary(self) -> PolicySummary | None:
        """What the router knows of the policy; None: nothing yet."""
        if self.chosen is None:
            return None
        snapshot = self.views.router_snapshots.items.get(self.chosen.choice.scope.encode())
        wanted = self.chosen.choice.policy_id
        return next(
            (each for each in (snapshot.policies if snapshot else ()) if each.policy_id == wanted), None
        )

    @cached_property
    def inputs(self) -> SizingInputs | None:
        """What a size would be made of now; None without a decision that tells of the settings."""
        settings = None if self.sized is None else self.sized.inputs
        if settings is None or self.chosen is None:
            return None
        choice, signal, width = self.chosen.choice, self.signal, self.width
        budget, own = self.budget, self.own_risk
        terms = self._terms(settings)
        return replace(
            settings,
            execution_id="",
            symbol=self.symbol,
            now=self.now,
            signal=signal.usable if signal else 0.0,
            uncertainty_width=width.usable if width else choice.width,
            prior_width=choice.prior_width,
            forecast_vol=choice.forecast_vol,
            cvar_budget=None if budget is None else budget.cvar_budget,
            cvar_of_others=self.cvar_of_others,
            cvar_of_one=None if own is None else own.cvar,
            equity=ZERO if budget is None else budget.equity,
            held=self.held,
            reserved=self.meant("buy"),
            cash=self._cash(terms["price"], terms["taker_bps"]),
            model=MODEL,
            **terms,
        )

    @property
    def cvar_of_others(self) -> float:
        """What all other positions use of the CVaR budget, fraction per day."""
        budget, own = self.budget, self.own_risk
        return 0.0 if budget is None else max(0.0, budget.cvar_used - (own.used if own else 0.0))

    def ids(self, view: View[Any], *keys: bytes) -> tuple[str, ...]:
        """Return the ids of the newest records of these keys, of those there are."""
        places = [view.place(key) for key in keys]
        return tuple(record_id(view.topic, at.partition, at.offset) for at in places if at is not None)

    def ago(self, ts: int) -> str:
        """Return how long ago a moment (ns UTC) was, in words."""
        seconds = (self.now - ts) / NS_PER_S
        for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
            if seconds >= 2 * size:
                return f"{seconds / size:.0f} {unit} ago"
        return f"{max(0.0, seconds):.1f} s ago"

    def _book(self, venue: str) -> Book:
        key = book_key(venue, self.symbol)
        top = self.views.tops.items.get(key)
        fault = usable(top, self.views.healths.items.get(key), self.now, PATIENCE["trading"])
        return Book(top, f"{venue} {self.symbol}: {fault}" if fault is not None else "")

    def _computed(self, chosen: Decision) -> Told:
        """Return what a built-in policy wanted at the decision, as execution computed it then."""
        choice = chosen.choice
        value = None if chosen.signal is None else chosen.signal.value
        if value is None:
            value = choice.arms.get(choice.policy_id, {}).get("signal")
        said = "" if chosen.signal is None else f": {chosen.signal.reason}"
        words = f"computed at the decision {self.ago(choice.ts)}{said}"
        fault = "" if value is not None else "it was not computed: the decision ended before that"
        return Told(value, choice.ts, words, (chosen.signal_id or chosen.choice_id,), fault)

    def _trading(self, symbol: str, side: str) -> Iterator[ExecutionRecord]:
        """Yield the running executions that mean to trade a symbol on a side."""
        return (
            each
            for each in self.running
            if each.symbol == symbol and each.sizing and each.sizing.side == side
        )

    def _terms(self, settings: SizingInputs) -> dict[str, Any]:
        """Return the price, the fee, and what an order is to be, of the book that would be sized on."""
        found = self.book or next(((v, b) for v, b in self.books.items() if b.top and b.top.features), None)
        if found is None or found[1].top is None or found[1].top.features is None:
            return {
                name: getattr(settings, name)
                for name in ("price", "taker_bps", "lot", "min_qty", "min_notional")
            }
        venue, instrument = found[0], self.instruments[found[0]]
        metrics = self.views.venues.items.get(book_key(venue, self.symbol))
        known = self.sized is not None and self.sized.venue == venue
        fee = settings.taker_bps if known or metrics is None else metrics.taker_bps
        return {
            "price": exact(found[1].top.features.mid),
            "taker_bps": fee,
            "lot": instrument.lot,
            "min_qty": instrument.min_qty,
            "min_notional": instrument.min_notional,
        }

    def _cash(self, price: Decimal, taker_bps: float) -> Decimal:
        """Return the cash that may be spent, without what is meant to be bought, quote units."""
        if self.budget is None:
            return ZERO
        positions = self.views.positions.items.values()
        worth = sum((abs(p.quantity) * exact(p.mark) for p in positions if p.mark is not None), ZERO)
        known = ZERO if self.position is None else self.position.quantity
        owed = max(ZERO, self.held - known) * price * (1 + exact(taker_bps) / 10_000)
        for symbol in sorted(self.neighbours):
            owed += sum(
                _left(each) * each.sizing.price for each in self._trading(symbol, "buy") if each.sizing
            )
        return max(ZERO, max(ZERO, self.budget.equity - worth) - owed)


def exact(number: float) -> Decimal:
    """Return the digits of a number of the book."""
    return Decimal(repr(number))


def _left(record: ExecutionRecord) -> Decimal:
    """Return what a running execution may still trade, base units."""
    if record.plan is not None:
        return record.plan.size - record.filled
    return ZERO if record.sizing is None else record.sizing.qty
