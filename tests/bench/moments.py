"""GET /api/at: the state of random moments of nine books' last minutes, asked by one and by four at once."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import uvloop
from msgspec.structs import replace

from libs.common.events import (
    BookDelta,
    BookHealth,
    BookSnapshot,
    BookState,
    EquityMarked,
    ExecutionRecord,
    ExecutionStatus,
    PolicyChosen,
    PolicySignalled,
    RiskBudget,
    RouterSnapshot,
    ServiceStatus,
    Subscribed,
    VenueMetrics,
)
from libs.common.kafka import create_topics
from libs.common.kafka_lanes import StreamPublisher
from libs.common.topics import (
    EXECUTION_RECORDS,
    L2_BOOK_DELTAS,
    L2_BOOK_HEALTH,
    L2_SUBSCRIPTIONS,
    POLICIES_SIGNALS,
    PORTFOLIO_EQUITY,
    PORTFOLIO_RISK,
    ROUTER_CHOICES,
    ROUTER_SNAPSHOTS,
    SERVICES_STATUS,
    TOPICS,
    VENUES_METRICS,
    book_key,
    signal_key,
)
from services.gateway.settings import GatewaySettings
from tests.bench.processes import cpu_seconds, folder_and_broker, free_port, started, until
from tests.bench.report import Result, latency
from tests.full_valued import full

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import Event, Level
    from libs.common.topics import Topic
    from tests.bench.report import Report

BOOKS: Final = [
    (venue, symbol)
    for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    for venue in ("binance", "kraken", "okx")
]
MINUTES: Final = 5
DELTAS_PER_S: Final = 30  # of a book
LEVELS: Final = 1_000  # a side, of a keyframe
KEYFRAME_S: Final = 10
SIGNALS_PER_S: Final = 10
EXECUTION_S: Final = 10
ASKED: Final = 100
AT_ONCE: Final = 4
AIM_MS: Final = 300.0
READY_S: Final = 90.0
S: Final = 1_000_000_000
MOST_WAITING: Final = 20_000


def run(report: Report) -> None:
    """Measure how long an answer takes."""
    report.say(f"moments: {len(BOOKS)} books, {DELTAS_PER_S} deltas/s each, {MINUTES} minutes of them")
    with folder_and_broker(report.say) as (folder, broker):
        kafka, port = broker.bootstrap_servers, free_port()
        end = time.time_ns() - 2 * S
        uvloop.run(_write(GatewaySettings(kafka_bootstrap_servers=kafka), end, report))
        environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "LOG_LEVEL": "WARNING", "GATEWAY_PORT": str(port)}
        with started("services.gateway", folder, **environment) as gateway:
            uvloop.run(_measure(report, f"http://127.0.0.1:{port}", end // 1_000_000, gateway))


async def _write(settings: GatewaySettings, end: int, report: Report) -> None:
    await create_topics(settings)
    count = 0
    async with StreamPublisher(settings, tuple(TOPICS.values()), MOST_WAITING) as publisher:
        for topic, key, event, ts in _messages(end):
            publisher.post(topic, key, event, ts)
            count += 1
            if publisher.full:
                await publisher.room()
        await publisher.flush()
    report.say(f"  {count:,} records written")


def _messages(end: int) -> Iterator[tuple[Topic, bytes, Event, int]]:
    """Yield what a system of that many books tells in the minutes before `end`, in the order of its times."""
    first = end - MINUTES * 60 * S
    draw = random.Random(3)
    names: dict[str, Any] = {kind.__name__: full(kind) for kind in KINDS}
    for venue, symbol in BOOKS:
        wish = Subscribed(venue=venue, symbol=symbol, requested_ts=first, source="settings")
        yield L2_SUBSCRIPTIONS, book_key(venue, symbol), wish, first
    for second in range(MINUTES * 60):
        now = first + second * S
        for venue, symbol in BOOKS:
            yield from _book(venue, symbol, second, now, names, draw)
        for n in range(9):
            status = replace(names["ServiceStatus"], service=f"s{n}", instance="0", ts=now)
            yield SERVICES_STATUS, b"s%d:0" % n, status, now
        for n in range(SIGNALS_PER_S):
            policy, symbol = f"p_{n // 3}", BOOKS[n % 3 * 3][1]
            signal = replace(names["PolicySignalled"], policy_id=policy, symbol=symbol, inputs_ts=now)
            yield POLICIES_SIGNALS, signal_key(policy, symbol), signal, now
        yield PORTFOLIO_RISK, b"default", names["RiskBudget"], now
        if second % 20 == 0:
            yield PORTFOLIO_EQUITY, b"default", names["EquityMarked"], now
        if second % EXECUTION_S == 0:
            yield from _execution(second, now, names)


KINDS: Final = (
    *(EquityMarked, ExecutionRecord, PolicyChosen, PolicySignalled, RiskBudget, RouterSnapshot),
    *(ServiceStatus, VenueMetrics),
)


def _book(
    venue: str, symbol: str, second: int, now: int, names: dict[str, Any], draw: random.Random
) -> Iterator[tuple[Topic, bytes, Event, int]]:
    key, seq = book_key(venue, symbol), second * DELTAS_PER_S
    common: dict[str, Any] = {
        "venue": venue,
        "symbol": symbol,
        "epoch": 1,
        "venue_seq": None,
        "venue_ts": None,
    }
    if second % KEYFRAME_S == 0:
        bids, asks = (tuple(_level(side, n, 1.0) for n in range(LEVELS)) for side in (-1, 1))
        keyframe = BookSnapshot(**common, seq=seq, bids=bids, asks=asks, received_ts=now, reason="keyframe")
        yield L2_BOOK_DELTAS, key, keyframe, now
    for n in range(1, DELTAS_PER_S + 1):
        ts = now + n * S // (DELTAS_PER_S + 1)
        bids, asks = (
            tuple(_level(side, draw.randrange(40), draw.random() + 0.1) for _ in range(2)) for side in (-1, 1)
        )
        delta = BookDelta(**common, seq=seq + n, bids=bids, asks=asks, received_ts=ts)
        yield L2_BOOK_DELTAS, key, delta, ts
    health = BookHealth(
        venue=venue, symbol=symbol, state=BookState.LIVE, epoch=1, seq=seq, reason="", since_ts=now, ts=now
    )
    yield L2_BOOK_HEALTH, key, health, now
    yield VENUES_METRICS, key, replace(names["VenueMetrics"], venue=venue, symbol=symbol, ts=now), now


def _level(side: int, n: int, size: float) -> Level:
    return round(60_000 + side * (n + 1) * 0.5, 1), size


def _execution(second: int, now: int, names: dict[str, Any]) -> Iterator[tuple[Topic, bytes, Event, int]]:
    yield ROUTER_CHOICES, b"default", names["PolicyChosen"], now
    yield ROUTER_SNAPSHOTS, b"default", names["RouterSnapshot"], now
    name = f"execution-{second}"
    for step in range(14):
        status = ExecutionStatus.COMPLETED if step > 11 else ExecutionStatus.WORKING
        ts = now + step * S // 2
        record = replace(names["ExecutionRecord"], execution_id=name, status=status, created_ts=now, ts=ts)
        yield EXECUTION_RECORDS, name.encode(), record, ts


async def _measure(report: Report, url: str, end_ms: int, gateway: Any) -> None:
    async with aiohttp.ClientSession(url) as http:

        async def ready() -> bool:
            try:
                async with http.get("/api/l2") as reply:
                    return reply.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await until("the gateway has read its views", ready, READY_S, gateway)
        for case, query, at_once in (
            ("past, all books", "", 1),
            ("past, a symbol's books", "&symbol=BTC-USDT", 1),
            (f"past, all books, {AT_ONCE} at once", "", AT_ONCE),
            ("now", None, 1),
        ):
            await _ask(report, http, case, query, at_once, end_ms, gateway.pid)


async def _ask(
    report: Report,
    http: aiohttp.ClientSession,
    case: str,
    query: str | None,
    at_once: int,
    end_ms: int,
    pid: int,
) -> None:
    draw, took_ns, size, tops = random.Random(5), [], 0, 0
    moments = [draw.randrange(end_ms - (MINUTES - 1) * 60_000, end_ms - 15_000) for _ in range(ASKED)]

    async def asked(at_ms: int) -> None:
        nonlocal size, tops
        path = "/api/at" if query is None else f"/api/at?ts={at_ms}{query}"
        began = time.perf_counter_ns()
        async with http.get(path) as reply:
            body = await reply.read()
        took_ns.append(time.perf_counter_ns() - began)
        if reply.status != 200:
            raise RuntimeError(f"{path} answered {reply.status}: {body[:300]!r}")
        size += len(body)
        tops += body.count(b'"BookTop"')

    await asked(moments[0])  # it connects
    took_ns.clear()
    size = tops = 0
    before_s = cpu_seconds(pid) or 0.0
    for first in range(0, len(moments), at_once):
        await asyncio.gather(*(asked(at_ms) for at_ms in moments[first : first + at_once]))
    used_s = (cpu_seconds(pid) or 0.0) - before_s
    found = latency(took_ns)
    p95 = sorted(took_ns)[int(0.95 * len(took_ns))] / 1e6
    report.add(
        Result(
            bench="moments",
            case=case,
            contender="gateway GET /api/at",
            figures={
                "p50 ms": found.p50,
                "p95": p95,
                "aim": AIM_MS,
                "max": found.max,
                "gateway CPU ms": used_s / len(took_ns) * 1e3,
                "kB": size / len(took_ns) / 1e3,
                "tops": tops / len(took_ns),
                "n": found.count,
            },
            latency_ms={"request": found},
            assumptions={"levels_a_side": LEVELS, "keyframe_s": KEYFRAME_S, "loop": "closed"},
        )
    )
