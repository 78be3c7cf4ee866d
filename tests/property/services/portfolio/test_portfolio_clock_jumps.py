"""However often the machine's clock is set, what is held is marked, and the book assessed, in its turn.

The desk stands behind a real partition, run as its owner runs it. What it does is judged by the monotonic
clock, which it never shows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.codec import encode
from libs.common.events import AssessRisk, Position, RiskBudget
from libs.common.partition import Incoming, Partition
from services.portfolio.app import create_wiring
from services.portfolio.handlers import handle
from tests.fills import a_fill
from tests.jumping_clock import JUMPS_S, Machine, S
from tests.unit.services.portfolio.world import NOW, World

if TYPE_CHECKING:
    from libs.common.events import Event
    from libs.common.partition import Effects

BEAT_NS = S // 2  # l2's
ACTIONS = st.one_of(st.just("flow"), st.just("flow"), st.just("freeze"), st.just("fill"), JUMPS_S, JUMPS_S)


class JumpingWorld(World):
    """A position of BTC-USDT, a book of an l2 on the same machine, and what was told when."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(NOW)
        self.history("BTC-USDT", 60)
        made = create_wiring(self.rules)
        self.partition = Partition(replace(made, handle=partial(handle, self.desk)), 0, lambda _key: 0)
        self._inputs = made.inputs
        self._records = 0
        self.mid = 100.0
        self.heard_at = self.marked_at = self.assessed_at = self.machine.monotonic
        self.mids: dict[float, int] = {}  # when each was last told

    def follow_clock(self) -> int:
        self.now = self.machine.clock.read()
        if stepped_ns := self.machine.clock.stepped_ns():
            for view in (self.desk.books.tops, self.desk.books.healths):
                view.step_clock(stepped_ns)
            self.partition.step_clock(stepped_ns, self.now)
        return self.now

    def deliver(self, message: Event) -> None:
        now = self.follow_clock()
        topic = next(topic for topic in self._inputs if type(message) in topic.events)
        self._records += 1
        record = Incoming(topic, 0, self._records, now // 1_000_000, b"", encode(message))
        self._did(self.partition.apply([[record]], now))

    def fill(self, number: int) -> None:
        self.follow_clock()
        self.mids[self.mid] = self.machine.monotonic
        self.deliver(a_fill(f"e-{number}", ts=self.now, mid=self.mid))

    def flow(self, ns: int, *, frozen: bool = False) -> None:
        """Let time pass, with each tick as it is due, and a book that moves unless it is frozen."""
        until = self.machine.monotonic + ns
        while self.machine.monotonic < until:
            self.machine.wait(BEAT_NS)
            now = self.follow_clock()
            self.mid += 0.25
            if not frozen:
                self.heard_at = self.mids[self.mid] = self.machine.monotonic
                self.book("BTC-USDT", self.mid)
            self._did(self.partition.wake(now, limit=9))

    def _did(self, effects: Effects) -> None:
        assert effects.failure is None
        assert effects.failures == []
        now = self.machine.monotonic
        for event in [event for step in effects.steps for event in step.events]:
            match event:
                case Position():
                    self._check(event)
                    self.marked_at = now
                    self.see([event])
                case RiskBudget():
                    assert event.ts == self.now
                    self.assessed_at = now
                case AssessRisk():
                    self.deliver(event)

    def _check(self, told: Position) -> None:
        assert told.ts == self.now
        assert told.mark is not None
        assert told.mark_ts is not None
        age_ns = self.machine.monotonic - self.mids[told.mark]
        assert self.now - told.mark_ts == age_ns, "it is marked as of a time that never was"
        assert age_ns <= self.rules.patience.silence_ns, (
            "the book's owner was silent, and the last mark stays"
        )

    def assert_on_time(self, *, frozen: bool) -> None:
        latest_ns = self.rules.period_ns + BEAT_NS
        assert self.machine.monotonic - self.assessed_at <= latest_ns
        assert frozen or self.machine.monotonic - self.marked_at <= latest_ns


@settings(max_examples=60, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=30))
@example(actions=["freeze", -60, "fill"])
@example(actions=["freeze", -7, "freeze"])
def test_marks_and_budgets_go_on_by_true_times_whatever_the_clock_is_set_to(
    actions: list[str | int],
) -> None:
    world = JumpingWorld()
    world.flow(S)
    world.fill(0)
    for number, action in enumerate(actions, start=1):
        match action:
            case "flow":
                for _ in range(7):
                    world.flow(S)
                    world.assert_on_time(frozen=True)
                world.assert_on_time(frozen=False)
            case "freeze":
                for _ in range(7):
                    world.flow(S, frozen=True)
                    world.assert_on_time(frozen=True)
            case "fill":
                world.fill(number)
            case int():
                world.machine.jump(action)
    world.flow(2 * world.rules.period_ns)
    world.assert_on_time(frozen=False)
