"""However the clock is set, in steps large and small, a reading is near it, and the steps add up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from libs.common.wall_clock import STEP_NS
from tests.jumping_clock import JUMPS_S, Machine, S

SMALL_S = st.one_of(st.floats(-0.49, -0.3), st.floats(-0.49, 0.49))
WAITS_S = st.one_of(st.floats(0.0, 0.1), st.floats(0.0, 2.0))


@given(st.lists(st.tuples(WAITS_S, st.one_of(st.just(0.0), SMALL_S, JUMPS_S)), max_size=60))
def test_a_reading_is_never_a_step_away_from_the_clock(moves: list[tuple[float, float]]) -> None:
    machine = Machine(1_790_000_000 * S)
    before = machine.clock.read()
    for wait_s, jump_s in moves:
        machine.wait(round(wait_s * S))
        machine.jump(jump_s)
        now, stepped_ns = machine.clock.read(), machine.clock.stepped_ns()
        assert abs(now - machine.wall) < STEP_NS
        assert now >= before or stepped_ns < 0, "it goes back only where a step is told"
        before = now


@given(st.lists(st.tuples(WAITS_S, JUMPS_S), max_size=60))
def test_the_steps_told_are_the_jumps_made(moves: list[tuple[float, int]]) -> None:
    machine = Machine(1_790_000_000 * S)
    for wait_s, jump_s in moves:
        machine.wait(round(wait_s * S))
        machine.jump(jump_s)
        machine.clock.read()
    assert machine.clock.stepped_ns() == sum(jump_s for _, jump_s in moves) * S
    assert machine.clock.steps == len(moves)
