"""However many commands strangers send, under ids and names of their own, no state grows beyond its bound.

Each test tells N and then ten times N different ones, and counts what the state's log would hold: keys, and
their bytes. The bounds are the code's own.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import numpy as np
import pytest

from libs.common.answered import Memory
from libs.common.events import (
    AssessRisk,
    Candle,
    ChoosePolicy,
    CommandRejected,
    ExecutionPlanned,
    OptimizePortfolio,
    PaperOrderPlaced,
    PlanAndExecute,
    PolicyChosen,
    PortfolioOptimized,
    Position,
    RewardPolicy,
    ScoreVenues,
    SubmitPaperOrder,
)
from libs.common.handling import RESERVED, State
from libs.common.instruments import INSTRUMENTS
from libs.common.record_view import KEEP, RecordView
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_CANDLES_DAILY, VENUES_COMMANDS
from services.execution.app import wiring as execution_wiring
from services.execution.limits.counters import COUNTED_SYMBOLS, counts_key
from services.execution.limits.watch import WATCH
from services.execution.saga.forgetting import IDS_KEPT_NS
from services.execution.settings import ExecutionSettings
from services.gateway.reading.books import MAX_PAGE_BYTES, PAGE_BYTES
from services.gateway.stream.sse import Frame, History
from services.portfolio.remembered import KEEP_ANSWERS, remember
from services.router.app import wiring as router_wiring
from services.router.arms import Arms
from services.router.settings import RouterSettings
from services.venues.answers import SLOTS
from tests.execution_market import a_book_health, a_book_top, a_risk_budget
from tests.registered import a_policy_registered
from tests.services_alone import NOW, Service
from tests.unit.services.gateway.world import World
from tests.venue_market import a_health, a_top
from tests.venues_alone import Venues

if TYPE_CHECKING:
    from libs.common.events import Command, Event, ExecutionRecord
    from libs.common.partition import Effects

S = 1_000_000_000
DAY_NS = 86_400 * S
GROWTH = 1.05  # of the bytes, once the bound is reached: numbers get longer


def an_id(number: int) -> str:
    return str(UUID(int=number + 1, version=4))


def registered(*names: str) -> Arms:
    arms = Arms()
    for offset, name in enumerate(names):
        arms.view.fold(0, offset, name.encode(), a_policy_registered(name))
    return arms


def daily_candles(symbol: str, seed: int) -> list[Candle]:
    days = [NOW - NOW % DAY_NS - n * DAY_NS for n in range(60, 0, -1)]
    closes = np.exp(np.random.Generator(np.random.Philox(key=seed)).normal(0.002, 0.02, len(days)).cumsum())
    return [
        Candle(
            venue="binance",
            symbol=symbol,
            interval="1d",
            open_ts=day,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=1.0,
            trades=1,
            closed=True,
        )
        for day, close in zip(days, closes.tolist(), strict=True)
    ]


class Counted(Service):
    """A service whose state's log is folded as a restart would fold it."""

    def __init__(self, name: str, wiring: Any = None) -> None:
        super().__init__(name, NOW, wiring)
        self.log: dict[bytes, bytes] = {}

    def hand(self, *record: Any) -> Effects:
        effects = super().hand(*record)
        self._fold(effects)
        return effects

    def wake(self) -> list[Event]:
        """Let all come that is due."""
        found: list[Event] = []
        while (due := self.partition.next_wake) is not None and due <= self.now:
            effects = self.partition.wake(self.now, limit=1000)
            assert effects.failure is None
            self._fold(effects)
            found += [event for step in effects.steps for event in step.events]
        return found

    def ask(self, command: Command) -> list[Event]:
        return self.tell(self.wiring.inputs[0], command)

    @property
    def keys(self) -> list[bytes]:
        return [key for key in self.log if not key.startswith(RESERVED)]

    @property
    def ticks(self) -> int:
        return sum(key.startswith(RESERVED + b"tick/") for key in self.log)

    @property
    def size(self) -> int:
        return sum(len(key) + len(value) for key, value in self.log.items())

    def _fold(self, effects: Effects) -> None:
        for record in effects.outgoing:
            if record.topic.name != self.wiring.state.name:
                continue
            if record.value is None:
                self.log.pop(record.key, None)
            else:
                self.log[record.key] = record.value


