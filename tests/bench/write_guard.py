"""What the write guard costs a change, and would cost a hot GET, against that GET: in process, no HTTP."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from services.gateway.http.callers import Callers
from services.gateway.http.guard import WriteGuard
from services.gateway.settings import GatewaySettings
from tests.bench.chunks import on_cores
from tests.bench.report import Result, quartiles
from tests.unit.services.gateway.world import World, scope_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message

    from tests.bench.report import Report

ROUNDS: Final = 30
CALLS: Final = 2_000
BASELINE: Final = "hot GET through the edge"
TOKEN: Final = "c2VjcmV0LXRva2VuLXNlY3JldC10b2tlbg=="  # noqa: S105 -- of this bench


def run(report: Report) -> None:
    """Measure in turn, each round all."""
    report.say(f"write_guard: {ROUNDS} rounds of {CALLS} calls each")
    asyncio.run(_measure(report))


async def _measure(report: Report) -> None:
    world = World()
    world.live()
    hot = scope_of("GET", "/api/l2/binance/BTC-USDT", "depth=20", {"host": "127.0.0.1:5000"})
    await world.ask("/api/l2/binance/BTC-USDT?depth=20")
    contenders: dict[str, Callable[[], Awaitable[None]]] = {BASELINE: lambda: world.app(hot, _nothing, _sent)}
    for name, token in (("guard, no token set", None), ("guard with a token", SecretStr(TOKEN))):
        settings = GatewaySettings(
            token=token,
            write_rate_per_s=10**6,
            write_burst=10**9,
            write_total_rate_per_s=10**6,
            write_total_burst=10**9,
        )
        contenders[name] = _guarded(WriteGuard(settings, Callers(""), Counter(), time.monotonic_ns))
    took: dict[str, list[float]] = {name: [] for name in contenders}
    with on_cores(1) as cores:
        for _ in range(ROUNDS):
            for name, call in contenders.items():
                began = time.perf_counter_ns()
                for _ in range(CALLS):
                    await call()
                took[name].append((time.perf_counter_ns() - began) / CALLS / 1e3)
    for name, times in took.items():
        ratios = [ours / base for ours, base in zip(times, took[BASELINE], strict=True)]
        report.add(
            Result(
                bench="write_guard",
                case="one call",
                contender=name,
                figures={"us": quartiles(times).median},
                ratio=quartiles(ratios),
                baseline=BASELINE,
                assumptions={"process": f"core {cores}", "http": "none: uvicorn's part is left out"},
            )
        )


def _guarded(guard: WriteGuard) -> Callable[[], Awaitable[None]]:
    headers = {
        "host": "127.0.0.1:5000",
        "content-type": "application/json",
        "authorization": f"Bearer {TOKEN}",
    }
    scope = scope_of("POST", "/api/router/choose", "", headers)

    async def call() -> None:
        if guard.refusal(scope) is not None:
            raise AssertionError("measured a refusal")

    return call


async def _sent(_message: Message) -> None:
    """Take what the app says."""


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
