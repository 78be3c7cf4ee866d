"""What a caller waits for an answer through HTTP, as a multiple of a bare echo of the same seconds.

ANSWERS_TREES names checkouts, separated by commas (default: this one); each is started in turn by its own
interpreter, with ports, a Kafka and a folder of its own, ANSWERS_ROUNDS times (default 1): first only what a
call needs and one symbol, then the whole default system. One caller, one call at a time, ANSWERS_TURNS
(default 20) chunks of each call and of the echo in turn, after turns for ANSWERS_WARM_S (default 60) that are
not counted: Java compiles Kafka meanwhile.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
import uvloop

from libs.common.kafka import create_topics
from libs.common.topics import TOPICS
from services.router.settings import RouterSettings
from tests.bench.bare_echo import bare_echo
from tests.bench.processes import ROOT, free_port, started_in, until
from tests.bench.report import Result, latency, quartiles
from tests.registered import register

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from tests.bench.processes import Process
    from tests.bench.report import Report

BENCH: Final = "answers"
ECHO: Final = "bare echo"
PREFIX: Final = "bookrunner-bench-"
CHUNK: Final = 20  # calls
PATIENCE_S: Final = 400.0  # of a start, beside others
END_S: Final = 60.0  # of an execution
TRIES: Final = 5  # a plan-and-execute that finds nothing to trade is not counted
SLOW: Final = 4  # times fewer calls of what goes through all services
OK: Final = 200

CONTEXT: Final = {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}
ORDER: Final = {"symbol": "BTCUSDT", "size": 0.02}
BODIES: Final[Mapping[str, tuple[str, object]]] = {
    "choose": ("/api/router/choose", {"context": CONTEXT}),
    "update": (
        "/api/router/update",
        {"policyId": "p_sma", "reward": 0.004, "context": {"regime": "bull"}},
    ),
    "score": ("/api/venues/score", ORDER),
    "simulate": ("/api/exec/simulate", ORDER),
    "plan-and-execute": ("/api/exec/plan-and-execute", {"symbol": "BTCUSDT", "urgency": 1.0}),
}
SIGNALS: Final = {  # that there is something to trade, and either way
    "EXECUTION_ALLOW_SHORT": "true",
    "EXECUTION_HORIZON_S": "5",
    "EXECUTION_S_MAX": "0.02",  # of a size that a book takes at once: a larger one is worked for minutes
}


class World(NamedTuple):
    """Which processes run, as what, and what is called."""

    name: str
    modules: Sequence[str]
    calls: Sequence[str]
    environment: Mapping[str, str]


_DECIDING: Final = ("venues", "portfolio", "router", "execution", "gateway")
WORLDS: Final = (
    World(
        "alone: router",
        ("broker", "services.router", "services.gateway"),
        ("choose", "update"),
        {},
    ),
    World(
        "alone: one symbol",
        ("broker", "simulator", "services.l2", *(f"services.{name}" for name in _DECIDING)),
        ("score", "simulate", "plan-and-execute"),
        {"L2_BOOKS": "binance:BTC-USDT,bybit:BTC-USDT", "ROUTER_POLICIES": "p_obi", **SIGNALS},
    ),
    World("beside the default system", ("libs.cli.run",), tuple(BODIES), SIGNALS),
)


class Caller:
    """Asks a system through HTTP, one call at a time."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def ready(self) -> bool:
        """Tell whether every route that it has does its work."""
        return await self._get("/readyz") is not None

    async def answers(self, name: str) -> bool:
        """Tell whether a call is answered."""
        path, body = BODIES[name]
        try:
            return (await self._post(path, body))[0] == OK
        except aiohttp.ClientError:
            return False

    async def take(self, name: str) -> int | None:
        """Return the ns that a call took; None where it found nothing to trade."""
        path, body = BODIES[name]
        began = time.perf_counter_ns()
        status, answer = await self._post(path, body)
        taken = time.perf_counter_ns() - began
        if status != OK:
            raise RuntimeError(f"{path} was answered with {status}: {answer}")
        if name != "plan-and-execute":
            return taken
        if answer["status"] != "working":
            return None
        await self._end(str(answer["executionId"]))
        return taken

    async def _end(self, execution_id: str) -> None:
        """Wait for the end of an execution, and leave no position."""
        record: Any = None

        async def ended() -> bool:
            nonlocal record
            record = await self._get(f"/api/exec/{execution_id}")
            return record is not None and record["status"] not in {"planning", "working"}

        await until("its end", ended, END_S)
        if record["filled"]:
            side = "sell" if record["plan"]["side"] == "buy" else "buy"
            size = f"{record['filled']:.8f}".rstrip("0")
            order = {"symbol": "BTCUSDT", "side": side, "size": size, "venue": record["venue"]}
            await self._post("/api/paper/orders", order)

    async def _post(self, path: str, body: object) -> tuple[int, Any]:
        async with self._http.post(path, json=body) as reply:
            return reply.status, json.loads(await reply.read())

    async def _get(self, path: str) -> Any:
        try:
            async with self._http.get(path) as reply:
                return json.loads(await reply.read()) if reply.status == OK else None
        except aiohttp.ClientError:
            return None


