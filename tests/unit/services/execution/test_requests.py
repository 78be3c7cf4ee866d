"""What becomes of a request: done once, answered again, or refused with a reason."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.common.events import (
    BookState,
    CommandRejected,
    ExecutionPlanned,
    ExecutionRecord,
    ExecutionSimulated,
    OrderSubmitted,
    PlanAndExecute,
    Refusal,
    SimulateExecution,
)
from libs.common.time_units import DAY_NS
from services.execution.saga.forgetting import IDS_KEPT_NS, Done
from services.execution.saga.phases import saga_key
from tests.execution_world import a_ready_world, an_id


def test_a_repeated_command_is_answered_again_and_not_done_again() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    world.answer()
    world.answer()
    sent = len(world.sent)
    world.execute()
    (again,) = world.sent[sent:]
    assert isinstance(again, ExecutionPlanned)
    assert again.record == world.all(ExecutionPlanned)[0].record
    assert len(world.all(OrderSubmitted, execution_id)) == 1


def test_an_ended_execution_is_forgotten_after_its_time_but_never_carried_out_twice() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    world.answer()
    world.answer()
    world.finish()
    world.advance(2 * DAY_NS / 1e9)  # there is no book at the horizon any more
    world.advance(world.settings.remember_s)
    assert isinstance(world.state[saga_key(execution_id)], Done)
    assert all(not key.startswith(b"asked/") for key in world.state)
    told = len(world.all(ExecutionRecord))
    world.execute()
    refusal = world.all(CommandRejected)[-1]
    assert (refusal.command_id, refusal.refusal) == (execution_id, Refusal.INVALID)
    assert "Idempotency-Key" in refusal.detail
    assert len(world.all(ExecutionRecord)) == told
    world.advance((IDS_KEPT_NS + DAY_NS) / 1e9)
    assert saga_key(execution_id) not in world.state


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [({"symbol": "NOPE-USDT"}, Refusal.UNKNOWN), ({"urgency": 2.0}, Refusal.INVALID)],
)
def test_a_wish_that_cannot_be_is_refused(fields: dict[str, object], refusal: Refusal) -> None:
    world = a_ready_world()
    known: dict[str, object] = {"symbol": "BTC-USDT"}
    (answer,) = world.deliver(PlanAndExecute(command_id=an_id("x"), **known | fields))  # type: ignore[arg-type]  # mixed fields
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is refusal
    assert not world.state


def test_without_a_live_book_an_execution_is_refused_as_unavailable() -> None:
    world = a_ready_world()
    world.books(state=BookState.DISCONNECTED)
    world.execute()
    answer = world.sent[-1]
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is Refusal.UNAVAILABLE


def test_simulate_answers_with_a_plan_and_its_cost_and_changes_nothing() -> None:
    world = a_ready_world()
    before = dict(world.state)
    (answer,) = world.deliver(SimulateExecution(command_id=an_id("s"), symbol="BTC-USDT", size=0.02))
    assert isinstance(answer, ExecutionSimulated)
    assert dict(world.state) == before
    assert sum(piece.size for piece in answer.plan.slices) == Decimal("0.02")
    cost = answer.cost
    assert cost.total_bps == pytest.approx(cost.spread_bps + cost.impact_bps + cost.fee_bps)
    assert cost.total == pytest.approx(cost.total_bps * 1e-4 * 0.02 * answer.plan.mid)
    assert answer.plan.alternatives


def test_simulate_below_every_minimum_is_invalid_and_names_one() -> None:
    world = a_ready_world()
    (answer,) = world.deliver(SimulateExecution(command_id=an_id("s"), symbol="BTC-USDT", size=0.00001))
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is Refusal.INVALID
    assert "minimum" in answer.detail
