"""The whole loop in one process and in simulated time: the services' own wirings on a bus without Kafka.

Router, execution, portfolio and venues are what runs in production, message by message; the market is the
simulator's latent price, with a ladder of quotes around it as each venue's profile has them. A tick comes
when it was asked for, an execution of each symbol in turn when the interval says so, and books are as fresh
as a live feed's whenever somebody looks. Thirty days take minutes.
"""

from __future__ import annotations

import heapq
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from libs.common.command_rules import refused_at_the_door
from libs.common.events import (
    BOOK,
    AssessRisk,
    BookHealth,
    BookState,
    Candle,
    CommandRejected,
    EquityMarked,
    Event,
    ExecutionRecord,
    OrderFilled,
    PlanAndExecute,
    PolicyChosen,
    PolicyRewarded,
    RouterSnapshot,
    ScoreVenues,
    VenueMetrics,
)
from libs.common.handling import Tick, WakeAt
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_S
from libs.common.topics import (
    EXECUTION_COMMANDS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    PORTFOLIO_COMMANDS,
    PORTFOLIO_RISK,
    VENUES_COMMANDS,
    VENUES_METRICS,
    VENUES_SCORES,
    book_key,
    candle_key,
)
from libs.common.views import View
from services.execution.app import wiring as execution
from services.execution.settings import ExecutionSettings
from services.portfolio.app import create_wiring as portfolio
from services.portfolio.settings import PortfolioSettings
from services.router.app import wiring as router
from services.router.arms import Arms
from services.router.settings import RouterSettings
from services.venues.answers import Answers
from services.venues.handlers import Place, State, Unknowns
from services.venues.handlers import handle as handle_venues
from services.venues.lags import Arrivals
from services.venues.settings import VenuesSettings, policy_of
from simulator.latent import LatentPrices
from simulator.profiles import VENUES
from tests.loop_market import EPOCH, Market
from tests.whole_records import WholeRecords

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import RiskBudget
    from libs.common.handling import Wiring
    from libs.common.topics import Topic

CAPITAL: Final = Decimal(100_000)
HISTORY_DAYS: Final = 130  # of daily candles before the start
HISTORY_MINUTES: Final = 2880
BEAT_MINUTES: Final = 10  # between two healths that the venues service counts
SHOWN: Final = (
    *(PolicyChosen, PolicyRewarded, RouterSnapshot, ExecutionRecord, OrderFilled, EquityMarked),
    CommandRejected,
)


class Service:
    """One wiring and its state, all partitions in one."""

    def __init__(self, made: Wiring[Any]) -> None:
        self.wiring, self.state = made, made.new_state()

    def handle(self, message: Any, now: int) -> list[Event | WakeAt]:
        key = getattr(message, "symbol", getattr(message, "scope", ""))
        if refused := refused_at_the_door(message, key, now):
            return [refused]
        returned = list(self.wiring.handle(self.state, message, now))
        self.state.keep()
        self.state.take_changes()
        return returned


