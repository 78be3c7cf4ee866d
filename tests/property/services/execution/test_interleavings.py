"""Whatever comes between whatever, executions keep their accounts, their halts, their records and their log.

After every message: quantity is conserved, in each leg and over them; nothing is sent where a halt stands;
progress and whole records make the record of the state; the indices are what a rebuild makes of the state.
At the end: each execution has ended once and was answered once, each decision that had no signal to act on is
void once and taught nothing, cash balances, the audit chains verify, and another process that is given the
same inputs, and loses its memory at other moments, writes the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from libs.common.audit_chain import broken_links
from libs.common.codec import encode
from libs.common.events import (
    AuditEntry,
    Event,
    ExecutionPlanned,
    ExecutionRecord,
    OrderAccepted,
    OrderSubmitted,
    RewardPolicy,
)
from libs.common.trading_limits import halt_of
from services.execution.audit.rerun import rerun
from services.execution.clock_steps import step_clock
from services.execution.handlers import handle
from services.execution.kept import ExecutionState, kept_of
from services.execution.market_data import MarketData
from services.execution.saga.phases import SAGA, Ended, Scoring, Working, saga_key, window_key
from services.execution.saga.unit_of_work import UnitOfWork, unit_of
from tests.execution_world import assert_books_balance
from tests.interleaved_world import InterleavedWorld
from tests.other_process import restored, written
from tests.policies_of_others import OTHERS

TURNS = 200
SEEDS = range(6)
ZERO = Decimal(0)


class CheckedWorld(InterleavedWorld):
    """One that is looked at after every message."""

    def deliver(self, message: Any) -> list[Event]:
        events = super().deliver(message)
        for event in events:
            if isinstance(event, OrderSubmitted | OrderAccepted):
                self.assert_not_halted(event)
        told = {getattr(event, "execution_id", None) for event in events}
        records = self.records
        for execution_id in self.begun:
            unit = unit_of(self.state, execution_id, self.market, self.now)
            if unit is not None and (execution_id in told or not isinstance(unit.saga, Ended)):
                assert_legs_sum(unit)
                assert_plan_is_the_mean_of_its_legs(records[execution_id])
                assert comparable(records[execution_id]) == comparable(unit.record())
        assert_indices_are_true(self.state)
        return events

    def assert_not_halted(self, event: OrderSubmitted | OrderAccepted) -> None:
        order = event.order
        saga = self.state.get(saga_key(order.execution_id)) if order.execution_id else None
        policy = saga.policy if isinstance(saga, Scoring | Ended) else None
        policy_id = None if policy is None else policy.policy_id
        halts = self.market.controls.items
        assert halt_of(halts, order.symbol, venue=order.venue, policy_id=policy_id) is None


def assert_legs_sum(unit: UnitOfWork) -> None:
    saga, course = unit.saga, unit.course
    work = saga.work if isinstance(saga, Ended) else saga
    if not isinstance(work, Working):
        assert not course.legs
        return
    assert list(course.legs) == [leg.venue for leg in work.legs]
    assert sum((leg.quantity for leg in course.legs.values()), ZERO) == work.quantity
    orders = [child.order for child in unit.children()]
    for venue, leg in course.legs.items():
        assert min(leg.filled, leg.open, leg.unscheduled, leg.quantity) >= 0
        mine = [order for order in orders if order.venue == venue]
        assert leg.filled == sum((order.cum_qty for order in mine), ZERO)
        assert leg.open == sum((order.leaves_qty for order in mine if order.ord_status.open), ZERO)
        assert leg.paid == sum((order.cum_quote for order in mine), ZERO)
        assert leg.fees == sum((order.fees for order in mine), ZERO)
        assert leg.child == next((n for n, o in enumerate(orders) if o in mine and o.ord_status.open), None)
        assert leg.over is None or not leg.open


def assert_plan_is_the_mean_of_its_legs(record: ExecutionRecord) -> None:
    if record.plan is not None:
        costs = [leg.expected_bps for leg in record.legs]
        assert min(costs) - 1e-9 <= record.plan.expected_bps <= max(costs) + 1e-9


def comparable(record: ExecutionRecord) -> ExecutionRecord:
    """Return a record without its time, and with what is in no order of its own in one."""
    orders = tuple(
        replace(order, submitted_ts=0, arrives_ts=0) if order.ord_status.open else order
        for order in record.orders
    )  # of open ones that moves with the clock, and is told with their next step
    by_id = sorted(orders, key=lambda order: order.cl_ord_id)
    fills = sorted(record.fills, key=lambda fill: fill.fill_id)
    return replace(record, orders=tuple(by_id), fills=tuple(fills), ts=0)


def assert_indices_are_true(state: Any) -> None:
    rebuilt = ExecutionState()
    for key, value in state.items():
        rebuilt.restore(key, value)
    mine, true = kept_of(state), rebuilt
    assert mine.sagas.running == true.sagas.running
    assert mine.sagas.courses == true.sagas.courses
    assert set(mine.sagas.waiting) == set(true.sagas.waiting)
    assert mine.sagas.closing == true.sagas.closing
    assert mine.sagas.deciding == true.sagas.deciding
    assert mine.kept_whole == true.kept_whole
    assert mine.orders.resting == true.orders.resting
    assert mine.orders.open == true.orders.open
    assert mine.held == true.held
    under_way = {each.execution_id for each in state.values() if isinstance(each, SAGA)}
    under_way -= {each.execution_id for each in state.values() if isinstance(each, Ended)}
    assert {one for of in mine.sagas.running.values() for one in of} == under_way


def replayed(world: InterleavedWorld, seed: int) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Give another process the same, and let it lose its memory at other moments."""
    random = Random(seed)
    market, state = MarketData(world.settings), ExecutionState()
    views, outputs = market.views, []
    for what, *given in world.inputs:
        match what:
            case "fold":
                at, offset, key, event = given
                views[at].fold(0, offset, key, event)
            case "message":
                message, now = given
                if random.random() < 0.02:
                    state = restored(state, world.settings)
                events = handle(state, message, now, market)
                state.keep()
                outputs.append(written(events))
            case "clock":
                (by_ns,) = given
                for view in views:
                    view.step_clock(by_ns)
                step_clock(state, by_ns)
                state.keep()
    return outputs, {key: encode(value) for key, value in state.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_comes_between_accounts_halts_records_and_the_log_hold(seed: int) -> None:
    world = CheckedWorld(seed)
    for _ in range(TURNS):
        world.turn()
    world.calm()
    assert_ended_once(world)
    assert_void_once(world)
    assert_books_balance(world)
    for execution_id in world.begun:
        chain = world.audit(execution_id)
        assert broken_links(chain) == []
        again = rerun(chain)
        assert (again.differences, again.others) == ((), ())
    outputs, state = replayed(world, seed)
    assert outputs == world.outputs
    mine = {key: encode(value) for key, value in world.state.items()}
    assert {*state} == {*mine}  # what was taken of a book is followed by looks too, which are no messages
    assert {k: state[k] for k in mine if not k.startswith(b"impact/")} == {
        k: value for k, value in mine.items() if not k.startswith(b"impact/")
    }


def assert_ended_once(world: InterleavedWorld) -> None:
    sent = Counter(event.order.cl_ord_id for event in world.all(OrderSubmitted))
    assert set(sent.values()) <= {1}
    ends = Counter[str]()
    final: set[str] = set()
    for record in world.all(ExecutionRecord):
        assert record.execution_id not in final or record.status.final
        if record.status.final and record.execution_id not in final:
            ends[record.execution_id] += 1
            final.add(record.execution_id)
    assert final == set(world.records)
    answers = Counter(event.command_id for event in world.all(ExecutionPlanned))
    assert answers == Counter(world.records.keys())
    entries = Counter(e.execution_id for e in world.all(AuditEntry) if e.kind == "ended")
    assert entries == Counter(world.records.keys())


def assert_void_once(world: InterleavedWorld) -> None:
    """Each decision that could not act, and no other, is told to be void, once; nothing is paid for it."""
    unable = set()
    for entry in world.all(AuditEntry):
        if entry.kind == "told" and json.loads(entry.payload)["output"]["signal"] is None:
            unable.add(entry.execution_id)
    told = [command for command in world.all(RewardPolicy) if command.void]
    assert {command.decision_id for command in told} == {world.records[one].decision_id for one in unable}
    assert len(told) == len(unable)
    assert {command.reward for command in told} <= {0.0}
    assert len({command.decision_id for command in world.all(RewardPolicy)}) == len(world.all(RewardPolicy))
    for one in unable:
        record = world.records[one]
        assert record.reward is not None
        assert (record.status, record.signal, record.reward.reward) == ("skipped", None, None)
        assert record.reason.startswith("no signal of ")
        assert window_key(one) not in world.state
        assert not [entry for entry in world.audit(one) if entry.kind in {"earned", "sizing"}]


def test_the_seeds_see_what_may_come_between() -> None:
    seen = Counter[str]()
    for seed in SEEDS:
        world = InterleavedWorld(seed)
        for _ in range(TURNS):
            world.turn()
        seen.update(entry.kind for entry in world.all(AuditEntry))
        for record in world.records.values():
            seen.update((str(record.status), f"{len(record.legs)} legs"))
            seen.update(leg.style for leg in record.legs)
            if record.policy_id in OTHERS:
                seen.update(
                    ("traded on a signal",) if record.legs else (record.reason.partition(" to act")[0],)
                )
    assert {
        "halted",
        "cancel_wished",
        "slice_waiting",
        "reallocated",
        "order_rejected",
        "order_canceled",
    } <= {*seen}
    assert {"traded on a signal", "no signal of x_mine", "no signal of theirs"} <= {*seen}
    assert {"completed", "canceled", "failed", "skipped", "1 legs", "2 legs", "3 legs"} <= {*seen}
    assert {"Immediate", "TWAP", "IS", "POV"} <= {*seen}
