"""One hop of the exactly-once shell: a command through a service, and its records at a reader.

In turn with a bare echo and with a plain aiokafka transaction, each in a process of its own (`one_hop`).
One command at a time: written and acknowledged, then waited for until a reader of committed records has the
last of its records. The processor writes two records more than the others: its state and its position.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Final, Self

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from libs.common.codec import encode
from libs.common.kafka import create_topics
from libs.common.settings import ServiceSettings
from tests.bench.one_hop import PARTITIONS, Ask, topic, wiring
from tests.bench.processes import folder_and_broker, started
from tests.bench.report import Result, latency, quartiles

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.report import Report

BENCH: Final = "exactly_once"
KINDS: Final = ("processor", "classic", "transaction", "echo")
CASES: Final = ((1, 1), (8, 4))  # records, over this many partitions
ROUNDS: Final = 30
OF_A_ROUND: Final = 20
WARM: Final = 100


def run(report: Report) -> None:
    """Measure each case on a broker of its own."""
    for records, partitions in CASES:
        with folder_and_broker(report.say) as (folder, broker):
            uvloop.run(_measure(report, broker.bootstrap_servers, folder, records, partitions))


async def _measure(report: Report, servers: str, folder: Path, records: int, partitions: int) -> None:
    settings = ServiceSettings(kafka_bootstrap_servers=servers, topic_partitions=PARTITIONS)
    topics = [made for kind in KINDS for made in wiring(kind, records, partitions).topics]
    await create_topics(settings, topics)
    environment = {"KAFKA_BOOTSTRAP_SERVERS": servers, "TOPIC_PARTITIONS": str(PARTITIONS)}
    taken: dict[str, list[list[int]]] = {kind: [] for kind in KINDS}
    with ExitStack() as processes:
        async with AsyncExitStack() as clients:
            hops = []
            for kind in KINDS:
                (folder / kind).mkdir()
                shape = (str(records), str(partitions))
                processes.enter_context(
                    started("tests.bench.one_hop", folder / kind, kind, *shape, **environment)
                )
                hops.append(await clients.enter_async_context(_Hop(servers, kind, records)))
            for hop in hops:
                for _ in range(WARM):
                    await hop.take()
            for _ in range(ROUNDS):
                for hop in hops:
                    taken[hop.kind].append([await hop.take() for _ in range(OF_A_ROUND)])
    _tell(report, taken, f"{records} records over {partitions} partitions")


def _tell(report: Report, taken: dict[str, list[list[int]]], case: str) -> None:
    for kind, rounds in taken.items():
        found = latency([ns for each in rounds for ns in each])
        ratios = [latency(a).p50 / latency(b).p50 for a, b in zip(rounds, taken["echo"], strict=True)]
        report.add(
            Result(
                bench=BENCH,
                case=case,
                contender=kind,
                figures={"p50 ms": found.p50, "p90": found.p90, "p99": found.p99, "n": found.count},
                ratio=None if kind == "echo" else quartiles(ratios),
                baseline="" if kind == "echo" else "echo",
                latency_ms={"hop": found},
                assumptions={"loop": "closed, one at a time", "beside": "the others, idle; one broker"},
            )
        )


class _Hop:
    """Asks one kind of service, and hears what it tells."""

    def __init__(self, servers: str, kind: str, records: int) -> None:
        self.kind = kind
        self._records = records
        self._number = 0
        self._commands = topic(kind, "commands").name
        self._producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
        self._consumer = AIOKafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed")

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        name = topic(self.kind, "told").name
        self._consumer.assign([TopicPartition(name, number) for number in range(PARTITIONS)])
        await self._consumer.seek_to_beginning()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    async def take(self) -> int:
        """Return the ns from a command's sending until its last record was heard."""
        began = time.perf_counter_ns()
        self._number += 1
        await self._producer.send_and_wait(self._commands, encode(Ask(number=self._number)), partition=0)
        heard = 0
        while heard < self._records:
            heard += sum(map(len, (await self._consumer.getmany(timeout_ms=60_000)).values()))
        return time.perf_counter_ns() - began
