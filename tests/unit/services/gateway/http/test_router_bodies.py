"""What the router's callers may send over HTTP, and what they are told of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from libs.common.command_rules import command_faults
from libs.common.events import AddPolicy, ChoosePolicy
from services.gateway.http.command_rows import add_policy, choose
from services.gateway.http.router_requests import ChooseBody, PolicyBody
from tests.unit.services.gateway.world import World

ID = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
CHOOSE = "/api/router/choose"
UPDATE = "/api/router/update"
POLICIES = "/api/router/policies"


async def errors(path: str, body: dict[str, Any]) -> dict[str, str]:
    answer = await World().ask(path, "POST", json.dumps(body).encode(), {"content-type": "application/json"})
    assert answer.status == 422, answer.json()
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


@pytest.mark.parametrize("reward", [1.0001, -1.5, 1000])
async def test_a_reward_out_of_range_is_told_the_range_and_what_a_percent_is(reward: float) -> None:
    found = await errors(UPDATE, {"policyId": "p_sma", "reward": reward, "context": {"regime": "bull"}})
    assert found == {"reward": "must be from -1 to 1, return units: 0.01 is 1 %"}


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"policies": ["p a"]}, "policies.0", "pattern"),
        ({"policies": ["p_a"] * 65}, "policies", "64"),
        ({"arms": {"p_sma": {"signall": 0.5}}}, "arms.p_sma.signall", "did you mean signal?"),
        ({"arms": {"p_sma": {"signal": 1.5}}}, "arms.p_sma.signal", "from -1 to 1"),
        ({"rewardWithinS": 0}, "rewardWithinS", "greater than 0"),
        ({"rewardWithinS": 604_801}, "rewardWithinS", "604800"),
        ({"defaultReward": 2}, "defaultReward", "0.01 is 1 %"),
        ({"reward_within_s": 5}, "reward_within_s", "not permitted"),
    ],
)
async def test_what_is_wrong_with_a_choice_is_told_by_field(
    body: dict[str, Any], field: str, said: str
) -> None:
    found = await errors(CHOOSE, {"context": {}} | body)
    assert list(found) == [field]
    assert said in found[field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expectedReward": 1.5, "confidence": 5}, "expectedReward"),
        ({"expectedReward": 0.001, "confidence": 0}, "confidence"),
        ({"expectedReward": 0.001, "confidence": 1e6}, "confidence"),
    ],
)
async def test_what_is_wrong_with_a_stated_reward_is_told_by_field(body: dict[str, Any], field: str) -> None:
    assert list(await errors(POLICIES, {"policyId": "p_obi"} | body)) == [field]


def test_what_a_choice_says_reaches_the_router() -> None:
    said = {
        "context": {"regime": "bull"},
        "policies": ["p_sma", "p_flat"],
        "arms": {"p_sma": {"signal": -1}},
        "rewardWithinS": 3600,
        "defaultReward": -0.001,
    }
    command = choose(ChooseBody.model_validate(said), ID)
    assert command == ChoosePolicy(
        command_id=ID,
        context={"regime": "bull"},
        policies=("p_sma", "p_flat"),
        arms={"p_sma": {"signal": -1.0}},
        reward_within_s=3600.0,
        default_reward=-0.001,
    )
    assert command_faults(command) == ()


def test_a_stated_reward_reaches_the_router() -> None:
    said = {"policyId": "p_obi", "expectedReward": 0.0005, "confidence": 50}
    command = add_policy(PolicyBody.model_validate(said), ID)
    assert command == AddPolicy(command_id=ID, policy_id="p_obi", expected_reward=0.0005, confidence=50.0)
    assert command_faults(command) == ()
