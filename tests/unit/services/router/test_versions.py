"""Policies that come by themselves, change their version, break, and go."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from libs.common.events import (
    PoliciesChanged,
    PolicyChosen,
    PolicyState,
    Refusal,
    RouterContrasts,
    RouterPolicyState,
    RouterScopeState,
)
from services.router.contrasts import best_of, compared, without
from services.router.evaluation import sums_of
from services.router.handlers import Router
from services.router.records import policy_key, scope_key
from services.router.rules import MOST_POLICIES, Rules
from tests.router_world import POLICIES, World, add, choose, retire, reward

QUARANTINED: dict[str, Any] = {"state": PolicyState.QUARANTINED, "fault": "ValueError: no\nTraceback …"}


def shared_of(world: World) -> RouterScopeState:
    found = world.state[scope_key("s")]
    assert isinstance(found, RouterScopeState)
    return found


def record_of(world: World, name: str) -> RouterPolicyState:
    found = world.state.get(policy_key("s", name), RouterPolicyState())
    assert isinstance(found, RouterPolicyState)
    return found


def summary(world: World, name: str) -> Any:
    assert world.snapshot is not None
    return next(each for each in world.snapshot.policies if each.policy_id == name)


def taught(world: World, rounds: int = 60, name: str = "t") -> World:
    """Let the scope choose and learn."""
    for n in range(rounds):
        policy = world.choose(choose(f"{name}{n}", {"obi": (n % 7 - 3) / 4})).policy_id
        world.reward(reward(f"r{name}{n}", policy, 0.002 * (n % 5 - 2), decision=f"{name}{n}"))
    return world


def replace_rules(world: World, policies: tuple[str, ...]) -> Rules:
    """Return the rules of a world with other policies of new scopes."""
    return dataclasses.replace(world.router.rules, policies=policies)


def chosen_as(world: World, name: str, policy: str) -> PolicyChosen:
    """Return a decision that chose this policy."""
    return world.choose(choose(name, policies=(policy,)))


# --- which can be chosen ---


@pytest.mark.parametrize("state", [PolicyState.STARTING, PolicyState.QUARANTINED])
def test_only_a_running_policy_is_chosen_and_one_that_is_not_keeps_its_place(state: PolicyState) -> None:
    world = taught(World())
    before = record_of(world, "p_sma")
    world.register_as("p_sma", state=state, fault="ValueError: no")
    assert set(world.choose(choose(1)).propensities) == {"p_breakout", "p_flat"}
    assert not summary(world, "p_sma").registered
    assert record_of(world, "p_sma") == before
    world.register("p_sma")
    assert set(world.choose(choose(2)).propensities) == set(POLICIES)
    assert summary(world, "p_sma").estimate != 0


def test_a_policy_that_is_not_running_cannot_be_added_and_the_refusal_says_why() -> None:
    world = World()
    world.register_as("mine", **QUARANTINED)
    (fault,) = world.refused(add(1, "mine")).faults
    assert fault.message == "is quarantined: ValueError: no"
    world.register_as("mine", state=PolicyState.STARTING)
    assert "is starting" in world.refused(add(2, "mine")).faults[0].message
    world.unregister("mine")
    assert "is not registered; registered are: p_breakout" in world.refused(add(3, "mine")).faults[0].message
    world.register("mine")
    assert world.do(add(4, "mine"), PoliciesChanged).changed


def test_where_all_policies_are_quarantined_a_choice_is_unavailable_and_says_so() -> None:
    world = World()
    for name in POLICIES:
        world.register_as(name, **QUARANTINED)
    refused = world.refused(choose(1))
    assert refused.refusal is Refusal.UNAVAILABLE
    assert "registered are: none" in refused.detail
    assert world.arms.lack_of(POLICIES) != ""


def test_one_from_outside_that_falls_silent_and_speaks_again_goes_on_bit_by_bit() -> None:
    """The twin never fell silent, and was not asked for either in that time."""
    world, twin = World(), World()
    outside: dict[str, Any] = {"kind": "external", "joins": ("s",), "version": "outside"}
    for one in (world, twin):
        one.register_as("x_mine", **outside)
        taught(one)
        chosen_as(one, "d", "x_mine")
    world.register_as("x_mine", **outside, state=PolicyState.STARTING, ts=world.now)
    for one in (world, twin):
        for n in range(20):
            policy = one.choose(choose(f"silent{n}", policies=POLICIES)).policy_id
            one.reward(reward(f"rs{n}", policy, 0.001 * (n % 3), decision=f"silent{n}"))
        assert one.reward(reward("late", "x_mine", 0.01, decision="d")).counted
    assert "x_mine" not in world.choose(choose("all")).propensities
    twin.choose(choose("all", policies=POLICIES))
    world.register_as("x_mine", **outside, ts=world.now)
    assert record_of(world, "x_mine").updates > 1
    chosen, other = world.choose(choose("again")), twin.choose(choose("again"))
    assert "x_mine" in chosen.propensities
    assert chosen == other
    assert dict(world.state) == dict(twin.state)


# --- that join by themselves ---


def test_registered_policies_join_the_scopes_they_name_at_the_next_choice_in_order() -> None:
    world = taught(World(), 5)
    for name in ("zeta", "alpha"):
        world.register_as(name, kind="user", joins=("s", "other"))
    world.register_as("elsewhere", kind="user", joins=("other",))
    world.register_as("x_built", kind="builtin", joins=("s",))
    world.register_as("broken", kind="user", joins=("s",), **QUARANTINED)
    world.register_as("bad/name", kind="user", joins=("s",))
    chosen = world.choose(choose(1))
    assert tuple(chosen.propensities) == (*POLICIES, "alpha", "zeta")
    assert shared_of(world).policies == (*POLICIES, "alpha", "zeta")
    world.register_as("broken", kind="user", joins=("s",))
    assert "broken" in world.choose(choose(2, policies=("broken", "p_flat"))).propensities


def test_a_choice_that_is_refused_lets_nobody_join() -> None:
    world = taught(World(), 3)
    world.register_as("mine", kind="user", joins=("s",))
    before = dict(world.state)
    world.refused(choose(1, policies=("min",)))
    assert dict(world.state) == before


def test_a_policy_that_joined_is_as_one_that_was_added() -> None:
    one, two = taught(World()), taught(World())
    one.register_as("mine", kind="user", joins=("s",))
    two.register("mine")
    two.do(add("a", "mine"), PoliciesChanged)
    assert replace(one.choose(choose(1)), ts=0) == replace(two.choose(choose(1)), ts=0)


def test_one_that_was_retired_does_not_come_back_by_itself() -> None:
    world = World()
    world.register_as("mine", kind="user", joins=("s",))
    world.choose(choose(1))
    world.do(retire(2, "mine"), PoliciesChanged)
    world.unregister("mine")
    world.register_as("mine", kind="user", joins=("s",), version="2")
    assert "mine" not in world.choose(choose(3)).propensities
    assert world.do(add(4, "mine"), PoliciesChanged).changed
    assert "mine" in world.choose(choose(5)).propensities


def test_a_full_scope_lets_nobody_join_and_goes_on() -> None:
    world = World()
    for n in range(MOST_POLICIES):
        world.register_as(f"mine{n:02}", kind="user", joins=("s",))
    world.choose(choose(1))
    policies = shared_of(world).policies
    assert policies == (*POLICIES, *(f"mine{n:02}" for n in range(MOST_POLICIES - len(POLICIES))))
    world.choose(choose(2))
    assert shared_of(world).policies == policies


# --- room in a full scope ---

PLACES = MOST_POLICIES - len(POLICIES)
MINE = tuple(f"mine{n:02}" for n in range(PLACES))
JOINING: dict[str, Any] = {"kind": "user", "joins": ("s",)}


def full() -> World:
    """Return a scope in which all places are taken, most by policies that joined by themselves."""
    world = World()
    for name in MINE:
        world.register_as(name, **JOINING)
    world.choose(choose("full"))
    assert len(shared_of(world).policies) == MOST_POLICIES
    return world


def lets_join(world: World, *names: str) -> set[str]:
    """Let these want to join, and return who is gone from the scope after the next choice."""
    before = {*shared_of(world).policies, *shared_of(world).retired}
    for name in names:
        world.register_as(name, **JOINING)
    world.choose(choose(f"with {names} {world.now}"))
    shared = shared_of(world)
    after = {*shared.policies, *shared.retired}
    assert len(after) <= MOST_POLICIES
    assert after - before <= set(names)
    return before - after


def test_who_was_chosen_longest_ago_of_those_that_are_gone_makes_room() -> None:
    world = full()
    for n, name in enumerate(("mine05", "mine07", "mine03", "mine05")):
        chosen_as(world, f"old{n}", name)
    world.unregister("mine03", "mine05", "mine07")
    assert lets_join(world, "new1") == {"mine07"}
    assert lets_join(world, "new2", "new3") == {"mine03", "mine05"}
    assert lets_join(world, "new4") == set(), "nobody else is gone, so it has to wait"
    assert {"new1", "new2", "new3"} <= set(shared_of(world).policies)
    assert "new4" not in shared_of(world).policies


def test_nobody_makes_room_while_there_is_room_or_nobody_comes() -> None:
    world = World()
    world.register_as("mine", **JOINING)
    world.choose(choose(1))
    world.unregister("mine")
    assert lets_join(world) == set()
    assert lets_join(world, "new") == set()


def test_what_is_registered_retired_stated_or_added_makes_no_room() -> None:
    world = full()
    world.register_as("mine00", **JOINING, **QUARANTINED)
    world.register_as("mine01", **JOINING, state=PolicyState.STARTING)
    world.register_as("mine02", kind="user", joins=())
    world.do(retire("r", "mine03"), PoliciesChanged)
    assert not world.do(add("a", "mine04"), PoliciesChanged).changed
    world.unregister("mine03", "mine04", "p_sma")
    assert lets_join(world, "new") == set()
    world.router = Router(replace_rules(world, (*POLICIES, "mine05")), world.live, world.arms)
    world.unregister("mine05")
    assert lets_join(world, "new") == set()
    world.unregister("mine06")
    assert lets_join(world, "new") == {"mine06"}


def test_a_policy_that_is_added_finds_room_too_and_is_refused_where_there_is_none() -> None:
    world = full()
    world.register("mine")
    assert "would be one more than 32" in world.refused(add(1, "mine")).faults[0].message
    world.unregister("mine09")
    changed = world.do(add(2, "mine"), PoliciesChanged)
    assert changed.changed
    assert "mine" in changed.policies
    assert "mine09" not in changed.policies
    assert policy_key("s", "mine09") not in world.state


def test_a_choice_that_is_refused_makes_no_room() -> None:
    world = full()
    world.unregister("mine09")
    world.register_as("new", **JOINING)
    before = dict(world.state)
    world.refused(choose(1, policies=("min",)))
    assert dict(world.state) == before


def test_what_made_room_is_forgotten_whole_and_the_others_know_what_they_knew() -> None:
    world = full()
    for n in range(12):
        name = ("mine09", "mine10")[n % 2]
        chosen_as(world, f"t{n}", name)
        world.reward(reward(f"r{n}", name, 0.001 * n, decision=f"t{n}"))
    world.choose(choose("before"))
    other, shared = record_of(world, "mine10"), shared_of(world)
    assert "mine09" in shared.contrasts.names
    world.unregister("mine09")
    assert lets_join(world, "new") == {"mine09"}
    after = shared_of(world)
    assert policy_key("s", "mine09") not in world.state
    for names in (after.chosen, after.evaluation, after.contrasts.names, after.joined):
        assert "mine09" not in names
    assert (record_of(world, "mine10"), after.mixture) == (other, shared.mixture)
    assert sums_of(after, "mine10") == sums_of(shared, "mine10")
    assert (record_of(world, "new").updates, sums_of(after, "new").seen) == (0, 0)


def test_rewards_under_way_of_what_made_room_are_not_learnt_and_say_so() -> None:
    world = full()
    chosen_as(world, "one", "mine09")
    world.choose(choose("two", policies=("mine09",), reward_within_s=10.0))
    world.unregister("mine09")
    assert lets_join(world, "new") == {"mine09"}
    late = world.reward(reward(1, "mine09", 0.01, decision="one"))
    assert (late.counted, late.learnt, late.updates) == (False, None, 0)
    assert late.reason == "the scope forgot mine09, which was gone, for another policy"
    assert world.reward(reward(2, "mine09", 0.01, decision="one")).reason == f"decision void: {late.reason}"
    world.wait(20 * 10**9)
    (told,) = world.defaulted
    assert (told.counted, told.defaulted, told.reason) == (False, False, late.reason)
    assert world.refused(reward(3, "mine09", 0.01, context={"obi": 0.1})).refusal is Refusal.UNKNOWN


def test_decisions_that_could_have_chosen_what_made_room_still_tell_of_the_others() -> None:
    world = full()
    for name in MINE[10:]:
        world.unregister(name)
    decision = world.choose(choose("d"))
    assert "mine09" in decision.propensities
    world.unregister(*(name for name in MINE[:10] if name != decision.policy_id))
    gone = lets_join(world, *(f"new{n}" for n in range(PLACES - 1)))
    assert "mine09" in gone or decision.policy_id == "mine09"
    assert world.reward(reward(1, decision.policy_id, 0.01, decision="d")).counted
    shared = shared_of(world)
    assert set(shared.evaluation) == {decision.policy_id, *POLICIES}
    assert set(shared.contrasts.names) == {decision.policy_id, *POLICIES}


def test_what_made_room_and_joins_again_begins_anew() -> None:
    world = full()
    chosen_as(world, "one", "mine09")
    world.reward(reward("r", "mine09", 0.0, decision="one"))
    two = ("mine09", "mine10")
    before = [world.choose(choose(f"two{n}", policies=two)) for n in range(20)]
    other = next(each for each in before if each.policy_id == "mine10")
    world.unregister("mine09")
    assert lets_join(world, "new") == {"mine09"}
    world.unregister("new")
    assert lets_join(world, "mine09") == {"new"}
    assert (record_of(world, "mine09").updates, summary(world, "mine09").rewarded) == (0, 0)
    assert world.reward(replace(reward("late", "mine10", 0.01), decision_id=other.command_id)).counted
    assert summary(world, "mine09").rewarded == 0, "decisions from before say nothing of it"


# --- another version ---


def test_a_posterior_is_of_the_version_at_its_first_choice_and_the_decision_names_it() -> None:
    world = World()
    chosen = world.choose(choose(1))
    assert chosen.policy_version == "1"
    assert {record_of(world, name).version for name in POLICIES} == {"1"}
    assert summary(world, "p_sma").version == "1"


def test_another_version_begins_as_a_new_policy_does_bit_by_bit() -> None:
    """The twin is a scope in which it was never seen: no record of it, no sums, no choices."""
    world, twin = taught(World()), taught(World())
    shared = shared_of(twin)
    left = [name for name in POLICIES if name != "p_sma"]
    twin.state.remove(policy_key("s", "p_sma"))
    twin.state.put(
        scope_key("s"),
        replace(
            shared,
            chosen={name: shared.chosen.get(name, 0) for name in left},
            evaluation={name: shared.evaluation[name] for name in left},
        ),
    )
    for one in (world, twin):
        one.register_as("p_sma", version="2")
    chosen = world.choose(choose(1))
    assert chosen == twin.choose(choose(1))
    assert chosen.versions["p_sma"] == 0
    for name in POLICIES:
        for each in ("posterior", "updates", "reward_sum", "version"):
            assert getattr(record_of(world, name), each) == getattr(record_of(twin, name), each)
    assert shared_of(world).mixture == shared_of(twin).mixture == shared.mixture
    assert shared_of(world).evaluation == shared_of(twin).evaluation
    for n in range(10):
        for one in (world, twin):
            policy = one.choose(choose(f"n{n}")).policy_id
            one.reward(reward(f"rn{n}", policy, 0.001 * n, decision=f"n{n}"))
    assert record_of(world, "p_sma").posterior == record_of(twin, "p_sma").posterior
    assert shared_of(world).mixture == shared_of(twin).mixture
    assert shared_of(world).evaluation == shared_of(twin).evaluation


def test_another_version_leaves_what_the_others_learnt_and_what_was_stated() -> None:
    world = World(priors={"p_sma": (0.001, 50.0)})
    taught(world)
    others = [record_of(world, name) for name in POLICIES[1:]]
    shared = shared_of(world)
    world.register_as("p_sma", version="2")
    world.choose(choose(1))
    assert [record_of(world, name) for name in POLICIES[1:]] == others
    assert (shared_of(world).mixture, shared_of(world).drift_alarms) == (shared.mixture, shared.drift_alarms)
    found = summary(world, "p_sma")
    assert (found.updates, found.mean_reward, found.version, found.expected_reward) == (0, None, "2", 0.001)
    assert found.choices <= 1  # that of just now
    assert (found.rewarded, found.dr.value) == (0, None)
    assert "p_sma" not in shared_of(world).contrasts.names
    for name in POLICIES[1:]:
        assert sums_of(shared_of(world), name) == sums_of(shared, name)


def test_a_reward_of_another_version_s_decision_is_not_counted_and_names_both() -> None:
    world = World()
    chosen_as(world, "d", "p_sma")
    world.register_as("p_sma", version="2")
    late = world.reward(reward(1, "p_sma", 0.01, decision="d"))
    assert (late.counted, late.learnt, late.updates) == (False, None, 0)
    assert late.reason == "decided by version 1, the policy is 2 now: its posterior began anew"
    again = world.reward(reward(2, "p_sma", 0.01, decision="d"))
    assert again.reason == f"decision void: {late.reason}"
    assert not summary(world, "p_sma").rewarded


def test_a_default_of_another_version_s_decision_is_not_learnt() -> None:
    world = World()
    world.choose(choose("d", policies=("p_sma",), reward_within_s=10.0, default_reward=-0.01))
    world.register_as("p_sma", version="2")
    world.wait(20 * 10**9)
    (told,) = world.defaulted
    assert (told.counted, told.defaulted, told.learnt) == (False, False, None)
    assert "decided by version 1" in told.reason
    assert record_of(world, "p_sma").updates == 0


def test_a_version_that_keeps_the_posterior_goes_on_and_learns_from_earlier_decisions() -> None:
    world = taught(World())
    before = record_of(world, "p_sma")
    chosen_as(world, "d", "p_sma")
    world.register_as("p_sma", version="2", keeps_posterior=True)
    assert world.reward(reward(1, "p_sma", 0.01, decision="d")).counted
    after = record_of(world, "p_sma")
    assert (after.version, after.updates, after.renewed_ts) == ("2", before.updates + 1, 0)


def test_a_version_that_keeps_the_posterior_keeps_what_the_one_before_it_began_with() -> None:
    world = World()
    chosen_as(world, "one", "p_sma")
    world.register_as("p_sma", version="2")
    chosen_as(world, "two", "p_sma")
    world.register_as("p_sma", version="3", keeps_posterior=True)
    assert world.reward(reward(1, "p_sma", 0.01, decision="two")).counted
    assert not world.reward(reward(2, "p_sma", 0.01, decision="one")).counted


@pytest.mark.parametrize("then", ["quarantined", "gone", "another starts", "keeps no more"])
def test_decisions_of_a_version_that_was_kept_teach_whatever_becomes_of_the_one_that_kept_it(
    then: str,
) -> None:
    world = World()
    chosen_as(world, "d", "p_sma")
    world.register_as("p_sma", version="2", keeps_posterior=True)
    chosen_as(world, "e", "p_sma")
    if then == "gone":
        world.unregister("p_sma")
    elif then == "quarantined":
        world.register_as("p_sma", version="2", keeps_posterior=True, **QUARANTINED)
    elif then == "another starts":
        world.register_as("p_sma", version="3", state=PolicyState.STARTING)
    else:
        world.register_as("p_sma", version="2")
    assert world.reward(reward(1, "p_sma", 0.01, decision="d")).counted
    assert world.reward(reward(2, "p_sma", 0.01, decision="e")).updates == 2


def test_a_version_that_begins_anew_learns_nothing_of_those_that_the_one_before_it_kept() -> None:
    world = World()
    chosen_as(world, "d", "p_sma")
    world.register_as("p_sma", version="2", keeps_posterior=True)
    chosen_as(world, "e", "p_sma")
    world.register_as("p_sma", version="3")
    world.choose(choose("f"))
    assert not world.reward(reward(1, "p_sma", 0.01, decision="d")).counted
    assert not world.reward(reward(2, "p_sma", 0.01, decision="e")).counted
    world.register_as("p_sma", version="4", keeps_posterior=True)
    assert record_of(world, "p_sma").kept_versions == ()
    world.choose(choose("g"))
    assert record_of(world, "p_sma").kept_versions == ("3",)


def test_a_version_that_comes_back_begins_anew_and_learns_from_its_own_decisions() -> None:
    world = taught(World())
    chosen_as(world, "d", "p_sma")
    for version in ("2", "1"):
        world.register_as("p_sma", version=version)
        world.choose(choose(f"c{version}", policies=("p_flat",)))
    assert record_of(world, "p_sma").updates == 0
    assert world.reward(reward(1, "p_sma", 0.01, decision="d")).updates == 1


def test_what_older_states_learnt_goes_on_under_the_present_version_bit_by_bit() -> None:
    """States from before versions name none: nothing begins anew, and everything is as it would have been."""
    world, older = taught(World()), taught(World())
    for key, kept in list(older.state.items()):
        if isinstance(kept, RouterPolicyState):
            older.state.put(key, replace(kept, version=""))
        if isinstance(kept, RouterScopeState) and kept.last is not None:
            older.state.put(key, replace(kept, last=replace(kept.last, policy_version="", sources={})))
    older.state.keep()
    for one in (world, older):
        one.register_as("p_sma", version="1")
        taught(one, 20, "more")
    assert dict(older.state) == dict(world.state)


def test_a_decision_of_an_older_state_teaches_whatever_version_is_registered_now() -> None:
    world = World()
    chosen_as(world, "d", "p_sma")
    for key, kept in list(world.state.items()):
        if key.startswith(b"answer/"):
            world.state.put(key, replace(kept, answer=replace(kept.answer, policy_version="")))  # type: ignore[union-attr]  # an answer
        if isinstance(kept, RouterPolicyState):
            world.state.remove(key)
    world.state.keep()
    world.register_as("p_sma", version="2")
    assert world.reward(reward(1, "p_sma", 0.01, decision="d")).counted


# --- quarantine, tombstones, returns ---


@pytest.mark.parametrize("how", ["quarantined", "gone", "retired"])
def test_late_rewards_of_a_policy_that_may_not_be_chosen_still_count(how: str) -> None:
    world = World()
    chosen_as(world, "d", "p_sma")
    if how == "quarantined":
        world.register_as("p_sma", **QUARANTINED)
    elif how == "gone":
        world.unregister("p_sma")
    else:
        world.do(retire("x", "p_sma"), PoliciesChanged)
    assert world.reward(reward(1, "p_sma", 0.01, decision="d")).counted
    if how == "retired":
        world.do(add("a", "p_sma"), PoliciesChanged)
    else:
        world.register("p_sma")
    assert world.choose(choose(2)).versions["p_sma"] == 1


@pytest.mark.parametrize("retired", [False, True])
def test_one_that_comes_back_as_another_version_begins_anew(*, retired: bool) -> None:
    world = taught(World())
    if retired:
        world.do(retire("x", "p_sma"), PoliciesChanged)
    else:
        world.unregister("p_sma")
        world.choose(choose("without"))
    world.register_as("p_sma", version="2")
    if retired:
        world.do(add("a", "p_sma"), PoliciesChanged)
    assert world.choose(choose("c")).versions["p_sma"] == 0


def test_a_version_that_never_ran_costs_nothing_of_what_the_one_before_it_learnt() -> None:
    """Somebody saves a mistake and takes it back: meanwhile it is not chosen, and late rewards count."""
    world = taught(World())
    chosen_as(world, "d", "p_sma")
    before = record_of(world, "p_sma").updates
    for state in (PolicyState.STARTING, PolicyState.QUARANTINED):
        world.register_as("p_sma", version="2", state=state, fault="NameError: x")
        assert "p_sma" not in world.choose(choose(state)).propensities
    assert world.reward(reward("late", "p_sma", 0.01, decision="d")).counted
    world.register_as("p_sma", version="1")
    assert world.choose(choose("back")).versions["p_sma"] == before + 1


# --- values of what other policies earned ---


def test_decisions_from_before_a_version_say_nothing_of_what_it_would_earn() -> None:
    """Their propensities are of the old one: they still tell of the others."""
    world = World()
    before = [chosen_as(world, f"b{n}", "p_flat") for n in range(2)]
    before += [world.choose(choose(f"all{n}")) for n in range(6)]
    world.register_as("p_sma", version="2")
    after = [world.choose(choose(f"after{n}")) for n in range(6)]
    old = 0
    for n, decision in enumerate((*before, *after)):
        command = replace(reward(f"r{n}", decision.policy_id, 0.001), decision_id=decision.command_id)
        told = world.reward(command)
        old += not told.counted
    counted_before = len(before) - old
    shared = shared_of(world)
    assert sums_of(shared, "p_sma").seen == len(after)
    assert sums_of(shared, "p_flat").seen == counted_before + len(after)


def test_contrasts_without_a_policy_are_those_of_decisions_that_never_could_choose_it() -> None:
    world = World()
    decisions = [world.choose(choose(n, {"obi": n / 40 - 0.5})) for n in range(30)]
    whole = never = RouterContrasts()
    for n, decision in enumerate(decisions):
        if decision.policy_id == "p_breakout":
            continue
        left = {name: p for name, p in decision.propensities.items() if name != "p_breakout"}
        whole = compared(whole, decision, 0.001 * (n % 3))
        never = compared(never, replace(decision, propensities=left), 0.001 * (n % 3))
    found = without(whole, "p_breakout")
    assert found.names == never.names
    np.testing.assert_allclose(
        np.frombuffer(found.sums, "<f8"), np.frombuffer(never.sums, "<f8"), rtol=1e-12, atol=0
    )
    assert best_of(found, never.names) == best_of(never, never.names)
    assert without(found, "p_breakout") is found
