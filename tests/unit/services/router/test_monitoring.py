from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.events import Event, PolicyState, RouterScopeState
from libs.common.handling import Tick
from libs.common.metrics import MAX_VALUES, OTHER
from libs.common.partition import Step
from services.router.defaults import DEFAULT
from services.router.monitoring import RouterMonitor
from services.router.records import scope_key
from services.router.rules import MOST_POLICIES
from tests.monitored import numbers
from tests.router_world import BULL, POLICIES, World, add, choose, reward

if TYPE_CHECKING:
    from libs.common.monitoring import Line


def monitored(world: World) -> RouterMonitor:
    return RouterMonitor(POLICIES, world.arms)


def seen(monitor: RouterMonitor, world: World, command: Any) -> list[Line]:
    world.now += 1_000_000
    events = world.router.handle(world.state, command, world.now)
    world.state.keep()
    return list(monitor.saw(Step(command, [e for e in events if isinstance(e, Event)], "c")))


def number(monitor: RouterMonitor, name: str) -> dict[tuple[str, ...], float]:
    return numbers(monitor.families([]))[f"bookrunner_router_{name}"]


def test_choices_and_rewards_are_counted_by_policy_and_told() -> None:
    world = World()
    monitor = monitored(world)
    (line,) = seen(monitor, world, choose(1, scope="default"))
    policy = line.facts["policy"]
    assert line.event == "policy_chosen"
    assert number(monitor, "choices_total") == {(policy,): 1}
    lesson = reward(2, policy, 0.01, decision=1, scope="default")
    (told,) = seen(monitor, world, lesson)
    assert (told.event, told.facts["counted"]) == ("policy_rewarded", True)
    assert number(monitor, "rewards_total") == {(policy, "true"): 1}
    assert number(monitor, "mean_reward_ratio")[policy,] == pytest.approx(0.01)


def test_policies_beyond_the_bound_share_one_series() -> None:
    world = World()
    monitor = monitored(world)
    for n in range(MAX_VALUES + 5):
        policy, scope = f"p_{n}", f"scope-{n // 20}"  # a scope has a limit of its own
        world.register(policy)
        seen(monitor, world, replace(add(f"add {n}", policy), scope=scope))
        seen(monitor, world, reward(f"reward {n}", policy, 0.0, scope=scope, context=BULL))
    rewards = number(monitor, "rewards_total")
    assert len(rewards) == MAX_VALUES + 1
    assert rewards[OTHER, "true"] == 5


def test_a_refusal_is_told_with_its_reason() -> None:
    world = World()
    monitor = monitored(world)
    (line,) = seen(monitor, world, reward(1, "p_nobody", 0.01))
    assert line.event == "command_refused"
    assert line.facts["refusal"] == "unknown"


def test_a_policy_that_nobody_registers_is_an_error_told_once_until_it_is_registered() -> None:
    world = World(policies=(*POLICIES, "p_typo"))
    world.unregister("p_typo")
    monitor = RouterMonitor((*POLICIES, "p_typo"), world.arms)
    first = [line for line in seen(monitor, world, choose(1)) if line.error]
    assert [(line.event, line.facts["policy"]) for line in first] == [("policy_not_registered", "p_typo")]
    assert "p_sma" in first[0].facts["why"]
    assert not any(line.error for line in seen(monitor, world, choose(2)))
    states = [world.state]
    gauge = numbers(monitor.families(states))["bookrunner_router_policy_registered"]
    assert gauge == {(name,): float(name != "p_typo") for name in (*POLICIES, "p_typo")}
    world.register("p_typo")
    assert not any(line.error for line in seen(monitor, world, choose(3)))
    world.unregister("p_typo")
    assert any(line.error for line in seen(monitor, world, choose(4)))


