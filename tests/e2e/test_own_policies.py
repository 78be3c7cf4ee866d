"""A policy of one's own from an empty folder, and a signal by one request: chosen, executed, rewarded."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

from tests import kafka_cluster
from tests.e2e.system import TOLD_CHARS, System, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SERVICES: Final = tuple(
    f"services.{name}" for name in ("venues", "router", "portfolio", "execution", "policies", "context")
)
PATIENCE_S: Final = 120.0
BUYS: Final = '''"""Always wants a little."""

from bookrunner import Market, Policy, Signal


def wants(market: Market) -> Signal:
    """Return a small long signal where there is a book."""
    return Signal(0.4 if market.books else 0.0, f"{len(market.books)} books")


POLICY = Policy(signal=wants, summary="holds a little, always", on_tops=True)
'''
RAISES: Final = BUYS.replace("    return Signal(", "    raise ValueError('on purpose')\n    return Signal(")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    kafka_cluster.wipe(kafka)
    small = {"EXECUTION_S_MAX": "0.02"}  # orders that their books take at once
    folder = tmp_path_factory.mktemp("policies")
    async with System(kafka, folder, EXECUTION_HORIZON_S="2", **small) as running:
        running.start(*SERVICES)
        await running.ready()
        yield running


async def post(system: System, path: str, body: object) -> tuple[int, Any]:
    async with system.http.post(f"{system.gateway}{path}", json=body) as reply:
        return reply.status, json.loads(await reply.read())


def bookrunner(system: System, folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a command in a folder, as a stranger does who knows where Kafka is."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "libs.cli", *words]
    with (folder / f"{words[1]}.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env=system.environment | {"PYTHONPATH": root}, stdout=log, stderr=log
        )


async def done(system: System, folder: Path, *words: str) -> str:
    """Run a command to its end, which must be a success; return what it printed."""
    process = bookrunner(system, folder, *words)
    code = await asyncio.to_thread(process.wait, PATIENCE_S)
    said = (folder / f"{words[1]}.log").read_text()
    assert code == 0, said
    return said


async def policy(system: System, policy_id: str) -> dict[str, Any]:
    found = [each for each in await system.get("/api/policies") or () if each["policyId"] == policy_id]
    return found[0] if found else {}


async def records_of(system: System, policy_id: str, symbol: str = "BTCUSDT") -> list[dict[str, Any]]:
    """Return the newest executions in which a policy was chosen."""
    records = await system.get(f"/api/exec/records?symbol={symbol}&limit=500") or []
    return [each for each in records if each["policyId"] == policy_id]


async def executed(system: System, symbol: str) -> None:
    """Have the router choose for a symbol, and what it chooses executed."""
    status, told = await post(system, "/api/exec/plan-and-execute", {"symbol": symbol})
    assert status in {200, 503, 504}, told


def is_counted(record: dict[str, Any]) -> bool:
    return bool((record.get("reward") or {}).get("counted"))


async def rewarded(system: System, policy_id: str) -> dict[str, Any]:
    """Execute until the policy is chosen, has traded and is rewarded; return that execution."""

    async def chosen() -> Any:
        await executed(system, "BTCUSDT")
        return next(
            (each for each in await records_of(system, policy_id) if each["fills"] and is_counted(each)), None
        )

    try:
        record: dict[str, Any] = await until(f"{policy_id} traded and was rewarded", chosen, PATIENCE_S)
    except AssertionError as failure:
        failure.add_note(json.dumps(await records_of(system, policy_id))[-TOLD_CHARS:])
        failure.add_note(json.dumps(await system.get("/api/router/snapshot"))[:TOLD_CHARS])
        raise
    return record


async def test_three_commands_from_an_empty_folder_to_a_policy_that_trades_and_learns(
    system: System, tmp_path: Path
) -> None:
    assert "mine.py" in await done(system, tmp_path, "policy", "new", "mine")
    written = next(tmp_path.rglob("mine.py"))  # noqa: ASYNC240 -- a folder of two files
    await done(system, tmp_path, "policy", "check", "mine")
    written.write_text(BUYS)  # what is written first may want nothing of a market of some minutes
    process = bookrunner(system, tmp_path, "policy", "run")
    try:

        async def running() -> Any:
            found = await policy(system, "mine")
            return found if found.get("state") == "running" else None

        registered = await until("it runs", running, PATIENCE_S)
        assert registered["kind"] == "user"
        told = await system.get("/api/signals?policyId=mine&symbol=BTCUSDT")
        assert [each["usable"] for each in told] == [True]
        record = await rewarded(system, "mine")
        assert record["signal"]["value"] == 0.4
        audit = await system.get(f"/api/audit/{record['executionId']}")
        assert audit["verified"]
        snapshot = await system.get("/api/router/snapshot")
        mine = next(each for each in snapshot["policies"] if each["policyId"] == "mine")
        assert mine["updates"] >= 1
        assert mine["version"] == registered["version"]

        written.write_text(RAISES)

        async def quarantined() -> Any:
            found = await policy(system, "mine")
            return found if found.get("state") == "quarantined" else None

        fault = (await until("a changed one that raises is quarantined", quarantined, PATIENCE_S))["fault"]
        assert "on purpose" in fault
        assert "Traceback" in fault
        _, choice = await post(system, "/api/router/choose", {"context": {"symbol": "BTCUSDT"}})
        assert "mine" not in choice["scores"]

        written.unlink()

        async def gone() -> Any:
            return not await policy(system, "mine")

        await until("a file that is gone ends its policy", gone, PATIENCE_S)
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 30) in {0, 130, -signal.SIGINT}


async def test_a_signal_by_one_request_is_an_arm_that_trades_and_learns(system: System) -> None:
    wish = {"policyId": "x_mine", "symbol": "BTCUSDT", "value": 0.3, "reason": "a hunch", "ttlS": 600}
    status, told = await post(system, "/api/signals", wish)
    assert status == 200, told
    assert told["symbol"] == "BTC-USDT"

    async def running() -> Any:
        return (await policy(system, "x_mine")).get("state") == "running"

    await until("it is an arm", running, PATIENCE_S)
    record = await rewarded(system, "x_mine")
    assert record["signal"] == {"value": 0.3, "reason": "a hunch"}
    snapshot = await system.get("/api/router/snapshot")
    mine = next(each for each in snapshot["policies"] if each["policyId"] == "x_mine")
    assert mine["rewarded"] >= 1, "its off-policy value is told as every other's"


async def test_an_expired_signal_is_skipped_and_teaches_nothing(system: System) -> None:
    wish = {"policyId": "x_late", "symbol": "ETHUSDT", "value": 0.3, "ttlS": 1}
    status, told = await post(system, "/api/signals", wish)
    assert status == 200, told

    async def joined() -> Any:
        _, choice = await post(system, "/api/router/choose", {"context": {"symbol": "ETHUSDT"}})
        return "x_late" in choice.get("scores", ())

    await until("it is an arm", joined, PATIENCE_S)

    async def expired() -> bool:
        told = await system.get("/api/signals?policyId=x_late") or ()
        return [each["usable"] for each in told] == [False]

    await until("its signal has expired", expired)

    async def skipped() -> Any:
        await executed(system, "ETHUSDT")
        return next(iter(await records_of(system, "x_late", "ETHUSDT")), None)

    record = await until("it was chosen", skipped, PATIENCE_S)
    assert record["status"] == "skipped"
    assert "expired" in record["reason"]

    async def others_learnt() -> bool:
        await executed(system, "ETHUSDT")
        records = await system.get("/api/exec/records?symbol=ETHUSDT&limit=500")
        later = records[: [each["executionId"] for each in records].index(record["executionId"])]
        return any(is_counted(each) for each in later if each["policyId"] != "x_late")

    await until("what was chosen after it is rewarded", others_learnt, PATIENCE_S)
    assert not any(map(is_counted, await records_of(system, "x_late", "ETHUSDT")))
    snapshot = await system.get("/api/router/snapshot")
    late = next(each for each in snapshot["policies"] if each["policyId"] == "x_late")
    assert late["updates"] == 0


async def test_a_number_from_anywhere_fills_a_context_and_its_source_is_told(system: System) -> None:
    scope = {"scope": "mine", "features": [{"name": "whales", "low": 0, "high": 1000}]}
    status, declared = await post(system, "/api/router/scopes", scope)
    assert status == 200, declared
    wish = {"symbol": "BTCUSDT", "name": "whales", "value": 12.0, "source": "my_eyes", "ttlS": 600}

    async def taken() -> bool:  # once the gateway has read the scope's snapshot
        return (await post(system, "/api/context", wish))[0] == 200

    await until("the gateway knows the new feature", taken)

    async def filled() -> Any:
        body = {"context": {"symbol": "BTCUSDT"}, "scope": "mine"}
        await post(system, "/api/router/choose", body)
        snapshot = await system.get("/api/router/snapshot?scope=mine") or {}
        return snapshot if "whales" in snapshot.get("filled", ()) else None

    snapshot = await until("the router fills it in", filled, PATIENCE_S)
    assert snapshot["sources"]["whales"] == "my_eyes"
    assert snapshot["features"]["whales.missing"] == 0
    wrong = {"context": {"wales": 1.0}, "scope": "mine"}
    status, problem = await post(system, "/api/router/choose", wrong)
    assert status == 422
    assert "did you mean whales" in json.dumps(problem)

    async def sources() -> Any:
        told = await system.get("/api/context?symbol=BTCUSDT") or {}
        names = {each["name"] for each in told.get("inputs", ()) if each["usable"]}
        return told if {"rr25", "fundingRate", "sentiment", "onchain"} <= names else None

    told = await until("skew, funding and stubs come from the sources", sources, PATIENCE_S)
    by_name = {each["name"]: each["source"] for each in told["inputs"]}
    assert by_name["rr25"] == "deribit"
    assert by_name["sentiment"] == "stub"
    assert {each["state"] for each in told["sources"]} == {"fresh"}
