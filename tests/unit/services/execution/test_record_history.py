"""A real execution's records, one after the other, are each the one before with the progress of a child."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from libs.common.events import ExecutionProgress, ExecutionRecord, ExecutionStatus, OrderFilled
from libs.common.record_view import FILLS_KEPT, with_progress
from tests.execution_world import ExecutionWorld

if TYPE_CHECKING:
    from libs.common.events import RecordFill


def a_worked_execution(levels: int) -> tuple[ExecutionWorld, str]:
    """Let a child take so many levels, again and again, until the order is filled or given up."""
    world = ExecutionWorld(retry_ms=1.0)
    world.ready()
    asks = [(60_000.5 + 0.5 * n, 0.004) for n in range(levels)]
    world.books(asks=[*asks, (90_000.0, 5000.0)])
    execution_id = world.execute(urgency=1.0)
    while world.unanswered:
        world.answer()
    for n in range(1, 120):
        taken = (60_000.0, 0.004 * levels * n)
        world.books(asks=[taken, *asks, (90_000.0, 5000.0)], seq=7 + n)
        world.advance()
    return world, execution_id


def progress_of(
    before: ExecutionRecord, after: ExecutionRecord, fills: list[RecordFill]
) -> ExecutionProgress:
    """Return what one child did between two records, from `fills` of the execution, all of them."""
    changed = [order for order in after.orders if order not in before.orders]
    (order,) = changed or (None,)
    mine = () if order is None else tuple(fill for fill in fills if fill.order_id == order.cl_ord_id)
    return ExecutionProgress(
        execution_id=after.execution_id,
        n=None if order is None else after.orders.index(order),
        order=order,
        fills=mine[-FILLS_KEPT:],
        leg=None if order is None else next(leg for leg in after.legs if leg.venue == order.venue),
        filled=after.filled,
        open=after.open,
        unscheduled=after.unscheduled,
        avg_px=after.avg_px,
        waiting=after.waiting,
        audit=after.audit,
        ts=after.ts,
    )


@pytest.mark.parametrize("levels", [1, 5])
def test_each_record_is_the_one_before_with_a_childs_progress(levels: int) -> None:
    world, execution_id = a_worked_execution(levels)
    history = world.history(execution_id)
    every = list({fill.fill_id: fill for record in history for fill in record.fills}.values())
    assert len(every) == len(world.all(OrderFilled))
    compared = 0
    for before, after in pairwise(history):
        if before.status is after.status is ExecutionStatus.WORKING and before.plan == after.plan:
            seen = [fill for fill in every if fill.ts <= after.ts]
            assert with_progress(before, progress_of(before, after, seen)) == after
            compared += 1
    assert compared > 50
    assert (levels == 5) == (history[-1].fills_total is not None and history[-1].fills_total > FILLS_KEPT)


def test_a_record_of_another_kind_of_step_is_not_lost() -> None:
    world, execution_id = a_worked_execution(1)
    record = world.record(execution_id)
    waits = replace(progress_of(record, record, []), waiting="for a book")
    assert with_progress(record, waits) == replace(record, waiting="for a book")
