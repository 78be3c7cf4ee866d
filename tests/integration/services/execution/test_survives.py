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
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from libs.common.audit_chain import broken_links
from libs.common.events import (
    AuditEntry,
    ExecutionPlanned,
    ExecutionRecord,
    ExecutionStatus,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PlanAndExecute,
)
from libs.common.kafka import read
from libs.common.topics import (
    EXECUTION_AUDIT,
    EXECUTION_COMMANDS,
    EXECUTION_FILLS,
    EXECUTION_ORDERS,
    EXECUTION_PLANS,
    EXECUTION_RECORDS,
    ROUTER_COMMANDS,
    VENUES_COMMANDS,
)
from services.execution.audit.rerun import rerun
from tests.integration.libs.common.workers import eventually
from tests.integration.services.execution.peers import SYMBOLS, ExecutionProcess, Peers, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.events import Event
    from libs.common.kafka import Undecodable
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

KILLS = int(os.environ.get("EXECUTION_KILLS", "12"))
RUNS = int(os.environ.get("EXECUTION_RUNS", "40"))


async def test_executions_end_exactly_once_and_the_books_balance_under_sigkill(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = settings_of(fresh_kafka)
    chance = random.Random(20_261_125)
    environment = {
        "EXECUTION_HORIZON_S": "1",
        "EXECUTION_LATENCY_MS": "40",
        "EXECUTION_STEP_TIMEOUT_S": "60",
        "EXECUTION_S_MAX": "0.2",  # sizes that the small market takes
    }
    service = ExecutionProcess(fresh_kafka, tmp_path / "execution.log", **environment)
    peers = Peers(settings, "p_sma", delay_s=0.05)
    names = [str(uuid5(NAMESPACE_URL, f"run {n}")) for n in range(RUNS)]
    async with peers.running() as publisher:
        service.start()
        try:
            sending = asyncio.create_task(_send(publisher, names, chance))
            for _ in range(KILLS):
                restored = service.restored()
                await asyncio.sleep(chance.uniform(0.1, 1.2))
                service.kill()
                service.start()
                if chance.random() < 0.7:  # the others are killed while they start
                    await eventually(lambda before=restored: _more(service, before), timeout_s=60)  # type: ignore[misc]  # a lambda's default
            await sending
            await eventually(lambda: _all_taught(settings, names), timeout_s=90)
        finally:
            service.kill()
    await _assert_exactly_once(settings, names)


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


async def _send(publisher: Any, names: list[str], chance: random.Random) -> None:
    for n, name in enumerate(names):
        symbol = SYMBOLS[n % len(SYMBOLS)]
        command = PlanAndExecute(command_id=name, symbol=symbol, urgency=1.0)
        await publisher.send_and_wait(EXECUTION_COMMANDS, symbol.encode(), command, time.time_ns())
        await asyncio.sleep(chance.uniform(0.0, 0.3))


async def _more(service: ExecutionProcess, before: int) -> bool:
    return service.restored() > before


async def _all_taught(settings: ServiceSettings, names: list[str]) -> bool:
    records = _latest(await _log(settings, EXECUTION_RECORDS))
    return all(name in records and records[name].status.final and _taught(records[name]) for name in names)


def _taught(record: ExecutionRecord) -> bool:
    return record.reward is not None and (record.reward.reward is None or record.reward.counted is not None)


async def _assert_exactly_once(settings: ServiceSettings, names: list[str]) -> None:
    asked = Counter(e.command_id for e in await _log(settings, ROUTER_COMMANDS, VENUES_COMMANDS))
    assert set(asked.values()) == {1}, "a command to a peer was sent twice"
    records = _latest(await _log(settings, EXECUTION_RECORDS))
    planned = Counter(
        e.command_id for e in await _log(settings, EXECUTION_PLANS) if isinstance(e, ExecutionPlanned)
    )
    assert planned == Counter(names), "each was answered exactly once"
    orders = await _log(settings, EXECUTION_ORDERS)
    submitted = Counter(e.order.cl_ord_id for e in orders if isinstance(e, OrderSubmitted))
    assert set(submitted.values()) == {1}
    closed = Counter(e.order.cl_ord_id for e in orders if isinstance(e, OrderCanceled | OrderRejected))
    assert not closed or set(closed.values()) == {1}
    fills: dict[str, list[OrderFilled]] = {}
    for fill in await _log(settings, EXECUTION_FILLS):
        fills.setdefault(fill.execution_id, []).append(fill)
    chains: dict[str, list[AuditEntry]] = {}
    for entry in await _log(settings, EXECUTION_AUDIT):
        chains.setdefault(entry.execution_id, []).append(entry)
    assert any(record.status is ExecutionStatus.COMPLETED for record in records.values())
    for name in names:
        record, mine, chain = records[name], fills.get(name, []), chains[name]
        assert [fill.exec_id for fill in mine] == [fill.fill_id for fill in record.fills]
        assert len({fill.exec_id for fill in mine}) == len(mine)
        assert sum((fill.last_qty for fill in mine), Decimal(0)) == record.filled
        assert record.open == 0
        if record.plan is not None:
            assert record.filled + record.unscheduled == record.plan.size
        assert broken_links(chain) == []
        assert [entry.kind for entry in chain].count("ended") == 1
        assert chain[-1].hash == record.audit.head
        assert rerun(chain).differences == ()


def _latest(events: list[Any]) -> dict[str, ExecutionRecord]:
    return {event.execution_id: event for event in events}


async def _log(settings: ServiceSettings, *topics: Topic) -> list[Any]:
    found: list[Event | None] = []
    async with aclosing(read(settings, topics, on_undecodable=_refuse, stop_at_end=True)) as batches:
        async for batch in batches:
            found += [record.event for record in batch]
    return found


async def _refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)
