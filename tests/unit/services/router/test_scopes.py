"""Scopes that callers name as they like: how many there may be, and what becomes of idle ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.common.answered import Memory
from libs.common.codec import encode
from libs.common.events import Refusal, RouterScopeState, RouterSnapshot
from libs.common.handling import Tick
from libs.common.partition import Partition
from libs.common.time_units import DAY_NS
from libs.common.topics import ROUTER_SNAPSHOTS
from services.router.app import wiring
from services.router.arms import Arms
from services.router.records import OWN
from services.router.scopes import ScopeArchived, ScopeForgotten, step_clock
from services.router.settings import RouterSettings
from tests.router_world import BULL, World, choose, command_id, reward

if TYPE_CHECKING:
    from services.router.records import Record

MINUTE_NS = 60_000_000_000


def kept(world: World, scope: str = "s") -> dict[bytes, object]:
    """Return what is kept of a scope."""
    return {key: value for key, value in world.state.items() if f"/{scope}".encode() in key}


def kinds(world: World, scope: str = "s") -> set[bytes]:
    return {key.split(b"/")[0] for key in kept(world, scope)}


def a_taught_world(**rules: int) -> World:
    world = World(**rules)
    policy = world.choose(choose("d")).policy_id
    world.reward(reward("r", policy, 0.004, decision="d"))
    return world


def test_an_idle_scope_is_archived_and_what_it_learnt_comes_back_with_its_next_command() -> None:
    world = a_taught_world()
    before = world.choose(choose("before")).versions
    assert kinds(world) == {b"scope", b"policy", b"answer"}
    world.wait(2 * DAY_NS)
    assert [(type(event), event.scope) for event in world.ended] == [(ScopeArchived, "s")]
    assert kinds(world) == {b"scope", b"policy"}
    after = world.choose(choose("after"))
    assert after.versions == before
    assert world.snapshot is not None
    assert (world.snapshot.updates, world.snapshot.pending) == (1, 1)
    world.wait(2 * DAY_NS)
    assert len(world.ended) == 2, "it is archived again"


def test_a_scope_that_is_used_stays_whole_with_one_tick_pending() -> None:
    world = World()
    for n in range(10):
        world.choose(choose(n))
        world.wait(DAY_NS // 2)
        assert len(world.wishes) == 1
    assert not world.ended


def test_a_reward_of_an_archived_decision_is_expired() -> None:
    world = World()
    policy = world.choose(choose("d")).policy_id
    world.wait(2 * DAY_NS)
    late = world.reward(reward("late", policy, 0.004, decision="d", context=BULL))
    assert (late.counted, late.reason) == (False, "decision expired")


def test_only_so_many_scopes_begin_in_a_minute_and_those_there_are_go_on() -> None:
    world = World(scopes_per_minute=3)
    for n in range(3):
        world.choose(choose(n, scope=f"s{n}"))
    refused = world.refused(choose("more", scope="s3"))
    assert refused.refusal is Refusal.UNAVAILABLE
    assert "3 scopes began within a minute" in refused.detail
    assert not kept(world, "s3")
    world.choose(choose("old", scope="s0"))
    world.wait(MINUTE_NS)
    world.choose(choose("more", scope="s3"))


def test_where_there_is_no_room_the_archived_scope_that_is_idle_longest_is_forgotten_whole() -> None:
    world = World(scopes_most=3)
    for n in range(3):
        policy = world.choose(choose(n, scope=f"s{n}")).policy_id
        world.reward(reward(f"r{n}", policy, 0.004, decision=n, scope=f"s{n}"))
    world.wait(2 * DAY_NS)
    world.ended.clear()  # each was archived
    world.choose(choose("again", scope="s0"))
    world.choose(choose("new", scope="s3"))
    assert [(type(event), event.scope) for event in world.ended] == [(ScopeForgotten, "s1")]
    assert not kept(world, "s1")
    for n in range(20):
        world.wait(DAY_NS)
        world.choose(choose(f"more {n}", scope=f"more{n}"))
        assert sum(isinstance(each, RouterScopeState) for each in world.state.values()) == 3
    archived = sum(isinstance(event, ScopeArchived) for event in world.ended)
    world.wait(2 * DAY_NS)  # the ticks of forgotten scopes change nothing
    assert sum(isinstance(event, ScopeArchived) for event in world.ended) <= archived + 3


def test_where_all_scopes_are_in_use_a_new_one_is_refused_and_none_is_forgotten() -> None:
    world = World(scopes_most=3)
    for n in range(3):
        world.choose(choose(n, scope=f"s{n}"))
    before = dict(world.state)
    for n in range(20):
        refused = world.refused(choose(f"more {n}", scope=f"more{n}"))
        assert refused.refusal is Refusal.UNAVAILABLE
        assert "ROUTER_SCOPES_MOST" in refused.detail
        assert "try again" in refused.detail
    assert (dict(world.state), world.ended) == (before, [])
    world.choose(choose("again", scope="s0"))
    world.wait(DAY_NS)
    world.choose(choose("new", scope="s3"))
    assert ScopeForgotten in {type(event) for event in world.ended}


def test_all_scopes_together_remember_so_many_answers_and_each_its_newest() -> None:
    world = World(answers_most=60, remember_most=50)
    for n in range(200):
        world.choose(choose(n, scope="much"))
    for scope in range(20):
        for n in range(30):
            world.choose(choose(f"{scope} {n}", scope=f"s{scope}"))
    answers = [key for key in world.state if key.startswith(b"answer/")]
    assert len(answers) <= 60 + 20 * OWN
    for scope in range(20):
        policy = world.choose(choose(f"{scope} last", scope=f"s{scope}")).policy_id
        name = f"s{scope}"
        assert world.reward(reward(f"{scope} r", policy, 0.1, decision=f"{scope} last", scope=name)).counted
    restored: Memory[Record] = Memory()
    for key, record in world.state.items():
        restored.restore(key, record)
    assert isinstance(world.state, Memory)
    assert restored.remembered == world.state.remembered


@pytest.mark.parametrize("by_ns", [-400 * DAY_NS, 400 * DAY_NS])
def test_as_the_clock_is_set_no_decision_expires_and_age_still_tells(by_ns: int) -> None:
    world = World(remember_ns=MINUTE_NS)
    first = world.choose(choose("first")).policy_id
    world.step_clock(by_ns)
    second = world.choose(choose("second")).policy_id
    assert world.reward(reward("r1", first, 0.004, decision="first")).counted
    world.wait(2 * MINUTE_NS)
    world.choose(choose("third"))
    assert not world.reward(reward("r2", second, 0.004, decision="second")).counted


@pytest.mark.parametrize("by_ns", [-400 * DAY_NS, 400 * DAY_NS])
def test_as_the_clock_is_set_no_scope_becomes_idle_nor_the_minute_endless(by_ns: int) -> None:
    world = World(scopes_per_minute=2)
    world.choose(choose(1, scope="s1"))
    world.choose(choose(2, scope="s2"))
    world.step_clock(by_ns)
    world.wait(DAY_NS // 2)
    assert not world.ended
    world.choose(choose(3, scope="s3"))
    world.wait(DAY_NS * 3 // 4)
    assert {event.scope for event in world.ended} == {"s1", "s2"}


def test_the_snapshot_of_an_archived_scope_ends_on_its_topic() -> None:
    world = World(scope_idle_ns=MINUTE_NS)
    made = wiring(RouterSettings(scope_idle_s=60), Arms())
    partition = Partition(made, 0, place=lambda _key: 0)
    policy = world.choose(choose("d"))
    for key, value in world.state.items():
        partition.state.restore(key, value)
    assert policy.scope == "s"
    tick = world.wishes[0]
    outputs = made.outputs
    assert made.step_clock is step_clock
    assert outputs[ScopeArchived].topic is outputs[RouterSnapshot].topic is ROUTER_SNAPSHOTS
    partition.restore(
        b"\0tick/%d/" % tick.ts + tick.key,
        encode(Tick(due_ts=tick.ts, key=tick.key, causation_id=command_id("t"), correlation_id="c")),
    )
    effects = partition.wake(tick.ts, limit=10)
    ended = [each for each in effects.outgoing if each.topic is ROUTER_SNAPSHOTS]
    assert [(each.key, each.value) for each in ended] == [(b"s", None)]
    assert [type(event) for step in effects.steps for event in step.events] == [ScopeArchived]
