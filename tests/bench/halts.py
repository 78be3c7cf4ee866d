"""How long after a halt a child is still sent or accepted, beside executions that send children all the time.

A real Kafka and a real execution process; its peers as in the test of kills. HALTS_EXECUTIONS (default 54)
executions work, one a symbol: each plans to take all at once, but before its first child arrives all prices
have moved beyond its limit, so that its legs send another child some 2 s after the one before. Then venues
are halted and resumed, and at last all; so in rounds, until HALTS (default 60) are measured. All times are
those at which one reader, of committed records only, had the halt, its answer or the child: what the
transactions take is in them. A halt with no child after it took 0.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import uvloop
from msgspec.structs import replace

from libs.common.events import (
    HaltTrading,
    OrderAccepted,
    OrderSubmitted,
    PlanAndExecute,
    ResumeTrading,
    TradingControlled,
)
from libs.common.kafka import read
from libs.common.time_units import NS_PER_MS
from libs.common.topics import (
    CONTROLS_KEY,
    EXECUTION_COMMANDS,
    EXECUTION_CONTROLS,
    EXECUTION_ORDERS,
    EXECUTION_PLANS,
)
from tests.bench.processes import folder_and_broker, until
from tests.bench.report import Result
from tests.halted_orders import halts_in, late_orders
from tests.integration.services.execution.peers import PRICE, ExecutionProcess, Peers, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from libs.common.kafka import Publisher, Record, Undecodable
    from libs.common.settings import ServiceSettings
    from tests.bench.report import Report

BENCH: Final = "halts"
VENUES: Final = ("binance", "bybit")
SCOPES: Final = ("venue:binance", "venue:bybit", "venue:binance", "all")  # of a round
AT_ONCE: Final = 6  # executions are sent; more would be planned for longer than a child is on its way
BEAT_S: Final = 0.3
STEP: Final = 5.0
MOVED: Final = 0.01  # of the price, beyond the limits of the children
SEEN_S: Final = 2.5  # of children, before a halt and during it: each leg's turn comes twice
BEGIN_S: Final = 10.0
PATIENCE_S: Final = 120.0
ENVIRONMENT: Final = {
    "EXECUTION_LATENCY_MS": "2000",
    "EXECUTION_RETRY_MS": "100",
    "EXECUTION_PATIENCE_S": "600",
    "EXECUTION_REALLOCATE_AFTER_S": "600",
    "EXECUTION_STEP_TIMEOUT_S": "60",
    "EXECUTION_ALLOW_SHORT": "true",
    "EXECUTION_S_MAX": "0.06",
    "EXECUTION_HORIZON_S": "1",
}


class Watched:
    """What was read of the orders and answers, as it came."""

    def __init__(self) -> None:
        self.working: set[str] = set()  # executions that have sent a child
        self.children = 0
        self.begun: asyncio.Queue[str] = asyncio.Queue()  # symbols of which an execution has sent its first
        self.orders: list[Record] = []
        self.controls: list[Record] = []
        self.answered_ms: dict[str, float] = {}  # by command

    async def follow(self, settings: ServiceSettings) -> None:
        """Read for ever."""
        topics = (EXECUTION_ORDERS, EXECUTION_PLANS, EXECUTION_CONTROLS)
        async with aclosing(read(settings, topics, on_undecodable=_refuse)) as batches:
            async for batch in batches:
                now_ms = time.time_ns() / NS_PER_MS
                for record in batch:
                    self._note(record, now_ms)

    def _note(self, raw: Record, now_ms: float) -> None:
        record = replace(raw, timestamp_ms=round(now_ms))  # when it was read
        match record.event:
            case OrderSubmitted(order=order):
                self.children += 1
                if order.execution_id not in self.working:
                    self.working.add(order.execution_id or "")
                    self.begun.put_nowait(order.symbol)
                self.orders.append(record)
            case OrderAccepted():
                self.orders.append(record)
            case TradingControlled(command_id=command_id):
                self.answered_ms[command_id] = now_ms
            case _ if record.topic.name == EXECUTION_CONTROLS.name:
                self.controls.append(record)


class Driver:
    """Sends executions and halts, and waits for what they do."""

    def __init__(self, publisher: Publisher, peers: Peers, watched: Watched, symbols: Sequence[str]) -> None:
        self._publisher = publisher
        self._peers = peers
        self._watched = watched
        self._symbols = symbols
        self._sent = 0
        self.asked_ms: dict[str, float] = {}  # by command
        self.children: list[float] = []  # a second, before each halt

    async def round(self, n: int) -> None:
        """Let executions begin, halt their venues in turn, and at last all."""
        self._peers.prices.clear()
        await self._told()
        moved = PRICE * (1 + MOVED if n % 2 == 0 else 1 - MOVED)  # the policies are chosen in turn
        for first in range(0, len(self._symbols), AT_ONCE):
            symbols = self._symbols[first : first + AT_ONCE]
            for symbol in symbols:
                name = str(uuid5(NAMESPACE_URL, f"round {n} {symbol}"))
                command = PlanAndExecute(command_id=name, symbol=symbol, urgency=1.0)
                await self._publisher.send(EXECUTION_COMMANDS, symbol.encode(), command, time.time_ns())
            with suppress(TimeoutError):  # one that does not begin sends no children, and that is all
                async with asyncio.timeout(BEGIN_S):
                    for _ in symbols:
                        await self._peers.move(self._publisher, await self._watched.begun.get(), moved)
        for scope in SCOPES:
            await self._halted(scope)

    async def _halted(self, scope: str) -> None:
        before = self._watched.children
        await asyncio.sleep(SEEN_S)
        self.children.append((self._watched.children - before) / SEEN_S)
        named: dict[str, Any] = {"scope": scope, "reason": "a bench", "by": "the bench"}
        await self._control(HaltTrading, named)
        await asyncio.sleep(SEEN_S)
        await self._control(ResumeTrading, named)

    async def _control(self, kind: type[HaltTrading | ResumeTrading], named: dict[str, Any]) -> None:
        name = str(uuid5(NAMESPACE_URL, f"control {self._sent}"))
        self._sent += 1
        command = kind(command_id=name, **named)
        self.asked_ms[name] = time.time_ns() / NS_PER_MS
        await self._publisher.send_and_wait(
            EXECUTION_COMMANDS, CONTROLS_KEY.encode(), command, time.time_ns()
        )

        async def answered() -> bool:
            return name in self._watched.answered_ms

        await until("its answer", answered, PATIENCE_S)

    async def _told(self) -> None:
        """Wait until all books have the price."""
        until_beat = self._peers.beats + 2

        async def beaten() -> bool:
            return self._peers.beats >= until_beat

        await until("a beat", beaten, PATIENCE_S)


def run(report: Report) -> None:
    """Measure."""
    with folder_and_broker(report.say) as (folder, broker):
        uvloop.run(_measure(report, broker.bootstrap_servers, folder))


async def _measure(report: Report, servers: str, folder: Path) -> None:
    executions, halts = (int(os.environ.get(*each)) for each in (("HALTS_EXECUTIONS", "54"), ("HALTS", "60")))
    settings = settings_of(servers)
    symbols = [f"H{n:02}-USDT" for n in range(executions)]
    venues = dict.fromkeys(symbols, VENUES)
    peers = Peers(settings, "p_sma", "p_meanrev", step=STEP, venues=venues, beat_s=BEAT_S)
    service = ExecutionProcess(servers, folder / "execution.log", **ENVIRONMENT)
    watched = Watched()
    async with peers.running() as publisher:
        service.start()
        watching = asyncio.create_task(watched.follow(settings))
        try:
            driver = Driver(publisher, peers, watched, symbols)
            for n in range(-(-halts // len(SCOPES))):
                await driver.round(n)
        finally:
            service.kill()
            watching.cancel()
            await asyncio.wait({watching})
    _tell(report, driver, watched, executions)


def _tell(report: Report, driver: Driver, watched: Watched, executions: int) -> None:
    halts = sorted(halts_in(watched.controls), key=lambda halt: halt.began_ms)
    late = list(late_orders(watched.orders, halts, {}))
    asked = list(driver.asked_ms.items())[::2]  # each halt before its end
    answered_ms = [watched.answered_ms[name] for name, _ in asked]
    last_ms = [max((each.ts_ms for each in late if each.halt == halt), default=0.0) for halt in halts]
    both = zip(halts, last_ms, answered_ms, strict=True)
    from_append, from_answer = zip(
        *((max(0.0, last - halt.began_ms), max(0.0, last - answered)) for halt, last, answered in both),
        strict=True,
    )
    took = [done - ms for (_, ms), done in zip(asked, answered_ms, strict=True)]
    for what, found in (
        ("from TradingHalted, as it is read, to the last child", from_append),
        ("from its answer to the last child", from_answer),
        ("from the command to its answer", took),
    ):
        p50, p99 = np.percentile(np.array(found), (50, 99))
        report.add(
            Result(
                bench=BENCH,
                case=what,
                contender="execution",
                figures={
                    "p50 ms": float(p50),
                    "p99 ms": float(p99),
                    "max ms": max(found),
                    "halts": len(found),
                    "with a later child": sum(each > 0 for each in found),
                },
                assumptions={
                    "executions": executions,
                    "children a second": round(float(np.median(driver.children))),
                    "load": f"{os.getloadavg()[0]:.1f}",
                },
            )
        )


async def _refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)
