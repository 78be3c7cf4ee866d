from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from libs.common.answered import Memory
from libs.common.codec import decode, encode
from libs.common.events import PoliciesChanged, Refusal, RouterPolicyState
from libs.common.topics import ROUTER_STATE
from services.router.records import policy_key
from tests.router_world import BULL, POLICIES, World, add, choose, command_id, retire, reward


def test_a_choice_explains_itself() -> None:
    chosen = World().choose(choose(1))
    assert chosen.policy_id == max(chosen.scores, key=chosen.scores.__getitem__)
    assert chosen.score == chosen.scores[chosen.policy_id]
    assert chosen.exploration_bonus == chosen.score - chosen.means[chosen.policy_id]
    assert chosen.propensity == chosen.propensities[chosen.policy_id]
    assert sum(chosen.propensities.values()) == pytest.approx(1)
    assert chosen.forecast_vol == 0.02
    assert chosen.width == pytest.approx(chosen.prior_width)  # nothing is known yet
    assert "spreadBps" in chosen.missing


def test_learning_narrows_the_width_below_the_priors() -> None:
    world = World()
    for n in range(30):
        world.reward(reward(n, "p_sma", 0.004, context=BULL))
    widths = {(c := world.choose(choose(f"c{n}"))).policy_id: c.width / c.prior_width for n in range(30)}
    assert widths["p_sma"] < 0.5


def test_a_partial_context_is_enough_and_an_unknown_key_is_named_and_counted() -> None:
    world = World()
    chosen = world.choose(choose(1, {"regime": "bull", "obl": 0.5}))
    assert chosen.ignored == ("obl",)
    assert chosen.inputs == {"regime": "bull"}
    assert world.snapshot is not None
    assert world.snapshot.ignored_keys == 1


def test_a_repeated_choice_is_answered_again_and_changes_nothing() -> None:
    world = World()
    first = world.choose(choose(1))
    world.choose(choose(2))
    before = dict(world.state)
    assert world.choose(choose(1)) == first
    assert dict(world.state) == before


def test_a_repeated_reward_is_answered_again_and_learnt_once() -> None:
    world = World()
    first = world.reward(reward(1, "p_sma", 0.004, context=BULL))
    before = dict(world.state)
    assert world.reward(reward(1, "p_sma", 0.004, context=BULL)) == first
    assert dict(world.state) == before
    assert first.updates == 1


def test_a_choice_writes_nothing_of_what_was_learnt_and_counts_with_what_older_versions_counted() -> None:
    world = World()
    policy = world.choose(choose("d")).policy_id
    world.reward(reward("r", policy, 0.004, decision="d"))
    learnt = world.state[policy_key("s", policy)]
    assert isinstance(learnt, RouterPolicyState)
    world.state.put(policy_key("s", policy), replace(learnt, choices=40))
    world.state.keep()
    world.state.take_changes()
    chosen = world.choose(choose("e")).policy_id
    assert not any(key.startswith(policy_key("s", "")) for key, _ in world.state.take_changes())
    assert world.snapshot is not None
    shown = {each.policy_id: each.choices for each in world.snapshot.policies}
    assert shown == {**dict.fromkeys(shown, 0), policy: 41} | {chosen: 1 + 41 * (chosen == policy)}


def test_a_second_reward_of_a_decision_is_acknowledged_and_not_counted() -> None:
    world = World()
    policy = world.choose(choose("d")).policy_id
    assert world.reward(reward(1, policy, 0.004, decision="d")).counted
    learnt = world.state[policy_key("s", policy)]
    again = world.reward(reward(2, policy, 0.5, decision="d"))
    assert (again.counted, again.updates, again.mean_reward) == (False, 1, 0.004)
    assert world.state[policy_key("s", policy)] == learnt


def test_a_reward_of_a_decision_is_learnt_from_that_decisions_vector() -> None:
    """Not from what the context would be now, after others moved the statistics."""
    world, twin = World(), World()
    chosen = world.choose(choose("d"))
    twin.choose(choose("d"))
    for n in range(20):
        twin.choose(choose(n, {"sigmaHAR": 0.5, "obi": -1.0}))
    for one in (world, twin):
        one.reward(reward("r", chosen.policy_id, 0.01, decision="d", context={"regime": "bear"}))
    records = [one.state[policy_key("s", chosen.policy_id)] for one in (world, twin)]
    assert all(isinstance(record, RouterPolicyState) for record in records)
    assert records[0].posterior == records[1].posterior != b""  # type: ignore[union-attr]  # asserted above


