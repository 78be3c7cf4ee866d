"""However often the machine's clock is set, an execution does what it would have done, and when.

The world stands behind a real partition, run as its owner runs it. Its twin has the same on a clock that
nobody sets; both are compared on the monotonic clock, which the service never shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from libs.common.codec import encode
from libs.common.events import (
    BOOK,
    CommandRejected,
    ExecutionProgress,
    ExecutionRecord,
    ExecutionStatus,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    RewardPolicy,
)
from libs.common.partition import Incoming, Partition
from services.execution.app import wiring
from services.execution.handlers import handle
from tests.execution_market import NOW, a_candle, a_risk_budget
from tests.execution_world import MINUTE, ExecutionWorld, assert_books_balance
from tests.jumping_clock import JUMPS_S, Machine, S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Event
    from libs.common.partition import Effects

SCANT = ((60_000.5, 0.00123), (60_001.0, 0.0004))  # so that rests stay, and patience ends
THIN = tuple((60_000.5 + 0.5 * n, 0.02) for n in range(50))
STEEP = tuple((60_000.5 + 3.25 * n, 0.02) for n in range(50))  # dear to walk: the order is worked
WAITS_S = st.one_of(st.floats(0.001, 0.01), st.floats(0.1, 2.0), st.floats(2.0, 60.0))
ACTIONS = st.one_of(WAITS_S, JUMPS_S)
LONGEST_S = 300
VOLUME = 12.0  # a minute, base units


@dataclass(frozen=True)
class Deed:
    """What was done of what, and when by the monotonic clock."""

    at: int
    what: tuple[Any, ...]


class JumpingWorld(ExecutionWorld):
    """The messages go in as records, and the time as the owner of a partition reads it."""

    def __init__(self) -> None:
        super().__init__(horizon_s=60.0, s_max=0.2)  # so that POV is the plan
        self.machine = Machine(NOW)
        self.deeds: list[Deed] = []
        made = wiring(self.settings)
        made = replace(made, handle=lambda state, told, now: handle(state, told, now, self.market))
        self.partition = Partition(made, 0, lambda _key: 0)
        self.state = self.partition.state
        self._inputs = made.inputs

    def jump(self, by_s: int) -> None:
        self.machine.jump(by_s)
        self.follow_clock()

    def follow_clock(self) -> int:
        self.now = self.machine.clock.read()
        if stepped_ns := self.machine.clock.stepped_ns():
            for view in self.market.views:
                view.step_clock(stepped_ns)
            self.partition.step_clock(stepped_ns, self.now)
        return self.now

    def deliver(self, message: Any) -> list[Event]:
        now = self.follow_clock()
        topic = next(topic for topic in self._inputs if type(message) in topic.events)
        self._offsets += 1
        record = Incoming(topic, 0, self._offsets, now // 1_000_000, b"BTC-USDT", encode(message))
        return self._did(self.partition.apply([[record]], now))

    def wait(self, seconds: float) -> None:
        """Let time pass, with each tick as it is due, and l2's heartbeat before it."""
        until = self.machine.monotonic + round(seconds * S)
        while (
            due := self.partition.next_wake
        ) is not None and due - self.now <= until - self.machine.monotonic:
            self.machine.wait(max(0, due - self.now))
            now = self.follow_clock()
            self.beat()
            self._did(self.partition.wake(now, limit=1))
        self.machine.wait(until - self.machine.monotonic)
        self.follow_clock()
        self.beat()

    def end(self) -> None:
        """Answer, and let time pass until the policy of what was traded is rewarded."""
        for _ in range(LONGEST_S):
            if self.unanswered:
                self.answer()
            elif self.open or any(record.fills for record in self.records.values()):
                if self.all(RewardPolicy):
                    return
                self.wait(1.0)
            else:
                return
        raise AssertionError(f"{self.open} did not end")

    def _did(self, effects: Effects) -> list[Event]:
        assert effects.failure is None
        assert effects.failures == []
        events = [event for step in effects.steps for event in step.events]
        self.sent += events
        self.unanswered += [event for event in events if hasattr(event, "command_id") and _asks(event)]
        self.deeds += [Deed(self.machine.monotonic, what) for event in events if (what := _deed(event))]
        return events


class TradingWorld(JumpingWorld):
    """Its venue trades by a clock that nobody sets; it did so in bursts, so that a POV plan costs least."""

    def __init__(self) -> None:
        super().__init__()
        self._began = self.machine.monotonic
        self.rising()
        self.fold(self.market.risk, BOOK.encode(), a_risk_budget())
        for minute in range(-240, 0):
            self._tell(minute, 0.02 if minute % 20 < 15 else 2.4, closed=True)

    def beat(self) -> None:
        """Tell the books, and what was traded until now: as much each second."""
        super().beat()
        passed_ns = self.machine.monotonic - self._began
        for key, top in list(self.market.tops.items.items()):
            self.fold(self.market.tops, key, structs.replace(top, venue_ts=NOW + passed_ns))
        minute, within_ns = divmod(passed_ns, MINUTE)
        for before in range(minute):
            self._tell(before, VOLUME, closed=True)
        self._tell(minute, VOLUME * within_ns / MINUTE, closed=False)

    def _tell(self, minute: int, volume: float, *, closed: bool) -> None:
        candle = a_candle(
            "1m", NOW + minute * MINUTE, 60_000.0 * (1 + 2e-6 * minute), volume=volume, closed=closed
        )
        self.fold(self.market.candles.views[0], b"binance:BTC-USDT", candle)


