"""An execution from its command to its reward, message by message."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.audit_chain import broken_links
from libs.common.events import (
    AuditEntry,
    BookState,
    CancelExecution,
    ChoosePolicy,
    CommandRejected,
    Event,
    ExecutionCanceled,
    ExecutionPlanned,
    ExecutionRecord,
    ExecutionStatus,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    Refusal,
    RewardPolicy,
    ScoreVenues,
    SizingSnapshot,
    VerifyExecution,
)
from libs.common.topics import EXECUTION_STATE, ROUTER_CHOICES, VENUES_SCORES
from services.execution.app import wiring
from services.execution.audit.rerun import rerun
from services.execution.saga.phases import NEXT, SAGA, STATUS, Ended
from services.execution.saga.unit_of_work import step_id
from services.execution.settings import ExecutionSettings
from tests.execution_world import ExecutionWorld, S, a_ready_world, an_id, assert_books_balance
from tests.messages import values_of


def a_working_world() -> tuple[ExecutionWorld, str]:
    world = a_ready_world()
    execution_id = world.execute()
    world.answer()
    world.answer()
    assert world.records[execution_id].status == "working"
    return world, execution_id


def test_an_execution_goes_from_policy_to_reward_and_its_books_balance() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    (choose,) = world.unanswered
    assert isinstance(choose, ChoosePolicy)
    assert choose.command_id == step_id(execution_id, "ChoosePolicy")
    assert choose.reply_key == "BTC-USDT"
    assert choose.context["symbol"] == "BTC-USDT"
    world.answer()
    (score,) = world.unanswered
    assert isinstance(score, ScoreVenues)
    assert (score.command_id, score.reply_key) == (step_id(execution_id, "ScoreVenues"), "BTC-USDT")
    world.answer()
    (planned,) = world.all(ExecutionPlanned)
    assert (planned.command_id, planned.record.status) == (execution_id, "working")
    assert planned.record.plan.style == "Immediate"
    world.finish()
    record = world.records[execution_id]
    assert record.status is ExecutionStatus.COMPLETED
    assert record.filled == record.plan.size > 0  # type: ignore[union-attr]  # it was planned
    assert record.policy_id == "p_sma"
    assert record.venue == "binance"
    assert record.shortfall is not None
    parts = (
        record.shortfall.delay_bps,
        record.shortfall.impact_bps,
        record.shortfall.opportunity_bps,
        record.shortfall.fees_bps,
    )
    assert sum(parts) == pytest.approx(record.shortfall.total_bps)
    assert not world.unanswered, "the reward waits for the horizon"
    world.advance(86_400.0)
    world.beat()
    world.advance(1.0)
    (reward,) = world.unanswered
    assert isinstance(reward, RewardPolicy)
    assert reward.decision_id == choose.command_id
    assert reward.policy_id == "p_sma"
    assert reward.reward < 0, "prices stood still, so it cost its costs"
    world.answer()
    assert world.records[execution_id].reward.counted  # type: ignore[union-attr]  # asserted by the next line too
    assert_books_balance(world)
    assert broken_links(world.audit(execution_id)) == []
    assert world.records[execution_id].audit.head == world.audit(execution_id)[-1].hash


def test_the_decisions_come_out_the_same_when_made_again_and_a_flipped_byte_is_found() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    world.finish()
    entries = tuple(world.audit(execution_id))
    verified = rerun(entries)
    assert verified.differences == ()
    assert verified.decisions == 4  # signal, sizing, plan, shortfall
    decided = [n for n, e in enumerate(entries) if e.kind in ("signal", "sizing", "plan", "shortfall")]
    for n in decided:  # a forger who also repairs all hashes is found by the decisions
        payload = json.loads(entries[n].payload)
        payload["output"] = {**payload["output"], "forged": 1}
        forged = replace(entries[n], payload=json.dumps(payload))
        forgery = [*entries[:n], forged, *entries[n + 1 :]]
        assert len(rerun(forgery).differences) == 1
        assert broken_links(forgery)


@pytest.mark.parametrize(
    "payload",
    ["[", "[]", "1", "null", '{"inputs":[]}', '{"inputs":{}}', pytest.param("[" * 100_000, id="deep")],
)
def test_an_entry_that_nobody_wrote_here_is_a_difference_and_no_failure(payload: str) -> None:
    world = a_ready_world()
    name = world.execute()
    world.finish()
    entries = world.audit(name)
    decided = next(n for n, entry in enumerate(entries) if entry.kind == "signal")
    entries[decided] = replace(entries[decided], payload=payload)
    (difference,) = rerun(entries).differences
    assert f"entry {decided} (signal) cannot be made again" in difference
    assert broken_links(entries)


def test_a_gateway_that_still_asks_for_an_audit_is_told_where_to_read_it() -> None:
    world = a_ready_world()
    ask = VerifyExecution(command_id=an_id("v"), symbol="BTC-USDT", execution_id=an_id("e"), entries=())
    (refused,) = world.deliver(ask)
    assert isinstance(refused, CommandRejected)
    assert refused.refusal is Refusal.INVALID
    assert f"bookrunner verify {an_id('e')}" in refused.detail


def test_a_flat_signal_is_skipped_and_earns_the_policy_nothing() -> None:
    world = a_ready_world("p_flat")
    execution_id = world.execute()
    world.answer()
    record = world.records[execution_id]
    assert record.status is ExecutionStatus.SKIPPED
    assert "flat" in record.reason
    assert world.all(ExecutionPlanned)[0].record == record
    assert not world.all(OrderSubmitted)
    world.now += 86_401 * S
    world.beat()
    world.advance()
    (reward,) = world.unanswered
    assert isinstance(reward, RewardPolicy)
    assert reward.reward == 0.0


def test_without_a_known_risk_nothing_is_sized() -> None:
    world = ExecutionWorld()
    world.rising()
    world.books()
    execution_id = world.execute()
    world.answer()
    record = world.records[execution_id]
    assert record.status is ExecutionStatus.SKIPPED
    assert world.all(SizingSnapshot)[0].qty == 0


@pytest.mark.parametrize("answers", [0, 1])
def test_a_step_without_an_answer_fails_the_execution_in_time(answers: int) -> None:
    world = a_ready_world()
    execution_id = world.execute()
    for _ in range(answers):
        world.answer()
    late = world.unanswered.pop()
    world.now += 5 * S
    world.beat()
    world.advance()
    record = world.records[execution_id]
    assert record.status is ExecutionStatus.FAILED
    assert "no answer to" in record.reason
    assert world.all(ExecutionPlanned)[0].record.status == "failed"
    before = len(world.sent)
    world.deliver(world.answer_to(late))
    assert len(world.sent) == before, "a late answer changes nothing"


def test_a_refusal_of_a_peer_fails_the_execution_with_its_words() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    asked = world.unanswered.pop()
    assert isinstance(asked, ChoosePolicy)
    world.deliver(
        CommandRejected(
            command_id=asked.command_id,
            command="ChoosePolicy",
            key="default",
            refusal=Refusal.UNAVAILABLE,
            detail="no policy is there",
            ts=world.now,
        )
    )
    assert world.records[execution_id].status is ExecutionStatus.FAILED
    assert "no policy is there" in world.records[execution_id].reason


def test_a_choice_of_a_policy_that_is_none_fails_the_execution_and_names_those_there_are() -> None:
    """The router does not choose one; a version of it that knows more policies might."""
    world = a_ready_world("p_magic")
    execution_id = world.execute()
    world.answer()
    record = world.records[execution_id]
    assert record.status is ExecutionStatus.FAILED
    assert "'p_magic' is no policy; known: p_sma" in record.reason


def test_answers_to_others_change_nothing() -> None:
    world = a_ready_world()
    world.execute()
    stranger = replace(world.answer_to(world.unanswered[0]), command_id=an_id("stranger"))
    assert world.deliver(stranger) == []


@pytest.mark.parametrize("kind", [*ROUTER_CHOICES.events, *VENUES_SCORES.events])
@settings(max_examples=5)
@given(data=st.data())
def test_every_message_on_the_topics_of_answers_may_be_meant_for_others(
    kind: type[Event], data: st.DataObject
) -> None:
    world = a_ready_world()
    world.execute()
    assert world.deliver(data.draw(values_of(kind))) == []


def test_a_book_that_is_not_live_is_waited_for_and_that_is_said() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    world.answer()
    world.answer()
    world.books(state=BookState.GAP)
    world.advance()
    (rejected,) = world.all(OrderRejected)
    assert "GAP" in rejected.order.text
    world.advance()
    record = world.records[execution_id]
    assert record.status is ExecutionStatus.WORKING
    assert "GAP" in record.waiting
    assert "slice_waiting" in [entry.kind for entry in world.audit(execution_id)]
    waits = len(world.audit(execution_id))
    world.advance()
    assert len(world.audit(execution_id)) == waits, "a wait is said once, not at every look"
    world.books(seq=9)
    world.finish()
    assert world.records[execution_id].status is ExecutionStatus.COMPLETED
    assert_books_balance(world)


def test_patience_with_a_dead_book_ends_as_failed() -> None:
    world, execution_id = a_working_world()
    world.books(state=BookState.GAP)
    for _ in range(1_000):
        if world.records[execution_id].status.final:
            break
        world.advance()
    record = world.records[execution_id]
    assert record.status is ExecutionStatus.FAILED
    assert record.unscheduled == record.plan.size  # type: ignore[union-attr]  # it was planned
    assert "no usable book" in record.reason


def test_what_a_thin_book_leaves_is_tried_again_and_a_rest_ends_as_failed_with_its_fills() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    world.answer()
    world.answer()
    world.books(asks=((60_000.5, 0.001),), seq=8)
    world.advance()
    record = world.records[execution_id]
    assert (record.status, record.filled) == (ExecutionStatus.WORKING, Decimal("0.001"))
    assert world.all(OrderCanceled)[0].order.cum_qty == Decimal("0.001")
    world.finish()
    record = world.records[execution_id]
    assert record.status is ExecutionStatus.FAILED
    tried_s = 1e-9 * (world.now - world.all(OrderFilled)[0].ts)
    back = math.log(2) * tried_s / world.settings.book_half_life_s  # for as long as all is taken again
    assert float(record.filled) == pytest.approx(0.001 * (1 + back), rel=0.1), "no more than came back"
    assert "unfilled" in record.reason
    assert_books_balance(world)


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_cancel_works_at_any_moment_and_is_answered_once_more(answers: int) -> None:
    world = a_ready_world()
    execution_id = world.execute()
    for _ in range(answers):
        world.answer()
    cancel = CancelExecution(command_id=an_id("cancel"), symbol="BTC-USDT", execution_id=execution_id)
    world.deliver(cancel)
    assert world.records[execution_id].status is ExecutionStatus.CANCELED
    world.deliver(cancel)
    first, second = world.all(ExecutionCanceled)
    assert first.record == second.record
    assert world.all(ExecutionPlanned), "who waits for the plan is answered"
    while world.advance():
        pass
    assert not world.all(OrderAccepted)
    assert world.records[execution_id].status is ExecutionStatus.CANCELED
    assert_books_balance(world)


def test_a_slice_that_falls_due_while_a_child_is_on_its_way_waits_for_it() -> None:
    world = ExecutionWorld(latency_ms=60_000.0)
    world.ready(equity=Decimal(2_000_000))
    world.books(asks=tuple((60_000.5 + 10.0 * i, 0.1) for i in range(50)))
    execution_id = world.execute(urgency=0.3)
    world.answer()
    world.answer()
    plan = world.records[execution_id].plan
    assert plan is not None
    assert len(plan.slices) > 2
    while not world.all(OrderAccepted) and not world.all(OrderRejected):
        assert len(world.records[execution_id].orders) <= 1
        world.advance()
        world.beat()
    assert_books_balance(world)


def test_every_final_step_is_one_that_nothing_leaves_and_every_step_has_a_status() -> None:
    assert set(NEXT) == set(SAGA) == {*STATUS, Ended}
    assert not any(status.final for status in STATUS.values())
    assert NEXT[Ended] == (Ended,), "only its reward is told"


def test_the_state_survives_its_log_at_every_step() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    for _ in range(2):
        world.restart()
        world.answer()
    world.restart()
    world.finish()
    assert world.records[execution_id].status is ExecutionStatus.COMPLETED
    assert_books_balance(world)


def test_the_wiring_gives_every_event_a_topic_and_the_state_is_private() -> None:
    wired = wiring(ExecutionSettings())
    assert wired.state.name == EXECUTION_STATE.name
    assert {AuditEntry, ExecutionRecord, OrderFilled}.issubset(wired.outputs)
