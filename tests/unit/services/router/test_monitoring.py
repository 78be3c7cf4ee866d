from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.metrics import MAX_VALUES, OTHER
from libs.common.partition import Step
from services.router.monitoring import RouterMonitor
from tests.monitored import numbers
from tests.router_world import World, add, choose, reward

if TYPE_CHECKING:
    from libs.common.monitoring import Line


def seen(monitor: RouterMonitor, world: World, command: Any) -> list[Line]:
    world.now += 1_000_000
    events = world.router.handle(world.state, command, world.now)
    world.state.keep()
    return list(monitor.saw(Step(command, [e for e in events if hasattr(e, "ts")], "c")))


def number(monitor: RouterMonitor, name: str) -> dict[tuple[str, ...], float]:
    return numbers(monitor.families([]))[f"bookrunner_router_{name}"]


def test_choices_and_rewards_are_counted_by_policy_and_told() -> None:
    monitor, world = RouterMonitor(), World()
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
    monitor, world = RouterMonitor(), World()
    for n in range(MAX_VALUES + 5):
        policy, scope = f"p_{n}", f"scope-{n // 20}"  # a scope has a limit of its own
        seen(monitor, world, replace(add(f"add {n}", policy), scope=scope))
        seen(monitor, world, reward(f"reward {n}", policy, 0.0, scope=scope))
    rewards = number(monitor, "rewards_total")
    assert len(rewards) == MAX_VALUES + 1
    assert rewards[OTHER, "true"] == 5


def test_a_refusal_is_told_with_its_reason() -> None:
    monitor, world = RouterMonitor(), World()
    (line,) = seen(monitor, world, reward(1, "p_nobody", 0.01))
    assert line.event == "command_refused"
    assert line.facts["refusal"] == "unknown"
