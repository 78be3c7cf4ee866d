"""However often the machine's clock is set, a venue's book is as fresh as it is, and its latency is its own.

What is asked is judged by the monotonic clock, which the service never shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.events import VenueMetrics
from libs.common.time_units import NS_PER_MS
from libs.common.topics import L2_BOOK_HEALTH, book_key
from libs.common.views import View
from services.venues.answers import Answers
from services.venues.doors import Tops
from services.venues.handlers import Place, State, Unknowns, handle, offers_of
from services.venues.lags import Arrivals
from services.venues.settings import VenuesSettings, policy_of
from tests.jumping_clock import JUMPS_S, Machine, S
from tests.venue_market import NOW, a_health, a_top

if TYPE_CHECKING:
    from libs.common.events import BookHealth

STEP_NS = 250 * NS_PER_MS
TURN = 4  # a health and metrics come with each fourth step
SLOWEST_MS = 40.0
KEY = book_key("binance", "BTC-USDT")
ACTIONS = st.one_of(st.just("flow"), st.just("flow"), st.just("freeze"), JUMPS_S)


class World:
    """A book of an l2 on the same machine, and the venues' core behind its views."""

    def __init__(self) -> None:
        self.machine = Machine(NOW)
        self.tops = Tops()
        self.arrivals = Arrivals()
        self.healths: View[BookHealth] = View(L2_BOOK_HEALTH)
        self.state = State(
            measurements={},
            lags={},
            answers=Answers({}),
            tops=self.tops.items,
            healths=self.healths.items,
            arrivals=self.arrivals,
            policy=policy_of(VenuesSettings()),
            unknowns=Unknowns(50.0, 0.03),
            reference_notional=10_000.0,
        )
        self.epoch, self.offset = 1, 0
        self.told_at = self.metrics_at = self.machine.monotonic
        self.newest: VenueMetrics | None = None

    def read_clock(self) -> int:
        """Read the clock as the reader of the views does, and let l2 begin anew where it was set."""
        now = self.machine.clock.read()
        if stepped_ns := self.machine.clock.stepped_ns():
            self.epoch += 1
            for view in (self.tops, self.healths):
                view.step_clock(stepped_ns)
        return now

    def tell(self, lag_ms: float) -> None:
        now = self.read_clock()
        lag_ns = round(lag_ms * NS_PER_MS) + self.machine.wall - self.machine.monotonic - (NOW - 77 * S)
        top = a_top(now=now, epoch=self.epoch, seq=self.offset, lag_ms=lag_ns / NS_PER_MS)
        self.told_at = self.machine.monotonic
        self.tops.fold(0, self.offset, KEY, top)
        self.arrivals.note(top, self.offset)
        if self.offset % TURN == 0:
            health = a_health(now=now, epoch=self.epoch)
            self.healths.fold(0, self.offset, KEY, health)
            self._handle(health, now)
        self.offset += 1

    def _handle(self, message: BookHealth, now: int) -> None:
        for event in handle(self.state, message, Place(0, self.offset), now):
            assert isinstance(event, VenueMetrics)
            self.newest, self.metrics_at = event, self.machine.monotonic

    def usable(self) -> bool:
        """Tell whether the book may be scored."""
        now = self.read_clock()
        offers = offers_of(self.state, "BTC-USDT", now)
        return offers[0].fault is None


@settings(max_examples=150, deadline=None)
@given(
    actions=st.lists(ACTIONS, max_size=30),
    lags_ms=st.lists(st.floats(1.0, SLOWEST_MS), min_size=1, max_size=7),
)
@example(actions=["freeze", "freeze", "freeze", -7], lags_ms=[5.0])
@example(actions=["flow", 2, "flow", -4, "flow"], lags_ms=[5.0, 9.0])
def test_a_book_is_as_fresh_as_it_is_and_a_latency_is_the_venues_whatever_the_clock_is_set_to(
    actions: list[str | int], lags_ms: list[float]
) -> None:
    world = World()
    world.tell(lags_ms[0])
    stale_ns = world.state.policy.patience.unproven_ns
    for action in actions:
        match action:
            case "flow":
                for _ in range(2 * TURN):
                    world.machine.wait(STEP_NS)
                    world.tell(lags_ms[world.offset % len(lags_ms)])
                    _assert_measured(world)
                assert world.usable()
            case "freeze":
                world.machine.wait(stale_ns + NS_PER_MS)
                world.metrics_at = world.machine.monotonic
                assert not world.usable()
            case int():
                old_ns = world.machine.monotonic - world.told_at
                world.machine.jump(action)
                assert not world.usable() or old_ns <= stale_ns
    for _ in range(2 * TURN):
        world.machine.wait(STEP_NS)
        world.tell(lags_ms[0])
    assert world.usable(), "the jumps of the past do no harm"
    _assert_measured(world)


def _assert_measured(world: World) -> None:
    late_ns = world.machine.monotonic - world.metrics_at
    assert late_ns <= 2 * TURN * STEP_NS, "a step back of one turn costs one"
    if world.newest is not None and world.newest.latency_p99_ms is not None:
        assert world.newest.latency_p99_ms <= SLOWEST_MS
