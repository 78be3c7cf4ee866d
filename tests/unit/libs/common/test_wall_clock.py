from __future__ import annotations

import pytest

from libs.common.wall_clock import STEP_NS, WallClock

S = 1_000_000_000


class Machine:
    def __init__(self) -> None:
        self.wall, self.monotonic = 1_800_000_000 * S, 77 * S
        self.clock = WallClock(lambda: self.wall, lambda: self.monotonic)

    def wait(self, seconds: float, set_by_s: float = 0.0) -> int:
        self.wall += round((seconds + set_by_s) * S)
        self.monotonic += round(seconds * S)
        return self.clock.read()


@pytest.mark.parametrize("by_s", [-86_400, -3600, -1, 1, 3600, 86_400])
def test_a_clock_that_is_set_is_followed_and_told_once(by_s: int) -> None:
    machine = Machine()
    before = machine.wait(1)
    assert machine.wait(1, by_s) == before + (1 + by_s) * S
    assert machine.clock.stepped_ns() == by_s * S
    assert machine.clock.stepped_ns() == 0
    assert machine.wait(1) == before + (2 + by_s) * S
    assert machine.clock.steps == 1


def test_a_clock_that_is_slewed_never_goes_back_and_was_not_set() -> None:
    machine = Machine()
    told = [machine.wait(1, -0.0005 * at) for at in range(900)]
    assert told == sorted(told)
    assert told[-1] == machine.wall or told[-1] - machine.wall < STEP_NS
    assert machine.clock.steps == 0


def test_a_small_step_back_waits_until_it_is_made_up_for() -> None:
    machine = Machine()
    before = machine.wait(1)
    assert machine.wait(0.1, -0.3) == before
    assert machine.wait(1) > before
    assert machine.clock.stepped_ns() == 0