def test_rewards_out_of_order_count_each_once_and_teach_nearly_the_same() -> None:
    worlds = [World() for _ in range(2)]
    decisions = {}
    for n in range(8):
        for world in worlds:
            decisions[n] = world.choose(choose(n, {"obi": n / 10})).policy_id
    for world, order in zip(worlds, (range(8), reversed(range(8))), strict=True):
        for n in order:
            world.reward(reward(f"r{n}", decisions[n], 0.001 * n, decision=n))
    assert worlds[0].snapshot is not None
    assert worlds[1].snapshot is not None
    for one, two in zip(worlds[0].snapshot.policies, worlds[1].snapshot.policies, strict=True):
        assert one.updates == two.updates
        assert one.mean_reward == pytest.approx(two.mean_reward)
        assert one.estimate == pytest.approx(two.estimate, rel=0.1, abs=1e-4)


@pytest.mark.parametrize("context", [None, BULL])
def test_a_forgotten_decision_is_answered_as_expired_and_teaches_nothing_however_often(
    context: dict[str, float | str] | None,
) -> None:
    world = World(remember_most=3)
    policy = world.choose(choose("d")).policy_id
    assert world.reward(reward("r", policy, 0.004, decision="d", context=context)).counted
    for n in range(5):
        world.choose(choose(n))
    before = learnt(world)
    for n in range(3):
        late = world.reward(reward(f"late {n}", policy, 0.004, decision="d", context=context))
        assert (late.counted, late.reason) == (False, "decision expired")
        assert (late.updates, late.mean_reward) == (1, 0.004)
    assert learnt(world) == before


def test_a_decision_that_never_was_teaches_nothing_and_no_decision_teaches_from_the_context() -> None:
    world = World()
    never = world.reward(reward("r1", "p_sma", 0.004, decision="never", context=BULL))
    assert (never.counted, never.reason, never.updates, never.mean_reward) == (
        False,
        "decision expired",
        0,
        0.0,
    )
    plain = world.reward(reward("r2", "p_sma", 0.004, context=BULL))
    assert (plain.counted, plain.reason, plain.updates) == (True, "", 1)


def test_the_window_counts_decisions_whatever_else_is_answered() -> None:
    world = World(remember_most=5)
    chosen = [world.choose(choose(n)).policy_id for n in range(5)]
    for n in range(50):
        world.reward(reward(f"plain {n}", "p_sma", 0.0, context=BULL))
    for n, policy in enumerate(chosen):
        assert world.reward(reward(f"r{n}", policy, 0.004, decision=n)).counted
    for n, policy in enumerate(chosen):
        again = world.reward(reward(f"again {n}", policy, 0.004, decision=n))
        assert (again.counted, again.reason) == (False, "decision rewarded before")
    assert len(remembered(world)) == 10


def learnt(world: World) -> dict[bytes, Any]:
    """Return the posteriors as they stand."""
    return {key: record for key, record in world.state.items() if key.startswith(b"policy/")}


def remembered(world: World) -> list[bytes]:
    """Return the keys of the answers that are remembered."""
    return [key for key in world.state if key.startswith(b"answer/")]


def test_what_is_remembered_is_bounded_by_number_and_by_age() -> None:
    world = World(remember_most=5, remember_ns=10**9)
    for n in range(50):
        world.choose(choose(n))
    assert len([key for key in world.state if key.startswith(b"answer/")]) == 5
    world.now += 2 * 10**9
    world.choose(choose("later"))
    assert len([key for key in world.state if key.startswith(b"answer/")]) == 1


def test_a_reward_names_the_policy_its_decision_chose() -> None:
    world = World()
    chosen = world.choose(choose("d")).policy_id
    other = next(name for name in POLICIES if name != chosen)
    refused = world.refused(reward(1, other, 0.1, decision="d"))
    assert refused.refusal is Refusal.INVALID
    assert chosen in refused.detail


def test_an_unknown_policy_is_refused_with_those_that_are_known() -> None:
    refused = World().refused(reward(1, "p_nobody", 0.1, context=BULL))
    assert refused.refusal is Refusal.UNKNOWN
    assert "p_sma" in refused.detail


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300, -5.0, "much"])
def test_absurd_numbers_are_refused_and_change_nothing(value: float | str) -> None:
    world = World()
    assert world.refused(choose(1, {"sigmaHAR": value})).refusal is Refusal.INVALID
    if not isinstance(value, str) and abs(value) != 5:
        assert world.refused(reward(2, "p_sma", value, context=BULL)).refusal is Refusal.INVALID
    assert not world.state


@pytest.mark.parametrize("scope", ["", "a/b", "x" * 65])
def test_a_bad_scope_is_refused(scope: str) -> None:
    assert World().refused(choose(1, scope=scope)).refusal is Refusal.INVALID


