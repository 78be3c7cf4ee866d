"""Decisions that came to nothing: they are closed, and teach nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from libs.common.events import PolicyRewarded, Refusal, RewardPolicy
from tests.router_world import BULL, World, choose, command_id, reward

WHY = "there is no signal yet"


def void(name: object, policy_id: str, decision: object, why: str = WHY) -> RewardPolicy:
    return replace(reward(name, policy_id, 0.0, decision=decision), void=why)


def learnt(world: World) -> dict[bytes, object]:
    return {key: kept for key, kept in world.state.items() if key.startswith(b"policy/")}


def test_a_void_decision_is_closed_and_teaches_nothing_neither_then_nor_later() -> None:
    world = World()
    policy = world.choose(choose("d")).policy_id
    before = learnt(world)
    told = world.reward(void(1, policy, "d"))
    assert (told.counted, told.learnt, told.reason, told.updates) == (False, None, WHY, 0)
    late = world.reward(reward(2, policy, 0.01, decision="d"))
    assert (late.counted, late.reason) == (False, f"decision void: {WHY}")
    assert learnt(world) == before
    assert world.snapshot is not None
    assert world.snapshot.updates == 0
    assert all(each.rewarded == 0 for each in world.snapshot.policies)


def test_the_default_of_a_void_decision_is_not_learnt() -> None:
    world = World()
    policy = world.choose(choose("d", reward_within_s=10.0, default_reward=-0.01)).policy_id
    world.reward(void(1, policy, "d"))
    world.wait(60 * 10**9)
    assert world.defaulted == []
    other = World()
    other.choose(choose("d", reward_within_s=10.0, default_reward=-0.01))
    other.wait(60 * 10**9)
    assert len(other.defaulted) == 1


def test_a_decision_that_was_rewarded_stays_so() -> None:
    world = World()
    policy = world.choose(choose("d")).policy_id
    assert world.reward(reward(1, policy, 0.01, decision="d")).counted
    before = learnt(world)
    told = world.reward(void(2, policy, "d"))
    assert (told.counted, told.reason) == (False, "decision rewarded before")
    assert learnt(world) == before


def test_the_same_void_command_is_answered_again() -> None:
    world = World()
    policy = world.choose(choose("d")).policy_id
    first = world.reward(void(1, policy, "d"))
    before = dict(world.state)
    assert world.do(void(1, policy, "d"), PolicyRewarded) == first
    assert dict(world.state) == before


@pytest.mark.parametrize("context", [{}, BULL])
def test_a_void_command_names_its_decision(context: dict[str, float | str]) -> None:
    world = World()
    world.choose(choose("d"))
    command = replace(reward(1, "p_sma", 0.0, context=context), void=WHY)
    refused = world.refused(command)
    assert refused.refusal is Refusal.INVALID
    assert (refused.faults[0].field, refused.faults[0].message) == (
        "decisionId",
        "is missing: which decision is void?",
    )


def test_a_void_command_of_another_policy_s_decision_or_of_none_that_is_remembered_changes_nothing() -> None:
    world = World()
    policy = world.choose(choose("d", policies=("p_sma",))).policy_id
    (fault,) = world.refused(void(1, "p_flat", "d")).faults
    assert fault.message == f"that decision chose {policy}"
    told = world.reward(void(2, "p_sma", "nobody's"))
    assert (told.counted, told.reason, told.decision_id) == (
        False,
        "decision expired",
        command_id("nobody's"),
    )
    assert world.reward(reward(3, policy, 0.01, decision="d")).counted
