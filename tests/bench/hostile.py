"""What 10,000 hostile requests of each kind leave: resident memory of the gateway, records on Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common.kafka import partition_counts
from libs.common.settings import ServiceSettings
from libs.common.topics import SERVICES_STATUS, TOPICS
from tests.bench.processes import folder_and_broker
from tests.bench.report import Result
from tests.e2e.system import System, until
from tests.flood import rss_mib

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.bench.report import Report

BENCH: Final = "hostile"
REQUESTS: Final = 10_000  # of each kind
CONNECTIONS: Final = 16
UNREAD: Final = 200  # connections that never read, open at once
REPLAYS: Final = 40  # streams from the beginning, open at once
HELD_S: Final = 45.0  # how long those stay, which is longer than a write may take
IDLE_S: Final = 15.0  # what the system writes by itself is measured so long
RESTING: Final = 300  # orders
ANSWER_S: Final = 30.0
SERVICES: Final = ("services.venues", "services.router", "services.portfolio", "services.execution")
HOST: Final = "127.0.0.1"
# What the system writes by itself, whoever asks or not.
CLOCKWORK: Final = frozenset({SERVICES_STATUS.name, "venues.metrics.v1"})
JSON: Final = "Content-Type: application/json\r\n"


class Kind(NamedTuple):
    """Requests of one kind; `request` gives the head and body of the n-th."""

    name: str
    request: Callable[[int], bytes]


def get(path: str, headers: str = "", host: str = HOST) -> bytes:
    """Return a GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode("latin-1")


def post(path: str, body: object, headers: str = JSON) -> bytes:
    """Return a POST as it goes over the wire."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(raw)}\r\n{headers}\r\n"
    return head.encode("latin-1") + raw


def kinds(execution_id: str) -> tuple[Kind, ...]:
    """Return what is asked 10,000 times each."""
    upgrade = (
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    )
    foreign = "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n" + JSON
    book = {"venue": "binance", "symbol": "BTC-USDT"}
    return (
        Kind("address of 60 kB (414)", lambda n: get(f"/api/l2/{n:06}{'x' * 60_000}/BTC")),
        Kind(
            "a book by 10,000 spellings of its query",
            lambda n: get(f"/api/l2/binance/BTC-USDT?depth=1&n={n}"),
        ),
        Kind("10,000 books nobody has", lambda n: get(f"/api/l2/binance/X{n}-USDT")),
        Kind("10,000 addresses nobody serves (404)", lambda n: get(f"/{n}")),
        Kind("a book by a foreign Host", lambda n: get("/api/l2/binance/BTC-USDT", host=f"a{n}.example")),
        Kind("one execution's audit", lambda _: get(f"/api/audit/{execution_id}")),
        Kind(
            "a past book, another moment each",
            lambda n: get(f"/api/l2/binance/BTC-USDT?at={_ms() - 20_000 - n}"),
        ),
        Kind("rubbish as a body (400)", lambda n: post("/api/router/choose", b"\xff%d" % n)),
        Kind("a body of 100 kB (413)", lambda _: post("/api/router/choose", b" " * 100_000)),
        Kind(
            "a page of another origin wishes a book", lambda _: post("/api/l2/subscriptions", book, foreign)
        ),
        Kind("a POST that offers h2c", lambda _: post("/api/router/choose", {"context": {}}, JSON + upgrade)),
        Kind(
            "a scope of its own each", lambda n: post("/api/router/choose", {"context": {}, "scope": f"s{n}"})
        ),
        Kind(
            "an Idempotency-Key of its own each",
            lambda n: post("/api/l2/subscriptions", book, f"{JSON}Idempotency-Key: k{n}\r\n"),
        ),
    )


def run(report: Report) -> None:
    """Measure every kind, one after the other, at one system."""
    report.say(f"hostile: {REQUESTS} requests of each kind on {CONNECTIONS} connections")
    with folder_and_broker(report.say) as (folder, broker):
        uvloop.run(_measure(report, folder, broker.bootstrap_servers))


async def _measure(report: Report, folder: Path, kafka: str) -> None:
    books = "binance:BTC-USDT,bybit:BTC-USDT,kraken:BTC-USD"
    async with System(kafka, folder, L2_BOOKS=books, LOG_LEVEL="WARNING", SIMULATOR_RATE="30") as system:
        system.start(*SERVICES)
        await system.ready()
        asked = await until("an execution", lambda: _executed(system))
        await asyncio.sleep(30)  # so that there is a past to ask for
        async with Ends(kafka) as ends:
            observer = Observer(report, system, ends)
            await observer.idle()
            await _unread(observer)
            await _replays(observer)
            for kind in kinds(asked):
                await observer.many(kind)
            await _resting(observer)


async def _executed(system: System) -> str | None:
    async with system.http.post(
        f"{system.gateway}/api/exec/plan-and-execute", json={"symbol": "BTCUSDT"}
    ) as reply:
        return str((await reply.json())["executionId"]) if reply.status == 200 else None


class Ends:
    """How many records were ever written to each topic."""

    def __init__(self, kafka: str) -> None:
        self._settings = ServiceSettings(kafka_bootstrap_servers=kafka)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=None)

    async def __aenter__(self) -> Self:
        self._partitions = await partition_counts(self._settings, TOPICS.values())
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def by_topic(self) -> dict[str, int]:
        """Return the offsets at the ends, those of markers included, of every topic but the clockwork's."""
        found = {}
        for name in TOPICS.keys() - CLOCKWORK:
            places = [TopicPartition(name, number) for number in range(self._partitions[name])]
            found[name] = sum((await self._consumer.end_offsets(places)).values())
        return found