def _asks(event: Event) -> bool:
    return type(event).__name__ in {"ChoosePolicy", "ScoreVenues", "RewardPolicy"}


def _deed(event: Event) -> tuple[Any, ...]:
    match event:
        case OrderSubmitted(order=order):
            return ("submitted", order.cl_ord_id, order.order_qty, order.price)
        case OrderFilled():
            return ("filled", event.exec_id, event.last_qty, event.last_px, event.latency_ns)
        case OrderRejected(order=order):
            return ("rejected", order.cl_ord_id, order.order_qty)
        case RewardPolicy():
            return ("rewarded", event.reward)
        case ExecutionRecord():
            return ("recorded", event.status, event.filled, event.reason)
        case ExecutionProgress():
            return ("progressed", event.filled, event.open)
        case CommandRejected():
            return ("refused", event.detail)
    return ()


def played(
    actions: Sequence[float | int],
    urgency: float,
    *,
    jumping: bool,
    answers: bool = True,
    asks: Sequence[tuple[float, float]] = THIN,
) -> JumpingWorld:
    """Play a plan that is made before the first action, or an execution that nobody answers."""
    world = JumpingWorld()
    world.ready()
    world.books(asks=asks)
    world.execute(urgency=urgency)
    while answers and world.unanswered:
        world.answer()
    for action in actions:
        match action:
            case float():
                world.wait(action)
            case int() if jumping:
                world.jump(action)
    if answers:
        world.end()
    else:
        world.wait(world.settings.step_timeout_s)
    return world


@settings(max_examples=10, deadline=None)
@given(
    actions=st.lists(ACTIONS, max_size=15),
    urgency=st.sampled_from((0.3, 0.6, 1.0)),
    asks=st.sampled_from((THIN, SCANT)),
)
@example(actions=[0.1, 3600, 0.1, -86_400, 0.1], urgency=1.0, asks=SCANT)
@example(actions=[0.001, 3600, 0.1], urgency=1.0, asks=THIN)  # while the order is on its way
def test_a_plan_is_done_once_in_order_and_at_its_distances_whatever_the_clock_is_set_to(
    actions: list[float | int], urgency: float, asks: Sequence[tuple[float, float]]
) -> None:
    twin = played(actions, urgency, asks=asks, jumping=False)
    world = played(actions, urgency, asks=asks, jumping=True)
    assert world.deeds == twin.deeds
    assert_books_balance(world)
    fills = [event.exec_id for event in world.all(OrderFilled)]
    assert len(fills) == len(set(fills))
    assert all(record.status.final for record in world.records.values())


def followed(actions: Sequence[float | int], ahead_s: int, *, jumping: bool) -> TradingWorld:
    """Play a plan that follows the volume; it is made while the clock is ahead, which is set right then."""
    world = TradingWorld()
    if jumping:
        world.jump(ahead_s)
    world.books(asks=STEEP)
    world.beat()
    world.execute(urgency=0.2)
    while world.unanswered:
        world.answer()
    for action in (-ahead_s, *actions):
        match action:
            case float():
                world.wait(action)
            case int() if jumping:
                world.jump(action)
    world.end()
    return world


@settings(max_examples=10, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=15), ahead_s=st.integers(0, 290))
@example(actions=[30.0], ahead_s=240)
@example(actions=[30.0, 86_400], ahead_s=0)
def test_a_plan_that_follows_the_volume_follows_the_venues_whatever_the_clock_was_and_is_set_to(
    actions: list[float | int], ahead_s: int
) -> None:
    twin = followed(actions, ahead_s, jumping=False)
    world = followed(actions, ahead_s, jumping=True)
    (record,) = world.records.values()
    assert record.plan is not None
    assert record.plan.style == "POV"
    assert record.status is ExecutionStatus.COMPLETED
    assert world.deeds == twin.deeds
    assert_books_balance(world)


@settings(max_examples=40, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=15))
def test_an_answer_is_waited_for_as_long_as_ever_whatever_the_clock_is_set_to(
    actions: list[float | int],
) -> None:
    twin = played(actions, 1.0, answers=False, jumping=False)
    world = played(actions, 1.0, answers=False, jumping=True)
    assert world.deeds == twin.deeds
    assert all(record.status.final for record in world.records.values())
