"""An execution world of several symbols and venues in which anything may come between anything else.

What goes in is kept, so that another process can be given the same.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, Final

from libs.common.command_rules import rejected
from libs.common.events import (
    BOOK,
    BookState,
    CancelExecution,
    ChoosePolicy,
    CostBps,
    Event,
    HaltTrading,
    Limits,
    LimitsSet,
    LimitsUsed,
    PlanAndExecute,
    PolicyState,
    Refusal,
    ResumeTrading,
    RewardPolicy,
    ScoreVenues,
    SetLimits,
    SubmitPaperOrder,
    SymbolRisk,
    TradingHalted,
    TradingResumed,
    VenueCandidate,
    VenueShare,
)
from libs.common.topics import book_key, limits_key, limits_used_key, signal_key
from services.execution.clock_steps import step_clock
from tests.execution_market import (
    EPOCH,
    NOW,
    a_book_health,
    a_book_top,
    a_candle,
    a_policy_chosen,
    a_risk_budget,
    a_venue_scored,
    some_metrics,
)
from tests.execution_world import DAY, MINUTE, ExecutionWorld, S, an_id
from tests.other_process import restored, written
from tests.policies_of_others import OTHERS, registration, some_signal

if TYPE_CHECKING:
    from libs.common.views import View

SYMBOLS: Final = ("BTC-USDT", "ETH-USDT")
VENUES: Final = ("binance", "bybit", "okx")
POLICIES: Final = ("p_sma", "p_flat", "p_meanrev")
SCOPES: Final = (
    "all",
    "symbol:BTC-USDT",
    "policy:p_sma",
    "policy:x_mine",
    "venue:binance",
    "venue:bybit",
    "venue:okx",
)
MID: Final = {"BTC-USDT": 60_000.25, "ETH-USDT": 3_000.25}
EQUITY: Final = Decimal(100_000)
TICK: Final = 0.5
UNLIMITED: Final = Limits(orders_per_minute=0, order_notional=0.0, min_live_venues=0)
LIMITS: Final = (
    UNLIMITED,
    Limits(orders_per_minute=2),
    Limits(orders_per_minute=30),
    Limits(order_notional=0.01),
    Limits(min_live_venues=3),
)
LATENCY_MS: Final = {"binance": 5.0, "bybit": 120.0, "okx": 400.0}
PERSISTENT: Final = 600  # turns until everything has ended


class InterleavedWorld(ExecutionWorld):
    """Executions at once; each turn is one of everything that may happen."""

    def __init__(self, seed: int, **settings: Any) -> None:
        self.inputs: list[tuple[Any, ...]] = []
        self.outputs: list[bytes] = []
        super().__init__(patience_s=20.0, deadline_s=240.0, allow_short=True, split_fixed_bps=0.0, **settings)
        self.random = Random(seed)
        self.states = dict.fromkeys(self._books, BookState.LIVE)
        self.silent: set[tuple[str, str]] = set()
        self.spent: set[str] = set()
        self.size = {book: 0.01 if book[1] == "BTC-USDT" else 0.2 for book in self._books}
        self.begun: list[str] = []
        self.rested: list[str] = []
        self.unread: list[Event] = []  # controls that the view does not show yet
        self.mids = dict(MID)
        self.versions = dict.fromkeys(OTHERS, "v0")
        self.history_prices()
        risks = {each: SymbolRisk(cvar=0.05, vol=0.02, weight=0.0, used=0.0) for each in SYMBOLS}
        self.fold(self.market.risk, BOOK.encode(), a_risk_budget(by_symbol=risks, equity=EQUITY))
        for venue, symbol in self._books:
            metrics = some_metrics(venue, symbol, 1.0, LATENCY_MS[venue], NOW)
            self.fold(self.market.metrics, book_key(venue, symbol), metrics)
        for name in OTHERS:
            self._register(name, PolicyState.RUNNING)
        self.show()

    @property
    def _books(self) -> list[tuple[str, str]]:
        return [(venue, symbol) for venue in VENUES for symbol in SYMBOLS]

    # What goes in

    def fold(self, view: View[Any], key: bytes, event: Event | None) -> None:
        at = next(n for n, each in enumerate(self.market.views) if each is view)
        self.inputs.append(("fold", at, self._offsets, key, event))
        super().fold(view, key, event)

    def deliver(self, message: Any) -> list[Event]:
        self.inputs.append(("message", message, self.now))
        events = super().deliver(message)
        self._ticks = sorted(set(self._ticks))  # a wish made twice is one
        self.outputs.append(written(events))
        for event in events:
            if isinstance(event, TradingHalted | TradingResumed | LimitsSet | LimitsUsed):
                self.unread.append(event)
        return events

    def step_clock(self, by_ns: int) -> None:
        self.inputs.append(("clock", by_ns))
        for view in self.market.views:
            view.step_clock(by_ns)
        step_clock(self.state, by_ns)
        self.state.keep()
        self.now += by_ns
        self._ticks = [(due_ts + by_ns, key) for due_ts, key in self._ticks]
        if self._watch is not None:
            self._watch = (self._watch[0] + by_ns, self._watch[1])
        self.show()

    def restart(self) -> None:
        self.state = restored(self.state, self.settings)

    # The market

    def history_prices(self) -> None:
        days, minutes = self.market.candles.views[0], self.market.candles.views[0]
        for symbol, mid in MID.items():
            for n in range(40):
                close = mid * (1 - 0.004 * (40 - n)) * (1 + 0.01 * (-1) ** n)
                candle = a_candle("1d", NOW - (40 - n) * DAY, close, symbol=symbol)
                self.fold(days, f"binance:{symbol}".encode(), candle)
            for venue in VENUES:
                for n in range(60):
                    close = mid * (1 - 0.00005 * (60 - n)) * (1 + 0.0002 * (-1) ** n)
                    volume = 0.4 if n % 20 < 15 else 80.0
                    candle = a_candle(
                        "1m", NOW - (60 - n) * MINUTE, close, venue=venue, symbol=symbol, volume=volume
                    )
                    self.fold(minutes, f"{venue}:{symbol}".encode(), candle)

    def show(self) -> None:
        """Tell the books as they stand, but of those that are silent."""
        for book in self._books:
            if book not in self.silent:
                self._show(book)

    def beat(self) -> None:
        """Let the books' heartbeats be of now."""
        self.show()

    def _show(self, book: tuple[str, str]) -> None:
        venue, symbol = book
        key, mid, size = book_key(venue, symbol), self.mids[symbol], self.size[book]
        step = TICK if symbol == "BTC-USDT" else TICK / 10
        top = a_book_top(
            venue=venue,
            symbol=symbol,
            received_ts=self.now,
            bids=tuple((round(mid - step / 2 - step * n, 4), size) for n in range(40)),
            asks=tuple((round(mid + step / 2 + step * n, 4), size) for n in range(40)),
        )
        self.fold(self.market.tops, key, top)
        health = a_book_health(venue=venue, symbol=symbol, state=self.states[book], ts=self.now, epoch=EPOCH)
        self.fold(self.market.healths, key, health)

    # What may happen

    def turn(self) -> None:
        """Let one of everything happen."""
        often = (self.begin,) * 4 + (self.reply,) * 8 + (self.wait,) * 12 + (self.move, self.read, self.read)
        rare = (
            self.cancel,
            self.cancel,
            self.halt,
            self.resume,
            self.resume,
            self.limit,
            self.set_clock,
            self.restart,
        )
        books = (self.break_book, self.hush, self.spend, self.thin, self.trade_minute) + (self.mend,) * 3
        told = (self.signal, self.signal, self.signal, self.register)
        self.random.choice((*often, *rare, *books, *told, self.rest_order))()
        self.show()
        self._look()

    def begin(self) -> None:
        name = f"execution {len(self.begun)}"
        venues = self.random.choice(((), (), VENUES[:2], VENUES[1:]))
        self.begun.append(an_id(name))
        self.deliver(
            PlanAndExecute(
                command_id=an_id(name),
                symbol=self.random.choice(SYMBOLS),
                urgency=self.random.choice((0.0, 0.2, 0.5, 1.0)),
                max_venues=self.random.choice((1, 2, 3)),
                venues=venues,
            )
        )

        if self.random.random() < 0.85:
            self.reply()
            self.reply()

    def reply(self) -> None:
        """Let one of the peers answer: the oldest command or any, once, twice or never."""
        if not self.unanswered:
            return
        at = self.random.choice((-1, -1, 0, self.random.randrange(len(self.unanswered))))
        command = self.unanswered.pop(at)
        answer = self.answer_to(command)
        if self.random.random() < 0.05 and not isinstance(command, RewardPolicy):
            assert isinstance(command, ChoosePolicy | ScoreVenues)
            answer = rejected(
                command, command.reply_key or "", Refusal.UNAVAILABLE, self.now, detail="not today"
            )
        for _ in range(self.random.choices((0, 1, 2), (1, 12, 1))[0]):
            self.deliver(answer)

    def answer_to(self, command: Event) -> Event:
        if isinstance(command, ChoosePolicy):
            policy_id = self.random.choice((*POLICIES, *OTHERS, "p_sma", "x_mine", "p_meanrev"))
            return a_policy_chosen(command.command_id, policy_id, forecast_vol=0.02)
        if isinstance(command, ScoreVenues):
            return self._scored(command)
        return super().answer_to(command)

    def _scored(self, command: ScoreVenues) -> Event:
        venues = [each for each in VENUES if not command.venues or each in command.venues]
        self.random.shuffle(venues)
        cost = CostBps(spread=0.1, impact=0.2, fee=9.5, latency=0.1, reliability=0.1)
        candidates = tuple(
            VenueCandidate(
                venue=venue,
                eligible=True,
                score=-10.0 - n,
                cost_bps=cost,
                reasons=("taker fee 10 bps",),
                mid=self.mids[command.symbol],
                epoch=EPOCH,
                seq=7,
            )
            for n, venue in enumerate(venues)
        )
        over = venues[: command.max_venues]
        shares = tuple(VenueShare(venue=venue, size=command.size / len(over)) for venue in over)
        return a_venue_scored(
            command.command_id,
            command.size,
            command.side,
            symbol=command.symbol,
            venue=venues[0],
            candidates=candidates,
            allocation=shares,
        )

    def wait(self) -> None:
        self.advance(self.random.choice((0.005, 0.02, 0.3, 1.0, 3.0, 8.0, 20.0)))

    def move(self) -> None:
        symbol = self.random.choice(SYMBOLS)
        step = TICK if symbol == "BTC-USDT" else TICK / 10
        self.mids[symbol] = MID[symbol] + self.random.randrange(-200, 200) * step

    def read(self) -> None:
        """Let the view of controls show what was written."""
        for event in self.unread:
            match event:
                case TradingHalted() | TradingResumed():
                    key = event.scope.encode()
                case LimitsSet():
                    key = limits_key(event.scope)
                case LimitsUsed():
                    key = limits_used_key(event.symbol)
                case _:
                    raise AssertionError(event)
            self.fold(self.market.controls, key, event)
        self.unread = []

    def cancel(self) -> None:
        known = [*self.begun, *self.rested]
        if known:
            one = self.random.choice(known)
            symbol = self.random.choice(SYMBOLS)
            name = f"cancel {len(self.inputs)}"
            self.deliver(CancelExecution(command_id=an_id(name), symbol=symbol, execution_id=one))

    def halt(self) -> None:
        scope, name = self.random.choice((*SCOPES, f"venue:{self._place()[0]}")), f"halt {len(self.inputs)}"
        self.deliver(HaltTrading(command_id=an_id(name), scope=scope, reason="so", by="cli"))

    def resume(self) -> None:
        for scope in SCOPES:
            name = f"resume {scope} {len(self.inputs)}"
            self.deliver(ResumeTrading(command_id=an_id(name), scope=scope, reason="so", by="cli"))
        self.read()

    def limit(self) -> None:
        limits = self.random.choice(LIMITS)
        scope, name = self.random.choice(("all", "symbol:ETH-USDT")), f"limit {len(self.inputs)}"
        self.deliver(SetLimits(command_id=an_id(name), scope=scope, limits=limits, by="cli"))

    def set_clock(self) -> None:
        self.step_clock(self.random.choice((-1, 1)) * self.random.randrange(100 * S))

    def spend(self, venue: str | None = None) -> None:
        """Let the rate of a venue be spent, or be there again."""
        venue = venue or self._place()[0]
        self.spent ^= {venue}
        for symbol in SYMBOLS:
            left = 0.0 if venue in self.spent else 1.0
            metrics = some_metrics(venue, symbol, left, LATENCY_MS[venue], self.now)
            self.fold(self.market.metrics, book_key(venue, symbol), metrics)

    def _place(self) -> tuple[str, str]:
        """Return a book: most often one that an execution works at."""
        legs = [(leg.venue, r.symbol) for r in self.records.values() if not r.status.final for leg in r.legs]
        return self.random.choice(legs if legs and self.random.random() < 0.8 else self._books)

    def break_book(self) -> None:
        book = self._place()
        self.states[book] = self.random.choice((BookState.GAP, BookState.STALE))

    def mend(self) -> None:
        """Let the books of a venue, and its rate, be as they should."""
        venue = self.random.choice(VENUES)
        self.states |= {(venue, symbol): BookState.LIVE for symbol in SYMBOLS}
        self.silent -= {(venue, symbol) for symbol in SYMBOLS}
        if venue in self.spent:
            self.spend(venue)

    def hush(self) -> None:
        self.silent.add(self._place())

    def thin(self) -> None:
        book = self._place()
        self.size[book] = self.random.choice((0.0005, 0.004, 0.02, 0.4, 2.0))

    def trade_minute(self) -> None:
        """Let the venues trade: what POV follows."""
        minute = NOW + (self.now - NOW) // MINUTE * MINUTE
        for venue, symbol in self._books:
            volume = self.random.choice((0.0, 2.0, 40.0))
            candle = a_candle(
                "1m", minute, self.mids[symbol], venue=venue, symbol=symbol, volume=volume, closed=False
            )
            self.fold(self.market.candles.views[0], f"{venue}:{symbol}".encode(), candle)

    def signal(self) -> None:
        """Let a policy of others say something, or withdraw what it said."""
        name, symbol = self.random.choice(OTHERS), self.random.choice(SYMBOLS)
        signal = some_signal(self.random, name, symbol, self.versions[name], self.now)
        self.fold(self.market.signals, signal_key(name, symbol), signal)

    def register(self) -> None:
        """Let a policy of others begin, start anew as another version, break its contract, or be no more."""
        name = self.random.choice(OTHERS)
        self.versions[name] = f"v{len(self.inputs)}" if self.random.random() < 0.3 else self.versions[name]
        self._register(name, self.random.choice((PolicyState.RUNNING, *PolicyState, None)))

    def _register(self, name: str, state: PolicyState | None) -> None:
        policy = None if state is None else registration(name, self.versions[name], state)
        self.fold(self.market.policies, name.encode(), policy)

    def rest_order(self) -> None:
        name = f"order {len(self.rested)}"
        self.rested.append(an_id(name))
        self.deliver(
            SubmitPaperOrder(
                command_id=an_id(name),
                symbol="BTC-USDT",
                side="buy",
                order_qty=Decimal("0.01"),
                ord_type="limit",
                price=Decimal(str(MID["BTC-USDT"] - 0.25 - 20 * self.random.randrange(3))),
                time_in_force="gtc",
                venue=self.random.choice(VENUES),
            )
        )

    def calm(self) -> None:
        """Mend everything, and let everything end and be paid."""
        self.states = dict.fromkeys(self._books, BookState.LIVE)
        self.silent.clear()
        self.size = {book: 5.0 if book[1] == "BTC-USDT" else 100.0 for book in self._books}
        for venue in sorted(self.spent):
            self.spend(venue)
        for scope in ("all", "symbol:ETH-USDT"):
            name = f"calm {scope}"
            self.deliver(SetLimits(command_id=an_id(name), scope=scope, limits=UNLIMITED, by="cli"))
        self.read()
        self.resume()
        self.show()
        for _ in range(PERSISTENT):
            self.read()
            if self.unanswered:
                self.answer()
            elif self.open:
                self.show()
                self.advance(1.0)
                self.show()
            else:
                return
        raise AssertionError(f"{self.open} did not end")
