"""The execution service without Kafka: its handler, its state, its ticks, and peers that answer at will."""

from __future__ import annotations

import heapq
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from libs.common.codec import decode, encode
from libs.common.command_rules import refused_at_the_door
from libs.common.events import (
    BOOK,
    AuditEntry,
    BookState,
    ChoosePolicy,
    Event,
    ExecutionPlanned,
    ExecutionProgress,
    Limits,
    OrderFilled,
    PlanAndExecute,
    PolicyRewarded,
    RewardPolicy,
    ScoreVenues,
)
from libs.common.handling import State, Tick, WakeAt
from services.execution.app import wiring
from services.execution.early import early
from services.execution.handlers import handle
from services.execution.kept import ExecutionState
from services.execution.limits.watch import WATCH
from services.execution.market_data import MarketData
from services.execution.progress import ProgressEnded
from services.execution.saga.phases import saga_key
from services.execution.settings import ExecutionSettings
from tests.execution_market import (
    EPOCH,
    NOW,
    a_book_health,
    a_book_top,
    a_candle,
    a_policy_chosen,
    a_risk_budget,
    a_venue_scored,
)
from tests.whole_records import WholeRecords, whole_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from libs.common.events import BookTop, ExecutionRecord, Level
    from libs.common.views import View

NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
S = 1_000_000_000
MINUTE = 60 * S
DAY = 86_400 * S
VENUES = ("binance", "bybit")
LIMITS_OFF = {f"limit_{name}": 0 for name in Limits.__struct_fields__}  # tests of limits turn them on
BEST_BID = 60_000.0  # of `a_book_top`


def an_id(name: str) -> str:
    return str(uuid5(NAMESPACE, name))


