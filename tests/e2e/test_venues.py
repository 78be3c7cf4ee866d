"""Venues as their users meet them: the registry and the score over HTTP, on the simulated exchanges."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import pytest_asyncio

from libs.common.events import BookHealth, BookState
from libs.common.kafka import Reader
from libs.common.kafka_reader import Record
from libs.common.settings import ServiceSettings
from libs.common.time_units import NS_PER_S
from libs.common.topics import L2_BOOK_HEALTH
from tests import kafka_cluster
from tests.e2e.system import System, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

VENUES = {"binance", "bybit", "coinbase", "kraken", "okx"}
ORDER = {"symbol": "BTCUSDT", "size": 0.02}
MAX_AGE_S = 1.5  # as shipped: an older book is not scored
DELIVERY_S = 0.5  # of what l2 says, to the choice
FREEZE_S = 8.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Start one system for all tests here: each leaves every venue eligible."""
    kafka_cluster.wipe(kafka)
    async with System(kafka, tmp_path_factory.mktemp("system")) as running:
        running.start("services.venues")
        await running.all_live(15)
        await until("every venue is eligible", lambda: all_eligible(running))
        yield running


async def post(system: System, body: object) -> tuple[int, Any, Any]:
    async with system.http.post(f"{system.gateway}/api/venues/score", json=body) as reply:
        return reply.status, msgspec.json.decode(await reply.read()), reply.headers


async def doubted_ts(system: System, venue: str, since_ns: int) -> int:
    """Return when l2 first said, after a moment (ns), that BTC-USDT is silent for longer than usual."""
    async with Reader(ServiceSettings(kafka_bootstrap_servers=system.kafka), [L2_BOOK_HEALTH]) as reader:
        while not await reader.at_end():
            for record in await reader.poll():
                health = record.event if isinstance(record, Record) else None
                if not isinstance(health, BookHealth) or health.ts < since_ns:
                    continue
                doubted = health.in_doubt or health.state is not BookState.LIVE
                if doubted and (health.venue, health.symbol) == (venue, "BTC-USDT"):
                    return health.ts
    raise AssertionError(f"l2 never doubted {venue}'s book")


async def all_eligible(system: System) -> bool:
    status, answer, _ = await post(system, ORDER)
    return status == 200 and {each["venue"] for each in answer["candidates"] if each["eligible"]} == VENUES


async def test_the_registry_is_an_array_best_first_with_the_fields_of_the_contract(system: System) -> None:
    async def complete() -> Any:
        found = await system.get("/api/venues/registry") or []
        books = [book for each in found for book in each["symbols"]]
        measured = ("latencyP50Ms", "requestP50Ms", "spreadBps", "referenceCostBps")
        ready = all(each["state"] == "LIVE" for each in found) and all(
            book[name] is not None for book in books for name in measured
        )
        return found if len(books) == 15 and ready else None

    registry = await until("five venues with three symbols each", complete)
    assert {each["venue"] for each in registry} == VENUES
    for each in registry:
        assert each["state"] == "LIVE"
        assert each["symbol"] == "BTC-USDT"
        assert each["latency"] >= 0
        assert each["spread_bps"] > 0
        assert each["topDepth"] > 0
        assert each["feeBps"] == each["fees"]["takerBps"] > 0
        assert 0.5 < each["reliability"] < 1
        assert 0 <= each["rateRemaining"] <= 1
        assert {symbol["symbol"] for symbol in each["symbols"]} == {"BTC-USDT", "ETH-USDT", "SOL-USDT"}
        assert all(symbol["requestP50Ms"] > 0 for symbol in each["symbols"])
    scores = [each["score"] for each in registry]
    assert scores == sorted(scores, reverse=True)
    assert registry[-1]["venue"] == "coinbase"  # 120 bps


