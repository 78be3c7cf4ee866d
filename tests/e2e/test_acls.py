"""The whole system on a Kafka with ACLs, each process as its own user, with the rights of acls.toml alone."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition

from libs.common.acls import ACLS, Acl, Operation, Resource, read_acls
from libs.common.kafka import Reader
from libs.common.kafka_security import client_arguments
from libs.common.topics import (
    DEAD_LETTERS,
    EXECUTION_COMMANDS,
    EXECUTION_FILLS,
    L2_SUBSCRIPTIONS,
    POLICIES_REGISTRY,
    PORTFOLIO_COMMANDS,
    ROUTER_CHOICES,
    ROUTER_COMMANDS,
    TOPICS,
    VENUES_COMMANDS,
    VENUES_SCORES,
)
from services.gateway.http.record_routes import STREAMED
from services.venues.tables import changelogs
from tests.acl_kafka import PARTITIONS, ROLES, ROOT, AclKafka, Decision, acl_kafka
from tests.acl_probes import NEW, Probe
from tests.e2e.system import System, folder_of_policies, until
from tests.integration.libs.cli.command import Ended, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.topics import Topic

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

DECIDING = ("services.router", "services.portfolio", "services.execution")
OPTIONAL = ("services.policies", "services.context")
SERVICES = ("services.l2", "services.gateway", "services.venues", *DECIDING, *OPTIONAL)
AUTOPILOT = "services.execution.autopilot"
INPUTS: dict[str, tuple[Topic, ...]] = {
    "router": (ROUTER_COMMANDS,),
    "portfolio": (PORTFOLIO_COMMANDS, EXECUTION_FILLS),
    "execution": (EXECUTION_COMMANDS, VENUES_SCORES, ROUTER_CHOICES),
}
BOOKS = "binance:BTC-USDT,binance:ETH-USDT,binance:SOL-USDT"
EXECUTE = "/api/exec/plan-and-execute?wait=final"
OPEN_CANDLE_S = 150.0  # l2 tells the first one once a minute has begun while the book is LIVE
RUBBISH = b"\xc1 no message"
HALTED = "venue:kraken"
RIGHTS = read_acls(ACLS.read_text(encoding="utf-8"))


class SystemOfUsers(System):
    """Each process comes to Kafka as its own user."""

    def __init__(self, kafka: AclKafka, folder: Path) -> None:
        super().__init__(
            kafka.address,
            folder,
            EXECUTION_HORIZON_S="2",
            EXECUTION_S_MAX="0.02",  # orders that their books take at once
            AUTOPILOT="1",
            TOPIC_PARTITIONS=str(PARTITIONS),
            POLICIES_DIR=folder_of_policies(folder),
            L2_BOOKS=BOOKS,  # few: TLS, and an authorizer that writes down all it says, cost CPU
        )
        self._users = kafka

    def start(self, *modules: str) -> None:
        anybody = self.environment
        for module in modules:
            role = module.rpartition(".")[2]
            user = self._users.environment(role) if role in ROLES else {}
            self.environment = anybody | user
            super().start(module)
        self.environment = anybody

    async def ready(self, patience_s: float = 240.0) -> None:
        async def restarted() -> Any:
            """Start again what has ended, as the supervisor of `make run` does."""
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            self.start(*ended)
            return await self.get("/readyz")

        await until("every route does its work", restarted, patience_s)


@dataclass
class Ran:
    """What happened on that Kafka."""

    kafka: AclKafka
    without_topics: tuple[int, str]  # of the router: exit code, and what it said
    answers: dict[str, tuple[int, Any]]
    commands: list[Ended]
    decisions: set[Decision]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ran(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ran]:
    folder = tmp_path_factory.mktemp("acls")
    with acl_kafka(folder) as kafka:
        given = await run("acls", "--apply", **kafka.environment(ROOT))
        assert given.code == 0, given
        without_topics = await _alone("services.router", kafka)
        commands = [await run("topics", "--create", **kafka.environment("admin"))]
        async with SystemOfUsers(kafka, folder) as system:
            system.start("services.venues", *DECIDING, *OPTIONAL)
            await system.ready()
            answers = await _ask_for_everything(system)
            await _send_rubbish(
                kafka,
                L2_SUBSCRIPTIONS,
                VENUES_COMMANDS,
                ROUTER_COMMANDS,
                PORTFOLIO_COMMANDS,
                EXECUTION_COMMANDS,
                POLICIES_REGISTRY,
            )
            await until("a dead letter of each service, and of the gateway", lambda: _every_letter(kafka))
            await until("the gateway tells of dead letters", lambda: _told_letters(system))
            commands += await _look(kafka, system)
            system.start(AUTOPILOT)
            await until("a command of the autopilot", lambda: _logged(system, AUTOPILOT, "execution_id"))
            for module in (AUTOPILOT, *SERVICES):
                assert system.stop(module) == 0, module
            commands.append(await _operate(kafka, "halt", HALTED, "--reason", "a drill"))  # nobody answers
            commands += await _skip_rubbish(kafka)
            system.start(*SERVICES)  # and they find their state
            await system.ready()
            commands.append(await _operate(kafka, "resume", HALTED))
            commands.append(await _operate(kafka, "limits"))
            with suppress(AssertionError):  # the test says which is not
                await until("each right is used", lambda: _all_used(kafka), OPEN_CANDLE_S)
        yield Ran(kafka, without_topics, answers, commands, kafka.decisions())


async def _told_letters(system: System) -> bool:
    told = (await system.get("/api/system"))["deadLetters"]
    assert told["why"] == "", told  # they can be read
    return bool(told["newest"])


async def _alone(module: str, kafka: AclKafka) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        env={**kafka.environment(module.rpartition(".")[2]), "PATH": "", "LOG_FORMAT": "console"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def _ask_for_everything(system: System) -> dict[str, tuple[int, Any]]:
    """Let the gateway send each kind of command, and read each topic that it streams."""
    asked: dict[str, Any] = {
        "/api/l2/subscriptions": {"venue": "bybit", "symbol": "BTC-USDT"},
        "/api/venues/score": {"symbol": "BTCUSDT", "size": 0.02},
        "/api/signals": {"policyId": "x_mine", "symbol": "BTCUSDT", "value": 0.5, "ttlS": 600},
        "/api/context": {"symbol": "BTCUSDT", "name": "rr25", "value": 0.01, "ttlS": 600},
        "/api/router/choose": {"context": {"symbol": "BTCUSDT"}},
        "/api/portfolio/optimize": {"symbols": ["BTCUSDT", "ETHUSDT"], "cvarBudget": 0.05, "volTarget": 0.02},
        EXECUTE: {"symbol": "BTCUSDT", "urgency": 0.9},
    }
    answers: dict[str, tuple[int, Any]] = {}
    for path, body in asked.items():
        headers = {"Idempotency-Key": "acls"} if "router" in path else {}

        async def answered(path: str = path, body: Any = body, headers: Any = headers) -> Any:
            async with system.http.post(f"{system.gateway}{path}", json=body, headers=headers) as reply:
                answers[path] = (reply.status, json.loads(await reply.read()))
            told = answers[path][1]
            # Some policies may want nothing: asked again until one trades.
            return answers[path][0] < 300 and (path != EXECUTE or told["fills"])

        try:
            await until(path, answered, 120.0)
        except AssertionError as failure:
            failure.add_note(str(answers[path]))
            raise
    audit = f"/api/audit/{answers[EXECUTE][1]['executionId']}"
    async with system.http.get(f"{system.gateway}{audit}") as reply:
        answers["/api/audit"] = (reply.status, await reply.read())
    topics = ",".join(STREAMED)
    async with system.http.get(f"{system.gateway}/api/stream?topics={topics}&from=beginning") as reply:
        seen: set[str] = set()
        while len(seen) < len(STREAMED) / 2:  # of some, like those of candles, nothing may have come
            line = (await reply.content.readline()).decode()
            seen |= {line.removeprefix("event: ").strip()} if line.startswith("event: ") else set()
        answers["/api/stream"] = (reply.status, seen)
    return answers


async def _send_rubbish(kafka: AclKafka, *topics: Topic) -> None:
    async with AIOKafkaProducer(**client_arguments(kafka.settings(ROOT))) as producer:
        for topic in topics:
            await producer.send_and_wait(topic.name, RUBBISH, b"k", partition=0)


async def _every_letter(kafka: AclKafka) -> bool:
    writers = {
        acl.role for acl in RIGHTS if acl.operation is Operation.WRITE and acl.name == DEAD_LETTERS.name
    }
    async with Reader(kafka.settings(ROOT), [DEAD_LETTERS]) as reader:
        return sum(reader.ends.values()) >= len(writers)


async def _logged(system: System, module: str, words: str) -> bool:
    return words in system.log(module)


async def _look(kafka: AclKafka, system: System) -> list[Ended]:
    """Run what looks, as the observer, and what asks, as the operator."""
    port = {"GATEWAY_PORT": system.environment["GATEWAY_PORT"]}
    looks = (
        "topics",
        "portfolio",
        "router",
        "executions --once",
        "policy list",
        "venues --once",
        "book binance BTC-USDT --once",
    )
    commands = [await run(*line.split(), **kafka.environment("observer"), **port) for line in looks]
    async with Reader(kafka.settings("observer"), list(TOPICS.values())) as reader:  # as `tail` reads any
        while not await reader.at_end():
            await reader.poll()
    picture = str(kafka.folder / "frontier.png")
    commands.append(await run("frontier", "--plot", picture, **kafka.environment("operator")))
    return commands


async def _operate(kafka: AclKafka, *words: str) -> Ended:
    return await run(*words, **kafka.environment("operator"))


async def _skip_rubbish(kafka: AclKafka) -> list[Ended]:
    """Have each service leave out what it was sent while it was away."""
    commands = []
    for service, inputs in INPUTS.items():
        for topic in inputs:
            await _send_rubbish(kafka, topic)
            async with Reader(kafka.settings(ROOT), [topic]) as reader:
                last = reader.ends[TopicPartition(topic.name, 0)] - 1
            words = (service, f"{topic.name}/0/{last}", "--reason", "rubbish", "--all-before")
            commands.append(await run("skip", *words, **kafka.environment("operator")))
    return commands


async def test_a_service_that_may_not_create_its_topics_ends_and_says_who_may(ran: Ran) -> None:
    code, said = ran.without_topics
    assert code == 78, said
    named = "context.inputs.v1, dead-letters.v1, l2.book-health.v1 and 8 topics more"
    assert f"lets 'bookrunner-router' neither see nor create {named}" in said
    assert "`bookrunner topics --create`" in said


async def test_each_process_and_command_does_its_work_as_its_own_user(ran: Ran) -> None:
    assert {path: answer for path, answer in ran.answers.items() if answer[0] not in {200, 201, 202}} == {}
    assert ran.answers[EXECUTE][1]["status"] == "completed"
    assert [ended for ended in ran.commands if ended.code != 0] == []


async def test_nothing_that_they_do_is_denied(ran: Ran) -> None:
    denied = {
        decision
        for decision in ran.decisions
        if not decision.allowed and decision.request != "CreateTopics"  # of the router without topics
    }
    assert denied == set()


async def test_each_right_is_one_that_somebody_needs(ran: Ran) -> None:
    assert _unused(ran.decisions) == []


async def test_nobody_may_do_more(ran: Ran) -> None:
    names = [*TOPICS, *(topic.name for topic in changelogs("venues"))]
    groups = sorted({acl.name for acl in RIGHTS if acl.resource is Resource.GROUP} | {"another"})
    ids = [f"{acl.name}0" for acl in RIGHTS if acl.resource is Resource.TRANSACTIONAL_ID] + ["another-0"]
    for role in ROLES:
        found = await Probe(ran.kafka.settings(role)).found(names, groups, ids)
        assert found == _rights_of(role), role
    everything = await Probe(ran.kafka.settings(ROOT)).found([], groups, ids)
    assert everything >= {
        ("create", NEW),
        ("cluster", "acls"),
        ("group", "another"),
        ("transaction", "another-0"),
    }


async def _all_used(kafka: AclKafka) -> bool:
    return not _unused(kafka.decisions())


def _unused(decisions: set[Decision]) -> list[Acl]:
    """Return the rights by which nothing was allowed that they are the ones for."""
    used = {
        (decision.role, decision.resource, *decision.by)
        for decision in decisions
        if decision.by is not None and decision.by[2] == decision.operation
    }
    return [acl for acl in RIGHTS if _matched(acl) not in used]


def _matched(acl: Acl) -> tuple[str, ...]:
    return (acl.role, acl.resource.name, acl.name, acl.pattern.name, acl.operation.name)


def _rights_of(role: str) -> set[tuple[str, str]]:
    rights: set[tuple[str, str]] = set()
    for acl in RIGHTS:
        if acl.role != role:
            continue
        match acl.resource:
            case Resource.TOPIC:
                rights.add((_WORDS[acl.operation], acl.name))
                if acl.operation in {Operation.READ, Operation.WRITE}:
                    rights.add(("describe", acl.name))
            case Resource.GROUP:
                rights.add(("group", acl.name))
            case Resource.TRANSACTIONAL_ID:
                rights.add(("transaction", f"{acl.name}0"))
            case Resource.CLUSTER:
                rights.add(("cluster", "describe"))
    return rights


_WORDS = {
    Operation.READ: "read",
    Operation.WRITE: "write",
    Operation.CREATE: "create",
    Operation.DESCRIBE: "describe",
    Operation.DESCRIBE_CONFIGS: "configs",
}
