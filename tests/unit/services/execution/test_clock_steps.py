"""An execution whose clock is set while it works ends as it would have, in the same time."""

from __future__ import annotations

import pytest

from services.execution.clock_steps import step_clock
from services.execution.saga import Saga, saga_key
from tests.execution_world import ExecutionWorld

S = 1_000_000_000
THIN = tuple((60_000.5 + 0.5 * n, 0.02) for n in range(50))


def a_working_execution() -> tuple[ExecutionWorld, Saga]:
    world = ExecutionWorld()
    world.ready()
    world.books(asks=THIN)
    execution_id = world.execute(urgency=0.3)
    while world.unanswered:
        world.answer()
    found = world.state[saga_key(execution_id)]
    assert isinstance(found, Saga)
    assert len(found.slices) > 1
    return world, found


@pytest.mark.parametrize("by_s", [-86_400, -3600, 3600, 86_400])
def test_slices_keep_their_distance_and_the_plan_stays_as_it_was_told(by_s: int) -> None:
    world, before = a_working_execution()
    step_clock(world.state, by_s * S)
    after = world.state[saga_key(before.execution_id)]
    assert [piece.at_ts - by_s * S for piece in after.slices] == [piece.at_ts for piece in before.slices]
    assert (after.plan, after.stepped_ns) == (before.plan, by_s * S)
    step_clock(world.state, -by_s * S)
    assert world.state[saga_key(before.execution_id)] == before


@pytest.mark.parametrize("by_s", [-86_400, -3600, 3600, 86_400])
def test_it_ends_as_it_would_have_and_in_the_same_time(by_s: int) -> None:
    ends = []
    for step_ns in (0, by_s * S):
        world, saga = a_working_execution()
        began = world.now
        world.advance()
        step_clock(world.state, step_ns)
        world.step_clock(step_ns)
        world.finish()
        record = world.records[saga.execution_id]
        taken_ns = world.now - step_ns - began
        ends.append((record.status, [(fill.size, fill.price) for fill in record.fills], taken_ns))
    assert ends[0] == ends[1]
    assert ends[0][1]
