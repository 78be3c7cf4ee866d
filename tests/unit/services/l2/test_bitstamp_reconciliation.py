"""Bitstamp's splice by time, and what can be seen of its losses."""

from __future__ import annotations

import pytest

from libs.common.events import BookState
from services.l2.messages import FrameReceived
from tests.l2_world import World
from tests.model_bitstamp import BitstampModel

S = BookState
UNVERIFIED = "consistent as far as can be seen; the venue offers no proof"
PONG = b'{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}'


class BitstampWorld(World):
    """A world whose exchange is known to be Bitstamp."""

    def __init__(self, seed: int = 7) -> None:
        self.model = BitstampModel(seed)
        super().__init__(self.model)


def a_live_world() -> BitstampWorld:
    world = BitstampWorld()
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.deltas == 20
    world.states.clear()
    return world


def test_a_live_book_says_that_it_is_unverified() -> None:
    world = a_live_world()
    assert world.health is not None
    assert (world.health.state, world.health.reason) == (S.LIVE, UNVERIFIED)


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_a_snapshot_that_lags_behind_the_first_diff_is_asked_for_again(lag: int) -> None:
    world = BitstampWorld()
    old = world.model.snapshot()
    for _ in range(lag):  # what the stream said before we listened
        world.model.next_frame()
    world.snapshot_answers.append((200, old, None))
    for _ in range(3):
        world.step()
    assert not world.live
    assert world.reader.epoch == 0
    assert world.health is not None
    assert "snapshot older than the stream" in world.health.reason
    world.until_live()
    assert world.health.reason == UNVERIFIED


def test_diffs_not_later_than_the_snapshot_are_inside_it() -> None:
    world = BitstampWorld()
    frames = [world.model.next_frame() for _ in range(6)]
    times = sorted(world.model.truth)
    for frame in frames:
        world.deliver(frame)
    world.snapshot_answers.append((200, world.model.snapshot_of(times[3]), None))
    for _ in range(40):
        world.step([])
    assert world.live
    assert world.reader.book == world.model.truth[times[6]]
    assert world.deltas == 0


def test_a_quiet_book_is_live_without_a_diff() -> None:
    world = BitstampWorld()
    for _ in range(60):
        world.step([])
    assert world.live
    world.step()
    assert world.truth_holds()


def test_a_crossed_book_resyncs_and_publishes_no_delta() -> None:
    world = a_live_world()
    before = world.deltas
    world.step([world.model.crossing_frame()])
    assert world.deltas == before
    world.until_live()
    assert world.states == [S.GAP, S.SYNCING, S.LIVE]
    world.step()
    assert world.truth_holds()


def test_heartbeats_alone_keep_a_quiet_book_live_and_silence_does_not() -> None:
    world = a_live_world()
    for _ in range(800):  # 40 s
        world.step([PONG])
    assert world.states == []
    for _ in range(700):  # 35 s
        world.step([])
    assert world.states[0] is S.STALE


def test_a_refused_subscription_says_why() -> None:
    world = a_live_world()
    assert world.connection is not None
    raw = (
        b'{"event":"bts:error","channel":"","data":{"code":null,"message":"Incorrect subscription channel."}}'
    )
    world.tell(FrameReceived(world.key, world.connection, raw))
    assert world.health is not None
    assert world.health.reason == "the venue refused: Incorrect subscription channel."
