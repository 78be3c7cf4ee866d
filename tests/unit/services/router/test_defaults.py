"""Decisions that nobody rewards in time learn their default."""

from __future__ import annotations

import pytest

from libs.common.answered import Memory
from libs.common.codec import decode, encode
from libs.common.events import PolicyChosen, PolicyRewarded, Refusal
from libs.common.handling import Tick
from libs.common.partition import Partition
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_S
from libs.common.topics import ROUTER_CHOICES, ROUTER_STATE
from services.router.app import wiring
from services.router.arms import Arms
from services.router.defaults import AT_ONCE, DEFAULT
from services.router.scopes import ScopeArchived, ScopeForgotten
from services.router.settings import RouterSettings
from tests.router_world import BULL, World, choose, command_id, reward

HOUR_NS = 60 * MINUTE_NS


def looks(world: World, scope: str = "s") -> int:
    """Return how many looks are pending."""
    return sum(wish.key == DEFAULT + scope.encode() for wish in world.wishes)


def test_a_decision_without_a_reward_learns_its_default_when_its_time_is_over() -> None:
    world = World()
    chosen = world.choose(choose("d", reward_within_s=90.0, default_reward=-0.001))
    assert (chosen.reward_within_s, chosen.default_reward) == (90.0, -0.001)
    world.wait(89 * NS_PER_S)
    assert world.defaulted == []
    world.wait(3 * NS_PER_S)
    (told,) = world.defaulted
    assert (told.policy_id, told.decision_id) == (chosen.policy_id, command_id("d"))
    assert (told.reward, told.learnt, told.counted, told.defaulted) == (-0.001, -0.001, True, True)
    assert told.reason == "no reward within 90 s: the default"
    assert (told.updates, told.mean_reward) == (1, -0.001)
    assert world.snapshot is not None
    assert world.snapshot.updates == 1
    world.wait(DAY_NS // 2)
    assert (len(world.defaulted), looks(world)) == (1, 0)


def test_a_default_teaches_as_the_same_reward_would_and_counts_in_the_off_policy_values() -> None:
    world, twin = World(), World()
    policy = world.choose(choose("d", reward_within_s=90.0, default_reward=0.002)).policy_id
    world.wait(2 * MINUTE_NS)
    twin.choose(choose("d"))
    twin.reward(reward("r", policy, 0.002, decision="d"))
    assert world.snapshot is not None
    assert twin.snapshot is not None
    assert world.snapshot.policies == twin.snapshot.policies
    assert {each.rewarded for each in world.snapshot.policies} == {1}


def test_a_reward_in_time_leaves_no_default_and_one_that_comes_later_does_not_count() -> None:
    world = World()
    in_time = world.choose(choose("d1", reward_within_s=60.0)).policy_id
    too_late = world.choose(choose("d2", reward_within_s=60.0)).policy_id
    assert world.reward(reward("r1", in_time, 0.004, decision="d1")).counted
    world.wait(2 * MINUTE_NS)
    assert [each.decision_id for each in world.defaulted] == [command_id("d2")]
    late = world.reward(reward("r2", too_late, 0.004, decision="d2"))
    assert (late.counted, late.learnt) == (False, None)
    assert late.reason == "no reward within 60 s: the default was learnt"
    again = world.reward(reward("r3", in_time, 0.004, decision="d1"))
    assert again.reason == "decision rewarded before"


def test_one_look_is_pending_however_many_decisions_wait() -> None:
    world = World()
    for n in range(20):
        world.choose(choose(n, reward_within_s=3600.0))
        world.wait(10 * NS_PER_S)
        assert looks(world) == 1
    world.wait(2 * HOUR_NS)
    assert (len(world.defaulted), looks(world)) == (20, 0)
    assert [each.decision_id for each in world.defaulted] == [command_id(n) for n in range(20)]


def test_a_decision_due_earlier_learns_in_time_and_looks_stay_few_whatever_times_callers_choose() -> None:
    world = World(remember_ns=DAY_NS)
    for n in range(500):
        world.choose(choose(n, reward_within_s=7200.0 - 10 * n))
    assert looks(world) <= 61
    world.wait(2201 * NS_PER_S)
    due = {command_id(n) for n in range(500) if 7200 - 10 * n <= 2201}
    assert {each.decision_id for each in world.defaulted} == due


def test_many_that_are_over_at_once_learn_in_parts() -> None:
    world = World()
    for n in range(AT_ONCE + 30):
        world.choose(choose(n, reward_within_s=100.0))
    world.wait(101 * NS_PER_S)
    assert len(world.defaulted) == AT_ONCE
    world.wait(2 * NS_PER_S)
    assert len(world.defaulted) == AT_ONCE + 30


def test_a_router_that_starts_again_goes_on_waiting() -> None:
    world = World()
    world.choose(choose("d", reward_within_s=90.0))
    restored: Memory = Memory()  # type: ignore[type-arg]  # of records
    for key, record in world.state.items():
        restored.restore(key, decode(ROUTER_STATE, encode(record)))
    world.state = restored
    world.wait(2 * MINUTE_NS)
    assert len(world.defaulted) == 1


@pytest.mark.parametrize("by_ns", [-400 * DAY_NS, 400 * DAY_NS])
def test_as_the_clock_is_set_a_decision_waits_neither_shorter_nor_longer(by_ns: int) -> None:
    world = World()
    world.choose(choose("d", reward_within_s=600.0))
    world.wait(300 * NS_PER_S)
    world.step_clock(by_ns)
    world.wait(298 * NS_PER_S)
    assert world.defaulted == []
    world.wait(5 * NS_PER_S)
    assert len(world.defaulted) == 1


def test_a_scope_is_not_archived_while_its_decisions_wait() -> None:
    world = World(remember_ns=30 * DAY_NS, scope_idle_ns=HOUR_NS)
    world.choose(choose("d", reward_within_s=5 * 86_400.0))
    world.wait(5 * DAY_NS + 2 * NS_PER_S)
    assert [each.decision_id for each in world.defaulted] == [command_id("d")]
    assert world.ended == []
    world.wait(2 * HOUR_NS)
    assert [type(each) for each in world.ended] == [ScopeArchived]


def test_a_scope_whose_decisions_wait_is_not_forgotten_for_another_and_one_that_is_leaves_no_look() -> None:
    world = World(scopes_most=2, scope_idle_ns=HOUR_NS, remember_ns=DAY_NS)
    world.choose(choose("d", scope="waits", reward_within_s=86_400.0, default_reward=0.001))
    world.choose(choose("e", scope="idle", reward_within_s=1.0))
    world.wait(3 * HOUR_NS)
    world.ended.clear()
    world.choose(choose("new", scope="new"))
    assert [(type(each), each.scope) for each in world.ended] == [(ScopeForgotten, "idle")]
    world.wait(DAY_NS)
    assert {each.scope for each in world.defaulted} == {"waits", "idle"}


def test_a_wait_beyond_what_is_remembered_is_refused() -> None:
    world = World(remember_ns=HOUR_NS)
    refused = world.refused(choose("d", reward_within_s=3601.0))
    assert refused.refusal is Refusal.INVALID
    (fault,) = refused.faults
    assert fault.field == "rewardWithinS"
    assert "3600 s" in fault.message
    assert not world.state


def test_a_decision_that_is_forgotten_first_learns_nothing() -> None:
    world = World(remember_most=2)
    for n in range(5):
        world.choose(choose(n, reward_within_s=60.0))
    world.wait(2 * MINUTE_NS)
    assert {each.decision_id for each in world.defaulted} == {command_id(3), command_id(4)}


def test_a_default_is_told_on_the_topic_of_choices_under_an_id_of_its_own() -> None:
    world = World()
    world.choose(choose("d", reward_within_s=60.0))
    made = wiring(RouterSettings(), Arms())
    partition = Partition(made, 0, place=lambda _key: 0)
    for key, value in world.state.items():
        partition.state.restore(key, value)
    (wish,) = (each for each in world.wishes if each.key.startswith(DEFAULT))
    tick = b"\0tick/%d/" % wish.ts + wish.key
    partition.restore(
        tick,
        encode(Tick(due_ts=wish.ts, key=wish.key, causation_id=command_id("d"), correlation_id="c")),
    )
    effects = partition.wake(wish.ts, limit=10)
    assert effects.failure is None
    (told,) = (each for each in effects.outgoing if each.topic is ROUTER_CHOICES)
    event = decode(ROUTER_CHOICES, told.value or b"")
    assert isinstance(event, PolicyRewarded)
    assert event.defaulted
    assert event.command_id != command_id("d")


def test_a_choice_repeated_after_its_default_is_answered_as_it_was() -> None:
    world = World()
    first = world.choose(choose("d", BULL, reward_within_s=60.0))
    world.wait(2 * MINUTE_NS)
    assert world.do(choose("d", BULL, reward_within_s=60.0), PolicyChosen) == first
    assert len(world.defaulted) == 1
