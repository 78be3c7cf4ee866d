"""Executions through all services: HTTP and topics only."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import rfc8785

from libs.common.audit_chain import GENESIS
from libs.common.events import EquityMarked, OrderFilled
from libs.common.kafka import Reader, read
from libs.common.settings import ServiceSettings
from libs.common.topics import (
    EXECUTION_COMMANDS,
    EXECUTION_FILLS,
    EXECUTION_PLANS,
    EXECUTION_STATE,
    GATEWAY_IDEMPOTENCY,
    PORTFOLIO_EQUITY,
    TOPICS,
)
from tests import kafka_cluster
from tests.e2e.system import System, until
from tests.integration.libs.cli.command import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.kafka import Undecodable

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ("services.venues", "services.router", "services.portfolio", "services.execution")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    kafka_cluster.wipe(kafka)
    folder = tmp_path_factory.mktemp("executions")
    small = {"EXECUTION_S_MAX": "0.02"}  # orders that their books take at once
    async with System(kafka, folder, EXECUTION_HORIZON_S="2", **small) as running:
        running.start(*SERVICES)
        await running.ready()
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def execution(system: System) -> Any:
    """Execute until a policy wants to trade, as the first answer told it: some may be flat."""

    async def worked() -> Any:
        status, answer = await post(system, "/api/exec/plan-and-execute", {"symbol": "BTCUSDT"})
        return answer if status == 200 and answer["status"] in {"working", "completed"} else None

    return await until("an execution that trades", worked)


async def post(system: System, path: str, body: object) -> tuple[int, Any]:
    async with system.http.post(f"{system.gateway}{path}", json=body) as reply:
        return reply.status, json.loads(await reply.read())


async def test_a_paper_order_is_filled_on_the_live_book(system: System) -> None:
    async def filled() -> Any:
        body = {"symbol": "BTCUSDT", "side": "buy", "size": "0.01", "ordType": "market", "venue": "binance"}
        status, answer = await post(system, "/api/paper/orders", body)
        return answer if status == 200 else None

    answer = await until("a filled paper order", filled)
    order, fills = answer["order"], answer["fills"]
    assert order["ordStatus"] == "filled"
    assert Decimal(order["cumQty"]) == sum(Decimal(fill["size"]) for fill in fills) == Decimal("0.01")
    assert all(isinstance(fill["price"], str) for fill in fills)


async def offsets_of(system: System) -> dict[str, int]:
    """Return the ends of all topics but those of market data, heartbeats and marks, which flow on."""
    settings = ServiceSettings(kafka_bootstrap_servers=system.kafka)
    moving = {"l2", "venues", "services", "portfolio"}
    topics = [topic for name, topic in TOPICS.items() if name.split(".")[0] not in moving]
    topics += [TOPICS["venues.commands.v1"], TOPICS["venues.scores.v1"]]
    async with Reader(settings, topics) as reader:
        ends: dict[str, int] = {}
        for partition, end in reader.ends.items():
            ends[partition.topic] = ends.get(partition.topic, 0) + end
        return ends


async def test_simulate_answers_the_proof_command_and_changes_no_topic_of_anybody(system: System) -> None:
    status, warm = await post(system, "/api/exec/simulate", {"symbol": "BTCUSDT", "size": 0.02})
    assert status == 200, warm
    before = await offsets_of(system)
    status, answer = await post(system, "/api/exec/simulate", {"symbol": "BTCUSDT", "size": 0.02})
    assert status == 200
    after = await offsets_of(system)
    changed = {name for name in after if after[name] != before[name]}
    # The command, its answer, and the position of the input that the processor keeps with its state.
    assert changed == {EXECUTION_COMMANDS.name, EXECUTION_PLANS.name, EXECUTION_STATE.name}
    assert sum(piece["size"] for piece in answer["plan"]["slices"]) == pytest.approx(0.02)
    assert answer["plan"]["style"]
    assert answer["plan"]["venue"] in answer["venues"]
    assert set(answer["plan"]["slices"][0]) == {"at", "size", "limit", "venue"}
    cost = answer["cost"]
    parts = ("spreadBps", "impactBps", "metaImpactBps", "feeBps")  # without a volume no meta impact is known
    assert cost["totalBps"] == pytest.approx(sum(cost[part] or 0.0 for part in parts))
    assert cost["total"] > 0
    assert answer["alternatives"]


async def test_plan_and_execute_answers_the_proof_command_and_its_record_follows_to_the_reward(
    system: System, execution: Any
) -> None:
    assert execution["executionId"]
    assert execution["status"] in {"working", "completed"}
    assert execution["policyId"]
    assert execution["signal"]["reason"]
    assert execution["sizing"]["quantity"] > 0
    path = f"/api/exec/{execution['executionId']}"

    async def rewarded() -> Any:
        record = await system.get(path)
        return record if record and record["reward"] and record["reward"]["counted"] else None

    record = await until("the router has learnt", rewarded)
    assert record["status"] == "completed", record["reason"]
    assert sum(Decimal(fill["size"]) for fill in record["fills"]) == pytest.approx(
        Decimal(repr(record["plan"]["size"]))
    )
    assert set(record["fills"][0]) == {"fillId", "orderId", "venue", "side", "size", "price", "fee", "ts"}
    shortfall = record["shortfall"]
    parts = ("delayBps", "impactBps", "opportunityBps", "feesBps")
    assert sum(shortfall[part] for part in parts) == pytest.approx(shortfall["totalBps"])
    assert record["executionId"] in [r["executionId"] for r in await system.get("/api/exec/records?limit=5")]
    assert await system.get("/api/exec/sizing/last?symbol=BTCUSDT")


async def test_the_audit_is_verified_by_hash_and_decision_and_by_hand(system: System, execution: Any) -> None:
    execution_id = execution["executionId"]
    before = await offsets_of(system)
    audit = await system.get(f"/api/audit/{execution_id}")
    assert audit["verified"] is True, audit["problems"]
    after = await offsets_of(system)
    for topic in (EXECUTION_COMMANDS, EXECUTION_PLANS, GATEWAY_IDEMPOTENCY):
        assert after[topic.name] == before[topic.name], "to read an audit is to write nothing"
    assert audit["decisions"] >= 3
    head = GENESIS
    for entry in audit["entries"]:
        body = {name: entry[name] for name in ("seq", "ts", "kind", "payload")}
        assert entry["prevHash"] == head
        head = hashlib.sha256(head.encode() + rfc8785.dumps(body)).hexdigest()
        assert entry["hash"] == head
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "libs.cli",
        "verify",
        execution_id,
        env=system.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"verified: " in output


async def test_two_symbols_wait_for_their_ends_and_a_cancel_is_told_as_it_ended(system: System) -> None:
    async def ended(symbol: str) -> Any:
        path, body = "/api/exec/plan-and-execute?wait=final&timeoutS=30", {"symbol": symbol, "urgency": 1.0}
        status, answer = await post(system, path, body)
        assert status == 200, answer
        assert answer["status"] in {"completed", "skipped"}, answer  # a policy may see no reason to trade
        return answer

    async def traded() -> Any:
        both = await asyncio.gather(ended("ETHUSDT"), ended("SOLUSDT"))
        return both if any(answer["status"] == "completed" for answer in both) else None

    for answer in await until("a trade", traded):
        filled = sum(Decimal(fill["size"]) for fill in answer["fills"])
        assert (filled > 0) == (answer["status"] == "completed")
        async with system.http.delete(f"{system.gateway}/api/exec/{answer['executionId']}") as reply:
            assert reply.status == 200
            assert json.loads(await reply.read())["status"] == answer["status"]


async def traded_so_far(system: System) -> tuple[list[OrderFilled], list[EquityMarked]]:
    """Return all fills and marks of equity, as their topics have them now."""
    settings = ServiceSettings(kafka_bootstrap_servers=system.kafka)
    fills, marks = [], []
    topics = [EXECUTION_FILLS, PORTFOLIO_EQUITY]
    batches = read(settings, topics, on_undecodable=_refuse, stop_at_end=True)
    async with aclosing(batches):
        async for batch in batches:
            fills += [record.event for record in batch if isinstance(record.event, OrderFilled)]
            marks += [record.event for record in batch if isinstance(record.event, EquityMarked)]
    return fills, marks


async def _refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable.reason)


async def test_equity_is_what_the_fills_leave_and_the_performance_is_of_both(
    system: System, execution: Any, tmp_path: Path
) -> None:
    async def agreed() -> Any:
        fills, marks = await traded_so_far(system)
        return (fills, marks) if fills and marks and marks[-1].fills == len(fills) else None

    fills, marks = await until("the mark after the last fill", agreed)
    assert (marks[0].cause, marks[0].fills, marks[0].equity) == ("minute", 0, marks[0].capital)
    cash = marks[0].capital - sum(fill.fee for fill in fills)
    cash -= sum((1 if fill.side == "buy" else -1) * fill.last_qty * fill.last_px for fill in fills)
    assert marks[-1].equity == cash + sum(marks[-1].values.values())
    assert {"BTC-USDT", "ETH-USDT"} <= marks[-1].marks.keys()

    found = await system.get("/api/performance?from=-1h")
    assert found["counts"]["fills"] >= len(fills)
    assert found["trading"]["fees"]["value"] >= float(marks[-1].fees) > 0
    assert found["counts"]["ordersAlone"] >= 1  # the paper order's
    assert found["counts"]["trades"] >= 1
    assert sum(venue["fills"] for venue in found["venues"]) + found["counts"]["ordersAlone"] >= len(fills)
    assert execution["executionId"] in {each["executionId"] for each in found["worst"]}
    assert {each["policyId"] for each in found["policies"]} >= {execution["policyId"]}
    async with system.http.get(f"{system.gateway}/api/performance?from=-1h&to=-2h") as reply:
        assert reply.status == 422

    page = tmp_path / "report.html"
    port = system.gateway.rpartition(":")[2]
    written = await run("report", "--from", "-1h", "--html", str(page), GATEWAY_PORT=port)
    assert written.code == 0, written.err
    assert execution["executionId"] in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/api/exec/simulate", {"symbol": "BTCUSDT", "size": 1e-8}, 422, "minimum"),
        ("/api/exec/simulate", {"symbol": "NOPEUSDT", "size": 1}, 404, "NOPE-USDT"),
        ("/api/exec/simulate", {"symbol": "BTCUSDT", "size": -1}, 422, "size"),
        ("/api/exec/plan-and-execute", {"symbol": "BTCUSDT", "urgency": 2}, 422, "urgency"),
        ("/api/exec/plan-and-execute", {"symbol": "BTCUSDT", "nope": 2}, 422, "nope"),
        (
            "/api/paper/orders",
            {"symbol": "BTCUSDT", "side": "buy", "size": "0.00001", "ordType": "market", "venue": "binance"},
            422,
            "minimum",
        ),
        ("/api/paper/orders", {"symbol": "BTCUSDT", "side": "buy", "size": "NaN"}, 422, "size"),
        ("/api/paper/orders", {"symbol": "BTCUSDT", "side": "buy", "size": "1e-2000000"}, 422, "18 decimals"),
        ("/api/paper/orders", {"symbol": "BTCUSDT", "side": "up", "size": 1}, 422, "side"),
    ],
)
async def test_what_cannot_be_is_refused_and_says_what_would_be_right(
    system: System, path: str, body: object, status: int, says: str
) -> None:
    found, answer = await post(system, path, body)
    assert found == status, answer
    assert says in answer["detail"]


@pytest.mark.parametrize("path", ["/api/exec/nope", "/api/audit/nope"])
async def test_an_unknown_execution_is_404(system: System, path: str) -> None:
    async with system.http.get(f"{system.gateway}{path}") as reply:
        assert reply.status == 404


async def test_the_autopilot_executes_symbol_after_symbol_and_stops_when_asked(system: System) -> None:
    system.environment |= {"AUTOPILOT": "1", "AUTOPILOT_INTERVAL_S": "0.2"}
    before = {record["executionId"] for record in await system.get("/api/exec/records?limit=500")}
    system.start("services.execution.autopilot")

    async def three_symbols() -> bool:
        records = await system.get("/api/exec/records?limit=500")
        new = {record["symbol"] for record in records if record["executionId"] not in before}
        return len(new) == 3

    await until("executions of three symbols", three_symbols)
    assert system.stop("services.execution.autopilot") == 0