async def test_a_score_names_the_venue_its_costs_and_the_split(system: System) -> None:
    status, answer, _ = await post(system, ORDER)
    assert status == 200
    best = answer["candidates"][0]
    assert (answer["venue"], answer["score"]) == (best["venue"], best["score"])
    assert best["score"] == pytest.approx(-sum(best["costBps"].values()))
    parts = {"spread", "impact", "fee", "basis", "latency", "reliability", "slippage"}
    assert set(best["costBps"]) == parts
    assert best["available"] == 0.02
    assert answer["fairMid"] > 0
    assert answer["allocationBps"] == pytest.approx(-best["score"] - answer["savingBps"], abs=0.01)
    assert answer["reasons"]
    assert sum(share["size"] for share in answer["allocation"]) == pytest.approx(0.02)
    assert answer["savingBps"] >= 0


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"symbol": "NOPEUSDT", "size": 1}, 404, "NOPE-USDT"),
        ({"symbol": "???", "size": 1}, 404, "symbol"),
        ({"symbol": "BTCUSDT", "size": 0}, 422, "size"),
        ({"symbol": "BTCUSDT", "size": -1}, 422, "size"),
        ({"symbol": "BTCUSDT", "size": 1e300}, 422, "size"),
        ({"symbol": "BTCUSDT", "size": 1e-9}, 422, "the least minimum of the venues"),
        ({"symbol": "BTCUSDT", "size": 1, "side": "hold"}, 422, "side"),
        ({"symbol": "BTCUSDT", "size": 1, "extra": 1}, 422, "extra"),
        ({"symbol": "BTCUSDT"}, 422, "size"),
        ({"symbol": "BTCUSDT", "size": 1e6}, 503, "too thin together"),
    ],
)
async def test_a_score_that_cannot_be_given_says_why(
    system: System, body: object, status: int, said: str
) -> None:
    found, answer, headers = await post(system, body)
    assert found == status, answer
    assert said in answer["detail"]
    assert headers["content-type"] == "application/problem+json"
    if status == 503:
        assert headers["retry-after"] == "1"
        assert all(f"{venue}: " in answer["detail"] for venue in VENUES)


async def test_not_a_number_is_invalid(system: System) -> None:
    raw = b'{"symbol": "BTCUSDT", "size": NaN}'
    headers = {"content-type": "application/json"}
    async with system.http.post(f"{system.gateway}/api/venues/score", data=raw, headers=headers) as reply:
        assert reply.status == 422


async def test_the_choice_leaves_a_frozen_venue_as_soon_as_its_book_is_doubted_and_comes_back(
    system: System,
) -> None:
    await until("every venue is eligible", lambda: all_eligible(system))
    _, answer, _ = await post(system, ORDER)
    chosen = answer["venue"]
    await system.control(
        "POST",
        "faults",
        {"kind": "freeze", "venue": chosen, "symbol": "BTC-USDT", "once": True, "durationS": FREEZE_S},
    )
    frozen_ns = still_there_ns = time.time_ns()

    async def moved() -> str | None:
        nonlocal still_there_ns
        asked_ns = time.time_ns()
        status, answer, _ = await post(system, ORDER)
        assert status == 200, answer
        behind = [each for each in answer["candidates"] if each["venue"] == chosen and not each["eligible"]]
        if behind and answer["venue"] != chosen:
            return str(behind[0]["reasons"][0])
        still_there_ns = asked_ns
        return None

    reason = await until("the choice moves away", moved)
    assert "stale" in reason or "STALE" in reason or "GAP" in reason
    doubted_ns = await doubted_ts(system, chosen, frozen_ns)
    due_ns = max(doubted_ns, frozen_ns + int(MAX_AGE_S * NS_PER_S)) + int(DELIVERY_S * NS_PER_S)
    assert still_there_ns < due_ns, "an order asked for this late still went to the frozen venue"

    async def back() -> bool:
        return await all_eligible(system)

    await until("the frozen venue is eligible again", back)
    await system.control("DELETE", "faults")


async def test_a_book_that_is_given_up_leaves_the_registry_and_comes_back(system: System) -> None:
    async def symbols() -> set[str]:
        found = await system.get("/api/venues/registry") or []
        return {each["symbol"] for venue in found if venue["venue"] == "okx" for each in venue["symbols"]}

    async def gone() -> bool:
        return await symbols() == {"BTC-USDT", "ETH-USDT"}

    async def back() -> bool:
        return await symbols() == {"BTC-USDT", "ETH-USDT", "SOL-USDT"}

    subscriptions = f"{system.gateway}/api/l2/subscriptions"
    async with system.http.delete(f"{subscriptions}/okx/SOLUSDT") as reply:
        assert reply.status == 200
    await until("the registry forgets the book", gone)
    async with system.http.post(subscriptions, json={"venue": "okx", "symbol": "SOLUSDT"}) as reply:
        assert reply.status == 201
    await until("the registry has it again", back)


async def test_the_command_prints_the_table_once_without_a_terminal(system: System) -> None:
    command = [sys.executable, "-m", "libs.cli", "venues", "btcusdt"]
    process = await asyncio.create_subprocess_exec(
        *command, env=system.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stdout, stderr = (text.decode() for text in await process.communicate())
    assert process.returncode == 0, stderr
    lines = stdout.splitlines()
    assert all(any(venue in line and "LIVE" in line for line in lines) for venue in VENUES)
    assert "ETH-USDT" not in stdout
