"""Choices among some of a scope's policies, and what is known of one policy alone."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from libs.common.context_fields import ARM_NAMES
from libs.common.events import PoliciesChanged, Refusal
from services.router.context import Statistics, layout_of
from tests.router_world import BULL, POLICIES, World, add, choose, retire, reward


def test_only_those_asked_for_are_chosen_among_with_exact_propensities() -> None:
    world = World()
    for n in range(30):
        chosen = world.choose(choose(n, policies=("p_sma", "p_flat")))
        assert set(chosen.scores) == set(chosen.means) == set(chosen.versions) == {"p_sma", "p_flat"}
        assert sum(chosen.propensities.values()) == pytest.approx(1)
        assert chosen.policy_id in {"p_sma", "p_flat"}


def test_a_choice_among_some_is_that_of_a_scope_that_has_no_others() -> None:
    """Scores and propensities: what is not eligible takes no part, not even in the uniform share."""
    world, twin = World(), World(policies=("p_sma", "p_flat"))
    some = world.choose(choose("c", policies=("p_flat", "p_sma")))
    all_ = twin.choose(choose("c"))
    assert (some.scores, some.propensities) == (all_.scores, all_.propensities)


def test_a_policy_that_is_none_of_the_scope_is_refused_with_the_nearest_and_all_that_are() -> None:
    world = World()
    world.do(retire("gone", "p_breakout"), PoliciesChanged)
    for name, nearest in (("p_smaa", "p_sma"), ("p_breakout", "p_flat")):
        refused = world.refused(choose(name, policies=("p_flat", name)))
        assert refused.refusal is Refusal.INVALID
        (fault,) = refused.faults
        assert fault.field == "policies.1"
        assert f"did you mean {nearest}?" in fault.message or nearest != "p_sma"
        assert "known are: p_sma, p_flat" in fault.message


def test_where_none_of_those_asked_for_is_registered_it_is_unavailable_and_nothing_changes() -> None:
    world = World()
    world.choose(choose("first"))
    world.unregister("p_sma")
    before = dict(world.state)
    refused = world.refused(choose("c", policies=("p_sma",)))
    assert refused.refusal is Refusal.UNAVAILABLE
    assert "none of the policies asked for is registered (p_sma)" in refused.detail
    assert dict(world.state) == before


def test_the_row_of_a_policy_ends_with_its_own_signal_and_is_else_that_of_all() -> None:
    layout = layout_of()
    x = layout.vector(BULL, Statistics())
    X = layout.rows(x, {"p_sma": {"signal": -0.5}}, POLICIES)
    assert X.shape == (len(POLICIES), layout.dimension)
    assert (X[:, : layout.common] == x[: layout.common]).all()
    assert X[:, layout.common :].tolist() == [[-0.5], [0.0], [0.0]]
    assert layout.names[layout.common :] == ARM_NAMES == ("signal",)


def test_a_reward_is_learnt_from_the_row_that_was_decided_on() -> None:
    """Rewards that are the signal: after them the expected reward follows it, at either sign."""
    world = World(policies=("p_sma",))
    for n in range(60):
        signal = 1.0 if n % 2 else -1.0
        chosen = world.choose(choose(n, {}, arms={"p_sma": {"signal": signal}}))
        assert chosen.features["signal"] == signal
        assert chosen.arms == {"p_sma": {"signal": signal}}
        world.reward(reward(f"r{n}", "p_sma", 0.01 * signal, decision=n))
    up, down = (
        world.choose(choose(f"at {at}", {}, arms={"p_sma": {"signal": at}})).means["p_sma"]
        for at in (1.0, -1.0)
    )
    assert up > 0.005
    assert down < -0.005


def test_a_late_reward_is_learnt_from_the_signal_of_its_decision_whatever_is_known_since() -> None:
    world, twin = World(policies=("p_sma",)), World(policies=("p_sma",))
    for one in (world, twin):
        one.choose(choose("d", {}, arms={"p_sma": {"signal": 0.7}}))
    twin.choose(choose("later", {}, arms={"p_sma": {"signal": -0.7}}))
    for one in (world, twin):
        one.reward(reward("r", "p_sma", 0.01, decision="d"))
    means = [
        one.choose(choose("c", {}, arms={"p_sma": {"signal": 0.7}})).means["p_sma"] for one in (world, twin)
    ]
    assert means[0] == pytest.approx(means[1], rel=1e-12)


def test_what_is_known_of_a_policy_that_is_not_eligible_is_left_out() -> None:
    world = World()
    arms = {"p_sma": {"signal": 0.5}, "p_breakout": {"signal": 0.5}}
    chosen = world.choose(choose("c", arms=arms, policies=("p_sma",)))
    assert chosen.arms == {"p_sma": {"signal": 0.5}}


def test_an_unknown_policy_in_arms_is_refused_and_a_registered_one_of_no_scope_passes() -> None:
    world = World()
    refused = world.refused(choose(1, arms={"p_smaa": {"signal": 0.5}}))
    (fault,) = refused.faults
    assert (refused.refusal, fault.field) == (Refusal.INVALID, "arms.p_smaa")
    assert "did you mean p_sma?" in fault.message
    world.register("p_new")
    world.choose(choose(2, arms={"p_new": {"signal": 0.5}}))


def test_an_unknown_field_of_an_arm_is_ignored_listed_and_counted() -> None:
    world = World()
    chosen = world.choose(choose(1, arms={"p_sma": {"signal": 0.5, "signall": 1.0}}))
    assert chosen.ignored == ("arms.p_sma.signall",)
    assert chosen.arms == {"p_sma": {"signal": 0.5}}
    assert world.snapshot is not None
    assert world.snapshot.ignored_keys == 1


@pytest.mark.parametrize("signal", [1.01, -2.0, float("nan")])
def test_a_signal_out_of_range_is_refused_with_the_range(signal: float) -> None:
    refused = World().refused(choose(1, arms={"p_sma": {"signal": signal}}))
    (fault,) = refused.faults
    assert (refused.refusal, fault.field) == (Refusal.INVALID, "arms.p_sma.signal")
    assert "from -1 to 1" in fault.message


def test_the_snapshot_estimates_each_policy_at_its_own_row() -> None:
    world = World()
    for n in range(60):
        for name in ("p_sma", "p_flat"):
            at = 1.0 if n % 2 else -1.0
            world.choose(choose(f"{name} {n}", {}, arms={name: {"signal": at}}, policies=(name,)))
            world.reward(reward(f"r {name} {n}", name, 0.01 * at, decision=f"{name} {n}"))
    arms = {"p_sma": {"signal": 1.0}, "p_flat": {"signal": -1.0}}
    chosen = world.choose(choose("c", {}, arms=arms))
    assert world.snapshot is not None
    shown = {each.policy_id: each.estimate for each in world.snapshot.policies}
    assert shown == pytest.approx(chosen.means)
    assert shown["p_sma"] > 0 > shown["p_flat"]


def test_policies_that_retired_may_still_be_told_of() -> None:
    world = World()
    world.do(retire(1, "p_sma"), PoliciesChanged)
    world.unregister("p_sma")
    assert world.choose(choose(2, arms={"p_sma": {"signal": 0.1}})).arms == {}


def test_an_eligible_policy_comes_and_goes_with_the_scope() -> None:
    world = World()
    world.register("p_new")
    assert world.refused(choose(1, policies=("p_new",))).refusal is Refusal.INVALID
    world.do(add(2, "p_new"), PoliciesChanged)
    assert world.choose(choose(3, policies=("p_new",))).policy_id == "p_new"


def test_a_decision_of_before_signals_is_learnt_with_a_signal_of_nothing() -> None:
    world = World(policies=("p_sma",))
    chosen = world.choose(choose("d"))
    key = next(key for key in world.state if key.startswith(b"answer/"))
    kept = world.state[key]
    older = {name: value for name, value in chosen.features.items() if name != "signal"}
    assert len(older) == layout_of().common
    world.state.put(key, replace(kept, answer=replace(chosen, features=older, layout=1)))
    assert world.reward(reward("r", "p_sma", 0.01, decision="d")).counted
    assert np.isfinite(world.choose(choose("c")).score)
