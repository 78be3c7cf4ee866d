"""What execution, the router, the venues and the portfolio refuse, as callers of the gateway read it.

Behind the gateway stand the services' own handlers: a command that it writes is handed to the one it is for,
and what that answers comes back.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.events import BOOK, BookState, Command, CommandRejected
from tests.execution_market import a_risk_budget
from tests.execution_world import ExecutionWorld
from tests.router_world import World as RouterWorld
from tests.unit.services.gateway.asking.test_commands import a_record, listening, until
from tests.unit.services.gateway.world import Answer, World

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER: dict[str, Any] = {"symbol": "BTCUSDT", "side": "buy", "size": "0.5", "venue": "binance"}
SIMULATE: dict[str, Any] = {"symbol": "BTCUSDT", "size": 0.5}
EXECUTE: dict[str, Any] = {"symbol": "BTCUSDT"}


def an_execution(equity: int = 1_000_000) -> ExecutionWorld:
    world = ExecutionWorld()
    world.books()
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(equity=equity))
    return world


def without_a_book() -> ExecutionWorld:
    world = an_execution()
    world.books(state=BookState.DISCONNECTED)
    return world


async def asked(path: str, body: dict[str, Any], answer: Callable[[Command], Any]) -> Answer:
    world = World(command_timeout_s=5.0)
    async with listening(world):
        asking = asyncio.create_task(
            world.ask(path, "POST", json.dumps(body).encode(), {"content-type": "application/json"})
        )
        await until(lambda: bool(world.writer.sent) or asking.done())
        if world.writer.sent:
            command = world.writer.sent[0].event
            assert isinstance(command, Command)
            rejected = answer(command)
            assert isinstance(rejected, CommandRejected), rejected
            world.answers.feed(a_record(rejected))
        return await asking


async def refused(path: str, body: dict[str, Any], answer: Callable[[Command], Any]) -> tuple[int, Any]:
    reply = await asked(path, body, answer)
    return reply.status, reply.json()


async def execution_refuses(
    path: str, body: dict[str, Any], execution: ExecutionWorld | None = None
) -> tuple[int, Any]:
    world = execution or an_execution()
    return await refused(path, body, lambda command: world.deliver(command)[0])


LIMIT = {"ordType": "limit"}


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (LIMIT | {"limit": "60000.123"}, "limit", "tick 0.01 of binance; 60000.12 or 60000.13 is right"),
        (LIMIT | {"limit": "0.001", "size": "10000"}, "limit", "of binance; 0.01 at least is right"),
        ({"size": "0.123456"}, "size", "lot 0.00001 of binance BTC-USDT; 0.12345 or 0.12346 is right"),
        ({"size": "0.000001"}, "size", "lot 0.00001 of binance BTC-USDT; 0.00001 at least is right"),
        ({"size": "0.00001"}, "size", "minimum of 5 quote units of binance BTC-USDT; 0.00009 at least"),
        ({"side": "sell"}, "size", "at most 0 can be sold now: 0 is held"),
        ({"size": "100000"}, "size", "can be bought now: 1000000.00 of cash is free"),
    ],
)
async def test_an_order_that_its_venue_or_its_book_forbids_is_422_and_names_the_field_and_what_is_right(
    changes: dict[str, Any], field: str, message: str
) -> None:
    status, problem = await execution_refuses("/api/paper/orders", ORDER | changes)
    assert status == 422
    assert [each["field"] for each in problem["errors"]] == [field]
    assert message in problem["errors"][0]["message"]
    assert problem["detail"] == f"{field}: {problem['errors'][0]['message']}."


async def test_each_field_that_is_wrong_is_named() -> None:
    body = ORDER | LIMIT | {"size": "0.123456", "limit": "60000.123"}
    status, problem = await execution_refuses("/api/paper/orders", body)
    assert (status, [each["field"] for each in problem["errors"]]) == (422, ["size", "limit"])


@pytest.mark.parametrize(
    ("path", "body", "field", "message"),
    [
        ("/api/paper/orders", ORDER | {"venue": "bitstamp"}, "venue", "bitstamp does not list BTC"),
        ("/api/paper/orders", ORDER | {"symbol": "NOPEUSDT"}, "symbol", "binance does not list NOPE"),
        ("/api/exec/simulate", SIMULATE | {"symbol": "NOPEUSDT"}, "symbol", "No venue lists NOPE-USDT"),
        ("/api/exec/plan-and-execute", {"symbol": "NOPEUSDT"}, "symbol", "No venue lists NOPE-USDT"),
    ],
)
async def test_what_names_nothing_that_there_is_is_404_and_names_the_field(
    path: str, body: dict[str, Any], field: str, message: str
) -> None:
    status, problem = await execution_refuses(path, body)
    assert (status, [each["field"] for each in problem["errors"]]) == (404, [field])
    assert message in problem["detail"]
    assert message in problem["errors"][0]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/paper/orders", ORDER), ("/api/exec/simulate", SIMULATE), ("/api/exec/plan-and-execute", EXECUTE)],
)
async def test_without_a_book_it_is_503_and_no_field_is_wrong(path: str, body: dict[str, Any]) -> None:
    status, problem = await execution_refuses(path, body, without_a_book())
    assert status == 503
    assert "errors" not in problem
    assert "DISCONNECTED" in problem["detail"]


async def test_a_simulation_under_the_minimum_is_422_and_names_the_size() -> None:
    status, problem = await execution_refuses("/api/exec/simulate", SIMULATE | {"size": 0.00001})
    assert (status, [each["field"] for each in problem["errors"]]) == (422, ["size"])
    assert "minimum of 5 quote units of binance" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        (
            "/api/router/update",
            {"policyId": "p_nope", "reward": 0.1, "context": {"regime": "bull"}},
            404,
            "policyId",
        ),
        ("/api/router/update", {"policyId": "p_nope", "reward": 0.1}, 422, "decisionId"),
        ("/api/router/policies", {"policyId": "p_nope"}, 422, "policyId"),
    ],
)
async def test_the_router_names_the_policy_that_is_wrong(
    path: str, body: dict[str, Any], status: int, field: str
) -> None:
    router = RouterWorld()
    found, problem = await refused(path, body, router.refused)  # type: ignore[arg-type]  # the router's
    assert (found, [each["field"] for each in problem["errors"]]) == (status, [field])
    assert problem["detail"] == f"{field}: {problem['errors'][0]['message']}."
