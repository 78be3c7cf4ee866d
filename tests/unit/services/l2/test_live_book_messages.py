"""What a live book says though nothing went wrong, and how often."""

from __future__ import annotations

from itertools import pairwise

import pytest

from libs.common.events import BookDelta, BookSnapshot
from libs.common.time_units import NS_PER_MS
from tests.l2_live_world import a_live_world
from tests.l2_world import POLICY


def test_a_keyframe_repeats_the_state_without_taking_a_seq() -> None:
    world = a_live_world("binance")
    seq = world.reader.seq
    keyframes: list[int] = []
    original = world.reader.read

    def counting(event: BookSnapshot | BookDelta) -> None:
        if isinstance(event, BookSnapshot):
            keyframes.append(event.seq)
        original(event)

    world.reader.read = counting  # type: ignore[method-assign]
    for _ in range(400):  # 20 s
        world.step()
    assert len(keyframes) == 2
    assert world.reader.seq == seq + 400


def test_tops_are_conflated_to_ten_a_second() -> None:
    world = a_live_world("binance")
    world.tops.clear()
    for _ in range(200):  # 10 s, 20 deltas a second
        world.step()
    assert 95 <= len(world.tops) <= 101


@pytest.mark.parametrize("venue", ["binance", "kraken"])
def test_a_heartbeat_says_up_to_where_tops_had_been_told_by_the_one_before(venue: str) -> None:
    world = a_live_world(venue)
    told: list[tuple[int, int, int]] = []  # a heartbeat's ts, epoch and told_seq
    seqs: list[tuple[int, int]] = []  # when a top was told, and its seq
    for step in range(200):  # 10 s; a resync in their middle
        if step == 100:
            world.disconnect("connection reset")
        tops = len(world.tops)
        world.step()
        seqs += [(world.now, top.seq) for top in world.tops[tops:] if top.epoch == world.reader.epoch]
        assert world.health is not None
        if not told or world.health.ts != told[-1][0]:
            told.append((world.health.ts, world.health.epoch, world.health.told_seq))
    assert len({epoch for _, epoch, _ in told}) == 2
    assert max(seq for _, _, seq in told) > 0
    for ts, epoch, told_seq in told:
        if epoch == world.reader.epoch and told_seq:
            newest = [at for at, seq in seqs if seq == told_seq]
            assert newest
            assert ts - newest[-1] >= POLICY.heartbeat_ns - 100 * NS_PER_MS, (
                "it has had a heartbeat's time to arrive"
            )
    assert all(later[2] == 0 for before, later in pairwise(told) if later[1] != before[1])
