"""A GET or a HEAD changes nothing, whatever it asks for: nothing is sent to Kafka for it."""

from __future__ import annotations

import pytest

from libs.common.kafka import Record
from libs.common.topics import EXECUTION_AUDIT, EXECUTION_RECORDS, PORTFOLIO_RISK
from tests.execution_market import a_risk_budget
from tests.execution_world import ExecutionWorld
from tests.unit.services.gateway.stream.test_stream import Stream
from tests.unit.services.gateway.world import NOW, World

QUERIES = {
    "/api/stream": ["?topics=l2.trades.v1", "?topics=l2.trades.v1&from=beginning"],
    "/api/l2/{venue}/{symbol}": ["", "?depth=3", f"?at={NOW // 10**6 - 5}"],
}
NAMED = {"venue": "binance", "symbol": "BTCUSDT", "topic": "l2.trades.v1", "partition": 0, "offset": 0}

NEEDS_MORE = {"/api/venues/registry", "/api/policies", "/api/simulation"}  # than there is here


async def a_full_gateway() -> tuple[World, str]:
    executions = ExecutionWorld()
    executions.ready()
    name = executions.execute()
    executions.finish()
    world = World(command_timeout_s=0.01)
    world.live()
    world.commands.listening = True
    world.fold(EXECUTION_RECORDS, name.encode(), executions.records[name])
    world.fold(PORTFOLIO_RISK, b"default", a_risk_budget())
    world.audit.records = [
        Record(
            topic=EXECUTION_AUDIT,
            partition=0,
            offset=offset,
            timestamp_ms=0,
            key=name.encode(),
            event=entry,
            value=b"",
        )
        for offset, entry in enumerate(executions.audit(name))
    ]
    return world, name


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_no_read_of_any_route_sends_anything(method: str) -> None:
    world, name = await a_full_gateway()
    paths = (await world.ask("/openapi.json")).json()["paths"]
    reads = [path for path, operations in paths.items() if "get" in operations]
    assert {"/api/audit/{execution_id}", "/api/router/snapshot", "/api/stream"} <= set(reads)
    for path in (*reads, "/docs", "/openapi.json"):
        for query in QUERIES.get(path, [""]):
            target = path.format_map(NAMED | {"execution_id": name}) + query
            if path == "/api/stream" and method == "GET":
                stream = Stream(world, target)
                await stream.until_received(b": open")
                await stream.leave()
                continue
            answer = await world.ask(target, method)
            assert world.writer.sent == [], target
            assert answer.status < 500 or path in NEEDS_MORE, (target, answer)