class LoopWorld:
    """The services on one bus, from the start of a day on.

    Parameters
    ----------
    policies
        What the router may choose from, as ROUTER_POLICIES has it; one alone is a fixed policy.
    interval_s
        Between two executions of a symbol.
    """

    def __init__(  # noqa: PLR0913 -- names what a run may vary
        self,
        *,
        seed: int = 7,
        edge: float = 1.0,
        first_day: int,
        policies: str = "p_sma p_breakout p_meanrev p_obi p_flat",
        interval_s: float = 1800.0,
        urgency: float = 0.5,
        venues: tuple[str, ...] = ("binance", "okx"),
        symbols: tuple[str, ...] = ("BTC-USDT", "ETH-USDT", "SOL-USDT"),
        execution_settings: Mapping[str, Any] | None = None,
        router_settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.market = Market(LatentPrices(seed, symbols, edge), venues)
        self.symbols, self.urgency = symbols, urgency
        self.now = first_day * DAY_NS
        self._interval_ns = round(interval_s * NS_PER_S)
        self._commands = 0
        settings = RouterSettings(policies=policies, **(router_settings or {}))
        self.services = {
            "router": Service(router(settings, Arms())),
            "execution": Service(execution(ExecutionSettings(**(execution_settings or {})))),
            "portfolio": Service(
                portfolio(PortfolioSettings(period_s=3600.0, capital=CAPITAL, venue=venues[0]).rules())
            ),
        }
        self._venues_views: tuple[View[Any], View[Any]] = (View(L2_BOOK_TOPS), View(L2_BOOK_HEALTH))
        given = VenuesSettings()
        self._venues = State(
            measurements={},
            lags={},
            answers=Answers({}),
            tops=self._venues_views[0].items,
            healths=self._venues_views[1].items,
            arrivals=Arrivals(),
            policy=policy_of(given),
            unknowns=Unknowns(given.unknown_request_ms, given.unknown_volatility),
            reference_notional=given.reference_notional,
        )
        self._views: dict[str, list[View[Any]]] = {}
        for view in (*self._venues_views, *(v for s in self.services.values() for v in s.wiring.views)):
            self._views.setdefault(view.topic.name, []).append(view)
        self._queue: deque[tuple[Topic, Any]] = deque()
        self._ticks: list[tuple[int, int, str, bytes]] = []
        self._n = 0
        self.sent: dict[type[Event], list[Any]] = {kind: [] for kind in SHOWN}
        self._whole = WholeRecords()
        self.cash, self.held, self.fees = CAPITAL, dict.fromkeys(symbols, Decimal(0)), Decimal(0)
        self._begin()

    # --- what people ask of it

    def run(self, days: float) -> None:
        """Let so many days pass."""
        until = self.now + round(days * DAY_NS)
        minute, command = self.now + MINUTE_NS, self.now + self._interval_ns // len(self.symbols)
        while True:
            tick = self._ticks[0][0] if self._ticks else minute
            if min(minute, command, tick) > until:
                self.now = until
                return
            self.now = max(self.now, min(minute, command, tick))
            if minute <= self.now:
                self._pass_minute()
                minute += MINUTE_NS
            elif command <= self.now:
                self._execute()
                command += self._interval_ns // len(self.symbols)
            else:
                _, _, name, key = heapq.heappop(self._ticks)
                self._refresh()
                self._deliver(name, Tick(due_ts=tick, key=key, causation_id="", correlation_id=""))
            self._drain()

    def publish(self, topic: Topic, key: bytes, event: Event | None) -> None:
        """Put a record on a topic; who reads the topic has it at once, or with the messages to come."""
        for view in self._views.get(topic.name, ()):
            if view.wants(key):
                view.fold(0, view.position(0), key, event)
        if (record := self._whole.fold(event)) is not None:
            self.sent[ExecutionRecord].append(record)
        elif event is not None and type(event) in self.sent:
            self.sent[type(event)].append(event)
        if isinstance(event, OrderFilled):
            self._book(event)
        if event is not None and (
            topic.name == VENUES_COMMANDS.name
            or any(topic.name == each.name for s in self.services.values() for each in s.wiring.inputs)
        ):
            self._queue.append((topic, event))

    @property
    def risk(self) -> Mapping[bytes, RiskBudget]:
        """What the portfolio says of its book."""
        return next(view for view in self._views[PORTFOLIO_RISK.name] if view.topic is PORTFOLIO_RISK).items

    @property
    def equity(self) -> float:
        """What all is worth, at the price all venues follow, quote units."""
        held = sum(float(q) * self.market.price(symbol, self.now) for symbol, q in self.held.items())
        return float(self.cash) + held

    def shares(self, since: float = 0.0) -> dict[str, float]:
        """Return how often each policy was chosen, of the choices after the first `since` (a share)."""
        chosen = self.sent[PolicyChosen]
        late = [each.policy_id for each in chosen[int(since * len(chosen)) :]]
        return {name: late.count(name) / max(1, len(late)) for name in sorted(set(late))}

    # --- the bus

    def _begin(self) -> None:
        day = self.now // DAY_NS
        for service in self.services.values():
            for said in service.wiring.announce():
                self.publish(said.topic, said.key, said.event)
        for symbol in self.symbols:
            for at in range(day - HISTORY_DAYS, day):
                self._tell(self.market.candle(self.market.venues[0], symbol, "1d", at * DAY_NS, DAY_NS))
            for venue in self.market.venues:
                for at in range(self.now // MINUTE_NS - HISTORY_MINUTES, self.now // MINUTE_NS):
                    self._tell(self.market.candle(venue, symbol, "1m", at * MINUTE_NS, MINUTE_NS))
        self._refresh()
        command = AssessRisk(command_id=str(uuid5(NAMESPACE_URL, "loop/assess")), book=BOOK)
        self.publish(PORTFOLIO_COMMANDS, BOOK.encode(), command)
        self._drain()

    def _tell(self, candle: Candle) -> None:
        topic = L2_CANDLES_DAILY if candle.interval == "1d" else L2_CANDLES
        self.publish(topic, candle_key(candle), candle)

    def _pass_minute(self) -> None:
        looked_at = self.now % (BEAT_MINUTES * MINUTE_NS) == 0
        if looked_at:
            self._refresh()
        for venue, symbol in self.market.ladders:
            if looked_at:
                self._to_venues(self._venues.healths[book_key(venue, symbol)])
            self._tell(self.market.candle(venue, symbol, "1m", self.now - MINUTE_NS, MINUTE_NS))
        if self.now % DAY_NS == 0:
            for symbol in self.symbols:
                candle = self.market.candle(self.market.venues[0], symbol, "1d", self.now - DAY_NS, DAY_NS)
                self._tell(candle)

    def _execute(self) -> None:
        self._refresh()
        symbol = self.symbols[self._commands % len(self.symbols)]
        command = PlanAndExecute(
            command_id=str(uuid5(NAMESPACE_URL, f"loop/{self.now}/{symbol}")),
            symbol=symbol,
            urgency=self.urgency,
        )
        self._commands += 1
        self.publish(EXECUTION_COMMANDS, symbol.encode(), command)

    def _refresh(self) -> None:
        """Let every book and its heartbeat be of now."""
        for top in self.market.tops(self.now):
            key = book_key(top.venue, top.symbol)
            self.publish(L2_BOOK_TOPS, key, top)
            health = BookHealth(
                venue=top.venue,
                symbol=top.symbol,
                state=BookState.LIVE,
                epoch=EPOCH,
                seq=top.seq,
                reason="it follows its venue",
                owner="loop",
                since_ts=self.now - MINUTE_NS,
                ts=self.now,
                rate_remaining=1.0,
                requests=1,
                request_ns=round(2 * VENUES[top.venue].latency_ms * 1e6),
            )
            self.publish(L2_BOOK_HEALTH, key, health)

    def _book(self, fill: OrderFilled) -> None:
        signed = fill.last_qty if fill.side == "buy" else -fill.last_qty
        self.cash -= signed * fill.last_px + fill.fee
        self.held[fill.symbol] += signed
        self.fees += fill.fee
        self._to_venues(fill)

    def _drain(self) -> None:
        while self._queue:
            topic, event = self._queue.popleft()
            if topic.name == VENUES_COMMANDS.name:
                assert isinstance(event, ScoreVenues)
                self._to_venues(event)
                continue
            for name, service in self.services.items():
                if any(topic.name == each.name for each in service.wiring.inputs):
                    self._deliver(name, event)

    def _deliver(self, name: str, message: Any) -> None:
        service = self.services[name]
        for returned in service.handle(message, self.now):
            if isinstance(returned, WakeAt):
                self._n += 1
                heapq.heappush(self._ticks, (returned.ts, self._n, name, returned.key))
                continue
            output = service.wiring.outputs[type(returned)]
            event = None if output.tombstone else returned
            self.publish(output.topic, output.key(returned), event)

    def _to_venues(self, message: Any) -> None:
        self._n += 1
        for event in handle_venues(self._venues, message, Place(0, self._n), self.now):
            if isinstance(event, VenueMetrics):
                self.publish(VENUES_METRICS, book_key(event.venue, event.symbol), event)
            else:
                self.publish(VENUES_SCORES, b"", event)
