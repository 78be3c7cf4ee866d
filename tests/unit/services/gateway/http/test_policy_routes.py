"""What outsiders tell of policies and contexts: written as it was checked, answered once Kafka has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from libs.common.events import ContextInput, DeclaredFeature, PolicySignalled, PolicyState, RouterSnapshot
from libs.common.topics import (
    CONTEXT_INPUTS,
    GATEWAY_IDEMPOTENCY,
    POLICIES_REGISTRY,
    POLICIES_SIGNALS,
    ROUTER_SNAPSHOTS,
)
from tests.full_valued import full
from tests.registered import a_policy_registered
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import NOW, World

if TYPE_CHECKING:
    from tests.unit.services.gateway.world import Answer, Sent

NOW_MS = NOW // 1_000_000
S = 1_000_000_000
JSON = {"content-type": "application/json"}
SIGNAL = {"policyId": "x_trend", "symbol": "btc/usdt", "value": -0.25, "reason": "it falls", "ttlS": 90.5}
INPUT = {"symbol": "BTCUSDT", "name": "sentiment", "value": 0.3, "ttlS": 3600}
VIX = DeclaredFeature(name="vix", low=5, high=150, mean=18, sd=6)


async def told(world: World, path: str, body: Any, **headers: str) -> Answer:
    sent = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.ask(f"/api/{path}", "POST", json.dumps(body).encode(), sent)


def written(world: World) -> list[Sent]:
    return [each for each in world.writer.sent if each.topic is not GATEWAY_IDEMPOTENCY]


def a_scope(world: World, scope: str, *features: DeclaredFeature) -> None:
    world.fold(ROUTER_SNAPSHOTS, scope.encode(), replace(full(RouterSnapshot), declared=features))


async def test_a_signal_is_written_under_its_policy_and_symbol_and_answered_as_it_stands() -> None:
    world = World()
    answer = await told(world, "signals", SIGNAL)
    assert answer.status == 200
    assert answer.json() == {
        "policyId": "x_trend",
        "symbol": "BTC-USDT",
        "value": -0.25,
        "reason": "it falls",
        "inputsMs": NOW_MS,
        "validUntilMs": NOW_MS + 90_500,
        "registered": False,
        "state": None,
    }
    (sent,) = written(world)
    assert (sent.topic, sent.key) == (POLICIES_SIGNALS, b"x_trend:BTC-USDT")
    assert sent.event == PolicySignalled(
        policy_id="x_trend",
        symbol="BTC-USDT",
        value=-0.25,
        reason="it falls",
        inputs_ts=NOW,
        valid_until_ts=NOW + 90_500_000_000,
    )
    assert dict(sent.headers)["ce_type"] == b"PolicySignalled"


@pytest.mark.parametrize("state", PolicyState)
async def test_a_signal_of_a_registered_policy_says_how_the_policy_stands(state: PolicyState) -> None:
    world = World()
    world.fold(POLICIES_REGISTRY, b"x_trend", a_policy_registered("x_trend", kind="external", state=state))
    answer = (await told(world, "signals", SIGNAL)).json()
    assert (answer["registered"], answer["state"]) == (True, state)


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"policyId": "p_sma"}, "policyId", "must begin with x_"),
        ({"policyId": "mine"}, "policyId", "its own host says"),
        ({"policyId": "x_ä"}, "policyId", "pattern"),
        ({"policyId": "x_" + "a" * 63}, "policyId", "pattern"),
        ({"value": 1.01}, "value", "less than or equal to 1"),
        ({"value": float("nan")}, "value", "finite"),
        ({"value": "1"}, "value", "valid number"),
        ({"ttlS": 0}, "ttlS", "greater than 0"),
        ({"ttlS": 86_401}, "ttlS", "86400"),
        ({"reason": "a" * 501}, "reason", "500"),
        ({"version": "3"}, "version", "not permitted"),
    ],
)
async def test_what_is_wrong_with_a_signal_is_told_by_field_and_nothing_is_written(
    change: dict[str, Any], field: str, said: str
) -> None:
    world = World()
    (error,) = assert_problem(await told(world, "signals", SIGNAL | change), 422, "invalid")["errors"]
    assert error["field"] == field
    assert said in error["message"]
    assert written(world) == []


@pytest.mark.parametrize(
    ("symbol", "said"), [("BITCOIN", "write it like BTC-USDT"), ("BTC-USDD", "did you mean BTC-USD?")]
)
@pytest.mark.parametrize(("path", "body"), [("signals", SIGNAL), ("context", INPUT)])
async def test_a_symbol_that_nobody_lists_is_404_with_what_would_be_right(
    path: str, body: dict[str, Any], symbol: str, said: str
) -> None:
    world = World()
    answer = assert_problem(await told(world, path, body | {"symbol": symbol}), 404, "unknown-symbol")
    assert said in answer["detail"]
    assert written(world) == []


@pytest.mark.parametrize(("path", "body"), [("signals", SIGNAL), ("context", INPUT)])
async def test_a_repeated_key_is_answered_again_and_writes_nothing(path: str, body: dict[str, Any]) -> None:
    world = World()
    first = await told(world, path, body, idempotency_key="k1")
    world.now += 5 * S
    again = await told(world, path, body, idempotency_key="k1")
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(written(world)) == 1
    assert_problem(
        await told(world, path, body | {"value": 0.1}, idempotency_key="k1"), 409, "idempotency-key-reused"
    )


@pytest.mark.parametrize(("path", "body"), [("signals", SIGNAL), ("context", INPUT)])
async def test_while_kafka_is_away_it_is_503_and_nothing_is_written(path: str, body: dict[str, Any]) -> None:
    world = World()
    world.away = "Kafka does not answer"
    answer = await told(world, path, body)
    assert "Kafka does not answer" in assert_problem(answer, 503, "not-ready")["detail"]
    assert answer.headers["retry-after"] == "1"
    assert written(world) == []
    assert_problem(await told(World(ready=False), path, body), 503, "not-ready")


async def test_a_flood_of_one_policy_is_429_and_starves_no_other() -> None:
    world = World(signal_rate_per_s=1, signal_burst=3)
    flood = [(await told(world, "signals", SIGNAL)).status for _ in range(5)]
    assert flood == [200, 200, 200, 429, 429]
    refused = await told(world, "signals", SIGNAL)
    assert "the policy x_trend" in assert_problem(refused, 429, "too-fast")["detail"]
    assert refused.headers["retry-after"] == "1"
    assert (await told(world, "signals", SIGNAL | {"policyId": "x_other"})).status == 200
    assert (await told(world, "context", INPUT)).status == 200
    world.now += S
    assert (await told(world, "signals", SIGNAL)).status == 200
    assert world.publications.refused == 3


async def test_an_address_names_its_share_of_new_policies_and_known_ones_cost_nothing() -> None:
    world = World(new_policies_burst=2, new_policies_per_hour=1)
    world.fold(POLICIES_REGISTRY, b"x_known", a_policy_registered("x_known", kind="external"))
    names = ("x_a", "x_b", "x_a", "x_known", "x_c")
    answers = [await told(world, "signals", SIGNAL | {"policyId": name}) for name in names]
    assert [each.status for each in answers] == [200, 200, 200, 200, 429]
    assert "too many new policies" in assert_problem(answers[-1], 429, "too-fast")["detail"]
    assert [each.key.partition(b":")[0].decode() for each in written(world)] == list(names[:-1])


async def test_an_input_is_written_under_its_symbol_and_name_and_answered_as_it_stands() -> None:
    world = World()
    answer = await told(world, "context", INPUT)
    assert answer.status == 200
    assert answer.json() == {
        "symbol": "BTC-USDT",
        "name": "sentiment",
        "value": 0.3,
        "source": "http",
        "ms": NOW_MS,
        "validUntilMs": NOW_MS + 3_600_000,
    }
    (sent,) = written(world)
    assert (sent.topic, sent.key) == (CONTEXT_INPUTS, b"BTC-USDT:sentiment")
    assert sent.event == ContextInput(
        symbol="BTC-USDT", name="sentiment", value=0.3, source="http", ts=NOW, valid_until_ts=NOW + 3_600 * S
    )


async def test_an_input_of_every_symbol_stands_under_a_star_with_its_source() -> None:
    world = World()
    assert (await told(world, "context", INPUT | {"symbol": "*", "source": "desk"})).json()[
        "source"
    ] == "desk"
    assert written(world)[0].key == b"*:sentiment"


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"name": "sentimnet"}, "name", "did you mean sentiment?"),
        ({"name": "vixx"}, "name", "did you mean vix?"),
        ({"name": "regime"}, "name", "is no field of contexts"),
        ({"value": 1.5}, "value", "from -1 to 1: sentiment score"),
        ({"name": "vix", "value": 151}, "value", "from 5 to 150"),
        ({"value": float("inf")}, "value", "finite"),
        ({"source": "stub"}, "source", "must not be stub"),
        ({"source": ""}, "source", "pattern"),
        ({"ttlS": 604_801}, "ttlS", "604800"),
    ],
)
async def test_what_is_wrong_with_an_input_is_told_by_field_and_nothing_is_written(
    change: dict[str, Any], field: str, said: str
) -> None:
    world = World()
    a_scope(world, "fear", VIX)
    (error,) = assert_problem(await told(world, "context", INPUT | change), 422, "invalid")["errors"]
    assert error["field"] == field
    assert said in error["message"]
    assert written(world) == []


async def test_an_input_may_be_a_feature_of_any_scope_or_of_those_that_begin_and_have_the_range_of_any() -> (
    None
):
    world = World(router_features="social:-1..1")
    a_scope(world, "fear", VIX)
    a_scope(world, "panic", replace(VIX, low=150, high=200))
    for name, value in (("social", -0.5), ("vix", 18), ("vix", 199)):
        assert (await told(world, "context", INPUT | {"name": name, "value": value})).status == 200
    refused = await told(world, "context", INPUT | {"name": "vix", "value": 201})
    assert "from 5 to 150" in refused.json()["detail"]
    assert "from 150 to 200" in refused.json()["detail"]


@pytest.mark.parametrize("path", ["signals", "context"])
async def test_a_body_that_is_no_json_or_declared_as_something_else_is_refused(path: str) -> None:
    world = World()
    assert_problem(await world.ask(f"/api/{path}", "POST", b"{", JSON), 400, "not-json")
    text = {"content-type": "text/plain"}
    assert_problem(await world.ask(f"/api/{path}", "POST", b"{}", text), 415, "wrong-media-type")
    assert_problem(await world.ask(f"/api/{path}", "POST", b" " * 70_000, JSON), 413, "too-large")


async def test_with_a_token_set_signals_and_inputs_need_it() -> None:
    world = World(token=SecretStr("Zm9v.bar-_~+/0123=="))
    assert_problem(await told(world, "signals", SIGNAL), 401, "unauthorized")
    assert_problem(await told(world, "context", INPUT), 401, "unauthorized")
    shown = {"authorization": "Bearer Zm9v.bar-_~+/0123=="}
    assert (await told(world, "signals", SIGNAL, **shown)).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("router/choose", {"scope": "fear"}),
        ("router/update", {"scope": "fear", "policyId": "p_sma", "reward": 0.01}),
    ],
)
async def test_a_context_may_name_the_features_of_its_own_scope_and_of_no_other(
    path: str, body: dict[str, Any]
) -> None:
    world = World(router_features="social:-1..1")
    world.commands.listening = True  # nobody answers: what passes is 504
    a_scope(world, "fear", VIX)
    a_scope(world, "calm")

    async def asked(scope: str, **context: float) -> Answer:
        return await told(world, path, body | {"scope": scope, "context": context})

    assert (await asked("fear", vix=18, obi=0.2)).status == 504
    assert "did you mean vix?" in (await asked("fear", vx=18)).json()["detail"]
    assert "from 5 to 150" in (await asked("fear", vix=200)).json()["detail"]
    assert (await asked("calm", vix=18)).status == 422
    assert (await asked("fear", social=0.1)).status == 422  # it began before the setting
    assert (await asked("new", social=0.1)).status == 504  # it would begin with it
    assert (await asked("new", vix=18)).status == 422


async def test_an_execution_may_name_the_features_of_the_default_scope() -> None:
    world = World()
    world.commands.listening = True
    a_scope(world, "default", VIX)
    body = {"symbol": "BTCUSDT", "context": {"vix": 18}}
    assert (await told(world, "exec/plan-and-execute", body)).status == 504
    refused = await told(world, "exec/plan-and-execute", body | {"context": {"vixx": 18}})
    assert "did you mean vix?" in assert_problem(refused, 422, "invalid")["detail"]


async def test_before_the_scopes_are_read_no_feature_of_them_is_called_unknown() -> None:
    world = World(ready=False)
    answer = await told(world, "router/choose", {"context": {"vix": 18}})
    assert_problem(answer, 503, "not-ready")