class ExecutionWorld:
    """Messages go in by `deliver`, time by `advance`; everything sent is kept in `sent`."""

    def __init__(self, policy_id: str = "p_sma", **settings: Any) -> None:
        self.settings = ExecutionSettings(**LIMITS_OFF | settings)
        self.market = MarketData(self.settings)
        self.state: State[Any] = ExecutionState()
        self.now = NOW
        self.policy_id = policy_id
        self.sent: list[Event] = []
        self.unanswered: list[Event] = []  # commands to peers
        self._ticks: list[tuple[int, bytes]] = []
        self._watch: tuple[int, bytes] | None = None
        self.wished = 0  # ticks
        self._offsets = 0
        self._log = wiring(self.settings).state
        self._folded, self._whole = 0, WholeRecords()  # of `sent`

    def fold(self, view: View[Any], key: bytes, event: Event | None) -> None:
        view.fold(0, self._offsets, key, event)
        self._offsets += 1

    def rising(self) -> None:
        """Let prices have risen for days and minutes, so that a trend is long."""
        for n in range(120):
            close = 60_000.0 * (1 - 0.004 * (120 - n)) * (1 + 0.01 * (-1) ** n)
            self.fold(
                self.market.candles.views[0],
                b"binance:BTC-USDT",
                a_candle("1d", NOW - (120 - n) * DAY, close),
            )
        for n in range(240):
            close = 60_000.0 * (1 - 0.00005 * (240 - n)) * (1 + 0.0002 * (-1) ** n)
            for venue in VENUES:
                candle = a_candle("1m", NOW - (240 - n) * MINUTE, close, venue=venue)
                self.fold(self.market.candles.views[0], f"{venue}:BTC-USDT".encode(), candle)

    def books(
        self,
        asks: Iterable[Level] | None = None,
        state: BookState = BookState.LIVE,
        seq: int = 7,
        epoch: int = EPOCH,
        venues: Iterable[str] = VENUES,
    ) -> BookTop:
        """Let the books of BTC-USDT be so, at both venues."""
        changes: dict[str, Any] = {} if asks is None else {"asks": tuple(asks)}
        if changes and changes["asks"][0][0] <= BEST_BID:  # the market fell: a crossed book is none
            changes["bids"] = ((changes["asks"][0][0] - 0.5, 2.0),)
        for venue in venues:
            key = f"{venue}:BTC-USDT".encode()
            top = a_book_top(venue=venue, seq=seq, epoch=epoch, received_ts=self.now, **changes)
            self.fold(self.market.tops, key, top)
            health = a_book_health(venue=venue, state=state, ts=self.now, seq=seq, epoch=epoch)
            self.fold(self.market.healths, key, health)
        return top

    def beat(self) -> None:
        """Let the books' heartbeats be of now."""
        for key, health in list(self.market.healths.items.items()):
            self.fold(self.market.healths, key, a_book_health(**_fields(health) | {"ts": self.now}))
        for key, top in list(self.market.tops.items.items()):
            self.fold(self.market.tops, key, a_book_top(**_fields(top) | {"received_ts": self.now}))

    def ready(self, **risk: Any) -> None:
        """Let everything be there that an execution needs."""
        self.rising()
        self.books()
        self.fold(self.market.risk, BOOK.encode(), a_risk_budget(**risk))

    def deliver(self, message: Any) -> list[Event]:
        """Handle one message; return what it sent."""
        refused = refused_at_the_door(message, getattr(message, "symbol", ""), self.now)
        outputs = [refused] if refused else handle(self.state, message, self.now, self.market)
        self.state.keep()
        events = [output for output in outputs if isinstance(output, Event)]
        for output in outputs:
            if isinstance(output, WakeAt) and output.key == WATCH:
                self._watch = (output.ts, output.key)  # comes when there is something to see
            elif isinstance(output, WakeAt):
                self.wished += 1
                heapq.heappush(self._ticks, (output.ts, output.key))
        self.sent += events
        self.unanswered += [e for e in events if isinstance(e, ChoosePolicy | ScoreVenues | RewardPolicy)]
        return events

    def execute(self, name: str = "one", **fields: Any) -> str:
        """Send a PlanAndExecute; return its id."""
        command = PlanAndExecute(
            command_id=an_id(name), symbol="BTC-USDT", **{"urgency": 1.0, "max_venues": 1} | fields
        )
        self.deliver(command)
        return command.command_id

    def remembers(self, execution_id: str) -> bool:
        """Tell whether the service still knows that it carried this out."""
        return saga_key(execution_id) in self.state

    def answer(self) -> None:
        """Let the peers answer the oldest command."""
        self.deliver(self.answer_to(self.unanswered.pop(0)))

    def answer_to(self, command: Event) -> Event:
        match command:
            case ChoosePolicy(command_id=command_id):
                return a_policy_chosen(command_id, self.policy_id)
            case ScoreVenues(command_id=command_id, size=size, side=side):
                return a_venue_scored(command_id, size, side)
            case RewardPolicy(command_id=command_id):
                return PolicyRewarded(
                    command_id=command_id,
                    scope=command.scope,
                    policy_id=command.policy_id,
                    reward=command.reward,
                    decision_id=command.decision_id,
                    counted=not command.void,
                    reason=command.void,
                    updates=1,
                    mean_reward=command.reward,
                    ts=self.now,
                )
        raise AssertionError(command)

    def advance(self, seconds: float = 0.0) -> bool:
        """Go on by so much, or to the next tick or what the views show; return whether there was one."""
        until = self.now + round(seconds * S)
        due = self._look()
        if not seconds:
            if due or not self._ticks:
                return due
            until = max(self.now, self._ticks[0][0])
        self.now = until
        while self._ticks and self._ticks[0][0] <= self.now:
            due_ts, key = heapq.heappop(self._ticks)
            due = True
            self.deliver(Tick(due_ts=due_ts, key=key, causation_id=an_id("tick"), correlation_id="c"))
        return self._look() or due

    def _look(self) -> bool:
        """Let ticks come that the views show to be due before their time; tell whether there were any."""
        came = 0
        while (tick := next(self._early(), None)) is not None:
            if tick == self._watch:
                self._watch = None
            else:
                self._ticks.remove(tick)
                heapq.heapify(self._ticks)
            self.deliver(Tick(due_ts=tick[0], key=tick[1], causation_id=an_id("tick"), correlation_id="c"))
            came += tick[1] != WATCH
            assert came < 1000, f"{tick} comes again and again"
        return came > 0

    def _early(self) -> Iterator[tuple[int, bytes]]:
        names = early(self.state, self.now, self.market)
        pending = self._ticks if self._watch is None else [*self._ticks, self._watch]
        return (tick for name in names for tick in pending if tick[1] == name)

    def step_clock(self, by_ns: int) -> None:
        """Set the machine's clock: ticks move with it, and books are told on it."""
        self.now += by_ns
        self._ticks = [(due_ts + by_ns, key) for due_ts, key in self._ticks]
        self.beat()

    @property
    def next_due(self) -> int:
        """When the next tick is due."""
        return self._ticks[0][0]

    def restart(self) -> None:
        """Lose the process: the state comes back from its log, the ticks too."""
        restored: State[Any] = ExecutionState()
        for key, value in self.state.items():
            restored.restore(key, decode(self._log, encode(value)))
        self.state = restored

    def go_on(self, now: int, ticks: list[tuple[int, bytes]]) -> None:
        """Go on from a moment at which another process stopped, with its ticks."""
        self.now, self._ticks = now, sorted(ticks)
        self.beat()

    def finish(self, patience: int = 2_000) -> None:
        """Answer and tick until nothing is open any more."""
        for _ in range(patience):
            if self.unanswered:
                self.answer()
            elif self.open:
                self.beat()
                if not self.advance():
                    break
                self.beat()
            else:
                return
        raise AssertionError(f"{self.open} did not end")

    @property
    def open(self) -> list[str]:
        return [record.execution_id for record in self.records.values() if not record.status.final]

    @property
    def records(self) -> dict[str, ExecutionRecord]:
        """The newest whole record of each execution, by its id."""
        if len(self.sent) < self._folded:
            self._folded, self._whole = 0, WholeRecords()
        for event in self.sent[self._folded :]:
            self._whole.fold(event)
        self._folded = len(self.sent)
        return dict(self._whole.newest)

    def record(self, execution_id: str) -> ExecutionRecord:
        """Return the newest whole record of an execution."""
        return self.records[execution_id]

    def history(self, execution_id: str | None = None) -> list[ExecutionRecord]:
        """Return the whole records as they were one after the other, of an execution or of all."""
        found = whole_records(self.sent)
        return [r for r in found if execution_id is None or r.execution_id == execution_id]

    def all(self, kind: type[Any], execution_id: str | None = None) -> list[Any]:
        found = [event for event in self.sent if isinstance(event, kind)]
        if execution_id is None:
            return found
        return [event for event in found if _execution_of(event) == execution_id]

    def audit(self, execution_id: str) -> list[AuditEntry]:
        return self.all(AuditEntry, execution_id)