def test_a_command_id_that_is_no_uuid_is_refused_and_stops_nothing() -> None:
    world = World()
    assert world.refused(replace(choose(1), command_id="one")).refusal is Refusal.INVALID
    world.choose(choose(1))


def test_a_command_id_of_another_command_is_refused() -> None:
    world = World()
    world.choose(choose(1))
    assert world.refused(reward(1, "p_sma", 0.1, context=BULL)).refusal is Refusal.INVALID


def test_scopes_do_not_teach_each_other() -> None:
    world = World()
    world.reward(reward(1, "p_sma", 0.5, context=BULL, scope="other"))
    world.choose(choose(2))
    assert world.snapshot is not None
    assert world.snapshot.updates == 0


def test_policies_come_and_go_and_the_others_keep_what_they_learnt() -> None:
    world = World()
    for n in range(12):
        world.reward(reward(n, "p_sma", 0.004, context=BULL))
    kept = world.state[policy_key("s", "p_sma")]
    world.register("p_new")
    added = world.do(add("a", "p_new"), PoliciesChanged)
    assert added.policies == (*POLICIES, "p_new")
    retired = world.do(retire("b", "p_breakout"), PoliciesChanged)
    assert retired.policies == ("p_sma", "p_flat", "p_new")
    assert world.state[policy_key("s", "p_sma")] == kept
    chosen = world.choose(choose("c"))
    assert set(chosen.scores) == {"p_sma", "p_flat", "p_new"}


def test_a_retired_policys_late_reward_counts_and_it_comes_back_with_it() -> None:
    world = World()
    world.do(retire("a", "p_sma"), PoliciesChanged)
    assert world.reward(reward(1, "p_sma", 0.004, context=BULL)).updates == 1
    world.do(add("b", "p_sma"), PoliciesChanged)
    assert world.reward(reward(2, "p_sma", 0.004, context=BULL)).updates == 2


def test_the_last_policy_cannot_retire_and_an_unknown_one_neither() -> None:
    world = World(policies=("only",))
    assert world.refused(retire(1, "only")).refusal is Refusal.INVALID
    assert world.refused(retire(2, "nobody")).refusal is Refusal.UNKNOWN


def test_adding_what_is_there_changes_nothing() -> None:
    assert not World().do(add(1, "p_sma"), PoliciesChanged).changed


def test_the_posterior_survives_the_wire_bit_by_bit() -> None:
    """A state restored from its records chooses and learns as the one that wrote them."""
    world = World()
    for n in range(40):
        policy = world.choose(choose(n, {"obi": (n % 7) / 10, "regime": "bear"})).policy_id
        world.reward(reward(f"r{n}", policy, 0.001 * (n % 5), decision=n))
    twin = World()
    twin.now = world.now
    twin.state = Memory()
    for key, record in world.state.items():
        twin.state.restore(key, decode(ROUTER_STATE, encode(record)))  # type: ignore[arg-type]  # its records
    for n in range(40, 50):
        one, two = (each.choose(choose(n)) for each in (world, twin))
        assert one == two
        answers = [each.reward(reward(f"r{n}", one.policy_id, 0.002, decision=n)) for each in (world, twin)]
        assert answers[0] == answers[1]
    assert dict(world.state) == dict(twin.state)
    assert world.snapshot == twin.snapshot


def test_the_same_commands_give_the_same_bytes() -> None:
    def run() -> list[bytes]:
        world = World()
        said = []
        for n in range(20):
            chosen = world.choose(choose(n))
            said += [
                encode(chosen),
                encode(world.reward(reward(f"r{n}", chosen.policy_id, 0.01, decision=n))),
            ]
        return said

    assert run() == run()


def test_the_snapshot_says_who_has_learnt_what() -> None:
    world = World()
    policy = world.choose(choose("d")).policy_id
    world.reward(reward(1, policy, 0.004, decision="d"))
    snapshot = world.snapshot
    assert snapshot is not None
    assert (snapshot.stubs, snapshot.sources, snapshot.layout_version, snapshot.declared) == ((), {}, "", ())
    assert (snapshot.last_choice, snapshot.decision_id) == (policy, command_id("d"))
    learnt = next(summary for summary in snapshot.policies if summary.policy_id == policy)
    assert (learnt.updates, learnt.mean_reward, learnt.choices, learnt.rewarded) == (1, 0.004, 1, 1)
    assert learnt.dr is not None
    assert learnt.dr.low is None
    assert learnt.dr.why.startswith("1 decision with overlap is worth ")
    assert (snapshot.best, snapshot.best_why[-12:]) == (None, "over a fifth")
    assert sum(summary.share for summary in snapshot.policies) == pytest.approx(1)