class Observer:
    """Looks at the gateway and the topics before and after."""

    def __init__(self, report: Report, system: System, ends: Ends) -> None:
        self.report = report
        self.system = system
        self.port = urlsplit(system.gateway).port or 0
        self._ends = ends
        self._own: dict[str, float] = {}  # records/s that nobody asked for

    def rss(self) -> float:
        """Return the gateway's resident memory, MiB."""
        return rss_mib(self.system.processes["services.gateway"].pid)

    async def idle(self) -> None:
        """Learn what is written by itself."""
        began, before = time.monotonic(), await self._ends.by_topic()
        await asyncio.sleep(IDLE_S)
        after, seconds = await self._ends.by_topic(), time.monotonic() - began
        self._own = {name: (after[name] - before[name]) / seconds for name in after}

    async def told(self, case: str, work: Callable[[], Awaitable[str]]) -> None:
        """Do the work, and tell what it left."""
        rss, began, before = self.rss(), time.monotonic(), await self._ends.by_topic()
        said = await work()
        after, seconds = await self._ends.by_topic(), time.monotonic() - began
        grown = {name: after[name] - before[name] - self._own[name] * seconds for name in after}
        # A rate of its own varies from one quarter of a minute to the next.
        caused = {name: round(many) for name, many in grown.items() if many > 20 + self._own[name] * seconds}
        most = max(caused, key=lambda name: caused[name], default="")
        figures: dict[str, float | int | str] = {
            "gateway_grew_mib": f"{self.rss() - rss:.0f}",
            "records": sum(caused.values()),
            "most": most or "none",
            "seconds": f"{seconds:.0f}",
            "answers": said,
        }
        self.report.add(Result(bench=BENCH, case=case, contender="gateway", figures=figures))

    async def many(self, kind: Kind) -> None:
        """Send 10,000, and tell what they left."""
        statuses: dict[str, int] = {}
        numbers = iter(range(REQUESTS))

        async def work() -> str:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(CONNECTIONS):
                    tasks.create_task(_asker(self.port, kind, numbers, statuses))
            return ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))

        await self.told(kind.name, work)


async def _asker(port: int, kind: Kind, numbers: Any, statuses: dict[str, int]) -> None:
    reader, writer = await asyncio.open_connection(HOST, port, limit=1 << 24)
    for number in numbers:
        status, stays = await _asked(reader, writer, kind.request(number))
        statuses[status] = statuses.get(status, 0) + 1
        if not stays:
            writer.close()
            reader, writer = await asyncio.open_connection(HOST, port, limit=1 << 24)
    writer.close()


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[str, bool]:
    try:
        async with asyncio.timeout(ANSWER_S):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length: ")[2].partition("\r")[0] or 0)
            await reader.readexactly(length)
    except (OSError, asyncio.IncompleteReadError):  # closed; a TimeoutError is an OSError
        return "none", False
    return head.split(" ", 2)[1], "connection: close" not in head


async def _resting(observer: Observer) -> None:
    """Let 300 orders rest, and tell what the execution service writes for them in a while."""
    order = {"symbol": "BTCUSDT", "side": "buy", "size": 0.006, "ordType": "limit", "limit": 1000.0}
    placed = 0
    for _ in range(RESTING):
        async with observer.system.http.post(
            f"{observer.system.gateway}/api/paper/orders", json=order
        ) as reply:
            placed += reply.status == 200

    async def rest() -> str:
        await asyncio.sleep(IDLE_S)
        return f"{placed} rest"

    await observer.told(f"{RESTING} resting orders, {IDLE_S:g} s", rest)


async def _unread(observer: Observer) -> None:
    """Ask for the largest document on many connections, and read none of it."""

    async def work() -> str:
        opened = []
        for _ in range(UNREAD):
            narrow = socket.socket()
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            narrow.settimeout(0)
            await asyncio.get_running_loop().sock_connect(narrow, (HOST, observer.port))
            reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # of every transport that reads
            writer.write(get("/openapi.json") * 40)
            opened.append((reader, writer))
        await asyncio.sleep(HELD_S)
        held = observer.rss()
        for _, writer in opened:
            writer.transport.abort()
        return f"{held:.0f} MiB held by the gateway after {HELD_S:g} s"

    await observer.told(f"{UNREAD} connections that never read", work)


async def _replays(observer: Observer) -> None:
    """Open many streams from the beginning, read them, and ask meanwhile whether the gateway lives."""

    async def work() -> str:
        path = "/api/stream?topics=l2.book-deltas.v1&from=beginning"
        statuses: dict[str, int] = {}
        slowest = 0.0
        async with asyncio.TaskGroup() as tasks:
            streams = [tasks.create_task(_streamed(observer.port, path, statuses)) for _ in range(REPLAYS)]
            for _ in range(40):
                began = time.monotonic()
                await observer.system.get("/healthz")
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.2)
            for stream in streams:
                stream.cancel()
        told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        return f"{told}; slowest /healthz {slowest * 1e3:.0f} ms"

    await observer.told(f"{REPLAYS} streams from the beginning", work)


async def _streamed(port: int, path: str, statuses: dict[str, int]) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        writer.write(get(path))
        status = (await reader.readuntil(b"\r\n")).decode().split(" ", 2)[1]
        statuses[status] = statuses.get(status, 0) + 1
        while await reader.read(1 << 16):
            pass
    writer.close()


def _ms() -> int:
    return time.time_ns() // 1_000_000
