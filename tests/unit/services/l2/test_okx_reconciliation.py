"""Each way OKX can go wrong, and its two exceptions; the world asserts that nothing wrong is published."""

from __future__ import annotations

import pytest

from libs.common.events import BookState
from tests.model_okx import OkxWorld

S = BookState


def a_live_world(seed: int = 7) -> OkxWorld:
    world = OkxWorld(seed)
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.live
    assert world.deltas >= 10
    world.states.clear()
    return world


def recovers(world: OkxWorld, through: BookState) -> None:
    epoch = world.reader.epoch
    world.until_live()
    assert world.states[0] is through
    assert world.states[-2:] == [S.SYNCING, S.LIVE]
    assert world.reader.epoch > epoch
    for _ in range(20):
        world.step()
    assert world.live
    assert world.truth_holds()


def test_a_keep_alive_is_no_gap_and_takes_no_seq() -> None:
    world = a_live_world()
    seq = world.reader.seq
    world.step([world.exchange.keep_alive_frame(), world.exchange.keep_alive_frame()])
    assert world.reader.seq == seq
    world.step([world.exchange.update_frame()])
    assert (world.reader.seq, world.states) == (seq + 1, [])


def test_a_reset_of_the_ids_is_no_gap() -> None:
    world = a_live_world()
    before, deltas = world.exchange.id, world.deltas
    world.step([world.exchange.reset_frame()])
    assert world.exchange.id < before
    world.step([world.exchange.update_frame()])
    assert (world.deltas, world.states) == (deltas + 2, [])
    assert world.truth_holds()


def test_a_reset_that_is_lost_is_a_gap() -> None:
    world = a_live_world()
    world.exchange.reset_frame()
    world.step([world.exchange.update_frame()])
    recovers(world, S.GAP)


@pytest.mark.parametrize(("order", "published"), [("b", 0), ("ba", 0), ("aa", 1), ("acb", 1)])
def test_a_lost_reordered_or_repeated_update_resyncs_and_publishes_no_delta_of_it(
    order: str, published: int
) -> None:
    world = a_live_world()
    before = world.deltas
    sent: list[bytes] = []  # by the exchange, in its order: a, b, c
    for number in map("abc".index, order):
        while len(sent) <= number:
            sent.append(world.exchange.update_frame())
        world.deliver(sent[number])
    assert world.deltas == before + published
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
    for _ in range(600):  # 30 s
        world.step([b"pong"])
    assert world.states == []
    for _ in range(400):  # 20 s
        world.step([])
        if S.STALE in world.states:
            break
    recovers(world, S.STALE)


@pytest.mark.parametrize("frame", [b"", b"\xff\xfe", b"[" * 100_000, b"x" * (10 * 1024 * 1024)])
def test_an_unreadable_frame_is_kept_and_the_book_starts_over(frame: bytes) -> None:
    world = a_live_world()
    world.step([frame])
    assert [letter.raw for letter in world.dead] == [frame]
    recovers(world, S.GAP)


def test_a_refused_subscription_says_why_and_is_tried_again_later() -> None:
    world = a_live_world()
    world.step([b'{"event":"error","code":"60018","msg":"Wrong URL or channel","connId":"1"}'])
    assert world.health is not None
    assert world.health.reason == "the venue refused: 60018 Wrong URL or channel"
    recovers(world, S.REFUSED)


def test_a_snapshot_in_the_midst_of_the_stream_begins_a_new_epoch() -> None:
    world = a_live_world()
    epoch = world.reader.epoch
    world.exchange.update_frame()  # lost; the snapshot contains it
    world.step([world.exchange.snapshot_frame()])
    assert world.live
    assert world.reader.epoch > epoch
    world.step([world.exchange.update_frame()])
    assert world.truth_holds()
