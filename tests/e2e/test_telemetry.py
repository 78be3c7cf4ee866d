"""What a running system tells Prometheus, and how one id leads through the logs of all its processes."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import pytest_asyncio

from libs.common.kafka import Reader, Record
from libs.common.settings import ServiceSettings
from libs.common.topics import (
    EXECUTION_COMMANDS,
    EXECUTION_FILLS,
    EXECUTION_RECORDS,
    PORTFOLIO_POSITIONS,
    ROUTER_CHOICES,
    VENUES_SCORES,
)
from tests import kafka_cluster
from tests.e2e.system import System, folder_of_policies, until
from tests.prometheus import Scrape, faults_of_name, promised, scrape_of
from tests.registered import register

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

Counts: TypeAlias = dict[str, dict[str, str]]
"""Names that must rise, and the labels of the series meant."""

STATEFUL = ("router", "portfolio", "execution")
BOOKS = ("binance:BTC-USDT", "binance:ETH-USDT", "kraken:BTC-USDT", "okx:BTC-USDT")
OPTIONAL = ("policies", "context")
PROCESSES = ("l2", "venues", *STATEFUL, *OPTIONAL, "gateway")
MAX_SERIES = 400  # of one process and family, a histogram's buckets included
PATIENCE_S = 180.0  # on a machine shared with much else


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    kafka_cluster.wipe(kafka)
    folder = tmp_path_factory.mktemp("telemetry")
    settings = {
        "METRICS_TARGETS_DIR": str(folder / "metrics"),
        "METRICS_PORT": "0",
        "LOG_FORMAT": "json",
        "L2_INSTANCE": "l2",
        "L2_BOOKS": ",".join(BOOKS),
        "POLICIES_DIR": folder_of_policies(folder),
        "EXECUTION_HORIZON_S": "2",
        "EXECUTION_S_MAX": "0.02",  # orders that their books take at once
    }
    async with System(kafka, folder, **settings) as running:
        await until("all books LIVE", all_live(running), PATIENCE_S)
        running.start(*(f"services.{name}" for name in ("venues", *STATEFUL, *OPTIONAL)))
        await running.ready()
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def execution(system: System) -> Any:
    """Execute until a policy trades (the first may be flat), it is a position, and the policy learnt."""

    async def traded() -> Any:
        body = {"symbol": "BTCUSDT", "urgency": 1.0}
        status, answer = await post(system, "/api/exec/plan-and-execute?wait=final", body)
        return answer if status == 200 and answer["status"] == "completed" else None

    async def learnt() -> Any:
        record = await system.get(f"/api/exec/{answer['executionId']}")
        return record if record["reward"] and record["reward"]["counted"] else None

    async def held() -> Any:
        return await system.get("/api/portfolio/positions")

    answer = await until("an execution that trades", traded, PATIENCE_S)
    await until("its position", held, PATIENCE_S)
    return await until("its reward", learnt, PATIENCE_S)


def all_live(system: System) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return [book["state"] for book in (await system.books()).values()] == ["LIVE"] * len(BOOKS)

    return holds


async def post(system: System, path: str, body: object) -> tuple[int, Any]:
    """Ask, and again while the answer is that nothing is there or came in time."""

    async def answered() -> tuple[int, Any] | None:
        async with system.http.post(f"{system.gateway}{path}", json=body) as reply:
            found = json.loads(await reply.read())
            return None if reply.status in {503, 504} else (reply.status, found)

    answer: tuple[int, Any] = await until(f"an answer to {path}", answered, PATIENCE_S)
    return answer


async def scraped(system: System, name: str) -> Scrape:
    """Scrape a process where its target file says that it is."""
    told = json.loads((system.folder / "metrics" / f"{name}.json").read_text())
    assert [group["labels"] for group in told] == [{"job": name}]
    async with system.http.get(f"http://{told[0]['targets'][0]}/metrics") as reply:
        assert reply.status == 200
        return scrape_of(await reply.text())


def above(
    system: System, process: str, name: str, before: float, **labels: str
) -> Callable[[], Awaitable[float]]:
    async def holds() -> float:
        now = (await scraped(system, process)).total(name, **labels)
        return now if now > before else 0.0

    return holds


async def moves(system: System, process: str, counts: Counts, act: Callable[[], Awaitable[Any]]) -> None:
    """Check that each of these counters rises by what `act` does."""
    before = await scraped(system, process)
    await act()
    for name, labels in counts.items():
        at = before.total(name, **labels)
        await until(f"{name} above {at}", above(system, process, name, at, **labels), PATIENCE_S)


async def test_every_process_is_found_and_exposes_exactly_what_the_documents_promise(
    system: System, execution: Any
) -> None:
    assert execution["status"] == "completed"
    body = {"symbols": ["BTCUSDT", "ETHUSDT"], "cvarBudget": 0.05, "volTarget": 0.02}
    assert (await post(system, "/api/portfolio/optimize", body))[0] == 200
    async with system.http.get(f"{system.gateway}/api/l2?{'x' * 9_000}") as reply:
        assert reply.status == 414
    metrics: dict[str, str] = {}
    labels: dict[str, set[frozenset[str]]] = {}
    for name in PROCESSES:
        found = await scraped(system, name)
        for metric, kind in found.metrics.items():
            if not metric.startswith("bookrunner_"):
                continue
            assert faults_of_name(metric, kind) == [], metric
            assert found.texts[metric], metric
            metrics[metric] = kind
            labels.setdefault(metric, set()).update(found.labels(metric))
        assert {"process_cpu_seconds_total", "process_resident_memory_bytes"} <= set(found.metrics)
    assert metrics == {name: metric.kind for name, metric in promised().items()}
    assert labels == {name: {metric.labels} for name, metric in promised().items()}


async def test_labels_are_bounded_whatever_users_name(system: System, execution: Any) -> None:
    named = [f"p_{execution['executionId'][:8]}_{n}" for n in range(60)]
    await register(system.kafka, named)
    for n, policy in enumerate(named):
        scope = f"scope-{n}"
        await post(system, "/api/router/choose", {"context": {}, "scope": scope})
        many = {"policyId": policy, "scope": f"many-{n // 20}"}  # a scope has a limit of its own
        await post(system, "/api/router/policies", many)
        body = many | {"reward": 0.0, "context": {"regime": "bull"}}
        await post(system, "/api/router/update", body)
    for name in PROCESSES:
        found = await scraped(system, name)
        for metric in found.metrics:
            series = [s for s, _ in found.samples if s.startswith(metric)]
            assert len(series) <= MAX_SERIES, metric
    router = await scraped(system, "router")
    policies = {dict(labels).get("policy") for _, labels in router.samples} - {None}
    assert len(policies) <= 51


async def test_a_gap_raises_gaps_and_resyncs_of_its_book_and_begins_an_epoch(system: System) -> None:
    book = {"venue": "binance", "symbol": "ETH-USDT"}
    before = await scraped(system, "l2")

    async def a_gap() -> None:
        await system.control("POST", "faults", {"kind": "drop", **book, "once": True})

    counts = {"bookrunner_l2_gaps_total": book, "bookrunner_l2_resyncs_total": book}
    await moves(system, "l2", counts | {"bookrunner_l2_recovery_seconds_count": {}}, a_gap)
    await system.control("DELETE", "faults")
    epoch = "bookrunner_l2_epoch_timestamp_seconds"
    await until("a new epoch", above(system, "l2", epoch, before.total(epoch, **book), **book))
    after = await scraped(system, "l2")
    other = {"venue": "okx", "symbol": "BTC-USDT"}
    assert after.total(epoch, **other) == before.total(epoch, **other)
    live = after.total("bookrunner_l2_book_state", **book)
    assert live == 1, "a book is in one state"
    for name in ("frames", "messages", "published"):
        assert after.total(f"bookrunner_l2_{name}_total") > before.total(f"bookrunner_l2_{name}_total"), name


async def test_an_execution_raises_what_each_service_counts_of_it(system: System) -> None:
    async def executed() -> None:
        _, answer = await post(system, "/api/exec/plan-and-execute?wait=final", {"symbol": "BTCUSDT"})
        assert answer["executionId"]

    before = {name: await scraped(system, name) for name in PROCESSES}
    await moves(
        system,
        "execution",
        {
            "bookrunner_execution_started_total": {},
            "bookrunner_execution_ended_total": {},
            "bookrunner_execution_duration_seconds_count": {},
            "bookrunner_processor_transactions_total": {"service": "execution"},
            "bookrunner_processor_transaction_seconds_count": {},
            "bookrunner_processor_handled_total": {},
            "bookrunner_processor_events_total": {"event": "AuditEntry"},
        },
        executed,
    )
    for process, name in (
        ("router", "bookrunner_router_choices_total"),
        ("router", "bookrunner_processor_handling_seconds_count"),
        ("gateway", "bookrunner_gateway_command_seconds_count"),
        ("gateway", "bookrunner_gateway_request_seconds_count"),
    ):
        assert (await scraped(system, process)).total(name) > before[process].total(name), name
    settled = (await scraped(system, "execution")).total("bookrunner_execution_running")
    assert settled == 0


async def test_an_order_raises_fills_and_positions_and_a_score_its_venue(system: System) -> None:
    async def ordered() -> None:
        body = {"symbol": "ETHUSDT", "side": "buy", "size": "0.05", "ordType": "market", "venue": "binance"}
        status, answer = await post(system, "/api/paper/orders", body)
        assert status == 200, answer

    async def scored() -> None:
        status, answer = await post(system, "/api/venues/score", {"symbol": "BTCUSDT", "size": 0.02})
        assert status == 200, answer

    before = await scraped(system, "portfolio")
    counts = {
        "bookrunner_execution_fills_total": {"venue": "binance"},
        "bookrunner_execution_filled_quote_total": {"venue": "binance"},
    }
    await moves(system, "execution", counts, ordered)
    fills = "bookrunner_portfolio_fills_total"
    await until("fills", above(system, "portfolio", fills, before.total(fills)), PATIENCE_S)
    used = "bookrunner_portfolio_cvar_used_ratio"

    async def risk() -> bool:  # less than before where the new position hedges the old one
        now = (await scraped(system, "portfolio")).total(used)
        return now > 0.0 and now != before.total(used)

    await until("risk", risk, PATIENCE_S)
    assert (await scraped(system, "portfolio")).total("bookrunner_portfolio_positions") >= 1
    venues: Counts = {"bookrunner_venues_chosen_total": {}, "bookrunner_venues_answer_seconds_count": {}}
    await moves(system, "venues", venues, scored)
    assert (await scraped(system, "venues")).total("bookrunner_venues_restore_seconds") > 0


async def test_a_refusal_is_counted_by_its_reason(system: System) -> None:
    async def refused() -> None:
        body = {"symbol": "BTCUSDT", "side": "buy", "size": "1e-7", "ordType": "market", "venue": "binance"}
        assert (await post(system, "/api/paper/orders", body))[0] == 422

    counts = {
        "bookrunner_processor_refusals_total": {"refusal": "invalid", "service": "execution"},
        "bookrunner_processor_events_total": {"event": "CommandRejected"},
        "bookrunner_log_lines_total": {"level": "INFO"},
    }
    await moves(system, "execution", counts, refused)


async def test_a_past_book_and_a_lost_process_show_in_times_of_rebuilding(system: System) -> None:
    async def past() -> None:
        now = (await system.get("/api/l2/binance/BTCUSDT"))["ts"]
        assert await system.get(f"/api/l2/binance/BTCUSDT?at={now - 500}")

    counts: Counts = {
        "bookrunner_gateway_rebuild_seconds_count": {},
        "bookrunner_gateway_rebuild_records_total": {},
    }
    await moves(system, "gateway", counts, past)
    system.kill("services.router")
    system.start("services.router")
    address = (system.folder / "metrics" / "router.json").read_text()

    async def elsewhere() -> bool:
        return (system.folder / "metrics" / "router.json").read_text() != address

    await until("the new router's address", elsewhere, PATIENCE_S)
    restored = "bookrunner_processor_restore_seconds_count"
    await until("restored partitions", above(system, "router", restored, 7), PATIENCE_S)
    assert (await scraped(system, "router")).total("bookrunner_processor_partitions_owned") == 8


async def test_nothing_is_behind_once_all_is_quiet(system: System) -> None:
    async def caught_up() -> bool:
        found = [
            (await scraped(system, name)).total("bookrunner_processor_input_lag_messages")
            for name in STATEFUL
        ]
        return not any(found)

    await until("no lag", caught_up, PATIENCE_S)


async def test_one_id_leads_through_the_logs_of_all_processes_in_causal_order(
    system: System, execution: Any
) -> None:
    execution_id = execution["executionId"]
    grep = ["grep", "-h", execution_id, *(str(file) for file in sorted(system.folder.glob("*.log")))]

    def lines() -> list[dict[str, Any]]:
        found = subprocess.run(grep, capture_output=True, check=True, text=True)
        return sorted(
            (json.loads(line) for line in found.stdout.splitlines()), key=lambda line: str(line["ts"])
        )

    def steps_in(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [(line["service"], line.get("did", line["event"]).split()[0]) for line in found]

    async def told() -> bool:  # the decision before is rewarded by this one, and this one at last
        steps = steps_in(lines())
        scored = ("venues", "scored")
        return scored in steps and ("router", "policy_rewarded") in steps[steps.index(scored) :]

    await until("the last line", told)
    found = lines()
    assert {line["correlation_id"] for line in found} == {execution_id}
    steps = steps_in(found)
    story = [
        ("gateway", "execution_asked"),
        ("execution", "requested"),
        ("router", "policy_chosen"),
        ("execution", "policy_chosen"),
        ("venues", "scored"),
        ("execution", "venue_scored"),
    ]
    position = ("portfolio", "position_changed")  # follows the fill; the reward does not wait for it
    assert steps.index(position) > steps.index(("execution", "venue_scored"))
    assert [steps.index(step) for step in story] == sorted(steps.index(step) for step in story), steps
    assert ("gateway", "command_answered") in steps
    assert "l2" not in {service for service, _ in steps}, "l2 keeps books, it has no part in an execution"
    by_fill = {position, ("portfolio", "risk_assessed")}
    fills = steps.count(position)  # one a level that an order takes: a book may have many
    assert steps.count(("portfolio", "risk_assessed")) <= fills
    assert sum(step not in by_fill for step in steps) < 20


async def test_the_records_of_an_execution_carry_its_id_in_their_cloudevents_headers(
    system: System, execution: Any
) -> None:
    execution_id = execution["executionId"]
    topics = (
        EXECUTION_COMMANDS,
        ROUTER_CHOICES,
        VENUES_SCORES,
        EXECUTION_FILLS,
        EXECUTION_RECORDS,
        PORTFOLIO_POSITIONS,
    )
    carried: set[str] = set()
    async with Reader(ServiceSettings(kafka_bootstrap_servers=system.kafka), topics) as reader:
        while not await reader.at_end():
            for record in await reader.poll():
                assert isinstance(record, Record)
                if dict(record.headers).get("ce_correlationid") == execution_id.encode():
                    carried.add(record.topic.name)
    assert carried == {topic.name for topic in topics}