def test_the_routers_state_is_bounded_however_many_scopes_and_decisions_strangers_name() -> None:
    """ROUTER_SCOPES_MOST scopes, ROUTER_REMEMBER_MOST decisions of each, and as many other answers."""
    most, remembered, idle_s = 8, 3, 30
    settings = RouterSettings(
        policies="p_sma p_flat",
        scopes_most=most * RouterSettings().topic_partitions,
        remember_most=remembered,
        scope_idle_s=idle_s,
    )
    router = Counted("router", router_wiring(settings, registered("p_sma", "p_flat")))
    policies = 2
    of_a_scope = 1 + policies + 2 * remembered  # itself, and answers of both kinds
    ticks = settings.scopes_per_minute * (1 + idle_s // 60)
    sizes = []
    for number in range(1000):
        scope, decision = f"scope-{number // 5}", an_id(number)
        answer = router.ask(ChoosePolicy(command_id=decision, scope=scope, context={}))[0]
        assert isinstance(answer, PolicyChosen), answer
        reward = RewardPolicy(
            command_id=an_id(10**6 + number),
            scope=scope,
            policy_id=answer.policy_id,
            reward=0.01,
            decision_id=decision,
        )
        router.ask(reward)
        router.now += S
        router.wake()
        if number % 10 == 0:
            assert len(router.keys) <= 1 + most * of_a_scope
            assert router.ticks <= ticks
            sizes.append(router.size)
    rewarded = 1.2  # of what policies hold: one that earned nothing holds less
    assert max(sizes) <= rewarded * max(sizes[:10])


def test_a_flood_of_new_scopes_within_a_minute_is_refused_and_leaves_nothing() -> None:
    """At most ROUTER_SCOPES_PER_MINUTE scopes begin within a minute."""
    settings = RouterSettings()
    router = Counted("router", router_wiring(settings, registered("p_sma", "p_flat")))
    refused = 0
    for number in range(10 * settings.scopes_per_minute):
        command = ChoosePolicy(command_id=an_id(number), scope=f"scope-{number}", context={})
        answer = router.ask(command)[0]
        refused += isinstance(answer, CommandRejected)
    assert refused == 9 * settings.scopes_per_minute
    assert sum(key.startswith(b"scope/") for key in router.keys) == settings.scopes_per_minute


def test_the_portfolios_state_is_bounded_however_many_optimisations_strangers_ask_for() -> None:
    """At most KEEP_ANSWERS answers."""
    portfolio = Counted("portfolio")
    symbols = ("BTC-USDT", "ETH-USDT")
    for n, view in enumerate(portfolio.wiring.views):
        if view.topic is L2_CANDLES_DAILY:
            for symbol, seed in zip(symbols, (1, 2), strict=True):
                for candle in daily_candles(symbol, seed):
                    portfolio.show(n, candle, at_home=False)
    sizes = []
    for number in range(10 * KEEP_ANSWERS):
        budget = 0.01 + number / 1e6
        command = OptimizePortfolio(
            command_id=an_id(number), symbols=symbols, cvar_budget=budget, vol_target=0.02
        )
        (answer,) = portfolio.ask(command)
        assert isinstance(answer, PortfolioOptimized), answer
        assert len(portfolio.keys) <= KEEP_ANSWERS
        sizes.append(portfolio.size)
    assert max(sizes) <= GROWTH * max(sizes[: KEEP_ANSWERS + 1])


def test_a_position_of_a_symbol_that_nobody_lists_is_refused_and_leaves_nothing() -> None:
    """As many positions stand ahead of the view as there are symbols in the table of instruments."""
    portfolio = Counted("portfolio")
    listed = {symbol for _, symbol in INSTRUMENTS}
    for number in range(1000):
        position = Position(
            symbol=f"A{number}-USDT",
            quantity=Decimal(1),
            basis=Decimal(1),
            avg_price=Decimal(1),
            mark=1.0,
            mark_ts=NOW,
            realized_pnl=Decimal(0),
            unrealized_pnl=Decimal(0),
            fees=Decimal(0),
            cash=Decimal(-1),
            fills=1,
            ts=NOW,
        )
        (answer,) = portfolio.ask(AssessRisk(command_id=an_id(number), book="default", position=position))
        assert isinstance(answer, CommandRejected)
    book = cast("Any", portfolio.partition.state.get(b"book/default"))
    assert book is None or len(book.ahead) <= len(listed)
    assert portfolio.size < 10_000


@pytest.mark.parametrize("keep", [1, 50])
def test_what_is_remembered_of_a_kind_is_bounded(keep: int) -> None:
    """An id, `keep` times: also of the fills, of which KEEP_FILLS are kept."""
    state: State[Event] = Memory()
    for number in range(100 * keep):
        remember(state, "fills/BTC-USDT", an_id(number), keep)
        assert len(state) <= keep


def test_executions_that_strangers_begin_leave_their_ids_alone_and_at_last_nothing() -> None:
    """Whole for EXECUTION_REMEMBER_S, or until rewarded; the id alone for IDS_KEPT_NS; then nothing."""
    settings = ExecutionSettings(remember_s=10, patience_s=1, limit_failed_share=0)  # the router is away
    execution = Counted("execution", execution_wiring(settings))
    tops, healths, risks = (
        next(n for n, view in enumerate(execution.wiring.views) if view.topic.name == name)
        for name in ("l2.book-tops.v1", "l2.book-health.v1", "portfolio.risk.v1")
    )
    kept_s, counts = 10 + 6, []  # remembered, and waited for the router
    for number in range(1000):
        now = execution.now
        for n, told in ((tops, a_book_top(received_ts=now)), (healths, a_book_health(ts=now))):
            execution.show(n, told, at_home=True)
        view = execution.wiring.views[risks]
        view.fold(0, view.position(0), b"default", a_risk_budget())
        begun = execution.ask(
            PlanAndExecute(command_id=an_id(number), symbol="BTC-USDT", scope=f"scope-{number}")
        )
        assert not any(isinstance(event, CommandRejected) for event in begun), begun
        quantity = Decimal("0.001")
        order = SubmitPaperOrder(
            command_id=an_id(10**6 + number), symbol="BTC-USDT", side="buy", order_qty=quantity
        )
        execution.ask(order)
        execution.ask(PlanAndExecute(command_id=an_id(2 * 10**6 + number), symbol=f"A{number}-USDT"))
        execution.now += S
        ended = execution.wake()
        if number > kept_s:
            assert any(isinstance(event, ExecutionPlanned | PaperOrderPlaced) for event in ended)
        whole = [key for key in execution.keys if len(execution.log[key]) > 100]
        counts.append(len(whole))
    assert max(counts) <= max(counts[:100])
    for _ in range(3):
        execution.now += IDS_KEPT_NS + DAY_NS  # ids go at the end of their day
        execution.wake()
    left = {key for key in execution.keys if not key.startswith((b"impact", b"curve", b"held", b"cost"))}
    assert left <= {WATCH, COUNTED_SYMBOLS, counts_key("BTC-USDT")}  # as many as symbols are listed
    (tick,) = (key for key in execution.log if key.startswith(RESERVED + b"tick/"))
    assert tick.endswith(WATCH)


def test_the_answers_of_venues_are_bounded_and_commands_measure_nothing() -> None:
    """SLOTS answers of each partition."""
    venues = Venues()
    for venue in ("binance", "okx"):
        venues.tell(L2_BOOK_TOPS, a_top(venue), f"{venue}:BTC-USDT".encode())
        venues.tell(L2_BOOK_HEALTH, a_health(venue), f"{venue}:BTC-USDT".encode())
    sizes = []
    before = (len(venues.measurements), len(venues.lags))
    for number in range(10 * SLOTS):
        symbol = "BTC-USDT" if number % 2 else f"A{number}-USDT"
        venues.tell(VENUES_COMMANDS, ScoreVenues(command_id=an_id(number), symbol=symbol, size=0.1))
        assert len(venues.answers) <= SLOTS
        sizes.append(venues.answers.size)
    assert (len(venues.measurements), len(venues.lags)) == before
    assert max(sizes) <= GROWTH * max(sizes[: SLOTS + 1])


def test_the_gateway_holds_the_newest_executions_alone() -> None:
    """KEEP executions."""
    view = RecordView()
    record = cast("ExecutionRecord", object())
    for offset in range(10 * KEEP):
        view.fold(0, offset, an_id(offset).encode(), record)
        assert len(view.items) <= KEEP


def test_replies_and_addresses_and_pages_of_the_gateway_are_bounded() -> None:
    """IDEMPOTENCY_MAX_KEYS replies, WRITE_MAX_ADDRESSES addresses, MAX_PAGE_BYTES of pages, no path."""
    asyncio.run(_flood())


async def _flood() -> None:
    most = 20
    world = World(
        idempotency_max_keys=most,
        write_max_addresses=most,
        write_total_rate_per_s=10_000,
        write_total_burst=10_000,
    )
    world.live()
    statuses: set[int] = set()
    for number in range(10 * most):
        body = {"venue": "binance", "symbol": "BTCUSDT"}
        answer = await world.post(
            body, f"10.0.{number // 250}.{number % 250}", idempotency_key=f"key-{number}"
        )
        statuses.add(answer.status)
        assert len(world.views.replies.items) <= most
        assert world.guard.addresses <= most
    assert statuses == {200, 503}
    for number in range(4_600):
        await world.ask(f"/api/l2/binance/A{number}-USDT?depth={1 + number % 50}")
    assert world.books._keys == {}  # noqa: SLF001 -- shown nowhere
    for number in range(100):
        await world.ask(f"/api/l2/binance/BTC-USDT?depth={1 + number % 50}")
    pages = world.books._pages.values()  # noqa: SLF001 -- shown nowhere
    assert sum(len(page.body) + PAGE_BYTES for page in pages) <= MAX_PAGE_BYTES


def test_the_history_of_streams_is_bounded_in_bytes() -> None:
    """STREAM_HISTORY_BYTES."""
    most = 10_000
    history = History(most)
    for number in range(10_000):
        history.append(Frame(f"topic-{number}", b"", f"{number}", b"x" * (number % 300)))
    assert sum(len(frame.data) for frame in history._frames) <= most  # noqa: SLF001 -- shown nowhere


def test_a_risk_that_nobody_has_is_refused_and_leaves_nothing() -> None:
    """There is one book."""
    portfolio = Counted("portfolio")
    for number in range(1000):
        portfolio.ask(AssessRisk(command_id=an_id(number), book=f"book-{number}"))
    assert portfolio.keys == []
