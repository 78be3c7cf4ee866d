from __future__ import annotations

import msgspec
import pytest

from libs.common.events import AuditHead, ExecutionProgress
from libs.common.topics import EXECUTION_RECORDS, progress_key
from tests.execution_world import ExecutionWorld
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import World

ONE = "d585da82-2fb6-5596-94a2-0296c89596cf"
OTHER = "d585da82-ffff-5596-94a2-0296c89596cf"


def a_gateway() -> World:
    executions = ExecutionWorld()
    executions.ready()
    name = executions.execute("one")
    executions.finish()
    world = World()
    for identifier in (ONE, OTHER):
        record = msgspec.structs.replace(executions.records[name], execution_id=identifier)
        world.fold(EXECUTION_RECORDS, identifier.encode(), record)
    return world


@pytest.mark.parametrize("beginning", ["d585da82-2", "D585DA82-2fb6", ONE])
async def test_an_execution_is_found_by_a_beginning_that_no_other_has(beginning: str) -> None:
    answer = await a_gateway().ask(f"/api/exec/{beginning}")
    assert (answer.status, answer.json()["executionId"]) == (200, ONE)


@pytest.mark.parametrize("route", ["exec", "audit"])
async def test_a_beginning_of_several_is_422_and_lists_them(route: str) -> None:
    problem = assert_problem(await a_gateway().ask(f"/api/{route}/d585da82"), 422, "invalid")
    assert problem["detail"] == f"2 executions begin with 'd585da82': {ONE}, {OTHER}."


@pytest.mark.parametrize("text", ["d585da8", "00000000", "00000000-0000-0000-0000-000000000000"])
async def test_a_beginning_of_none_or_of_fewer_than_eight_signs_is_404(text: str) -> None:
    assert_problem(await a_gateway().ask(f"/api/exec/{text}"), 404, "unknown-name")


async def test_an_audit_is_read_by_the_whole_id() -> None:
    problem = assert_problem(await a_gateway().ask("/api/audit/d585da82-f"), 404, "unknown-name")
    assert OTHER in problem["detail"]


async def test_the_progress_of_a_child_is_in_the_record_and_no_execution_of_its_own() -> None:
    world = a_gateway()
    record = world.views.records.items[ONE.encode()]
    order = msgspec.structs.replace(record.orders[0], cl_ord_id="next", submitted_ts=record.ts)
    progress = ExecutionProgress(
        execution_id=ONE,
        n=len(record.orders),
        order=order,
        filled=record.filled,
        waiting="for a book",
        audit=AuditHead(entries=99, head="ab"),
        ts=record.ts + 1_000_000,
    )
    world.fold(EXECUTION_RECORDS, progress_key(ONE, progress.n), progress)
    world.fold(EXECUTION_RECORDS, progress_key(ONE, None), None)
    said = (await world.ask(f"/api/exec/{ONE}")).json()
    assert said["waiting"] == "for a book"
    assert [each["orderId"] for each in said["orders"]] == [
        each.cl_ord_id for each in (*record.orders, order)
    ]
    assert len((await world.ask("/api/exec/records")).json()) == 2
