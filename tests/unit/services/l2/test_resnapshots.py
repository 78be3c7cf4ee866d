"""A snapshot that shows a part of the book is taken anew before the market reaches an edge of it."""

from __future__ import annotations

import pytest

from libs.common.events import BookState
from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.l2.feeds import FEEDS
from services.l2.line import Line
from services.l2.messages import BytesArrived, RenewalFailed, Renewed, Tick
from services.l2.renewal import EDGE_BPS
from tests.model_window import WindowWorld
from tests.recorded_books import play
from tests.recordings import BINANCE_USDM, needs_recordings

S = BookState


def a_live_world(limit: int = 100) -> WindowWorld:
    world = WindowWorld(limit)
    world.until_live()
    rest(world, 60)  # the venue's budget lets a book be snapshotted anew every 50 s
    world.states.clear()
    world.said.clear()
    return world


def rest(world: WindowWorld, seconds: float) -> None:
    """Let time pass, with two frames a second."""
    for step in range(round(20 * seconds)):
        world.step(None if step % 10 == 0 else [])


def test_a_snapshot_that_is_shorter_than_it_may_be_has_no_edge() -> None:
    world = a_live_world(5_000)
    assert world.room_bps == float("inf")
    assert world.tops[-1].features is not None
    assert not world.tops[-1].features.depth_truncated


@pytest.mark.parametrize("direction", [1, -1])
def test_a_book_is_snapshotted_anew_before_its_mid_is_within_20_bps_of_an_edge(direction: int) -> None:
    world = a_live_world()
    assert 95 < world.room_bps < 101
    lowest = world.room_bps
    for _ in range(400):
        world.step([world.market.move(direction)])
        lowest = min(lowest, world.room_bps)
        rest(world, 0.95)
    assert world.states == []
    assert lowest > EDGE_BPS - 2
    assert world.health is not None
    assert 4 <= world.health.resnapshots <= 6
    assert world.health.reconnects == world.health.resyncs == world.health.gaps == 0
    assert {type(each) for each in world.said} == {Renewed}
    assert world.truth_holds()


def test_bands_that_cross_an_edge_say_so_and_no_top_shows_what_lies_beyond() -> None:
    world = a_live_world()
    world.snapshot_answers.extend((503, b"busy", None) for _ in range(1_000))
    world.step([world.market.far_frame(150)])  # an ask beyond the edge became known
    edge = world.state.sessions[world.key].maintainer.book.known[1]
    seen = set()
    while world.room_bps > 2:
        world.step([world.market.move(1)])
        rest(world, 0.15)
        top = world.tops[-1]
        assert top.features is not None
        assert top.features.depth_truncated == (top.features.mid * (1 + 1e-3) > edge)
        seen.add(top.features.depth_truncated)
        assert top.asks[-1][0] <= edge
    assert seen == {False, True}
    assert world.states == []
    assert len(top.asks) < 50
    assert max(world.reader.asks) > edge, "what changed beyond the edge is known, and kept"


def test_a_refused_snapshot_is_asked_for_again_while_the_book_is_live() -> None:
    world = a_live_world()
    world.snapshot_answers.extend([(503, b"busy", None), (0, b"timeout", None), (200, b"{", None)])
    asked = len(world.snapshots)
    world.step([world.market.move(85)])
    rest(world, 20)
    assert world.states == []
    assert [type(each) for each in world.said] == [RenewalFailed] * 3 + [Renewed]
    assert len(world.snapshots) == asked + 4
    assert world.room_bps > 90


def test_a_book_whose_market_leaves_what_is_known_leaves_live_and_says_why() -> None:
    world = a_live_world()
    epoch = world.reader.epoch
    world.step([world.market.move(101)])
    assert world.states[0] is S.GAP
    assert world.health is not None
    assert "left what the snapshot showed" in world.health.reason
    world.until_live()
    assert world.room_bps > 90
    assert world.reader.epoch > epoch
    assert world.truth_holds()


@pytest.mark.parametrize("beyond", [False, True])
def test_a_snapshot_whose_part_of_the_book_the_market_left_meanwhile_makes_no_book(*, beyond: bool) -> None:
    world = WindowWorld(5)
    world.deliver(world.market.next_frame())
    world.snapshot_answers.append((200, world.market.snapshot(), None))
    world.deliver(world.market.move(20))
    if beyond:
        world.deliver(world.market.far_frame(3))  # not the best ask, which nobody told
    world.step([])
    for _ in range(20):
        world.step()
    world.until_live()
    assert world.states == [S.DISCONNECTED, S.SYNCING, S.LIVE]
    assert world.room_bps > 0


def test_a_window_that_is_narrow_is_not_snapshotted_for_ever() -> None:
    world = a_live_world(10)  # 10 bps a side
    assert world.room_bps <= EDGE_BPS / 2
    asked = len(world.snapshots)
    rest(world, 300)
    assert len(world.snapshots) == asked
    for step in range(600):  # to and fro over half of it
        world.step([world.market.move(1 if step // 6 % 2 else -1)])
        rest(world, 0.95)
    assert world.states == []
    assert world.health is not None
    budget = world.state.budgets["binance"].rest
    most = 600 * budget.capacity / budget.period_s / 10 / 250  # a tenth of it
    assert 2 <= world.health.resnapshots <= most


def test_a_venue_that_has_banned_us_is_not_asked() -> None:
    world = a_live_world()
    world.state.budgets["binance"].rest.block(world.now + 60 * NS_PER_S)
    asked = len(world.snapshots)
    world.step([world.market.move(85)])
    rest(world, 59)
    assert len(world.snapshots) == asked
    assert world.states == []
    rest(world, 3)
    assert world.health is not None
    assert world.health.resnapshots == 1


def test_the_newest_snapshot_is_on_the_same_line_and_misses_nothing_of_it() -> None:
    world = a_live_world()
    lines = list(world.lines)
    deltas = world.deltas
    world.step([world.market.move(85)])
    for _ in range(100):
        world.step()
    assert world.lines == lines
    assert world.health is not None
    assert world.health.resnapshots == 1
    assert world.deltas == deltas + 101
    assert world.health.since_ts < world.now - 60_000 * NS_PER_MS


def test_bytes_that_arrive_on_a_line_of_two_books_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_live_world()
    world.deliver(world.market.move(85))
    world.tell(Tick())
    life = world.state.sessions[world.key].life
    assert life.renewal.beside(life.sync) is not None
    counted: list[int] = []
    monkeypatch.setattr(Line, "on_bytes", lambda _self, _connection, count, _now: counted.append(count))
    world.tell(BytesArrived(world.key, life.sync.line.connection, 1000))
    assert counted == [1000]


@needs_recordings
def test_the_market_of_the_usdm_recording_leaves_its_snapshot_and_the_book_knows() -> None:
    recorded = play(FEEDS["binance-usdm"], "BTC-USDT", BINANCE_USDM)
    assert recorded.maintainer.book.known == (61653.4, 61976.2)
    assert recorded.room_bps < 0
