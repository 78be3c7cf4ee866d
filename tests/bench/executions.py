"""Plan and execute through HTTP and all services beside a bare echo through Kafka; 200 executions at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from libs.common.kafka import create_topics
from libs.common.settings import ServiceSettings
from libs.common.topics import Key, Topic
from tests.bench.processes import folder_and_broker, started
from tests.bench.report import Result, latency, quartiles
from tests.e2e.system import System, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.report import Report

BENCH: Final = "executions"
SERVICES: Final = ("services.venues", "services.router", "services.portfolio", "services.execution")
BOOKS: Final = (
    "binance:BTC-USDT,bybit:BTC-USDT,binance:ETH-USDT,bybit:ETH-USDT,binance:SOL-USDT,bybit:SOL-USDT"
)
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
ECHO: Final = "bare echo through Kafka"
REQUESTS: Final = Topic("bench.echo-requests.v1", (), Key.ORIGINAL, ("bench",))
ECHOES: Final = Topic("bench.echoes.v1", (), Key.ORIGINAL, ("bench",))
ROUNDS: Final = 40
OF_A_ROUND: Final = 10
COLD: Final = slice(0, 8)  # Kafka's code is still being compiled: each round is quicker than the one before
WARM: Final = slice(20, ROUNDS)
FIRST: Final = 5
AT_ONCE: Final = 200


def run(report: Report) -> None:
    """Measure both."""
    with folder_and_broker(report.say) as (folder, broker):
        uvloop.run(_measure(report, broker.bootstrap_servers, folder))


async def _measure(report: Report, servers: str, folder: Path) -> None:
    await create_topics(ServiceSettings(kafka_bootstrap_servers=servers), (REQUESTS, ECHOES))
    environment = {
        "L2_BOOKS": BOOKS,
        "ROUTER_POLICIES": "p_obi",  # it always has a signal
        "EXECUTION_ALLOW_SHORT": "true",  # and may follow it either way
        "EXECUTION_HORIZON_S": "5",
    }
    async with System(servers, folder, **environment) as system:
        system.start(*SERVICES)
        await system.all_live(6)
        await until("a risk budget", lambda: system.get("/api/portfolio/risk"))
        await until("an execution", lambda: _warmed(system))
        with started("tests.bench.echo", folder, REQUESTS.name, ECHOES.name, KAFKA_BOOTSTRAP_SERVERS=servers):
            rounds = await _rounds(system, servers)
        _tell(report, rounds)
        await _at_once(report, system)


async def _warmed(system: System) -> bool:
    taken = [await _executed(system, SYMBOLS[n % 3]) for n in range(FIRST)]
    return all(each is not None for each in taken)


async def _rounds(system: System, servers: str) -> list[tuple[list[int], list[int]]]:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=0)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None)
    await producer.start()
    await consumer.start()
    try:
        place = TopicPartition(ECHOES.name, 0)
        consumer.assign([place])
        await consumer.seek_to_end(place)
        for _ in range(FIRST):
            await _echoed(producer, consumer)
        rounds = []
        for _ in range(ROUNDS):
            ours = [await _executed(system, SYMBOLS[n % 3]) for n in range(OF_A_ROUND)]
            bare = [await _echoed(producer, consumer) for _ in range(OF_A_ROUND)]
            rounds.append(([taken for taken in ours if taken is not None], bare))
        return rounds
    finally:
        await producer.stop()
        await consumer.stop()


async def _echoed(producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> int:
    began = time.perf_counter_ns()
    await producer.send_and_wait(REQUESTS.name, b"x" * 200, partition=0)
    await consumer.getone()
    return time.perf_counter_ns() - began


async def _executed(system: System, symbol: str) -> int | None:
    """Return the ns until a plan was answered, None if there was nothing to trade; leave no position."""
    began = time.perf_counter_ns()
    answer = await _post(system, "/api/exec/plan-and-execute", {"symbol": symbol, "urgency": 1.0})
    taken = time.perf_counter_ns() - began
    if answer.get("status") != "working":
        return None

    async def ended() -> Any:
        record = await system.get(f"/api/exec/{answer['executionId']}")
        return record if record and record["status"] not in ("planning", "working") else None

    record = await until("its end", ended)
    if record["filled"]:
        back = "sell" if record["plan"]["side"] == "buy" else "buy"
        size = f"{record['filled']:.8f}".rstrip("0")
        order = {"symbol": symbol, "side": back, "size": size, "venue": record["venue"]}
        await _post(system, "/api/paper/orders", order)
    return taken


async def _post(system: System, path: str, body: object) -> Any:
    async with system.http.post(f"{system.gateway}{path}", json=body) as reply:
        return json.loads(await reply.read())


def _tell(report: Report, rounds: list[tuple[list[int], list[int]]]) -> None:
    for case, part in (("POST to plan, Kafka just started", COLD), ("POST to plan, Kafka warm", WARM)):
        ours, bare = ([taken for each in rounds[part] for taken in each[at]] for at in (0, 1))
        ratios = [latency(a).p50 / latency(b).p50 for a, b in rounds[part] if a]
        for name, taken in (("plan-and-execute, Immediate", ours), (ECHO, bare)):
            found = latency(taken)
            report.add(
                Result(
                    bench=BENCH,
                    case=case,
                    contender=name,
                    figures={"p50 ms": found.p50, "p99": found.p99, "max": found.max, "n": found.count},
                    ratio=quartiles(ratios) if taken is ours else None,
                    baseline=ECHO if taken is ours else "",
                    latency_ms={"round trip": found},
                    assumptions={
                        "loop": "closed, one at a time",
                        "before": f"{FIRST + (part.start or 0) * OF_A_ROUND} executions",
                        "beside": "simulator, l2 with 6 books, all services on one machine",
                        "hops": "gateway, execution, router, execution, venues, execution, gateway",
                    },
                )
            )


async def _at_once(report: Report, system: System) -> None:
    began = time.perf_counter()
    path = "/api/exec/plan-and-execute?wait=final&timeoutS=120"
    bodies = [{"symbol": SYMBOLS[n % 3], "urgency": 1.0} for n in range(AT_ONCE)]
    answers = await asyncio.gather(*(_post(system, path, body) for body in bodies))
    late = sum(
        "commandId" in answer for answer in answers
    )  # 504: the plan took longer than the gateway waits
    ids = [str(answer.get("executionId") or answer["commandId"]) for answer in answers]

    async def all_ended() -> list[Any]:
        records = await system.get(f"/api/exec/records?limit={2 * AT_ONCE}") or []
        found = {record["executionId"]: record for record in records}
        ours = [found[each] for each in ids if each in found]
        ended = [record for record in ours if record["status"] not in {"planning", "working"}]
        return ended if len(ended) == len(ids) else []

    records = await until("all ended", all_ended, patience_s=120.0)
    seconds = time.perf_counter() - began
    found = Counter(str(record["status"]) for record in records)
    report.add(
        Result(
            bench=BENCH,
            case=f"{AT_ONCE} executions at once, to their ends",
            contender="plan-and-execute",
            figures={"s": seconds, "answered late": late, **dict(sorted(found.items()))},
            assumptions={"symbols": len(SYMBOLS), "beside": "as above"},
        )
    )
