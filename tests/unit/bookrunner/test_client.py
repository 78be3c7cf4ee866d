"""`Client` against the gateway's own OpenAPI document, and against a server that says anything."""

from __future__ import annotations

import inspect
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import pytest
from aiohttp import web

from bookrunner import Client, ProblemError
from bookrunner.http_client import NOT_OFFERED
from bookrunner.http_requests import key_of
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

ASKED_ALONE: Final = {"correlation_id", "idempotency_key"}  # headers, of every POST and PUT
OPERATORS: Final = "of-the-operator"


class Gateway:
    """Answers every request as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answer: Callable[[], web.Response] = lambda: web.json_response({"well": True})

    async def hear(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        self.bodies.append(await request.read())
        return self.answer()


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[Client, Gateway]]:
    gateway, app = Gateway(), web.Application()
    app.router.add_route("*", "/{path:.*}", gateway.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with Client(f"http://127.0.0.1:{port}", **options) as client:
            yield client, gateway
    finally:
        await runner.cleanup()


async def operations() -> Mapping[str, tuple[str, str, dict[str, Any], Any]]:
    """Return method, path, operation and schema of the body by the name of each route."""
    document = (await World().ask("/openapi.json")).json()
    found = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            reference = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
            schema = document["components"]["schemas"].get(reference)
            found[operation["operationId"]] = (method.upper(), path, operation, schema)
    return found


def methods_of_client() -> dict[str, Callable[..., Awaitable[Any]]]:
    return {
        name: member
        for name, member in inspect.getmembers(Client, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }


def arguments_of(method: Callable[..., Any]) -> dict[str, str]:
    """Return an argument for each parameter: its own name, as the route has it."""
    return {name: name.removesuffix("_") for name in inspect.signature(method).parameters if name != "self"}


def in_snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda capital: f"_{capital[0].lower()}", name)


async def test_every_route_has_a_method_of_its_name_or_a_reason() -> None:
    routes = set(await operations())
    assert set(methods_of_client()) == routes - NOT_OFFERED.keys()
    assert NOT_OFFERED.keys() <= routes


async def test_each_method_asks_its_route_with_exactly_its_fields() -> None:
    routes = await operations()
    async with serving() as (client, gateway):
        for name, method in methods_of_client().items():
            verb, path, operation, schema = routes[name]
            arguments = arguments_of(method)
            await getattr(client, name)(**arguments)
            asked, body = gateway.asked[-1], gateway.bodies[-1]
            parameters = [each for each in operation.get("parameters", ()) if each["in"] != "header"]
            in_path = {each["name"]: each["name"] for each in parameters if each["in"] == "path"}
            in_query = {each["name"] for each in parameters if each["in"] == "query"}
            assert (asked.method, asked.path) == (verb, path.format(**in_path)), name
            assert dict(asked.query) == {field: in_snake_case(field) for field in in_query}, name
            fields = set(schema["properties"]) if schema is not None else set()
            said = msgspec.json.decode(body) if body else {}
            assert said == {field: in_snake_case(field) for field in fields}, name
            has_key = any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", ()))
            assert arguments.keys() >= ASKED_ALONE if has_key else not ASKED_ALONE & arguments.keys(), name
            assert ("Idempotency-Key" in asked.headers) is has_key, name


async def test_what_a_route_demands_has_no_default() -> None:
    for name, (_, _, operation, schema) in (await operations()).items():
        if name in NOT_OFFERED:
            continue
        demanded = {each["name"] for each in operation.get("parameters", ()) if each.get("required")}
        demanded |= set((schema or {}).get("required", ()))
        parameters = inspect.signature(getattr(Client, name)).parameters.values()
        without = {each.name for each in parameters if each.default is each.empty} - {"self"}
        assert without == {in_snake_case(each) for each in demanded}, name


async def test_defaults_are_those_of_the_routes() -> None:
    for name, (_, _, operation, schema) in (await operations()).items():
        if name in NOT_OFFERED:
            continue
        told = {each["name"]: each["schema"].get("default") for each in operation.get("parameters", ())}
        told |= {field: each.get("default") for field, each in (schema or {}).get("properties", {}).items()}
        by_name = {in_snake_case(field): default for field, default in told.items()}
        for parameter in inspect.signature(getattr(Client, name)).parameters.values():
            if parameter.default not in {None, parameter.empty}:
                assert parameter.default == by_name[parameter.name], (name, parameter.name)


async def test_what_is_left_out_is_not_sent() -> None:
    async with serving() as (client, gateway):
        await client.plan_and_execute("BTCUSDT")
        assert msgspec.json.decode(gateway.bodies[0]) == {"symbol": "BTCUSDT"}
        assert dict(gateway.asked[0].query) == {}


async def test_a_part_of_a_path_stays_one_whatever_is_in_it() -> None:
    async with serving() as (client, gateway):
        await client.get_book("binance", "BTC/USDT", depth=5)
        assert gateway.asked[0].raw_path == "/api/l2/binance/BTC%2FUSDT?depth=5"
        await client.execution("../router/snapshot?x=1")
        assert gateway.asked[1].raw_path == "/api/exec/..%2Frouter%2Fsnapshot%3Fx%3D1"
        await client.execution("..")
        assert gateway.asked[2].raw_path == "/api/exec/.."


async def test_the_same_under_the_same_correlation_id_has_the_same_key_and_nothing_else_has() -> None:
    async with serving() as (client, gateway):
        for _ in range(2):
            await client.simulate("BTCUSDT", 0.02, correlation_id="desk-7")
        await client.simulate("BTCUSDT", 0.03, correlation_id="desk-7")
        await client.simulate("BTCUSDT", 0.02, correlation_id="desk-8")
        for _ in range(2):
            await client.simulate("BTCUSDT", 0.02)
        await client.simulate("BTCUSDT", 0.02, correlation_id="desk-7", idempotency_key="order-17")
        keys = [asked.headers["Idempotency-Key"] for asked in gateway.asked]
        ids = [asked.headers["X-Correlation-Id"] for asked in gateway.asked]
    assert keys[0] == keys[1] == key_of("desk-7", "POST", "/api/exec/simulate", gateway.bodies[0])
    assert UUID(keys[0]).version == 5
    assert len({keys[0], *keys[2:]}) == 6
    assert ids[:4] == ["desk-7", "desk-7", "desk-7", "desk-8"]
    assert ids[4] != ids[5]
    assert keys[6] == "order-17"


async def test_the_token_goes_with_changes_only_and_nowhere_else() -> None:
    async with serving(token=OPERATORS) as (client, gateway):
        gateway.answer = lambda: web.Response(status=307, headers={"Location": "http://192.0.2.1/"})
        with pytest.raises(ProblemError, match=r"^307 "):
            await client.score("BTCUSDT", 1)
        gateway.answer = lambda: web.json_response([])
        await client.list_books()
        await client.unsubscribe("binance", "BTCUSDT")
        told = [asked.headers.get("Authorization") for asked in gateway.asked]
    assert told == [f"Bearer {OPERATORS}", None, f"Bearer {OPERATORS}"]


async def test_a_problem_is_raised_with_all_that_it_says() -> None:
    document = {
        "type": "/docs#invalid",
        "title": "A field is invalid",
        "status": 422,
        "detail": "size: Input should be greater than 0.",
        "errors": [{"field": "size", "message": "Input should be greater than 0"}],
        "commandId": "7d444840-9dc0-41d1-b245-5ffdce74fad2",
        "missing": ["the risk budget"],
        "later": {"field": 1},
    }
    headers = {"Retry-After": "3", "X-Correlation-Id": "desk-7"}
    async with serving() as (client, gateway):
        gateway.answer = lambda: web.json_response(document, status=422, headers=headers)
        with pytest.raises(ProblemError) as raised:
            await client.score("BTCUSDT", 0)
    problem = raised.value
    assert (problem.status, problem.type, problem.title) == (422, "/docs#invalid", "A field is invalid")
    assert [(each.field, each.message) for each in problem.errors] == [
        ("size", "Input should be greater than 0")
    ]
    assert problem.command_id == "7d444840-9dc0-41d1-b245-5ffdce74fad2"
    assert problem.missing == ("the risk budget",)
    assert (problem.retry_after_s, problem.correlation_id) == (3, "desk-7")
    assert str(problem) == "422 A field is invalid: size: Input should be greater than 0."


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"[]", b'{"detail": 7}', b"\xff"])
async def test_what_answers_in_place_of_a_gateway_is_a_problem_too(body: bytes) -> None:
    async with serving() as (client, gateway):
        gateway.answer = lambda: web.Response(status=502, body=body)
        with pytest.raises(ProblemError, match=r"^502 no answer of a gateway"):
            await client.registry()
