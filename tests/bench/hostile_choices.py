"""How long a choice takes while a thousand hostile policies come, break and are quarantined beside it.

The whole system, simulated, with one good policy of a user; one caller asks `POST /api/router/choose`, one
after the other at a steady rate. Windows of `WINDOW_S` without the hostile files come before those with them
and after: what the machine does beside is in both. HOSTILE_POLICIES says how many files (default 1000); they
are written in `BATCHES`, each as the one before is quarantined, so that some come all the time. At the
default POLICIES_STARTS_PER_S of 1 a thousand take some 17 minutes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from libs.common.events import PolicyRegistered, PolicyState
from libs.common.kafka import read
from libs.common.settings import ServiceSettings
from libs.common.topics import POLICIES_REGISTRY
from tests.bench.processes import folder_and_broker
from tests.bench.report import Result, latency
from tests.e2e.system import System
from tests.policies_world import GOOD, HOSTILE, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.report import Report

BENCH: Final = "hostile_choices"
SERVICES: Final = ("venues", "router", "portfolio", "execution", "policies", "context")
WINDOW_S: Final = 10.0
WINDOWS: Final = 6  # alone, before and again after
BETWEEN_S: Final = 0.02  # from an answer to the next question: 30 to 40 a second
BATCHES: Final = 10
PATIENCE_S: Final = 1_800.0
SETTLED_S: Final = 20.0  # after a start, and after the hostile ones
BODY: Final = {"context": {"symbol": "BTCUSDT"}}


def run(report: Report) -> None:
    """Ask beside them, and report."""
    if not sys.platform.startswith("linux"):
        report.skip(BENCH, "confines policies by Linux's own means")
        return
    with folder_and_broker(report.say) as (folder, broker):
        asyncio.run(_measure(report, folder, broker.bootstrap_servers))


async def _measure(report: Report, folder: Path, kafka: str) -> None:
    count = int(os.environ.get("HOSTILE_POLICIES", "1000"))
    files = folder / "policies"
    files.mkdir()
    write(files, "good", GOOD, on_tops=True)
    states: dict[str, PolicyState] = {}
    environment = {"POLICIES_DIR": str(files), "POLICIES_START_S": "2", "SCOPES_BURST": "1000000"}
    async with System(kafka, folder, **environment) as system:
        system.start(*(f"services.{name}" for name in SERVICES))
        await system.ready()
        following = asyncio.create_task(_follow(kafka, states))
        await asyncio.sleep(SETTLED_S)
        alone = [await _window(system) for _ in range(WINDOWS)]
        kinds = list(HOSTILE.values())
        begun_s = time.monotonic()
        beside: list[list[int]] = []
        for batch in range(BATCHES):
            names = [f"h{n}" for n in range(batch, count, BATCHES)]
            for n, name in enumerate(names):
                write(files, name, f"{kinds[n % len(kinds)][0]}\n# {batch} {n}\n")
            while any(states.get(name) is not PolicyState.QUARANTINED for name in names):
                beside.append(await _window(system))
                if time.monotonic() - begun_s > PATIENCE_S:
                    raise TimeoutError(f"batch {batch + 1} of {BATCHES} is not quarantined")
        took_s = time.monotonic() - begun_s
        await asyncio.sleep(SETTLED_S)
        alone += [await _window(system) for _ in range(WINDOWS)]
        following.cancel()
    ratio = {f"p{at}_ratio": float(_percentile(beside, at) / _percentile(alone, at)) for at in (50, 99)}
    report.add(
        Result(
            bench=BENCH,
            case=f"POST /api/router/choose beside {count} hostile policies",
            contender="gateway and router",
            figures={
                **ratio,
                "p99_ratio_of_window_medians": float(
                    np.median([np.percentile(each, 99) for each in beside])
                    / np.median([np.percentile(each, 99) for each in alone])
                ),
                "quarantined": sum(state is PolicyState.QUARANTINED for state in states.values()),
                "took_s": took_s,
                "windows_beside": len(beside),
            },
            latency_ms={"alone": latency(_all(alone)), "beside": latency(_all(beside))},
            assumptions={"window_s": WINDOW_S, "kinds": len(kinds)},
        )
    )


async def _window(system: System) -> list[int]:
    """Ask for `WINDOW_S`, and return how long each answer took, ns."""
    took: list[int] = []
    until_s = time.monotonic() + WINDOW_S
    while time.monotonic() < until_s:
        begun_ns = time.perf_counter_ns()
        async with system.http.post(f"{system.gateway}/api/router/choose", json=BODY) as reply:
            answer: Any = await reply.json()
        took.append(time.perf_counter_ns() - begun_ns)
        if reply.status != 200:
            raise RuntimeError(f"{reply.status}: {answer}")
        await asyncio.sleep(BETWEEN_S)
    return took


async def _follow(kafka: str, states: dict[str, PolicyState]) -> None:
    """Note the state of each registered policy, without asking the gateway, which is measured."""

    async def refuse(_undecodable: object) -> None:
        raise ValueError("the registry holds what is no message of it")

    settings = ServiceSettings(kafka_bootstrap_servers=kafka)
    async with aclosing(read(settings, [POLICIES_REGISTRY], on_undecodable=refuse)) as batches:
        async for batch in batches:
            for record in batch:
                if isinstance(record.event, PolicyRegistered):
                    states[record.event.policy_id] = record.event.state


def _all(windows: list[list[int]]) -> list[int]:
    return [each for window in windows for each in window]


def _percentile(windows: list[list[int]], at: float) -> float:
    return float(np.percentile(_all(windows), at))
