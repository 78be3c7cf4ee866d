"""Each way a chained stream can go wrong; the world asserts that nothing wrong is published."""

from __future__ import annotations

import pytest

from libs.common.events import BookState
from tests.l2_world import World
from tests.model_futures import FuturesModel

S = BookState
BOTH = pytest.mark.parametrize("venue", ["binance-usdm", "binance-coinm"])


class FuturesWorld(World):
    """A world whose exchange is known to be a futures market."""

    def __init__(self, venue: str, seed: int = 7) -> None:
        self.model = FuturesModel(seed, venue)
        super().__init__(self.model)


def a_live_world(venue: str) -> FuturesWorld:
    world = FuturesWorld(venue)
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.deltas == 20
    world.states.clear()
    return world


def recovers(world: FuturesWorld) -> None:
    epoch = world.reader.epoch
    world.until_live()
    assert world.states == [S.GAP, S.SYNCING, S.LIVE]
    assert world.reader.epoch > epoch
    for _ in range(20):
        world.step()
    assert world.states == [S.GAP, S.SYNCING, S.LIVE]
    assert world.truth_holds()


@BOTH
@pytest.mark.parametrize("inside", [False, True])
def test_a_snapshot_joins_the_event_that_contains_it_or_ends_at_it(venue: str, inside: bool) -> None:  # noqa: FBT001 -- a table's column
    world = FuturesWorld(venue)
    world.model.snapshot_inside = inside
    world.until_live()
    for _ in range(20):
        world.step()
    assert S.GAP not in world.states
    assert world.deltas == 20
    assert world.health is not None
    assert (world.health.gaps, world.health.reason) == (0, "consistent")


@BOTH
def test_a_snapshot_ahead_of_the_held_events_joins_the_one_that_contains_it(venue: str) -> None:
    world = FuturesWorld(venue)
    world.step()
    late = world.model.next_frame()
    world.snapshot_answers.append((200, world.model.snapshot_of(world.model.inside), None))
    world.step([])
    world.until_live()
    seen = world.deltas
    world.step([late])
    assert (world.deltas, world.live) == (seen + 1, True)
    assert world.truth_holds()


@BOTH
def test_a_snapshot_older_than_the_stream_is_asked_for_again(venue: str) -> None:
    world = FuturesWorld(venue)
    old = world.model.snapshot()
    world.model.next_frame()  # before we came
    world.snapshot_answers.append((200, old, None))
    for _ in range(3):
        world.step()
    assert not world.live
    assert world.health is not None
    assert "snapshot older than the stream" in world.health.reason
    world.until_live()
    assert world.health.gaps == 0


@BOTH
def test_a_lost_event_resyncs_and_publishes_no_delta(venue: str) -> None:
    world = a_live_world(venue)
    world.model.next_frame()
    before = world.deltas
    world.step()
    assert world.deltas == before
    recovers(world)


@BOTH
def test_events_that_change_places_resync(venue: str) -> None:
    world = a_live_world(venue)
    first, second = world.model.next_frame(), world.model.next_frame()
    world.step([second, first])
    recovers(world)


@BOTH
def test_a_repeated_event_changes_nothing(venue: str) -> None:
    world = a_live_world(venue)
    frame = world.model.next_frame()
    before = world.deltas
    world.step([frame, frame])
    assert (world.deltas, world.states) == (before + 1, [])
    world.step()
    assert (world.deltas, world.states) == (before + 2, [])


@BOTH
def test_an_event_without_its_place_in_the_chain_is_kept_and_the_book_starts_over(venue: str) -> None:
    world = a_live_world(venue)
    frame = world.model.next_frame().replace(b'"pu"', b'"px"')
    world.step([frame])
    assert [letter.raw for letter in world.dead] == [frame]
    recovers(world)


@BOTH
def test_a_crossed_book_resyncs_and_publishes_no_delta(venue: str) -> None:
    world = a_live_world(venue)
    before = world.deltas
    world.step([world.model.crossing_frame()])
    assert world.deltas == before
    recovers(world)