def a_ready_world(policy_id: str = "p_sma") -> ExecutionWorld:
    world = ExecutionWorld(policy_id)
    world.ready()
    return world


def assert_books_balance(world: ExecutionWorld) -> None:
    """Conservation, from what was sent alone: quantity of parents; cash against inventory and fees."""
    fills: dict[str, list[OrderFilled]] = {}
    for fill in world.all(OrderFilled):
        fills.setdefault(str(fill.execution_id), []).append(fill)
    for record in world.history():
        if record.plan is not None:
            assert record.filled + record.open + record.unscheduled == record.plan.size
        assert record.filled == sum((fill.size for fill in record.fills), Decimal(0))
        assert record.filled == sum((order.cum_qty for order in record.orders), Decimal(0))
    for execution_id, record in world.records.items():
        mine = fills.get(execution_id, [])
        assert [fill.exec_id for fill in mine] == [fill.fill_id for fill in record.fills]
        assert len({fill.exec_id for fill in mine}) == len(mine)
        cash = -sum((_signed(f) * f.last_px + f.fee for f in mine), Decimal(0))
        inventory = sum((_signed(f) for f in mine), Decimal(0))
        assert abs(inventory) == record.filled
        sign = 1 if inventory >= 0 else -1
        paid = sum((order.cum_quote for order in record.orders), Decimal(0))
        fees = sum((order.fees for order in record.orders), Decimal(0))
        assert cash == -sign * paid - fees
        answers = [e for e in world.all(ExecutionPlanned) if e.command_id == execution_id]
        if record.status.final:
            assert answers, "it ended unanswered"
            said = {e.n for e in world.all(ExecutionProgress, execution_id)}
            ended = [e.n for e in world.all(ProgressEnded, execution_id)]
            assert len(ended) == len(set(ended))
            assert set(ended) == said, "progress of an execution that has ended has a tombstone"


def _signed(fill: OrderFilled) -> Decimal:
    return fill.last_qty if fill.side == "buy" else -fill.last_qty


def _execution_of(event: Any) -> str | None:
    order = getattr(event, "order", None) or event
    return getattr(order, "execution_id", None)


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__ if name != "features"}
