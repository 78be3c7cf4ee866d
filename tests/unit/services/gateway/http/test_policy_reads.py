"""What is told of policies and contexts is shown with whether it may be used, by the one rule of that."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import pytest

from libs.common.context_fields import MOST_COMPARED
from libs.common.events import ContextInput, ContextSource, PolicySignalled, PolicyState, SourceState
from libs.common.told import signal_fault
from libs.common.topics import (
    CONTEXT_INPUTS,
    CONTEXT_SOURCES,
    POLICIES_REGISTRY,
    POLICIES_SIGNALS,
    input_key,
    signal_key,
)
from tests.registered import a_policy_registered
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import NOW, World

NOW_MS = NOW // 1_000_000
S = 1_000_000_000


def a_signal(policy_id: str = "x_a", symbol: str = "BTC-USDT", **changes: Any) -> PolicySignalled:
    fields: dict[str, Any] = {"value": 0.5, "inputs_ts": NOW, "valid_until_ts": NOW + 60 * S}
    return PolicySignalled(policy_id=policy_id, symbol=symbol, **fields | changes)


def an_input(symbol: str = "BTC-USDT", name: str = "rr25", **changes: Any) -> ContextInput:
    fields: dict[str, Any] = {"value": 0.1, "source": "deribit", "ts": NOW, "valid_until_ts": NOW + 60 * S}
    return ContextInput(symbol=symbol, name=name, **fields | changes)


def signalled(world: World, *signals: PolicySignalled) -> None:
    for each in signals:
        world.fold(POLICIES_SIGNALS, signal_key(each.policy_id, each.symbol), each)


def registered(world: World, name: str, **changes: Any) -> None:
    world.fold(POLICIES_REGISTRY, name.encode(), a_policy_registered(name, kind="external", **changes))


async def test_signals_are_shown_the_newest_first_with_why_each_may_not_be_used() -> None:
    world = World()
    registered(world, "x_a", version="outside")
    registered(world, "x_b", state=PolicyState.QUARANTINED, fault="it slept\ntraceback")
    signalled(
        world,
        a_signal("x_a", "BTC-USDT", inputs_ts=NOW - 90 * S, valid_until_ts=NOW - 30 * S),
        a_signal("x_a", "ETH-USDT", reason="up", version="outside", inputs_ts=NOW - S),
        a_signal("x_b", inputs_ts=NOW - 2 * S),
        a_signal("x_c", inputs_ts=NOW - 3 * S),
    )
    answer = (await world.ask("/api/signals")).json()
    assert [(each["policyId"], each["symbol"], each["usable"], each["why"]) for each in answer] == [
        ("x_a", "ETH-USDT", True, ""),
        ("x_b", "BTC-USDT", False, "the policy is quarantined: it slept"),
        ("x_c", "BTC-USDT", False, "the policy is not registered"),
        ("x_a", "BTC-USDT", False, "the signal expired 30 s ago"),
    ]
    assert answer[0] == {
        "policyId": "x_a",
        "symbol": "ETH-USDT",
        "value": 0.5,
        "reason": "up",
        "inputsMs": NOW_MS - 1000,
        "validUntilMs": NOW_MS + 60_000,
        "version": "outside",
        "usable": True,
        "why": "",
    }


async def test_a_signal_is_usable_here_exactly_when_the_rule_of_execution_says_so() -> None:
    world = World()
    registered(world, "x_a")
    for at in (NOW, NOW + 2 * S, NOW - 61 * S):
        signal = a_signal(inputs_ts=at, valid_until_ts=at + 60 * S)
        signalled(world, signal)
        (shown,) = (await world.ask("/api/signals")).json()
        assert shown["why"] == signal_fault(signal, world.views.policies.items[b"x_a"], NOW)
        assert shown["usable"] is (shown["why"] == "")


async def test_signals_are_shown_of_one_policy_of_one_symbol_and_as_many_as_are_asked_for() -> None:
    world = World()
    signalled(world, *(a_signal(name, pair) for name in ("x_a", "x_b") for pair in ("BTC-USDT", "ETH-USDT")))

    async def shown(query: str) -> list[str]:
        answer = (await world.ask(f"/api/signals?{query}")).json()
        return [f"{each['policyId']}:{each['symbol']}" for each in answer]

    assert await shown("policyId=x_b") == ["x_b:BTC-USDT", "x_b:ETH-USDT"]
    assert await shown("symbol=ethusdt") == ["x_a:ETH-USDT", "x_b:ETH-USDT"]
    assert await shown("policyId=x_a&symbol=ETH-USDT") == ["x_a:ETH-USDT"]
    assert len(await shown("limit=3")) == 3
    assert await shown("symbol=SOLUSDT") == []
    assert (await world.ask("/api/signals?limit=501")).status == 422


async def test_an_unknown_policy_is_404_with_the_nearest_and_one_without_signals_is_an_empty_list() -> None:
    world = World()
    registered(world, "x_trend")
    answer = assert_problem(await world.ask("/api/signals?policyId=x_tren"), 404, "unknown-name")
    assert "did you mean x_trend?" in answer["detail"]
    assert (await world.ask("/api/signals?policyId=x_trend")).json() == []


async def test_what_stands_under_another_key_than_its_own_is_not_usable() -> None:
    world = World()
    registered(world, "x_a")
    world.fold(POLICIES_SIGNALS, b"x_b:BTC-USDT", a_signal("x_a"))
    world.fold(CONTEXT_INPUTS, b"BTC-USDT:obi", an_input())
    (signal,) = (await world.ask("/api/signals")).json()
    assert (signal["usable"], signal["why"]) == (False, "its record has another key than policy:symbol")
    (told,) = (await world.ask("/api/context")).json()["inputs"]
    assert (told["usable"], told["why"]) == (False, "its record has another key than symbol:name")


async def test_inputs_are_shown_with_their_age_and_source_and_how_their_sources_stand() -> None:
    world = World()
    for each in (
        an_input(ts=NOW - 5 * S),
        an_input("*", "sentiment", source="fng", ts=NOW - 90 * S, valid_until_ts=NOW - S),
        an_input("ETH-USDT", ts=NOW - 7 * S),
    ):
        world.fold(CONTEXT_INPUTS, input_key(each.symbol, each.name), each)
    source = ContextSource(
        source="deribit",
        names=("rr25",),
        state=SourceState.LIMITED,
        reason="429",
        inputs=2,
        requests=9,
        failures=1,
        answered_ts=NOW - 4 * S,
        next_ts=NOW + 56 * S,
        ts=NOW,
    )
    world.fold(CONTEXT_SOURCES, b"deribit", source)
    answer = (await world.ask("/api/context?symbol=btcusdt")).json()
    assert answer["inputs"] == [
        {
            "symbol": "BTC-USDT",
            "name": "rr25",
            "value": 0.1,
            "source": "deribit",
            "ms": NOW_MS - 5000,
            "validUntilMs": NOW_MS + 60_000,
            "usable": True,
            "why": "",
            "ageMs": 5000.0,
        },
        {
            "symbol": "*",
            "name": "sentiment",
            "value": 0.1,
            "source": "fng",
            "ms": NOW_MS - 90_000,
            "validUntilMs": NOW_MS - 1000,
            "usable": False,
            "why": "it expired 1 s ago",
            "ageMs": 90_000.0,
        },
    ]
    assert answer["sources"] == [
        {
            "source": "deribit",
            "names": ["rr25"],
            "state": "limited",
            "reason": "429",
            "inputs": 2,
            "requests": 9,
            "failures": 1,
            "answeredMs": NOW_MS - 4000,
            "nextMs": NOW_MS + 56_000,
            "ms": NOW_MS,
        }
    ]
    everything = (await world.ask("/api/context")).json()["inputs"]
    assert [each["symbol"] for each in everything] == ["BTC-USDT", "ETH-USDT", "*"]


@pytest.mark.parametrize("target", ["/api/policies", "/api/signals", "/api/context"])
async def test_nothing_is_shown_before_the_topics_are_read(target: str) -> None:
    assert_problem(await World(ready=False).ask(target), 503, "not-ready")


async def test_names_that_anybody_wrote_make_no_answer_long_or_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counted(word: str, names: dict[str, str], **how: Any) -> list[str]:
        compared.append(len(names))
        return get_close_matches(word, names, **how)

    monkeypatch.setattr("libs.common.context_fields.get_close_matches", counted)
    world = World()
    signalled(world, *(a_signal(f"x_{n}") for n in range(1000)), a_signal("x_" + "a" * 100_000))
    signalled(world, a_signal("x_not a name"))
    answer = await world.ask("/api/signals?policyId=x_nobody")
    detail = assert_problem(answer, 404, "unknown-name")["detail"]
    assert compared == [MOST_COMPARED]
    assert len(detail) < 1000
    assert "aaa" not in detail
