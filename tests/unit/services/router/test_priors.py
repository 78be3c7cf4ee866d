"""What is expected of a policy before it earned anything: stated by a setting or as it is added."""

from __future__ import annotations

import pytest

from libs.common.events import PoliciesChanged, Refusal
from services.router.settings import RouterSettings
from services.router.thompson import Tuning
from tests.router_world import BULL, World, add, choose, retire, reward


def shown(world: World, policy: str) -> tuple[float | None, float | None]:
    assert world.snapshot is not None
    (found,) = (each for each in world.snapshot.policies if each.policy_id == policy)
    return found.expected_reward, found.confidence


def test_a_stated_reward_is_expected_of_a_new_policy_and_shown() -> None:
    world = World()
    world.register("p_new")
    world.do(add("a", "p_new", expected_reward=0.004, confidence=50.0), PoliciesChanged)
    assert shown(world, "p_new") == (0.004, 50.0)
    assert shown(world, "p_sma") == (None, None)
    means = world.choose(choose("c")).means
    assert means["p_new"] == pytest.approx(0.004, rel=0.1)
    assert means["p_sma"] == 0.0


def test_what_a_policy_earns_outweighs_what_was_stated_the_sooner_the_less_confident_it_was() -> None:
    estimates = []
    for confidence in (5.0, 500.0):
        world = World(priors={"p_sma": (0.004, confidence)})
        for n in range(50):
            world.reward(reward(n, "p_sma", -0.004, context=BULL))
        estimates.append(world.choose(choose("c")).means["p_sma"])
    assert estimates[0] < -0.002 < 0.0 < estimates[1]


def test_a_scope_keeps_what_was_stated_as_it_began_whatever_the_setting_says_later() -> None:
    world = World(priors={"p_sma": (0.004, 50.0)})
    before = world.choose(choose("a")).means
    later = World(priors={})
    later.state, later.now = world.state, world.now
    assert later.choose(choose("b")).means["p_sma"] == pytest.approx(before["p_sma"])
    assert shown(later, "p_sma") == (0.004, 50.0)


@pytest.mark.parametrize("retired", [False, True])
def test_of_a_policy_that_is_known_nothing_can_be_stated_any_more(*, retired: bool) -> None:
    world = World()
    world.choose(choose("c"))
    if retired:
        world.do(retire("r", "p_sma"), PoliciesChanged)
    refused = world.refused(add("a", "p_sma", expected_reward=0.004, confidence=50.0))
    assert refused.refusal is Refusal.INVALID
    (fault,) = refused.faults
    assert fault.field == "expectedReward"
    assert "p_sma is known already" in fault.message
    world.do(add("b", "p_sma"), PoliciesChanged)


def test_the_same_statement_again_is_no_other() -> None:
    world = World()
    world.register("p_new")
    world.do(add("a", "p_new", expected_reward=0.004, confidence=50.0), PoliciesChanged)
    again = world.do(add("b", "p_new", expected_reward=0.004, confidence=50.0), PoliciesChanged)
    assert not again.changed


def test_a_setting_states_by_policy() -> None:
    settings = RouterSettings(policies="p_sma:0.0005x50 p_obi p_flat:-1e-4x2.5")
    rules = settings.rules()
    assert rules.policies == ("p_sma", "p_obi", "p_flat")
    assert rules.priors == {"p_sma": (0.0005, 50.0), "p_flat": (-0.0001, 2.5)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("p_sma:0.0005", "NAME:REWARDxWEIGHT"),
        ("p_sma:x50", "NAME:REWARDxWEIGHT"),
        ("p_sma:0.0005x", "NAME:REWARDxWEIGHT"),
        ("p_sma:0.0005x50x", "NAME:REWARDxWEIGHT"),
        ("p sma/", "NAME:REWARDxWEIGHT"),
        ("p_sma:1.5x50", "0.01 is 1 %"),
        ("p_sma:0.1x0", "more than 0"),
        ("p_sma:0.1x1e9", "at most 10000"),
        ("p_sma:1e999x5", "return units"),
        ("p_sma p_sma:0.1x5", "each once"),
        ("", "1 to 32"),
    ],
)
def test_a_wrong_setting_is_told_what_would_be_right_and_not_its_value(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="policies") as refused:
        RouterSettings(policies=text)
    assert says in str(refused.value)


def test_the_settings_are_by_default_the_models_own() -> None:
    assert RouterSettings().rules().tuning == Tuning()


def test_the_memories_are_those_of_the_settings() -> None:
    tuning = RouterSettings(discounts="0.9 1", regimes=1, change=20, fade=0.99, fade_after=5).rules().tuning
    world = World(tuning=tuning)
    world.choose(choose("c"))
    assert world.snapshot is not None
    names = [memory.name for memory in world.snapshot.memories]
    assert names == ["discount 0.9", "keeps all", "challenger", "regime 1"]
    assert sum(memory.weight for memory in world.snapshot.memories) == pytest.approx(1)


@pytest.mark.parametrize(
    "text", ["", "0", "1.1", "-0.5", "1 0.9", "0.9 0.9", "0.9,1", "nan", " ".join(["1"] * 9)]
)
def test_wrong_discounts_are_told_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="over 0 and at most 1"):
        RouterSettings(discounts=text)
