"""However often the machine's clock is set, l2 goes on telling on time, and of times that were true.

The world is read through l2's own shell, on a clock of the test's. What is told is judged by the monotonic
clock, which l2 never shows: a stamp's age on the wall must be the age that the thing has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.events import BookDelta, BookHealth, BookSnapshot, BookState, BookTop
from libs.common.time_units import NS_PER_MS
from libs.common.wall_clock import STEP_NS
from services.l2.app import App
from services.l2.feeds import FEEDS
from services.l2.messages import Tick
from services.l2.publication import REPEAT_NS
from services.l2.settings import L2Settings
from tests.jumping_clock import JUMPS_S, Machine, S
from tests.l2_world import POLICY, START, World
from tests.model_exchange import BinanceModel, KrakenModel

if TYPE_CHECKING:
    from libs.common.kafka_lanes import StreamPublisher
    from services.l2.messages import L2Message, Output
    from services.l2.ownership import Ownership

STEP_TIME = 50 * NS_PER_MS  # of the world
LATE_NS = 2 * STEP_TIME
HEALED_NS = 5 * S  # from the last trouble
QUIET_STEPS = 30
ACTIONS = st.one_of(
    st.just("flow"),
    st.just("flow"),
    st.just("quiet"),
    st.just("disconnect"),
    JUMPS_S,
    JUMPS_S,
)


class Idle:
    """A publisher with room, and an ownership without books in the log."""

    full = False

    def recall(self) -> None:
        """Have no candles."""


class Shell(App):
    """l2's shell, which reads the test's clock and hands its outputs to the world."""

    def __init__(self, world: JumpingWorld) -> None:
        super().__init__(L2Settings())
        self.state = world.state
        self._world = world
        self._clock = world.machine.clock
        self._publisher = cast("StreamPublisher", Idle())
        self._ownership = cast("Ownership", Idle())

    def _perform(self, outputs: list[Output], now: int) -> None:
        self._world.take(outputs, now)

    def _check_stall(self) -> None:
        """Have no session: the test may take its time."""


class JumpingWorld(World):
    """Notes on the monotonic clock when what was told, and holds each stamp against it."""

    def __init__(self, exchange: BinanceModel | KrakenModel) -> None:
        self.machine = Machine(START)
        self.shell: Shell | None = None
        self.silence_ns = round(FEEDS[exchange.venue].silence_s * S)
        self.trouble_at = self.heard_at = self.machine.monotonic
        self.told_at: dict[type, int] = {}  # the newest of each kind
        self.applied_at = self.moved_at = self.live_at = 0
        super().__init__(exchange)

    def tell(self, message: L2Message) -> None:
        self.shell = self.shell or Shell(self)
        with pytest.raises(StopIteration):  # it never waits: there is room
            self.shell.report(message).send(None)

    def take(self, outputs: list[Output], now: int) -> None:
        assert abs(now - self.machine.wall) < STEP_NS
        self.now = now
        for output in outputs:
            self._check(output)
            self._take(output)
        self.open_asked()

    def jump(self, by_s: int) -> None:
        self.machine.jump(by_s)
        self.trouble_at = self.machine.monotonic

    def deliver_on(self, connection: int, frame: bytes) -> None:
        self.heard_at = self.machine.monotonic
        super().deliver_on(connection, frame)

    def step(self, frames: list[bytes] | None = None) -> None:
        for frame in [self.exchange.next_frame()] if frames is None else frames:
            self.deliver(frame)
        self.answer()
        self.machine.wait(STEP_TIME)
        self.tell(Tick())
        self._assert_on_time(flows=frames is None)

    def _assert_on_time(self, *, flows: bool) -> None:
        now = self.machine.monotonic
        assert self.live or now - self.trouble_at < HEALED_NS, f"{self.health}"
        assert now - self.told_at[BookHealth] <= POLICY.heartbeat_ns + LATE_NS
        if self.live:
            assert now - max(self.told_at[BookSnapshot], self.live_at) <= POLICY.keyframe_ns + LATE_NS
            often = (POLICY.top_interval_ns if flows else REPEAT_NS) + LATE_NS
            assert now - max(self.told_at[BookTop], self.live_at) <= often

    def _check(self, output: Output) -> None:
        now = self.machine.monotonic
        match output:
            case BookDelta() | BookSnapshot(reason="resync"):
                self.applied_at = now
                self._assert_age(output.received_ts, 0)
            case BookSnapshot() | BookTop():
                self._assert_age(output.received_ts, now - self.applied_at)
            case BookHealth():
                if self.health is None or output.state is not self.health.state:
                    self.moved_at = now
                if output.state is BookState.LIVE and not self.live:
                    self.live_at = now
                silent_ns = now - self.heard_at
                assert output.state is not BookState.STALE or silent_ns > self.silence_ns, "it was heard"
                self._assert_age(output.ts, 0)
            case _:
                return
        self.told_at[type(output)] = now
        venue_ts = getattr(output, "venue_ts", None)
        assert venue_ts is None or venue_ts <= self.machine.wall + S, "no clock was ever there"

    def _assert_age(self, stamp: int, age_ns: int) -> None:
        assert stamp < self.machine.wall + STEP_NS
        assert abs(self.machine.wall - stamp - age_ns) < STEP_NS, "it is of a time that was never true"


@pytest.mark.parametrize("model", [BinanceModel, KrakenModel])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), actions=st.lists(ACTIONS, max_size=30))
def test_l2_tells_on_time_and_of_true_times_whatever_the_clock_is_set_to(
    model: type[BinanceModel | KrakenModel], seed: int, actions: list[str | int]
) -> None:
    world = JumpingWorld(model(seed))
    for action in actions:
        match action:
            case "flow":
                for _ in range(5):
                    world.step()
            case "quiet":
                for _ in range(QUIET_STEPS):
                    world.step([])
                world.step()
            case "disconnect":
                world.trouble_at = world.machine.monotonic
                world.disconnect("connection reset")
                world.step()
            case int():
                world.jump(action)
    for _ in range(240):  # longer than a keyframe's turn
        world.step()
    assert world.live
    assert world.truth_holds()


@settings(max_examples=20, deadline=None)
@given(before_s=st.floats(0.0, 4.0), jumps_s=st.lists(JUMPS_S, min_size=1, max_size=3))
def test_a_line_that_fell_silent_is_found_out_in_its_time(before_s: float, jumps_s: list[int]) -> None:
    world = JumpingWorld(KrakenModel(1))
    for _ in range(20):
        world.step()
    world.machine.wait(round(before_s * S))
    for by_s in jumps_s:
        world.jump(by_s)
        world.tell(Tick())
    for _ in range(200):  # each new line brings a snapshot, and then nothing
        world.machine.wait(STEP_TIME)
        world.tell(Tick())
        assert not world.live or world.machine.monotonic - world.heard_at <= world.silence_ns + LATE_NS
    assert BookState.STALE in world.states
