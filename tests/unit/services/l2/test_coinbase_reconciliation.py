"""Coinbase in the world of the core: whatever makes a hole in the connection's count costs the book."""

from __future__ import annotations

import pytest

from libs.common.events import BookState
from tests.model_coinbase import CoinbaseWorld

S = BookState


def a_live_world() -> CoinbaseWorld:
    world = CoinbaseWorld()
    world.until_live()
    before = world.deltas
    for _ in range(20):
        world.step()
    assert world.live
    assert world.deltas == before + 20
    world.states.clear()
    return world


def recovers(world: CoinbaseWorld, through: BookState, connection: int | None) -> None:
    epoch = world.reader.epoch
    world.until_live()
    assert world.states[0] is through
    assert world.states[-2:] == [S.SYNCING, S.LIVE]
    assert world.reader.epoch > epoch
    assert world.connection != connection, "the count belongs to the connection, so a hole ends both"
    for _ in range(20):
        world.step()
    assert world.live
    assert world.truth_holds()


def test_a_lost_book_frame_resyncs_and_publishes_no_delta() -> None:
    world = a_live_world()
    before, connection = world.deltas, world.connection
    due = world.model.number
    world.model.next_frame()  # lost on the way
    world.deliver(world.model.next_frame())
    assert world.deltas == before
    assert world.health is not None
    assert world.health.gaps == 1
    assert world.health.reason == f"the venue's frame {due + 1} came where {due} was due"
    assert world.connection is None
    recovers(world, S.GAP, connection)


def test_a_lost_frame_of_another_channel_resyncs_too_for_nobody_knows_what_it_was() -> None:
    world = a_live_world()
    world.model.other_frame()
    world.step()
    assert world.states[0] is S.GAP


def test_frames_of_other_channels_and_products_are_no_holes() -> None:
    world = a_live_world()
    before = world.deltas
    for _ in range(20):
        world.step([world.model.other_frame()])
        world.step([world.model.next_frame(), world.model.other_frame()])
    assert world.live
    assert not world.states
    assert world.deltas == before + 20


@pytest.mark.parametrize("fault", ["reorder", "corrupt", "cross", "garbage"])
def test_whatever_breaks_the_stream_resyncs_and_publishes_nothing_wrong(fault: str) -> None:
    world = a_live_world()
    before, connection = world.deltas, world.connection
    first = world.model.next_frame()
    match fault:
        case "reorder":
            world.deliver(world.model.next_frame())
            world.deliver(first)
        case "corrupt":
            world.deliver(world.model.corrupt_frame())
        case "cross":
            world.deliver(first)
            world.deliver(world.model.crossing_frame())
        case _:
            world.deliver(first[:-9])
    assert world.deltas == before + (fault == "cross")
    assert world.connection is None
    recovers(world, S.GAP, connection)


def test_a_disconnect_resyncs_under_a_new_epoch_with_a_count_that_begins_again() -> None:
    world = a_live_world()
    connection = world.connection
    world.disconnect("connection reset")
    recovers(world, S.DISCONNECTED, connection)


def test_heartbeats_keep_a_quiet_book_live_and_silence_does_not() -> None:
    world = a_live_world()
    for _ in range(200):  # 10 s, twice the silence that is taken for a stale connection
        world.step([world.model.other_frame()])
    assert world.live
    for _ in range(101):
        world.step([])
    assert world.states[0] is S.STALE


def test_a_second_snapshot_on_the_connection_begins_a_new_epoch() -> None:
    world = a_live_world()
    epoch = world.reader.epoch
    number = world.model.number
    snapshot = world.model.snapshot_frame().replace(b'"sequence_num":0', b'"sequence_num":%d' % number)
    world.model.truth[number], world.model.number = world.model.now, number + 1
    world.step([snapshot])
    assert world.live
    assert world.reader.epoch > epoch


def test_a_refusal_is_told_in_the_venues_words() -> None:
    world = a_live_world()
    world.step(
        [b'{"type":"error","message":"Failed to subscribe","reason":"BTC-USDT is not a valid product"}']
    )
    assert world.states[0] is S.REFUSED
    assert world.health is not None
    assert "BTC-USDT is not a valid product" in world.health.reason
