"""``POST /api/router/choose`` beside a bare echo through Kafka, measured in turn in one run.

One caller at a time. The echo is a record to a topic, taken by a consumer on this loop and sent to a second
one: no HTTP, no transaction, no computation, no other process. The choice crosses HTTP, the gateway, Kafka,
the router with a transaction per command, and Kafka again.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import uvloop

from libs.common.kafka import create_topics
from libs.common.topics import TOPICS
from services.router.settings import RouterSettings
from tests.bench.bare_echo import bare_echo
from tests.bench.processes import folder_and_broker, free_port, started, until
from tests.bench.report import Report, Result, latency, quartiles
from tests.registered import register

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

ROUNDS: Final = 40
CHUNK: Final = 25  # requests
AT_ONCE: Final = 1000
PATIENCE_S: Final = 60.0
CONTEXT: Final = {"context": {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}}


def run(report: Report) -> None:
    """Measure on a broker of its own."""
    with folder_and_broker(report.say) as (folder, broker):
        uvloop.run(_measure(report, folder, broker.bootstrap_servers))


async def _measure(report: Report, folder: Path, kafka: str) -> None:
    port = free_port()
    await register(kafka, RouterSettings().rules().policies, topic_partitions=4)
    await create_topics(RouterSettings(kafka_bootstrap_servers=kafka, topic_partitions=4), TOPICS.values())
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "TOPIC_PARTITIONS": "4",
        "GATEWAY_PORT": str(port),
        "COMMAND_TIMEOUT_S": "60",
    }
    with (
        started("services.router", folder, **environment) as router,
        started("services.gateway", folder, **environment) as gateway,
    ):
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http, bare_echo(kafka) as echo:

            async def choose() -> None:
                async with http.post("/api/router/choose", json=CONTEXT) as answer:
                    answer.raise_for_status()
                    json.loads(await answer.read())

            async def chosen() -> bool:
                try:
                    await choose()
                except aiohttp.ClientError:
                    return False
                return True

            await until("the router answers", chosen, PATIENCE_S, router, gateway)
            for _ in range(4 * CHUNK):  # warm-up
                await choose()
                await echo()
            taken: dict[str, list[list[float]]] = {"choose": [], "echo": []}
            for _ in range(ROUNDS):
                taken["choose"].append(await _timed(choose))
                taken["echo"].append(await _timed(echo))
            for name, chunks in taken.items():
                ratio = None
                if name == "choose":
                    ratio = quartiles([_p50(a) / _p50(b) for a, b in zip(chunks, taken["echo"], strict=True)])
                report.add(
                    Result(
                        bench="router_round_trip",
                        case="one at a time",
                        contender=name,
                        figures={"p50 ms": round(_p50([ms for c in chunks for ms in c]), 2)},
                        ratio=ratio,
                        baseline="" if ratio is None else "echo p50",
                        latency_ms={name: latency([round(1e6 * ms) for chunk in chunks for ms in chunk])},
                    )
                )
            begun = time.perf_counter()
            done = await asyncio.gather(*(chosen() for _ in range(AT_ONCE)))
            figures = {"answered": sum(done), "seconds": round(time.perf_counter() - begun, 2)}
            report.add(
                Result(
                    bench="router_round_trip",
                    case=f"{AT_ONCE} at once, one scope",
                    contender="choose",
                    figures=figures,
                )
            )


async def _timed(call: Callable[[], Awaitable[None]]) -> list[float]:
    found = []
    for _ in range(CHUNK):
        begun = time.perf_counter()
        await call()
        found.append(1e3 * (time.perf_counter() - begun))
    return found


def _p50(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
