"""Alerts: the CPU time of a look at the views, and how long from a cause in them to its message.

In process, with a receiver on a real socket of this machine: what Slack takes is left out. The second figure
is of causes that come at any moment, one at a time.
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from pydantic import SecretStr

from libs.common.events import ExecutionRecord, ExecutionStatus, Limits, LimitsSet, Subscribed, TradingHalted
from libs.common.proxies import Proxies
from libs.common.topics import (
    EXECUTION_CONTROLS,
    EXECUTION_RECORDS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_SUBSCRIPTIONS,
    PORTFOLIO_POSITIONS,
    book_key,
    limits_key,
)
from libs.common.trading_limits import SETTINGS
from services.gateway.alerts.cause import Moment
from services.gateway.alerts.ledger import Ledger
from services.gateway.alerts.lookout import Lookout
from services.gateway.alerts.watch import LOOK_S, Watch
from tests.bench.chunks import on_cores
from tests.bench.report import Result, quartiles
from tests.e2e.system import until
from tests.execution_market import a_position
from tests.full_valued import bare
from tests.unit.services.gateway.world import NOW, World, a_book_health, a_book_top
from tests.webhook_receiver import receiving

if TYPE_CHECKING:
    from tests.bench.report import Report

ROUNDS: Final = 30
LOOKS: Final = 40
RECORDS: Final = 10_000
HELD: Final = 10  # positions
CAUSES: Final = 40
APART_S: Final = 0.37  # between two causes: no divisor of the time between two looks


def run(report: Report) -> None:
    """Measure both."""
    asyncio.run(_measure(report))


async def _measure(report: Report) -> None:
    with on_cores(1) as cores:
        for books in (15, 500):
            took_s = _looks(_world(books))
            figures = {"us": took_s * 1e6, "percent_of_a_core": took_s / LOOK_S * 100}
            report.add(
                Result(
                    bench="alerts",
                    case=f"one look, {books} books, {RECORDS} executions, all well",
                    contender="lookout and ledger",
                    figures=figures,
                    assumptions={"process": f"core {cores}", "looks": f"each {LOOK_S} s, books each second"},
                )
            )
    report.add(
        Result(
            bench="alerts",
            case="from a halt in the views to its message at the receiver",
            contender="watch and webhook",
            figures=await _delays(),
            assumptions={"receiver": "on this machine, answers at once", "causes": f"{CAUSES}"},
        )
    )


def _world(books: int) -> World:
    world = World()
    for number in range(books):
        symbol = f"S{number:03d}-USDT"
        key = book_key("binance", symbol)
        world.fold(L2_SUBSCRIPTIONS, key, Subscribed(venue="binance", symbol=symbol, requested_ts=NOW))
        world.fold(L2_BOOK_HEALTH, key, a_book_health(symbol=symbol))
        world.fold(L2_BOOK_TOPS, key, a_book_top(symbol=symbol))
    limits = Limits(gross_exposure=50.0, symbol_exposure=1.0, daily_loss=0.05, drawdown=0.1, failed_share=0.8)
    told = LimitsSet(scope=SETTINGS, limits=limits, by="execution", ts=NOW)
    world.fold(EXECUTION_CONTROLS, limits_key(SETTINGS), told)
    for number in range(HELD):
        symbol = f"S{number:03d}-USDT"
        world.fold(PORTFOLIO_POSITIONS, symbol.encode(), a_position(Decimal(1), symbol=symbol))
    record = replace(bare(ExecutionRecord), status=ExecutionStatus.COMPLETED)
    for number in range(RECORDS):
        world.fold(EXECUTION_RECORDS, str(number).encode(), replace(record, execution_id=str(number)))
    return world


def _looks(world: World) -> float:
    """Return the seconds of a look, the median of rounds, in each of which an execution was written."""
    lookout, ledger, record = Lookout(world.views, lambda: None), Ledger(), bare(ExecutionRecord)
    took = []
    for turn in range(ROUNDS + 1):
        spent = 0
        for look in range(LOOKS):
            world.fold(EXECUTION_RECORDS, b"working", record)
            moment = Moment(NOW, round((turn * LOOKS + look) * LOOK_S * 1e9))
            begun = time.thread_time_ns()
            ledger.judge(lookout.causes(moment), moment)
            spent += time.thread_time_ns() - begun
        took.append(spent / LOOKS / 1e9)
    return quartiles(took[1:]).median  # the first looked at all that there was


async def _delays() -> dict[str, float]:
    world = World()
    async with receiving() as receiver:
        lookout = Lookout(world.views, lambda: None)
        watch = Watch(
            lambda now: [each for each in lookout.causes(now) if each.kind == "trading-halted"],
            SecretStr(receiver.url),
            Proxies({}),
            "bench",
        )
        watching = asyncio.create_task(watch.run())
        begun = {}
        for number in range(CAUSES):
            scope = f"policy:p{number}"
            begun[f"trading-halted:{scope}"] = time.monotonic()
            event = TradingHalted(scope=scope, reason="bench", by="bench", ts=time.time_ns())
            world.fold(EXECUTION_CONTROLS, scope.encode(), event)
            await asyncio.sleep(APART_S)

        async def all_received() -> bool:
            return len(receiver.received) == CAUSES

        await until("all messages", all_received)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    delays = sorted(each.at - begun[each.body["key"]] for each in receiver.received)
    return {"median_s": quartiles(delays).median, "worst_s": delays[-1]}
