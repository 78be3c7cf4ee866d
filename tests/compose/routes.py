"""Every route of the gateway, asked as a user would, in an order in which each has something to answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.system import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.compose.stack import Stack

    Ask = Callable[..., Awaitable[Any]]

CONTEXT: Final = {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}
SCOPE: Final = {"scope": "fearful", "features": [{"name": "vix", "low": 5, "high": 150}]}
OPTIMIZE: Final = {"symbols": ["BTCUSDT", "ETHUSDT"], "cvarBudget": 0.05, "volTarget": 0.02}
# What a running system must answer at any time; the README's commands.
LASTING: Final[tuple[tuple[str, str, object], ...]] = (
    ("GET", "/api/l2/binance/BTCUSDT", None),
    ("GET", "/api/venues/registry", None),
    ("GET", "/api/router/snapshot", None),
    ("GET", "/api/portfolio/risk", None),
    ("GET", "/api/exec/records", None),
    ("POST", "/api/router/choose", {"context": CONTEXT}),
    ("POST", "/api/router/update", {"policyId": "p_sma", "reward": 0.004, "context": {"regime": "bull"}}),
    ("POST", "/api/venues/score", {"symbol": "BTCUSDT", "size": 0.02}),
    ("POST", "/api/exec/simulate", {"symbol": "BTCUSDT", "size": 0.02}),
    ("POST", "/api/exec/plan-and-execute", {"symbol": "BTCUSDT"}),
    ("POST", "/api/portfolio/optimize", OPTIMIZE),
)


async def use_every_route(stack: Stack) -> set[str]:
    """Ask each one until it answers with success; return which were asked, as the document names them."""
    used: set[str] = set()

    async def ask(method: str, route: str, body: object = None, query: str = "", **of_path: str) -> Any:
        used.add(f"{method} {route}")
        return await stack.answered(method, route.format(**of_path) + query, body)

    for route in ("/healthz", "/readyz", "/metrics", "/asyncapi.json"):
        await ask("GET", route)
    await _system(ask)
    await _books(ask)
    await ask("GET", "/api/venues/registry", query="?symbol=BTCUSDT")
    await ask("POST", "/api/venues/score", {"symbol": "BTCUSDT", "size": 0.02})
    await _router(ask)
    await _told(ask)
    await ask("POST", "/api/portfolio/optimize", OPTIMIZE)
    await ask("GET", "/api/portfolio/positions")
    await ask("GET", "/api/portfolio/risk")
    await _execution(ask)
    assert (await ask("GET", "/api/performance", query="?from=-1h"))["counts"]["executions"]
    await _records(ask, await _stream(stack))
    used.add("GET /api/stream")
    return used


async def _system(ask: Ask) -> None:
    system = await ask("GET", "/api/system")
    assert system["ready"]
    assert {"l2", "gateway"} <= {each["service"] for each in system["services"]}
    simulation = await ask("GET", "/api/simulation")
    assert "drop" in {each["kind"] for each in simulation["kinds"]}
    fault = {"kind": "duplicate", "venue": "bybit", "symbol": "SOL-USDT", "probability": 0.5}
    added = await ask("POST", "/api/simulation/faults", fault)
    left = await ask("DELETE", "/api/simulation/faults/{number}", number=str(added["id"]))
    assert added["id"] not in {each["id"] for each in left["faults"]}
    assert not (await ask("DELETE", "/api/simulation/faults"))["faults"]


async def _books(ask: Ask) -> None:
    await ask("GET", "/api/l2")
    book = {"venue": "kraken", "symbol": "BTC-USDT"}
    shown = await ask("GET", "/api/l2/{venue}/{symbol}", query="?depth=5", **book)
    assert shown["bids"][0][0] < shown["asks"][0][0]
    await ask("GET", "/api/l2/{venue}/{symbol}", query=f"?at={time.time_ns() // 1_000_000}", **book)
    then = await ask("GET", "/api/at", query=f"?ts={time.time_ns() // 1_000_000 - 2_000}&symbol=BTCUSDT")
    told = {each["topic"] for each in then["records"]}
    assert told >= {"l2.book-tops.v1", "l2.book-health.v1", "services.status.v1"}
    assert (await ask("GET", "/api/at"))["live"]
    other = {"venue": "okx", "symbol": "SOL-USDT"}
    await ask("DELETE", "/api/l2/subscriptions/{venue}/{symbol}", **other)
    await ask("POST", "/api/l2/subscriptions", other)
    await ask("GET", "/api/l2/{venue}/{symbol}", **other)


async def _router(ask: Ask) -> None:
    chosen = await ask("POST", "/api/router/choose", {"context": CONTEXT})
    reward = {"policyId": chosen["policyId"], "reward": 0.004, "context": CONTEXT}
    await ask("POST", "/api/router/update", reward | {"decisionId": chosen["decisionId"]})
    policies = {each["policyId"] for each in await ask("GET", "/api/policies")}
    assert policies >= set(chosen["scores"])
    await ask("DELETE", "/api/router/policies/{policy_id}", policy_id="p_flat")
    await ask("POST", "/api/router/policies", {"policyId": "p_flat"})
    await ask("GET", "/api/router/snapshot")


async def _told(ask: Ask) -> None:
    signal = {"policyId": "x_each_route", "symbol": "BTCUSDT", "value": 0.5, "ttlS": 600}
    assert (await ask("POST", "/api/signals", signal))["symbol"] == "BTC-USDT"
    chart = {"strategy": "x_each_route", "ticker": "BINANCE:BTCUSDT", "action": "buy"}
    await ask("POST", "/api/signals/webhook", chart)  # as the stack's GATEWAY_SIGNAL_WEBHOOK maps it

    async def registered() -> Any:
        signals = await ask("GET", "/api/signals", query="?policyId=x_each_route")
        return signals and signals[0]["usable"]

    await until("a policy from outside is registered by its first signal", registered)
    await ask("POST", "/api/router/scopes", SCOPE)
    await ask("POST", "/api/context", {"symbol": "*", "name": "vix", "value": 18, "ttlS": 600})
    inputs = (await ask("GET", "/api/context", query="?symbol=BTCUSDT&limit=500"))["inputs"]
    assert [each["value"] for each in inputs if each["name"] == "vix"] == [18.0]


async def _execution(ask: Ask) -> None:
    await ask("POST", "/api/exec/simulate", {"symbol": "BTCUSDT", "size": 0.02})

    async def traded() -> Any:
        execution = await ask("POST", "/api/exec/plan-and-execute", {"symbol": "BTCUSDT"})
        return execution if execution["status"] in {"working", "completed"} else None

    execution = (await until("an execution that trades", traded))["executionId"]
    await ask("GET", "/api/exec/{execution_id}", execution_id=execution)
    await ask("GET", "/api/exec/records")
    await ask("GET", "/api/exec/sizing/last")
    assert (await ask("GET", "/api/audit/{execution_id}", execution_id=execution))["verified"]
    lineage = await ask("GET", "/api/exec/{execution_id}/lineage", execution_id=execution)
    assert {each["stage"] for each in lineage["stages"]} >= {"book", "choice", "sizing", "plan"}
    (why,) = (await ask("GET", "/api/why", query="?symbol=BTCUSDT"))["symbols"]
    assert why["open"] == (why["first"] is None)
    await ask("DELETE", "/api/exec/{execution_id}", execution_id=execution)
    order = {"symbol": "BTCUSDT", "side": "buy", "size": "0.01", "ordType": "limit", "limit": "30000"}
    placed = (await ask("POST", "/api/paper/orders", order))["order"]
    await ask("DELETE", "/api/paper/orders/{order_id}", query="?symbol=BTCUSDT", order_id=placed["orderId"])
    await _controls(ask)


async def _controls(ask: Ask) -> None:
    scope = {"scope": "symbol:SOL-USDT"}
    halted = await ask("POST", "/api/exec/halt", scope | {"reason": "each route is used"})
    assert [halt["scope"] for halt in halted["halts"]] == ["symbol:SOL-USDT"]
    await ask("PUT", "/api/exec/limits", scope | {"ordersPerMinute": 600})
    assert (await ask("GET", "/api/exec/limits"))["halts"]
    assert not (await ask("POST", "/api/exec/resume", scope | {"reason": "it was"}))["halts"]


async def _records(ask: Ask, name: str) -> None:
    topic, partition, offset = name.split(":")
    place = {"topic": topic, "partition": partition, "offset": offset}
    record = await ask("GET", "/api/records/{topic}/{partition}/{offset}", **place)
    assert (record["id"], record["data"]["type"]) == (name, "BookTop")
    assert await ask("GET", "/api/records/{topic}", query=f"?key={record['key']}&every=1s", topic=topic)


async def _stream(stack: Stack) -> str:
    """Return the id of the first message."""
    async with stack.http.get(f"{stack.url}/api/stream", params={"topics": "l2.book-tops.v1"}) as reply:
        assert reply.status == 200
        async for line in reply.content:
            if line.startswith(b"id: "):
                return line.decode()[4:].strip()
    raise AssertionError("the stream ended without a message")
