"""What the venues allow us, and what was to be waited for, outlives a clock that is set."""

from __future__ import annotations

import pytest

from libs.common.events import BookState
from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.l2.messages import ClockSet, SocketOpened, Tick
from tests.l2_world import World
from tests.model_exchange import BinanceModel, KrakenModel

STEPS = pytest.mark.parametrize(
    "by_ns", [-3600 * NS_PER_S, -600 * NS_PER_MS, 600 * NS_PER_MS, 3600 * NS_PER_S]
)


def a_live_world(*, kraken: bool = False) -> World:
    world = World(KrakenModel(7) if kraken else BinanceModel(7))
    world.until_live()
    for _ in range(25):  # the instrument is asked within a second
        world.step()
    return world


def set_clock(world: World, by_ns: int) -> None:
    world.now += by_ns
    world.tell(ClockSet(by_ns))


def idle_s(world: World, most_s: float) -> float:
    """Return how long the world opens no socket and asks for nothing, looking so many seconds ahead."""
    began = world.now
    while world.connection is None and not world.fetches and world.now - began < most_s * NS_PER_S:
        world.now += 50 * NS_PER_MS
        world.tell(Tick())
    return (world.now - began) / NS_PER_S


@STEPS
def test_a_venue_that_banned_us_is_not_asked_before_its_time(by_ns: int) -> None:
    world = a_live_world()
    world.snapshot_answers.append((429, b"too many", 120.0))
    world.exchange.next_frame()  # lost on the way
    while world.snapshot_answers:
        world.step()
    banned = world.now
    set_clock(world, by_ns)
    assert world.health is not None
    assert world.health.rate_remaining == 0.0
    while world.now - banned - by_ns < 119 * NS_PER_S:
        world.step()
        assert not world.fetches
        assert not world.live
    world.until_live()
    assert world.now - banned - by_ns < 125 * NS_PER_S


def test_a_clock_that_is_set_again_and_again_does_not_raise_what_a_venue_is_asked() -> None:
    world = a_live_world()
    capacity = world.state.budgets["binance"].rest.capacity
    began, stepped, weight = world.now, 0, 0.0
    while world.now - began - stepped < 60 * NS_PER_S:
        set_clock(world, 600 * NS_PER_MS)
        stepped += 600 * NS_PER_MS
        for _ in range(20):
            weight += 250 * len(world.fetches)
            world.step()
    assert capacity < weight <= 2 * capacity  # a full bucket, and its refill of a minute


@STEPS
def test_a_book_that_is_given_up_is_not_asked_for_before_its_time(by_ns: int) -> None:
    world = a_live_world()
    session = world.state.sessions[world.key]
    for _ in range(2):
        world.snapshot_answers.append((404, b"no such symbol", None))
    world.disconnect("connection reset")
    while world.snapshot_answers or world.connection is not None:
        world.step()
    assert session.life.patience.refused_for_good
    set_clock(world, by_ns)
    assert idle_s(world, 890) >= 889
    assert idle_s(world, 20) < 15


@STEPS
def test_failures_are_not_forgotten_and_the_step_is_none(by_ns: int) -> None:
    worlds = [a_live_world(kraken=True) for _ in range(2)]
    for world in worlds:
        for _ in range(4):
            assert idle_s(world, 10) < 10
            world.disconnect("connection reset")
    assert worlds[0].now == worlds[1].now
    set_clock(worlds[1], by_ns)
    waited = [idle_s(world, 10) for world in worlds]
    assert waited[1] == pytest.approx(waited[0], abs=0.051)
    assert waited[0] > 0.5


def test_the_end_of_a_line_that_was_let_go_opens_no_other() -> None:
    world = a_live_world()
    old = world.connection
    assert old is not None
    set_clock(world, 3600 * NS_PER_S)
    assert world.connection != old
    world.tell(SocketOpened(world.key, old))
    assert world.health is not None
    world.until_live()
    assert world.states.count(BookState.LIVE) == 2
