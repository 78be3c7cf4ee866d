"""A POV leg with a rest under its smallest child."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from services.execution.saga.phases import course_key, saga_key
from tests.unit.services.execution.test_participation import Tape


def test_a_pov_rest_that_the_venue_takes_waits_for_volume_though_it_is_under_the_smallest_child() -> None:
    tape = Tape()
    world, rest = tape.world, Decimal("0.00008")
    course = world.state[course_key(tape.execution_id)]
    saga = world.state[saga_key(tape.execution_id)]
    leg = course.legs["binance"]
    assert saga.legs[0].plan.min_child == rest + Decimal("0.00001")
    legs = {"binance": replace(leg, quantity=rest, next=len(saga.legs[0].plan.slices), retry_ts=world.now)}
    world.state.put(course_key(tape.execution_id), replace(course, legs=legs))
    dearer = tuple((63_000.5 + 0.5 * n, 0.02) for n in range(50))
    for _ in range(10):
        world.now += 15_000_000_000
        world.books(asks=dearer)
        world.advance(1.0)
    assert world.record(tape.execution_id).reason == ""
    assert not world.record(tape.execution_id).status.final