def test_a_policy_that_is_quarantined_is_told_as_such_and_one_that_starts_not_at_all() -> None:
    world = World()
    monitor = RouterMonitor(POLICIES, world.arms)
    world.register_as("p_sma", state=PolicyState.STARTING)
    assert not any(line.error for line in seen(monitor, world, choose(1)))
    assert set(number(monitor, "policy_registered").values()) == {1.0}, (
        "it waits for a signal, and no alert says so"
    )
    world.register_as("p_sma", state=PolicyState.QUARANTINED, fault="ValueError: no\nTraceback")
    assert number(monitor, "policy_registered")[("p_sma",)] == 0.0
    (line,) = (line for line in seen(monitor, world, choose(2)) if line.error)
    assert (line.event, line.facts["why"]) == ("policy_not_registered", "is quarantined: ValueError: no")


def test_a_policy_that_finds_no_room_in_a_scope_is_an_error_told_once() -> None:
    world = World()
    monitor = RouterMonitor(POLICIES, world.arms)
    for n in range(MOST_POLICIES - len(POLICIES) + 2):
        world.register_as(f"mine{n:02}", kind="user", joins=("s",))
    found = [line for line in seen(monitor, world, choose(1)) if line.error]
    told = [(line.event, line.facts["policy"], line.facts["scope"]) for line in found]
    assert told == [("policy_without_room", f"mine{n}", "s") for n in (29, 30)]
    assert not any(line.error for line in seen(monitor, world, choose(2)))


def test_before_execution_has_registered_anything_no_policy_is_called_wrong() -> None:
    world = World()
    world.unregister(*POLICIES)
    assert not any(line.error for line in seen(monitored(world), world, choose(1)))


def test_an_unregistered_policy_of_a_scope_is_shown_though_the_settings_do_not_name_it() -> None:
    world = World(policies=(*POLICIES, "p_old"))
    world.choose(choose(1))
    world.unregister("p_old")
    gauge = numbers(monitored(world).families([world.state]))["bookrunner_router_policy_registered"]
    assert gauge["p_old",] == 0


def test_scopes_are_told_in_use_and_archived_and_each_that_ends_is_counted() -> None:
    world = World(scopes_most=2)
    monitor = monitored(world)
    for n in range(3):
        world.now += world.router.rules.scope_idle_ns
        seen(monitor, world, choose(n, scope=f"s{n}"))
    told = numbers(monitor.families([world.state]))
    assert told["bookrunner_router_scopes"] == {("used",): 2, ("archived",): 0}
    assert told["bookrunner_router_scopes_ended_total"] == {("archived",): 0, ("forgotten",): 1}


def test_defaults_and_clipped_rewards_are_counted_and_the_memories_are_those_of_the_default_scope() -> None:
    world = World()
    monitor = monitored(world)
    (line,) = seen(monitor, world, choose(1, scope="default", reward_within_s=60.0))
    policy = line.facts["policy"]
    seen(monitor, world, reward(2, policy, 0.001, decision=1, scope="default"))
    assert (number(monitor, "clipped_rewards_total"), number(monitor, "default_rewards_total")) == (
        {(): 0},
        {(): 0},
    )
    for n in range(40):
        seen(monitor, world, reward(f"r{n}", policy, 0.001, context=BULL, scope="default"))
    seen(monitor, world, reward("far", policy, 1.0, context=BULL, scope="default"))
    assert number(monitor, "clipped_rewards_total") == {(): 1}
    weights = number(monitor, "memory_weight_ratio")
    assert sum(weights.values()) == pytest.approx(1)
    chosen = world.choose(choose("waits", scope="default", reward_within_s=60.0))
    shared = world.state[scope_key("default")]
    assert isinstance(shared, RouterScopeState)
    assert shared.default_ts is not None
    key = DEFAULT + b"default"
    tick = Tick(due_ts=shared.default_ts, key=key, causation_id="c", correlation_id="c")
    events = world.router.handle(world.state, tick, tick.due_ts)
    list(monitor.saw(Step(chosen, [e for e in events if isinstance(e, Event)], "c")))
    assert number(monitor, "default_rewards_total") == {(): 1}
