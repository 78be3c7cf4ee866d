"""Each way Bybit can go wrong, and the restart that is none; the world asserts that nothing wrong is said."""

from __future__ import annotations

import pytest

from libs.common.events import BookState
from tests.model_bybit import BybitWorld

S = BookState
PONG = b'{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}'


def a_live_world(seed: int = 7) -> BybitWorld:
    world = BybitWorld(seed)
    world.until_live()
    for _ in range(20):
        world.step([world.exchange.delta_frame()])
    assert world.live
    assert world.deltas >= 19
    world.states.clear()
    return world


def recovers(world: BybitWorld, through: BookState) -> None:
    epoch = world.reader.epoch
    world.until_live()
    assert world.states[0] is through
    assert world.states[-2:] == [S.SYNCING, S.LIVE]
    assert world.reader.epoch > epoch
    for _ in range(20):
        world.step()
    assert world.live
    assert world.truth_holds()


def test_a_restart_begins_a_new_epoch_on_the_same_connection() -> None:
    world = a_live_world()
    epoch, connection = world.reader.epoch, world.connection
    world.step([world.exchange.restart_frame()])
    assert world.live
    assert world.reader.epoch > epoch
    assert world.connection == connection
    world.step([world.exchange.delta_frame()])
    assert world.health is not None
    assert (world.health.gaps, world.exchange.id) == (0, 2)
    assert world.truth_holds()


def test_a_snapshot_in_the_midst_of_the_stream_overwrites_the_book() -> None:
    world = a_live_world()
    epoch = world.reader.epoch
    world.exchange.delta_frame()  # lost; the snapshot contains it
    world.step([world.exchange.snapshot_frame()])
    assert world.live
    assert world.reader.epoch > epoch
    world.step([world.exchange.delta_frame()])
    assert world.truth_holds()


def test_a_restart_that_is_lost_is_a_gap_although_its_numbers_were_seen() -> None:
    world = a_live_world()
    world.exchange.restart_frame()
    before = world.deltas
    world.step([world.exchange.delta_frame()])
    assert world.deltas == before
    recovers(world, S.GAP)


@pytest.mark.parametrize("order", [(1,), (1, 0), (0, 0), (0, 2, 1)], ids=str)
def test_a_lost_repeated_or_reordered_delta_resyncs_and_publishes_none_of_it(order: tuple[int, ...]) -> None:
    world = a_live_world()
    frames = [world.exchange.delta_frame()]
    before = world.deltas
    if order[0] == 0:  # the world compares with the exchange as of each delta that is published
        world.step(frames)
        before += 1
        order = order[1:]
    frames += [world.exchange.delta_frame(), world.exchange.delta_frame()]
    world.step([frames[number] for number in order])
    assert world.deltas == before
    assert world.health is not None
    assert world.health.gaps == 1
    recovers(world, S.GAP)


def test_a_crossed_book_resyncs_and_publishes_no_delta() -> None:
    world = a_live_world()
    before = world.deltas
    world.step([world.exchange.crossing_frame()])
    assert world.deltas == before
    assert world.health is not None
    assert "crossed" in world.health.reason
    recovers(world, S.GAP)


def test_a_disconnect_resyncs_under_a_new_epoch() -> None:
    world = a_live_world()
    world.disconnect("connection reset")
    recovers(world, S.DISCONNECTED)


def test_pongs_alone_keep_a_quiet_book_live_and_silence_does_not() -> None:
    world = a_live_world()
    for tick in range(1200):  # 60 s
        world.step([PONG] if tick % 400 == 399 else [])
    assert world.states == []
    for _ in range(600):  # 30 s
        world.step([])
        if S.STALE in world.states:
            break
    recovers(world, S.STALE)


@pytest.mark.parametrize("frame", [b"", b"\xff\xfe", b"[" * 100_000, b"x" * (10 * 1024 * 1024)], ids=len)
def test_an_unreadable_frame_is_kept_and_the_book_starts_over(frame: bytes) -> None:
    world = a_live_world()
    world.step([frame])
    assert [letter.raw for letter in world.dead] == [frame]
    recovers(world, S.GAP)


def test_a_refused_subscription_says_why_and_is_tried_again_later() -> None:
    world = a_live_world()
    world.step([b'{"success":false,"ret_msg":"args size >10","conn_id":"x","op":"subscribe"}'])
    assert world.health is not None
    assert world.health.reason == "the venue refused: args size >10"
    recovers(world, S.REFUSED)
