"""The execution service under SIGKILL, on a real broker: all end exactly once, and the books balance.

``EXECUTION_KILLS`` (default 12) and ``EXECUTION_RUNS`` (default 40) make it longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

import pytest

from libs.common.audit_chain import broken_links
from libs.common.events import (
    AuditEntry,
    CommandRejected,
    ExecutionPlanned,
    ExecutionRecord,
    ExecutionStatus,
    HaltTrading,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PlanAndExecute,
    ResumeTrading,
    RewardPolicy,
    TradingControlled,
)
from libs.common.kafka import read
from libs.common.topics import (
    CONTROLS_KEY,
    EXECUTION_AUDIT,
    EXECUTION_COMMANDS,
    EXECUTION_CONTROLS,
    EXECUTION_FILLS,
    EXECUTION_ORDERS,
    EXECUTION_PLANS,
    EXECUTION_RECORDS,
    ROUTER_COMMANDS,
    VENUES_COMMANDS,
)
from services.execution.audit.rerun import rerun
from tests.halted_orders import halts_in, late_orders
from tests.integration.libs.common.workers import eventually
from tests.integration.services.execution.peers import SYMBOLS, ExecutionProcess, Peers, settings_of
from tests.whole_records import whole_records

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.kafka import Record, Undecodable
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

KILLS = int(os.environ.get("EXECUTION_KILLS", "12"))
RUNS = int(os.environ.get("EXECUTION_RUNS", "40"))
STEP: Final = 5.0  # between the prices of a book: to walk it costs more than a further venue
HALTED: Final = (
    "venue:binance",
    "symbol:BTC-USDT",
    "venue:okx",
    "policy:p_sma",
    "all",
    "venue:bybit",
    "symbol:SOL-USDT",
    "all",
)
AT_ONCE: Final = 4  # executions are sent
LATE_MS: Final = 1_000  # of a child after a halt, on a machine that does much else


@pytest.mark.timeout(120 + 10 * KILLS)
async def test_executions_end_exactly_once_and_the_books_balance_under_sigkill(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = settings_of(fresh_kafka)
    chance = random.Random(20_261_125)
    environment = {
        "EXECUTION_HORIZON_S": "1",
        "EXECUTION_LATENCY_MS": "150",
        "EXECUTION_STEP_TIMEOUT_S": "300",
        "EXECUTION_S_MAX": "0.1",  # sizes that the small market takes
        "EXECUTION_PATIENCE_S": "15",
        "EXECUTION_ALLOW_SHORT": "true",
        "EXECUTION_REALLOCATE_AFTER_S": "0.3",  # less than most halts last
    }
    service = ExecutionProcess(fresh_kafka, tmp_path / "execution.log", **environment)
    peers = Peers(settings, "p_sma", "x_mine", "p_meanrev", delay_s=0.05, step=STEP)  # up and down again
    names = [str(uuid5(NAMESPACE_URL, f"run {n}")) for n in range(RUNS)]
    async with peers.running() as publisher:
        service.start()
        try:
            answered: set[str] = set()
            reading = asyncio.create_task(_follow_answers(settings, answered))
            sending = asyncio.create_task(_send(publisher, names, chance, answered))
            for _ in range(KILLS):
                restored = service.restored()
                await asyncio.sleep(chance.uniform(0.1, 1.2))
                service.kill()
                service.start()
                if chance.random() < 0.7:  # the others are killed while they start
                    await eventually(lambda before=restored: _more(service, before), timeout_s=60)  # type: ignore[misc]  # a lambda's default
            await sending
            await eventually(lambda: _all_taught(settings, names), timeout_s=180)
        finally:
            service.kill()
            reading.cancel()
            await asyncio.wait({reading})
    await _assert_exactly_once(settings, names)
    await _assert_void_once(settings)
    await _assert_halted(settings, service)


async def test_two_hundred_executions_at_once_all_finish(fresh_kafka: str, tmp_path: Path) -> None:
    settings = settings_of(fresh_kafka)
    service = ExecutionProcess(
        fresh_kafka,
        tmp_path / "execution.log",
        EXECUTION_HORIZON_S="1",
        EXECUTION_STEP_TIMEOUT_S="60",
        EXECUTION_S_MAX="0.2",
    )
    names = [str(uuid5(NAMESPACE_URL, f"crowd {n}")) for n in range(200)]
    async with Peers(settings, "p_sma").running() as publisher:
        service.start()
        try:
            for n, name in enumerate(names):
                symbol = SYMBOLS[n % len(SYMBOLS)]
                command = PlanAndExecute(command_id=name, symbol=symbol, urgency=1.0)
                await publisher.send(EXECUTION_COMMANDS, symbol.encode(), command, time.time_ns())
            await eventually(lambda: _all_taught(settings, names), timeout_s=120)
        finally:
            service.kill()
    await _assert_exactly_once(settings, names)


async def _send(publisher: Any, names: list[str], chance: random.Random, answered: set[str]) -> None:
    """Let executions begin, some at once; halt a scope while they work, and let the last come meanwhile.

    What halts and resumes is waited for: else both would often be done at once, after a restart.
    """

    async def control(kind: type[HaltTrading | ResumeTrading], n: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        name = str(uuid5(NAMESPACE_URL, f"{kind.__name__} {n}"))
        command = kind(command_id=name, scope=HALTED[n % len(HALTED)], reason="a test", by="the test")
        await publisher.send_and_wait(EXECUTION_COMMANDS, CONTROLS_KEY.encode(), command, time.time_ns())

        async def done() -> bool:
            return name in answered

        await eventually(done, timeout_s=120)

    for n, name in enumerate(names):
        last = n % AT_ONCE == AT_ONCE - 1
        if last:
            await control(HaltTrading, n // AT_ONCE, chance.uniform(0.0, 0.5))
        symbol = SYMBOLS[n % len(SYMBOLS)]
        command = PlanAndExecute(command_id=name, symbol=symbol, urgency=1.0)
        await publisher.send_and_wait(EXECUTION_COMMANDS, symbol.encode(), command, time.time_ns())
        if last:
            await control(ResumeTrading, n // AT_ONCE, chance.uniform(0.2, 1.5))


async def _follow_answers(settings: ServiceSettings, answered: set[str]) -> None:
    async with aclosing(read(settings, (EXECUTION_PLANS,), on_undecodable=_refuse)) as batches:
        async for batch in batches:
            answered.update(
                e.command_id for e in (r.event for r in batch) if isinstance(e, TradingControlled)
            )


async def _more(service: ExecutionProcess, before: int) -> bool:
    return service.restored() > before


async def _all_taught(settings: ServiceSettings, names: list[str]) -> bool:
    records = _latest(await _log(settings, EXECUTION_RECORDS))
    refused = {e.command_id for e in await _log(settings, EXECUTION_PLANS) if isinstance(e, CommandRejected)}
    return all(
        name in refused or (name in records and records[name].status.final and _taught(records[name]))
        for name in names
    )


def _taught(record: ExecutionRecord) -> bool:
    if record.reward is None:
        return False
    answerless = record.reward.reward is None and not record.reason.startswith("no signal of ")
    return answerless or record.reward.counted is not None


async def _assert_exactly_once(settings: ServiceSettings, names: list[str]) -> None:
    asked = Counter(e.command_id for e in await _log(settings, ROUTER_COMMANDS, VENUES_COMMANDS))
    assert set(asked.values()) == {1}, "a command to a peer was sent twice"
    records = _latest(await _log(settings, EXECUTION_RECORDS))
    answers = await _log(settings, EXECUTION_PLANS)
    refused = {e.command_id for e in answers if isinstance(e, CommandRejected)}
    answered = Counter(e.command_id for e in answers if isinstance(e, ExecutionPlanned | CommandRejected))
    assert answered == Counter(names), "each was answered exactly once"
    assert refused.isdisjoint(records), "what is refused does not begin"
    orders = await _log(settings, EXECUTION_ORDERS)
    submitted = Counter(e.order.cl_ord_id for e in orders if isinstance(e, OrderSubmitted))
    assert set(submitted.values()) == {1}
    accepted = Counter(e.order.cl_ord_id for e in orders if isinstance(e, OrderAccepted))
    assert set(accepted.values()) == {1}
    closed = Counter(e.order.cl_ord_id for e in orders if isinstance(e, OrderCanceled | OrderRejected))
    assert not closed or set(closed.values()) == {1}
    children = [order for record in records.values() for order in record.orders]
    assert {order.cl_ord_id for order in children} == set(submitted), "a child was lost"
    assert len(children) == len(submitted)
    fills: dict[str, list[OrderFilled]] = {}
    for fill in await _log(settings, EXECUTION_FILLS):
        fills.setdefault(fill.execution_id, []).append(fill)
    chains: dict[str, list[AuditEntry]] = {}
    for entry in await _log(settings, EXECUTION_AUDIT):
        chains.setdefault(entry.execution_id, []).append(entry)
    assert set(chains) == set(records) == set(names) - refused
    assert any(record.status is ExecutionStatus.COMPLETED for record in records.values())
    for name, record in records.items():
        mine, chain = fills.get(name, []), chains[name]
        _assert_sums(record, mine)
        assert broken_links(chain) == []
        assert [entry.kind for entry in chain].count("ended") == 1
        assert chain[-1].hash == record.audit.head
        assert rerun(chain).differences == ()


async def _assert_void_once(settings: ServiceSettings) -> None:
    """See that decisions that had no signal to act on, and no others, were told to be void, once."""
    records = _latest(await _log(settings, EXECUTION_RECORDS))
    void = [record for record in records.values() if record.reason.startswith("no signal of x_mine")]
    told = [e for e in await _log(settings, ROUTER_COMMANDS) if isinstance(e, RewardPolicy) and e.void]
    assert Counter(command.decision_id for command in told) == Counter(each.decision_id for each in void)
    for record in void:
        assert record.reward is not None
        assert (record.status, record.legs, record.signal) == (ExecutionStatus.SKIPPED, (), None)
        assert (record.reward.reward, record.reward.counted) == (None, False)
    traded = [each for each in records.values() if each.policy_id == "x_mine" and each.filled]
    print({"void": len(void), "traded on a signal from outside": len(traded)})  # noqa: T201 -- seen with -s
    assert void, "the policy from outside had a signal whenever it was chosen"
    assert traded, "the policy from outside never had a signal"


def _assert_sums(record: ExecutionRecord, fills: list[OrderFilled]) -> None:
    """See that fills sum to children, children to legs, and legs to the order."""
    assert record.status.final
    assert sorted(fill.exec_id for fill in fills) == sorted(fill.fill_id for fill in record.fills)
    assert len({fill.exec_id for fill in fills}) == len(fills)
    assert sum((fill.last_qty for fill in fills), Decimal(0)) == record.filled
    assert record.open == 0
    for order in record.orders:
        assert not order.ord_status.open
        of_order = [fill.last_qty for fill in fills if fill.cl_ord_id == order.cl_ord_id]
        assert sum(of_order, Decimal(0)) == order.cum_qty
    for leg in record.legs:
        of_leg = [order.cum_qty for order in record.orders if order.venue == leg.venue]
        assert sum(of_leg, Decimal(0)) == leg.filled
        assert leg.filled + leg.unscheduled == leg.size
    if record.plan is not None:
        assert sum((leg.size for leg in record.legs), Decimal(0)) == record.plan.size
        assert sum((leg.filled for leg in record.legs), Decimal(0)) == record.filled
        assert record.filled + record.unscheduled == record.plan.size


async def _assert_halted(settings: ServiceSettings, service: ExecutionProcess) -> None:
    """See that nothing of a halted scope is sent by a process that began after the halt, nor long after it.

    A process has read all controls before it handles anything, and one that runs reads a halt when it stands.
    """
    records = _latest(await _log(settings, EXECUTION_RECORDS))
    halts = halts_in(await _records(settings, EXECUTION_CONTROLS))
    orders = await _records(settings, EXECUTION_ORDERS)
    late = list(late_orders(orders, halts, {name: each.policy_id for name, each in records.items()}))
    by_later = [
        each for each in late if _process_at(service, each.ts_ms) > _process_at(service, each.halt.began_ms)
    ]
    split = [record for record in records.values() if len(record.legs) > 1]
    longest_ms = max((each.after_ms for each in late), default=0.0)
    facts = {
        "kills": len(service.starts_ms) - 1,
        "executions": len(records),
        "refused": RUNS - len(records),
        "ended": dict(Counter(str(record.status) for record in records.values())),
        "split": len(split),
        "legs taken over": sum("took over" in leg.why for record in split for leg in record.legs),
        "children": sum(len(record.orders) for record in records.values()),
        "fills": sum(len(record.fills) for record in records.values()),
        "halts": len(halts),
        "ended by a halt": sum("halted" in record.reason for record in records.values()),
        "other ends": Counter(
            record.reason[:80] for record in records.values() if record.status is ExecutionStatus.FAILED
        ).most_common(3),
        "late": len(late),
        "late in another process": len(by_later),
        "latest_ms": longest_ms,
    }
    print(facts)  # noqa: T201 -- seen with -s, and where it fails
    assert split, "no execution was split"
    assert halts, "nothing was halted"
    assert facts["refused"] or facts["ended by a halt"], "no halt met an execution"
    assert by_later == []
    assert longest_ms <= LATE_MS


def _process_at(service: ExecutionProcess, ts_ms: float) -> int:
    return sum(start <= ts_ms for start in service.starts_ms)


def _latest(events: list[Any]) -> dict[str, ExecutionRecord]:
    return {record.execution_id: record for record in whole_records(events)}


async def _log(settings: ServiceSettings, *topics: Topic) -> list[Any]:
    return [record.event for record in await _records(settings, *topics)]


async def _records(settings: ServiceSettings, *topics: Topic) -> list[Record]:
    found: list[Record] = []
    async with aclosing(read(settings, topics, on_undecodable=_refuse, stop_at_end=True)) as batches:
        async for batch in batches:
            found += batch
    return found


async def _refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)
