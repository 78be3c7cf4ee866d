"""What outsiders tell stands on Kafka's topics, is shown again, and is streamed, through real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.events import (
    ContextInput,
    ContextSource,
    DeclaredFeature,
    DeclareFeatures,
    FeaturesDeclared,
    PolicySignalled,
    RouterSnapshot,
    SourceState,
)
from libs.common.kafka import Publisher, Reader
from libs.common.topics import (
    CONTEXT_INPUTS,
    CONTEXT_SOURCES,
    POLICIES_REGISTRY,
    POLICIES_SIGNALS,
    ROUTER_CHOICES,
    ROUTER_COMMANDS,
    ROUTER_SNAPSHOTS,
    signal_key,
)
from tests.e2e.system import until
from tests.heartbeats import standing_in
from tests.integration.services.gateway.process import GatewayProcess
from tests.registered import a_policy_registered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.events import Event
    from libs.common.topics import Topic

SIGNAL = {"policyId": "x_trend", "symbol": "btcusdt", "value": 0.5, "reason": "it rises", "ttlS": 60}
SECRET = "c2VjcmV0LW9mLWhvb2tz"  # noqa: S105 -- a test's own
MAPPING = "policyId=strategy symbol=ticker value=action{buy:1,sell:-1} ttlS=60 secret=key"
VIX = DeclaredFeature(name="vix", low=5, high=150, mean=77.5, sd=36.25)


@pytest.fixture
async def gateway(fresh_kafka: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    given = {"GATEWAY_SIGNAL_WEBHOOK": MAPPING, "GATEWAY_WEBHOOK_SECRET": SECRET}
    async with GatewayProcess(fresh_kafka, tmp_path / "gateway.log", **given) as process:
        yield process


async def newest(gateway: GatewayProcess, topic: Topic) -> Event:
    """Return the newest message of a topic."""
    async with Reader(gateway.settings, [topic], start="beginning") as source:
        found: list[Any] = []
        while not found:
            found = [record for record in await source.poll() if hasattr(record, "event")]
        event: Event = found[-1].event
        return event


async def test_a_signal_is_on_its_topic_when_it_is_answered_and_is_usable_once_its_policy_is_registered(
    gateway: GatewayProcess,
) -> None:
    before = time.time_ns()
    status, told = await gateway.ask("POST", "/api/signals", json=SIGNAL)
    assert (status, told["registered"], told["state"]) == (200, False, None), told
    written = await newest(gateway, POLICIES_SIGNALS)
    assert isinstance(written, PolicySignalled)
    assert (written.policy_id, written.symbol, written.value) == ("x_trend", "BTC-USDT", 0.5)
    assert before <= written.inputs_ts <= time.time_ns()
    assert written.valid_until_ts - written.inputs_ts == 60 * 10**9

    async def shown() -> Any:
        return (await gateway.get("/api/signals?policyId=x_trend"))[1]

    async def unregistered() -> bool:
        found = await shown()
        return isinstance(found, list) and [each["why"] for each in found] == ["the policy is not registered"]

    await until("the signal is shown", unregistered)
    async with Publisher(gateway.settings) as publisher:
        policy = a_policy_registered("x_trend", kind="external", version="outside", joins=("default",))
        await publisher.send_and_wait(POLICIES_REGISTRY, b"x_trend", policy, time.time_ns())

    async def usable() -> bool:
        return bool((await shown())[0]["usable"])

    await until("the policy is registered", usable)
    status, told = await gateway.ask("POST", "/api/signals", json=SIGNAL)
    assert (told["registered"], told["state"]) == (True, "running")


async def test_a_repeated_key_writes_one_signal_also_over_a_restart(gateway: GatewayProcess) -> None:
    key = {"Idempotency-Key": "signal-1"}
    status, first = await gateway.ask("POST", "/api/signals", json=SIGNAL, headers=key)
    assert status == 200
    gateway.end(SIGTERM)
    gateway.start()
    await gateway.until_ready()
    assert await gateway.ask("POST", "/api/signals", json=SIGNAL, headers=key) == (200, first)
    assert gateway.headers["Idempotency-Replayed"] == "true"
    written = await newest(gateway, POLICIES_SIGNALS)
    assert isinstance(written, PolicySignalled)
    assert written.inputs_ts // 10**6 == first["inputsMs"]


async def test_a_chart_without_headers_tells_a_signal_in_text_and_nobody_else_does(
    gateway: GatewayProcess,
) -> None:
    chart = {"strategy": "x_chart", "ticker": "BINANCE:ETHUSDT.P", "action": "sell", "key": SECRET}
    text = {"Content-Type": "text/plain; charset=utf-8"}
    hook = "/api/signals/webhook"
    status, told = await gateway.ask("POST", hook, data=json.dumps(chart), headers=text)
    assert (status, told["symbol"], told["value"]) == (200, "ETH-USDT", -1.0), told
    wrong = json.dumps(chart | {"key": SECRET[::-1]})
    assert (await gateway.ask("POST", hook, data=wrong, headers=text))[0] == 401
    assert SECRET not in gateway.log.read_text()


async def test_signals_and_inputs_are_streamed_as_they_come(gateway: GatewayProcess) -> None:
    topics = f"{POLICIES_SIGNALS.name},{CONTEXT_INPUTS.name},{POLICIES_REGISTRY.name}"
    async with gateway.http.get("/api/stream", params={"topics": topics}) as stream:
        assert stream.status == 200
        assert (await gateway.ask("POST", "/api/signals", json=SIGNAL))[0] == 200
        body = {"symbol": "*", "name": "sentiment", "value": -0.5, "ttlS": 60}
        assert (await gateway.ask("POST", "/api/context", json=body))[0] == 200
        seen: list[Any] = []
        async with asyncio.timeout(20):
            while len(seen) < 2:
                line = await stream.content.readline()
                if line.startswith(b"data:"):
                    seen.append(json.loads(line.removeprefix(b"data:")))
    told = {each["type"]: each for each in seen}
    assert (told["PolicySignalled"]["policyId"], told["PolicySignalled"]["value"]) == ("x_trend", 0.5)
    assert (told["ContextInput"]["symbol"], told["ContextInput"]["value"]) == ("*", -0.5)


async def test_an_input_stands_on_its_topic_and_is_shown_with_the_sources_of_others(
    gateway: GatewayProcess,
) -> None:
    body = {"symbol": "BTCUSDT", "name": "rr25", "value": 0.04, "source": "desk", "ttlS": 60}
    status, told = await gateway.ask("POST", "/api/context", json=body)
    assert (status, told["symbol"], told["source"]) == (200, "BTC-USDT", "desk"), told
    written = await newest(gateway, CONTEXT_INPUTS)
    assert isinstance(written, ContextInput)
    assert (written.name, written.value, written.ts // 10**6) == ("rr25", 0.04, told["ms"])
    now = time.time_ns()
    source = ContextSource(source="deribit", names=("rr25",), state=SourceState.FRESH, next_ts=now, ts=now)
    async with Publisher(gateway.settings) as publisher:
        await publisher.send_and_wait(CONTEXT_SOURCES, b"deribit", source, now)

    async def shown() -> bool:
        _, found = await gateway.get("/api/context?symbol=BTCUSDT")
        return bool(found["inputs"] and found["inputs"][0]["usable"] and found["sources"])

    await until("the input and the source are shown", shown)


async def declare_and_tell(gateway: GatewayProcess, body: object) -> tuple[int, object]:
    """Begin a scope, and tell a number of its own feature at once: it is known then."""
    answer: tuple[int, object] = await gateway.ask("POST", "/api/router/scopes", json=body)
    wish = {"symbol": "*", "name": "vix", "value": 18, "ttlS": 60}
    status, problem = await gateway.ask("POST", "/api/context", json=wish)
    assert status == 200, problem
    return answer


def snapshot_of(asked: DeclareFeatures) -> RouterSnapshot:
    return RouterSnapshot(
        scope=asked.scope,
        last_choice=None,
        decision_id=None,
        decided_ts=None,
        sampled_scores={},
        features={},
        inputs={},
        filled=(),
        missing=(),
        policies=(),
        retired=(),
        choices=0,
        updates=0,
        noise=0.01,
        drift_alarms=0,
        ignored_keys=0,
        pending=0,
        stubs=(),
        layout=2,
        declared=asked.features,
        ts=time.time_ns(),
    )


async def test_a_scope_is_begun_by_a_command_that_the_router_answers(gateway: GatewayProcess) -> None:
    async def answer_as_the_router() -> DeclareFeatures:
        asked = await newest(gateway, ROUTER_COMMANDS)
        assert isinstance(asked, DeclareFeatures)
        declared = FeaturesDeclared(
            command_id=asked.command_id,
            scope=asked.scope,
            features=asked.features,
            layout_version="2-0badcafe",
            changed=True,
            ts=time.time_ns(),
        )
        async with Publisher(gateway.settings) as publisher:
            await publisher.send_and_wait(ROUTER_CHOICES, asked.scope.encode(), declared, declared.ts)
            await asyncio.sleep(0.3)  # the topics of one transaction come to the gateway one after the other
            shown = snapshot_of(asked)
            await publisher.send_and_wait(ROUTER_SNAPSHOTS, asked.scope.encode(), shown, shown.ts)
        return asked

    async with standing_in(gateway.settings):
        await gateway.until_heard("router")
        body = {"scope": "fear", "features": [{"name": "vix", "low": 5, "high": 150}]}
        (status, told), asked = await asyncio.gather(declare_and_tell(gateway, body), answer_as_the_router())
    assert asked.features == (VIX,)  # the middle of the range, and a quarter of it
    assert (status, told) == (
        200,
        {
            "scope": "fear",
            "features": [{"name": "vix", "low": 5.0, "high": 150.0, "mean": 77.5, "sd": 36.25}],
            "layoutVersion": "2-0badcafe",
            "changed": True,
        },
    )


async def test_who_writes_a_signal_past_the_gateway_is_shown_as_well(gateway: GatewayProcess) -> None:
    now = time.time_ns()
    signal = PolicySignalled(
        policy_id="x_far", symbol="BTC-USDT", value=-1, inputs_ts=now, valid_until_ts=now + 10**10
    )
    async with Publisher(gateway.settings) as publisher:
        await publisher.send_and_wait(POLICIES_SIGNALS, signal_key("x_far", "BTC-USDT"), signal, now)

    async def shown() -> bool:
        _, found = await gateway.get("/api/signals")
        return [each["policyId"] for each in found] == ["x_far"]

    await until("the signal is shown", shown)
