"""The router's routes that answer from views; those that ask it meet it in tests/integration."""

from __future__ import annotations

from libs.common.topics import POLICIES_REGISTRY
from tests.registered import a_policy_registered
from tests.unit.services.gateway.world import NOW, World


async def test_the_registered_policies_are_listed_by_name_and_one_that_ended_is_not() -> None:
    world = World()
    parameters = {"window_minutes": 30.0, "venue": "binance", "strict": True, "horizon_s": 3600.0}
    for name in ("p_b", "p_gone", "p_a"):
        event = a_policy_registered(
            name,
            kind="user",
            parameters=parameters,
            version="3",
            source="mine.py",
            joins=("default",),
            ts=NOW,
        )
        world.fold(POLICIES_REGISTRY, name.encode(), event)
    world.fold(POLICIES_REGISTRY, b"p_gone", None)
    answer = await world.ask("/api/policies")
    assert answer.status == 200
    assert [each["policyId"] for each in answer.json()] == ["p_a", "p_b"]
    assert answer.json()[0] == {
        "policyId": "p_a",
        "kind": "user",
        "summary": "does what the test says",
        "parameters": parameters,
        "version": "3",
        "state": "running",
        "fault": "",
        "source": "mine.py",
        "host": "",
        "joins": ["default"],
        "keepsPosterior": False,
        "ms": NOW // 1_000_000,
        "horizonS": 3600.0,
    }


async def test_before_any_policy_is_registered_one_is_told_to_come_again() -> None:
    answer = await World().ask("/api/policies")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert "No policy is registered yet" in answer.json()["detail"]
