"""CPU of the gateway for one command, from socket to socket, against bare ASGI in front of aiokafka.

One caller at a time. The services are stood in for: this process answers each command at once, and tells
their heartbeats. What a server uses while nobody asks is measured beside, and taken off.
``GATEWAY_TREES=path,path`` measures the gateways of other checkouts, each by its own ``.venv``, in turn.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from libs.common.events import ChoosePolicy
from libs.common.kafka import Publisher, Reader, Record, create_topics
from libs.common.settings import ServiceSettings
from libs.common.topics import ROUTER_CHOICES, ROUTER_COMMANDS, TOPICS
from tests.bench.bare_commands import ANSWERED, ASKED
from tests.bench.gateway_get import quiet
from tests.bench.processes import ROOT, cpu_ns, folder_and_broker, free_port, started_in, until
from tests.bench.report import Result, latency, quartiles
from tests.execution_market import a_policy_chosen
from tests.heartbeats import standing_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.processes import Process
    from tests.bench.report import Report

ROUNDS: Final = 12
CHUNK: Final = 100  # commands
IDLE_S: Final = 5.0
READY_S: Final = 180.0
BASELINE: Final = "bare ASGI and aiokafka"
PATH: Final = "/api/router/choose"
BODY: Final = {"context": {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}}
# A machine under load answers late; no snapshot tells of the scope, so each command names it first.
ENVIRONMENT: Final = {"COMMAND_TIMEOUT_S": "20", "SCOPES_BURST": "1000000"}
POLICIES: Final = tuple(f"p_{n}" for n in range(5))
ANSWER: Final = a_policy_chosen(
    "",
    POLICIES[0],
    features={f"feature_{n}": n / 7 for n in range(34)},
    versions=dict.fromkeys(POLICIES, 7),
    **{name: dict.fromkeys(POLICIES, 0.2) for name in ("scores", "means", "propensities")},
)


@dataclass(eq=False)
class Contender:
    """A server that is asked, and what it took."""

    process: Process
    http: aiohttp.ClientSession
    idle: float = 0.0  # part of a core
    us: list[float] = field(default_factory=list)  # CPU of a command, by chunk
    took_ns: list[int] = field(default_factory=list)
    said: str = ""  # last

    async def ask(self) -> bool:
        """Send one command; return whether it was answered."""
        begun = time.perf_counter_ns()
        try:
            async with self.http.post(PATH, json=BODY) as answer:
                self.said = await answer.text()
        except (aiohttp.ClientConnectionError, TimeoutError):  # of the first, nobody may have heard
            return False
        self.took_ns.append(time.perf_counter_ns() - begun)
        return answer.status == 200

    async def rest(self) -> None:
        """Measure what it takes while nobody asks."""
        before, begun = cpu_ns(self.process.pid), time.perf_counter_ns()
        await asyncio.sleep(IDLE_S)
        self.idle = (cpu_ns(self.process.pid) - before) / (time.perf_counter_ns() - begun)

    async def chunk(self) -> None:
        """Measure what commands take."""
        before, begun = cpu_ns(self.process.pid), time.perf_counter_ns()
        for _ in range(CHUNK):
            if not await self.ask():
                raise RuntimeError(f"a command was refused: {self.said}")
        idle_ns = self.idle * (time.perf_counter_ns() - begun)
        self.us.append((cpu_ns(self.process.pid) - before - idle_ns) / CHUNK / 1e3)


def run(report: Report) -> None:
    """Measure on a broker of its own."""
    trees = [Path(path).resolve() for path in os.environ.get("GATEWAY_TREES", str(ROOT)).split(",")]
    with folder_and_broker(report.say) as (folder, broker):
        uvloop.run(_measure(report, folder, broker.bootstrap_servers, trees))


async def _measure(report: Report, folder: Path, kafka: str, trees: Sequence[Path]) -> None:
    settings = ServiceSettings(kafka_bootstrap_servers=kafka)
    await create_topics(settings, TOPICS.values())
    await _create_bare_topics(kafka)
    async with AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {}

        async def add(name: str, module: str, arguments: tuple[str, ...], tree: Path, port: int) -> None:
            within = folder / f"{len(contenders)}"
            within.mkdir()
            environment = ENVIRONMENT | {"KAFKA_BOOTSTRAP_SERVERS": kafka, "GATEWAY_PORT": str(port)}
            process = stack.enter_context(started_in(tree, module, within, *arguments, **environment))
            http = await stack.enter_async_context(
                aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(5))
            )
            contenders[name] = Contender(process, http)

        port = free_port()
        bare = ("tests.bench.bare_commands:app", "--port", str(port), *quiet())
        await add(BASELINE, "uvicorn", bare, ROOT, port)
        for tree in trees:
            name = "gateway" if len(trees) == 1 else f"gateway of {tree}"
            await add(name, "services.gateway", (), tree, free_port())
        await stack.enter_async_context(standing_in(settings))
        answering = [asyncio.create_task(work) for work in (_answer(settings), _answer_bare(kafka))]
        for task in answering:
            stack.callback(task.cancel)
        for name, contender in contenders.items():
            await until(f"{name} answers", contender.ask, READY_S, contender.process)
            for task in answering:
                if task.done():
                    task.result()
        for contender in contenders.values():
            await contender.chunk()  # warm-up
            contender.us.clear()
        for contender in contenders.values():
            await contender.rest()
            contender.took_ns.clear()
        names = list(contenders)
        for at in range(ROUNDS):
            turn = at % len(names)
            for name in names[turn:] + names[:turn]:
                await contenders[name].chunk()
        _tell(report, contenders)


def _tell(report: Report, contenders: dict[str, Contender]) -> None:
    base = contenders[BASELINE].us
    for name, found in contenders.items():
        report.add(
            Result(
                bench="gateway_commands",
                case="one at a time",
                contender=name,
                figures={
                    "CPU us": quartiles(found.us).median,
                    "idle, part of a core": found.idle,
                    "p50 ms": latency(found.took_ns).p50,
                },
                ratio=quartiles([ours / bare for ours, bare in zip(found.us, base, strict=True)]),
                baseline=BASELINE,
                latency_ms={"command": latency(found.took_ns)},
                assumptions={"chunk": CHUNK, "rounds": ROUNDS, "answers": "at once, by this process"},
            )
        )


async def _answer(settings: ServiceSettings) -> None:
    """Choose, at once."""
    async with (
        Publisher(settings, compress=False) as publisher,
        Reader(settings, [ROUTER_COMMANDS], start="end") as reader,
    ):
        while True:
            for record in await reader.poll():
                if isinstance(record, Record) and isinstance(record.event, ChoosePolicy):
                    chosen = msgspec.structs.replace(ANSWER, command_id=record.event.command_id)
                    await publisher.send(ROUTER_CHOICES, record.key, chosen, time.time_ns())


async def _create_bare_topics(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in (ASKED, ANSWERED)])
    await admin.close()


async def _answer_bare(kafka: str) -> None:
    """Answer as `_answer`, for the baseline."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=None)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await consumer.start()
    await producer.start()
    consumer.assign([TopicPartition(ASKED, 0)])
    answer = msgspec.to_builtins(ANSWER)
    try:
        async for record in consumer:
            number, _ = msgspec.msgpack.decode(record.value)
            await producer.send(ANSWERED, msgspec.msgpack.encode((number, answer)), partition=0)
    finally:
        await consumer.stop()
        await producer.stop()