def run(report: Report) -> None:
    """Start each world of each tree in turn, and report each call."""
    trees = [Path(tree).resolve() for tree in os.environ.get("ANSWERS_TREES", str(ROOT)).split(",")]
    for _ in range(int(os.environ.get("ANSWERS_ROUNDS", "1"))):
        for world in WORLDS:
            for tree in trees:
                report.say(f"  {tree}, {world.name}")
                with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
                    turns = uvloop.run(_measured(tree, world, Path(folder)))
                tell(report, tree, world.name, turns)


async def _measured(tree: Path, world: World, folder: Path) -> list[Mapping[str, list[int]]]:
    """Return the ns of each call and of the echo, turn by turn."""
    kafka = f"127.0.0.1:{(port := free_port())}"
    async with _running(tree, world, folder, port) as caller, bare_echo(kafka) as echo:
        warm_s = time.monotonic() + float(os.environ.get("ANSWERS_WARM_S", "60"))
        while time.monotonic() < warm_s:
            await _turn(caller, world, echo)
        return [await _turn(caller, world, echo) for _ in range(int(os.environ.get("ANSWERS_TURNS", "20")))]


async def _turn(caller: Caller, world: World, echo: Callable[[], Awaitable[None]]) -> Mapping[str, list[int]]:
    turn = {name: await _chunk(caller, name) for name in world.calls}
    turn[ECHO] = [await _timed(echo) for _ in range(CHUNK)]
    return turn


@asynccontextmanager
async def _running(tree: Path, world: World, folder: Path, kafka_port: int) -> AsyncIterator[Caller]:
    gateway, simulator = free_port(), free_port()
    environment = {
        "RUN_DIR": str(folder / "run"),
        "GATEWAY_PORT": str(gateway),
        "SIMULATOR_PORT": str(simulator),
        "SIMULATOR_URL": f"http://127.0.0.1:{simulator}",
        "KAFKA_PORT": str(kafka_port),
        "KAFKA_CONTROLLER_PORT": str(free_port()),
        "OPENBLAS_NUM_THREADS": "1",
        "COMMAND_TIMEOUT_S": "60",
        **world.environment,
    }
    whole = world.modules == ("libs.cli.run",)
    if not whole:
        environment |= {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka_port}", "KAFKA_WAIT_S": "120"}
    with ExitStack() as stack:
        processes: list[Process] = []
        for module in world.modules:
            processes.append(stack.enter_context(started_in(tree, module, folder, **environment)))
            if module == "broker":
                await _prepare(f"127.0.0.1:{kafka_port}")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{gateway}") as http:
            caller = Caller(http)
            if "score" in world.calls:
                await until("all is ready", caller.ready, PATIENCE_S, *processes)
            for name in world.calls:
                await until(name, partial(caller.answers, name), PATIENCE_S, *processes)
            yield caller


async def _prepare(kafka: str) -> None:
    """Wait for Kafka, create all topics, and register the router's policies: not every world has who does."""
    settings = RouterSettings(kafka_bootstrap_servers=kafka, kafka_wait_s=PATIENCE_S)
    await create_topics(settings, TOPICS.values())
    await register(kafka, settings.rules().policies)


async def _chunk(caller: Caller, name: str) -> list[int]:
    calls = CHUNK // SLOW if name == "plan-and-execute" else CHUNK
    found: list[int] = []
    for _ in range(TRIES * calls):
        taken = await caller.take(name)
        if taken is not None:
            found.append(taken)
        if len(found) == calls:
            break
    return found


async def _timed(call: Callable[[], Awaitable[None]]) -> int:
    began = time.perf_counter_ns()
    await call()
    return time.perf_counter_ns() - began


def tell(report: Report, tree: Path, world: str, turns: Sequence[Mapping[str, list[int]]]) -> None:
    """Report each call of a world."""
    echo_p50 = latency([ns for turn in turns for ns in turn[ECHO]]).p50
    for name in turns[0]:
        taken = [ns for turn in turns for ns in turn[name]]
        if not taken:
            report.skip(f"{name}, {world}, {tree}", "it never found anything to trade")
            continue
        took = latency(taken)
        figures = {
            "p50 ms": took.p50,
            "p99 ms": took.p99,
            "p99 in echoes": took.p99 / echo_p50,
            "n": took.count,
        }
        ratios = [latency(turn[name]).p50 / latency(turn[ECHO]).p50 for turn in turns if turn[name]]
        report.add(
            Result(
                bench=BENCH,
                case=f"{world}, {tree}",
                contender=name,
                figures=figures,
                ratio=None if name == ECHO else quartiles(ratios),
                baseline="" if name == ECHO else f"{ECHO} p50",
                latency_ms={name: took},
                assumptions={"loop": "closed, one at a time", "load": f"{os.getloadavg()[0]:.1f}"},
            )
        )
