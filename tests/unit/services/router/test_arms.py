"""Only registered policies are chosen; the others keep their place and what they learnt."""

from __future__ import annotations

import pytest

from libs.common.events import PoliciesChanged, Refusal
from services.router.arms import MOST_NAMED, Arms
from services.router.records import policy_key
from tests.registered import a_policy_registered
from tests.router_world import BULL, POLICIES, World, add, choose, retire, reward

FIVE = ("p_sma", "p_breakout", "p_meanrev", "p_obi", "p_flat")


def an_old_scope(ghost: str = "p_flat") -> World:
    """Return a world whose scope has learnt of three policies, of which nobody implements one any more."""
    world = World()
    for n in range(30):
        policy = world.choose(choose(f"old {n}")).policy_id
        world.reward(reward(f"old r{n}", policy, 0.001 * (n % 3), decision=f"old {n}"))
    world.unregister(ghost)
    return world


def test_an_unknown_policy_is_refused_with_those_that_are_registered() -> None:
    world = World(policies=FIVE)
    refused = world.refused(add(1, "p_carry"))
    assert refused.refusal is Refusal.INVALID
    (fault,) = refused.faults
    assert fault.field == "policyId"
    assert all(name in fault.message for name in FIVE)
    assert not world.state


def test_a_policy_of_the_scope_that_nobody_registers_any_more_cannot_be_added_again() -> None:
    world = an_old_scope()
    world.do(retire(1, "p_flat"), PoliciesChanged)
    assert world.refused(add(2, "p_flat")).refusal is Refusal.INVALID


def test_the_last_policy_that_can_be_chosen_stays_whatever_else_the_scope_remembers() -> None:
    world = an_old_scope()
    world.do(retire(1, "p_sma"), PoliciesChanged)
    refused = world.refused(retire(2, "p_breakout"))
    assert refused.faults[0].message.startswith("is the last policy that can be chosen")
    world.do(retire(3, "p_flat"), PoliciesChanged)


def test_an_unregistered_policy_of_an_old_scope_is_never_chosen_and_keeps_what_it_learnt() -> None:
    world = an_old_scope()
    kept = world.state[policy_key("s", "p_flat")]
    for n in range(100):
        chosen = world.choose(choose(n))
        assert list(chosen.propensities) == ["p_sma", "p_breakout"]
        assert chosen.scores.keys() == chosen.means.keys() == chosen.versions.keys()
        assert sum(chosen.propensities.values()) == pytest.approx(1)
        assert chosen.propensity == chosen.propensities[chosen.policy_id]
    assert world.state[policy_key("s", "p_flat")] == kept


def test_it_is_chosen_again_once_it_is_registered() -> None:
    world = an_old_scope()
    world.choose(choose("without"))
    world.register("p_flat")
    chosen = [world.choose(choose(n)) for n in range(100)]
    assert {name for choice in chosen for name in choice.propensities} == set(POLICIES)
    assert "p_flat" in {choice.policy_id for choice in chosen}  # ids, and so draws, are fixed


def test_the_snapshot_says_who_is_registered() -> None:
    world = an_old_scope()
    world.choose(choose(1))
    assert world.snapshot is not None
    shown = {policy.policy_id: policy.registered for policy in world.snapshot.policies}
    assert shown == {"p_sma": True, "p_breakout": True, "p_flat": False}


@pytest.mark.parametrize("ghost", POLICIES)
def test_a_choice_without_it_is_that_of_a_scope_that_never_had_it(ghost: str) -> None:
    """Whatever its place among the others: a naive twin."""
    world, twin = World(), World(policies=tuple(name for name in POLICIES if name != ghost))
    world.unregister(ghost)
    for n in range(20):
        one, two = (each.choose(choose(n)) for each in (world, twin))
        assert one.policy_id == two.policy_id
        assert one.scores == pytest.approx(two.scores)
        assert one.propensities == pytest.approx(two.propensities)
        for each in (world, twin):
            each.reward(reward(f"r{n}", one.policy_id, 0.001 * (n % 4), decision=n))


def test_the_noise_is_still_that_of_all_policies() -> None:
    """A posterior does not jump because another policy is not registered for a while."""
    world, twin = an_old_scope(), an_old_scope()
    twin.register("p_flat")
    one, two = (each.choose(choose(1)) for each in (world, twin))
    assert one.means == {name: two.means[name] for name in one.means}
    assert world.snapshot is not None
    assert twin.snapshot is not None
    assert world.snapshot.noise == twin.snapshot.noise
    for mine, theirs in zip(world.snapshot.policies, twin.snapshot.policies, strict=True):
        assert (mine.estimate, mine.low, mine.high) == (theirs.estimate, theirs.low, theirs.high)


def test_a_late_reward_of_an_unregistered_policy_counts() -> None:
    world = an_old_scope()
    before = world.state[policy_key("s", "p_flat")]
    rewarded = world.reward(reward("late", "p_flat", 0.01, context=BULL))
    assert rewarded.counted
    assert rewarded.updates == before.updates + 1  # type: ignore[union-attr]  # a policy's record


def test_the_value_of_a_policy_is_estimated_from_decisions_in_which_it_could_be_chosen() -> None:
    world = World()
    world.unregister("p_flat")
    for n in range(5):
        policy = world.choose(choose(n)).policy_id
        world.reward(reward(f"r{n}", policy, 0.001, decision=n))
    assert world.snapshot is not None
    counted = {policy.policy_id: policy.rewarded for policy in world.snapshot.policies}
    assert counted == {"p_sma": 5, "p_breakout": 5, "p_flat": 0}


def test_a_scope_whose_policies_are_all_unregistered_is_unavailable_and_is_not_changed() -> None:
    world = an_old_scope()
    world.register("p_other")
    world.unregister(*POLICIES)
    before = dict(world.state)
    refused = world.refused(choose(1))
    assert refused.refusal is Refusal.UNAVAILABLE
    assert all(name in refused.detail for name in (*POLICIES, "p_other"))
    assert dict(world.state) == before
    world.register("p_sma")
    assert world.choose(choose(1)).propensities == {"p_sma": 1.0}  # the same command, asked again


def test_before_anything_is_registered_one_is_told_to_come_again() -> None:
    world = World()
    world.unregister(*POLICIES)
    for command in (choose(1), add(2, "p_sma")):
        refused = world.refused(command)
        assert refused.refusal is Refusal.UNAVAILABLE
        assert "No policy is registered yet" in refused.detail


def test_a_choice_made_before_is_answered_again_whoever_is_registered_now() -> None:
    world = World()
    first = world.choose(choose(1))
    world.unregister(*POLICIES)
    assert world.choose(choose(1)) == first


def test_a_long_registry_is_named_in_part() -> None:
    world = World()
    world.register(*(f"p_{n:03d}" for n in range(2 * MOST_NAMED)))
    detail = world.refused(add(1, "p_nobody")).detail
    assert f"and {2 * MOST_NAMED + len(POLICIES) - MOST_NAMED} more" in detail


def test_it_says_when_no_policy_of_a_new_scope_can_be_chosen() -> None:
    arms = Arms()
    arms.view.begin({0: 0})
    assert arms.lack_of(("p_carry",)) == "no policy of a new scope (p_carry) is registered yet"
    arms.view.fold(0, 0, b"p_sma", a_policy_registered("p_sma"))
    assert arms.lack_of(("p_carry",)) == (
        "no policy of a new scope (p_carry) is registered; registered are p_sma: correct ROUTER_POLICIES"
    )
    assert arms.lack_of(("p_carry", "p_sma")) == ""
