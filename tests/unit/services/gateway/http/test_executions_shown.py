"""Who has the answer of an execution finds it on the other routes too."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from libs.common.events import ExecutionPlanned, SizingSnapshot
from libs.common.topics import EXECUTION_RECORDS, EXECUTION_SIZINGS
from tests.execution_world import a_ready_world
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from libs.common.events import Event, PlanAndExecute

BODY = json.dumps({"symbol": "BTC-USDT"}).encode()


def a_planned() -> tuple[ExecutionPlanned, SizingSnapshot]:
    """Return the answer of an execution, and its sizing, as the service tells them."""
    world = a_ready_world()
    world.execute()
    world.answer()
    world.answer()
    return world.all(ExecutionPlanned)[0], world.all(SizingSnapshot)[0]


@pytest.mark.parametrize("first", [EXECUTION_RECORDS, EXECUTION_SIZINGS])
async def test_it_is_answered_once_its_record_and_its_sizing_are_there(
    monkeypatch: pytest.MonkeyPatch, first: object
) -> None:
    planned, sizing = a_planned()
    world = World()

    async def answer(*_question: object) -> Event:
        return planned

    monkeypatch.setattr(world.commands, "ask", answer)
    headers = {"content-type": "application/json"}
    asking = asyncio.create_task(world.ask("/api/exec/plan-and-execute", "POST", BODY, headers))
    told = {
        EXECUTION_RECORDS: (planned.record.execution_id.encode(), planned.record),
        EXECUTION_SIZINGS: (sizing.symbol.encode(), sizing),
    }
    for topic in sorted(told, key=lambda topic: topic is not first):
        for _ in range(20):
            await asyncio.sleep(0)
        assert not asking.done()
        world.fold(topic, *told[topic])
    assert (await asking).status == 200
    assert (await world.ask("/api/exec/sizing/last")).json()["executionId"] == planned.record.execution_id


async def test_it_is_answered_nevertheless_where_they_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    planned, _ = a_planned()
    world = World()

    async def answer(*_question: object) -> Event:
        return planned

    monkeypatch.setattr(world.commands, "ask", answer)
    monkeypatch.setattr("services.gateway.http.executions.SEEN_S", 0.01)
    answered = await world.ask(
        "/api/exec/plan-and-execute", "POST", BODY, {"content-type": "application/json"}
    )
    assert answered.status == 200


async def test_the_bounds_of_its_venues_are_in_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    planned, _ = a_planned()
    world = World()
    told: list[PlanAndExecute] = []

    async def answer(_topic: object, _key: object, command: PlanAndExecute, *_others: object) -> Event:
        told.append(command)
        return planned

    monkeypatch.setattr(world.commands, "ask", answer)
    monkeypatch.setattr("services.gateway.http.executions.SEEN_S", 0.01)
    body = b'{"symbol": "BTCUSDT", "maxVenues": 2, "venues": ["OKX", "kraken"]}'
    headers = {"content-type": "application/json"}
    await world.ask("/api/exec/plan-and-execute", "POST", body, headers)
    assert [(each.max_venues, each.venues) for each in told] == [(2, ("okx", "kraken"))]
