"""GET of a book: the gateway on 32 connections against bare ASGI on uvicorn, in turn."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import uvloop

from libs.common.events import BookHealth, BookState, BookTop, Subscribed
from libs.common.kafka import Publisher
from libs.common.settings import ServiceSettings
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_SUBSCRIPTIONS, book_key
from tests.bench.bare_asgi import ASKS, BIDS, LEVELS
from tests.bench.chunks import on_cores
from tests.bench.http_load import HttpLoad
from tests.bench.processes import cpu_seconds, folder_and_broker, free_port, started, until
from tests.bench.report import Result, latency, quartiles

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.report import Report

VENUE: Final = "binance"
SYMBOL: Final = "BTC-USDT"
CONNECTIONS: Final = 32
ROUNDS: Final = 12
ROUND_S: Final = 0.5  # of each server
READY_S: Final = 60.0
HEARTBEAT_S: Final = 0.5  # l2 repeats its healths every second
BASELINE: Final = "bare ASGI on uvicorn"
GATEWAY: Final = "gateway GET /api/l2/{venue}/{symbol}"


def run(report: Report) -> None:
    """Measure both servers, each on one core and the client on the other."""
    report.say(f"gateway_get: {CONNECTIONS} connections, closed loop, {ROUNDS} rounds of {ROUND_S:g} s each")
    with folder_and_broker(report.say) as (folder, broker):
        uvloop.run(_measure(report, folder, broker.bootstrap_servers))


async def _measure(report: Report, folder: Path, kafka: str) -> None:
    gateway_port, bare_port = free_port(), free_port()
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "LOG_LEVEL": "WARNING",
        "GATEWAY_PORT": str(gateway_port),
    }
    with (
        on_cores(1) as servers_on,
        started("services.gateway", folder, **environment) as gateway,
        started("uvicorn", folder, "tests.bench.bare_asgi:app", "--port", str(bare_port), *quiet()) as bare,
    ):
        ports = {BASELINE: bare_port, GATEWAY: gateway_port}
        paths = {BASELINE: "/", GATEWAY: f"/api/l2/{VENUE}/{SYMBOL}?depth={LEVELS}"}
        pids = {BASELINE: bare.pid, GATEWAY: gateway.pid}

        async def shows(name: str) -> bool:
            try:
                address = f"http://127.0.0.1:{ports[name]}{paths[name]}"
                async with aiohttp.ClientSession() as http, http.get(address) as reply:
                    return reply.status == 200 and (await reply.json())["bids"][0] == list(BIDS[0])
            except aiohttp.ClientConnectionError:
                return False

        await until("bare ASGI answers", lambda: shows(BASELINE), READY_S, bare)
        await until("the gateway is up", lambda: _up(gateway_port), READY_S, gateway)
        heart = asyncio.create_task(_publish(kafka))
        loads = {name: HttpLoad(ports[name], paths[name], CONNECTIONS) for name in ports}
        try:
            await until("the gateway shows the book", lambda: shows(GATEWAY), READY_S, gateway)
            with on_cores(0) as client_on:
                await _rounds(report, loads, pids, f"client {client_on}, servers {servers_on}")
        finally:
            for load in loads.values():
                load.close()
            heart.cancel()
            await asyncio.wait([heart])


async def _rounds(report: Report, loads: dict[str, HttpLoad], pids: dict[str, int], pinning: str) -> None:
    for load in loads.values():
        await load.connect()
        await load.run(ROUND_S)  # warm up
        load.latencies_ns.clear()
    rates: dict[str, list[float]] = {name: [] for name in loads}
    cpu_s = dict.fromkeys(loads, 0.0)
    names = list(loads)
    for at in range(ROUNDS):
        for name in names[at % 2 :] + names[: at % 2]:
            gc.collect()
            before = cpu_seconds(pids[name])
            rates[name].append(await loads[name].run(ROUND_S))
            after = cpu_seconds(pids[name])
            if before is not None and after is not None:
                cpu_s[name] += after - before
    for name, load in loads.items():
        found = latency(load.latencies_ns)
        report.add(
            Result(
                bench="gateway_get",
                case=f"{CONNECTIONS} connections",
                contender=name,
                figures={
                    "requests/s": quartiles(rates[name]).median,
                    "server CPU us": cpu_s[name] / found.count * 1e6,
                    "p50 ms": found.p50,
                    "p99": found.p99,
                    "n": found.count,
                },
                ratio=quartiles(
                    [ours / bare for ours, bare in zip(rates[name], rates[BASELINE], strict=True)]
                ),
                baseline=BASELINE,
                latency_ms={"request": found},
                assumptions={
                    "loop": "closed, so its latency hides queueing",
                    "levels_a_side": LEVELS,
                    "baseline": "encodes the book for every request",
                    "processes": pinning,
                },
            )
        )


async def _up(port: int) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as reply:
            return reply.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def _publish(kafka: str) -> None:
    """Say of one book what l2 would, and repeat that it is LIVE."""
    key = book_key(VENUE, SYMBOL)
    async with Publisher(ServiceSettings(kafka_bootstrap_servers=kafka)) as publisher:
        now = time.time_ns()
        wish = Subscribed(venue=VENUE, symbol=SYMBOL, requested_ts=now)
        await publisher.send_and_wait(L2_SUBSCRIPTIONS, key, wish, now)
        top = BookTop(
            venue=VENUE,
            symbol=SYMBOL,
            epoch=1,
            seq=1,
            venue_seq=1,
            bids=BIDS,
            asks=ASKS,
            features=None,
            venue_ts=now,
            received_ts=now,
        )
        await publisher.send_and_wait(L2_BOOK_TOPS, key, top, now)
        while True:
            now = time.time_ns()
            health = BookHealth(
                venue=VENUE,
                symbol=SYMBOL,
                state=BookState.LIVE,
                epoch=1,
                seq=1,
                reason="consistent",
                since_ts=now,
                ts=now,
            )
            await publisher.send_and_wait(L2_BOOK_HEALTH, key, health, now)
            await asyncio.sleep(HEARTBEAT_S)


def quiet() -> tuple[str, ...]:
    """Return the arguments of a uvicorn as the gateway has its own."""
    return (
        "--host",
        "127.0.0.1",
        "--no-access-log",
        "--log-level",
        "warning",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--lifespan",
        "off",
    )
