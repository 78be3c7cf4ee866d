"""A whole system while a stranger's transaction stays open on its logs: told, refused, and nothing lost."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from libs.common.topics import EXECUTION_PLANS, L2_BOOK_TOPS, ROUTER_STATE
from tests import kafka_cluster
from tests.e2e.system import System, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.common.topics import Topic

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

PARTITIONS = 4
SERVICES = (*("services.router", "services.venues", "services.portfolio", "services.execution"),)
ORDER = {"symbol": "BTCUSDT", "size": 0.02}
CHOOSE = {"context": {"regime": "bull"}}
BOOK = "/api/l2/binance/BTCUSDT"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    kafka_cluster.wipe(kafka)
    folder = tmp_path_factory.mktemp("open-transactions")
    async with System(kafka, folder, TOPIC_PARTITIONS=str(PARTITIONS)) as running:
        running.start(*SERVICES)
        await running.ready()
        await until("a risk budget", lambda: running.get("/api/portfolio/risk"))  # a buy needs one
        yield running


@asynccontextmanager
async def open_transaction(system: System, topic: Topic) -> AsyncIterator[None]:
    """Hold a stranger's transaction open on every partition of the topic; abort it at the end."""
    async with AIOKafkaProducer(
        bootstrap_servers=system.kafka, transactional_id="stranger", transaction_timeout_ms=120_000
    ) as stranger:
        await stranger.begin_transaction()
        for partition in range(PARTITIONS):
            await stranger.send_and_wait(topic.name, b"of no service", b"x:y", partition=partition)
        try:
            yield
        finally:
            await stranger.abort_transaction()


async def post(system: System, path: str, body: object) -> tuple[int, Any]:
    async with system.http.post(f"{system.gateway}{path}", json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def readiness(system: System) -> tuple[int, Any]:
    async with system.http.get(f"{system.gateway}/readyz") as answer:
        return answer.status, await answer.json(content_type=None)


async def test_answers_that_cannot_be_heard_are_503_by_name_and_readyz_says_so(system: System) -> None:
    async def said() -> Any:
        status, answer = await readiness(system)
        held = [each for each in answer.get("missing", ()) if EXECUTION_PLANS.name in each]
        return status == 503 and len(held) == PARTITIONS and held

    assert (await post(system, "/api/exec/simulate", ORDER))[0] == 200
    async with open_transaction(system, EXECUTION_PLANS):
        (first, *_) = await until("readyz names the log", said)
        assert "held up at offset" in first
        status, problem = await post(system, "/api/exec/simulate", ORDER)
        assert status == 503
        assert EXECUTION_PLANS.name in problem["detail"]
        assert (await post(system, "/api/router/choose", CHOOSE))[0] == 200, "what else works, works on"
    await system.ready()
    assert (await post(system, "/api/exec/simulate", ORDER))[0] == 200


async def test_a_book_whose_newer_tops_are_hidden_is_not_live_and_no_order_fills_on_it(
    system: System,
) -> None:
    async def stale() -> Any:
        book = await system.get(BOOK)
        return book["state"] == "STALE" and book

    async def degraded() -> Any:
        _, answer = await readiness(system)
        return [each for each in answer.get("degraded", ()) if L2_BOOK_TOPS.name in each]

    order = {"symbol": "BTCUSDT", "side": "buy", "size": "0.01"}
    assert (await post(system, "/api/paper/orders", order))[0] == 200
    async with open_transaction(system, L2_BOOK_TOPS):
        book = await until("the book is STALE", stale)
        assert "its log is held up" in book["reason"]
        assert await until("the view is named", degraded)
        status, problem = await post(system, "/api/paper/orders", order)
        assert status == 503, problem
        status, problem = await post(system, "/api/venues/score", ORDER)
        assert status == 503, problem
    await system.all_live(1)
    await system.ready()
    assert (await post(system, "/api/paper/orders", order))[0] == 200


async def test_a_router_that_restarts_behind_an_open_transaction_loses_no_choice(system: System) -> None:
    choose = CHOOSE | {"scope": "held"}

    async def all_there() -> bool:
        snapshot = await system.get("/api/router/snapshot?scope=held")
        return bool(snapshot["choices"] == 16)

    async def waits() -> Any:
        status, answer = await readiness(system)
        return status == 503 and [each for each in answer["missing"] if ROUTER_STATE.name in each]

    for _ in range(5):
        assert (await post(system, "/api/router/choose", choose))[0] == 200
    async with open_transaction(system, ROUTER_STATE):
        for _ in range(10):
            assert (await post(system, "/api/router/choose", choose))[0] == 200
        system.kill("services.router")
        system.start("services.router")
        (missing,) = await until("readyz names the log", waits)
        assert "held up at offset" in missing
        status, problem = await post(system, "/api/router/choose", choose)
        assert (status, "router" in problem["detail"]) == (503, True)
    await system.ready()
    assert (await post(system, "/api/router/choose", choose))[0] == 200
    await until("5, 10 and 1 choices are counted", all_there)
