"""An execution whose clock is set while it works ends as it would have, in the same time."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest

from libs.common.events import OrderFilled, OrderSubmitted, SubmitPaperOrder
from services.execution.broker.own_order import impact_key, order_key
from services.execution.broker.self_impact import SelfImpact, Taken, offered_to_resting
from services.execution.clock_steps import step_clock
from services.execution.saga.child_schedule import next_child
from services.execution.saga.phases import Working, course_key, saga_key
from tests.execution_market import EPOCH, a_book_top
from tests.execution_world import ExecutionWorld, a_ready_world, an_id

S = 1_000_000_000
THIN = tuple((60_000.5 + 3.25 * n, 0.02) for n in range(50))  # dear to walk: the order is worked


def a_working_execution() -> tuple[ExecutionWorld, Working]:
    world = ExecutionWorld(participation_cap=0.05)  # so it does not follow a volume that nobody tells
    world.ready()
    world.books(asks=THIN)
    execution_id = world.execute(urgency=0.3)
    while world.unanswered:
        world.answer()
    found = world.state[saga_key(execution_id)]
    assert isinstance(found, Working)
    assert len(found.legs[0].plan.slices) > 1
    return world, found


STEPS = pytest.mark.parametrize("by_s", [-86_400, -3600, 3600, 86_400])


@STEPS
def test_slices_keep_their_distance_and_the_plan_stays_as_it_was_told(by_s: int) -> None:
    world, before = a_working_execution()
    course = world.state[course_key(before.execution_id)]
    world.advance()
    sent = world.state[course_key(before.execution_id)]
    due = next_child(sent, before.legs[0])
    step_clock(world.state, by_s * S)
    after = next_child(world.state[course_key(before.execution_id)], before.legs[0])
    assert due is not None
    assert after == dataclasses.replace(due, due_ts=due.due_ts + by_s * S)
    assert world.state[saga_key(before.execution_id)] == before
    step_clock(world.state, -by_s * S)
    assert world.state[course_key(before.execution_id)] == sent != course


@STEPS
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
        (ended,) = (entry for entry in world.audit(saga.execution_id) if entry.kind == "ended")
        told = json.loads(ended.payload)
        ends.append((record.status, [(fill.size, fill.price) for fill in record.fills], taken_ns, told))
    assert ends[0] == ends[1]
    assert ends[0][1]


def set_clock(world: ExecutionWorld, by_s: int) -> None:
    step_clock(world.state, by_s * S)
    world.step_clock(by_s * S)


@STEPS
def test_the_latency_of_a_childs_fill_is_what_passed_and_not_the_step(by_s: int) -> None:
    world = a_ready_world()
    world.execute(urgency=1.0)
    while not world.all(OrderSubmitted):
        world.answer()
    set_clock(world, by_s)
    world.finish()
    assert {fill.latency_ns for fill in world.all(OrderFilled)} == {5_000_000}


@STEPS
def test_the_latency_of_an_order_that_rested_is_what_passed_and_not_the_step(by_s: int) -> None:
    world = a_ready_world()
    order: dict[str, Any] = {
        "symbol": "BTC-USDT",
        "side": "buy",
        "order_qty": Decimal("0.5"),
        "venue": "binance",
    }
    limited: dict[str, Any] = {"ord_type": "limit", "price": Decimal("59990.0"), "time_in_force": "gtc"}
    world.deliver(SubmitPaperOrder(command_id=an_id("rests"), **order | limited))
    sent_at = world.now
    world.advance()
    set_clock(world, by_s)
    world.books(asks=((59_990.0, 2.0), (59_991.0, 2.0)), seq=8)
    while not world.all(OrderFilled):
        assert world.advance()
    (fill,) = world.all(OrderFilled)
    assert fill.latency_ns == world.now - by_s * S - sent_at
    done = world.state[order_key(an_id("rests"))]
    step_clock(world.state, by_s * S)
    assert world.state[order_key(an_id("rests"))] == done, "what has ended stays as it was told"


@STEPS
def test_a_level_that_went_is_remembered_for_its_minute_and_no_longer(by_s: int) -> None:
    world = ExecutionWorld()
    key = impact_key("binance", "BTC-USDT")
    gone = Taken(side="buy", price=Decimal("60000.5"), shown=Decimal(2), taken=Decimal(2), gone_ts=world.now)
    world.state.put(key, SelfImpact(epoch=EPOCH, levels=(gone,)))
    step_clock(world.state, by_s * S)
    impact = world.state[key]
    assert isinstance(impact, SelfImpact)
    for after_s, best in ((59, "60001.0"), (60, "60000.5")):
        top = a_book_top(received_ts=world.now + (by_s + after_s) * S)
        assert next(offered_to_resting(top, "buy", impact, top.received_ts))[0] == Decimal(best)
