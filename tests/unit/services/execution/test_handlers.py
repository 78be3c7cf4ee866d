"""An execution from its command to its reward, message by message."""

from __future__ import annotations

import json
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
    ExecutionSimulated,
    ExecutionStatus,
    ExecutionVerified,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    Refusal,
    RewardPolicy,
    ScoreVenues,
    SimulateExecution,
    SizingSnapshot,
    VerifyExecution,
)
from libs.common.topics import EXECUTION_STATE, ROUTER_CHOICES, VENUES_SCORES
from services.execution.app import wiring
from services.execution.remembered import IDS_KEPT_NS, Done
from services.execution.saga import STATUS, TRANSITIONS, Step, saga_key
from services.execution.settings import ExecutionSettings
from services.execution.turn import step_id
from tests.execution_market import a_position
from tests.execution_world import ExecutionWorld, S, an_id, assert_books_balance
from tests.messages import values_of


def a_world(policy_id: str = "p_sma") -> ExecutionWorld:
    world = ExecutionWorld(policy_id)
    world.ready()
    return world


def a_working_world() -> tuple[ExecutionWorld, str]:
    world = a_world()
    execution_id = world.execute()
    world.answer()
    world.answer()
    assert world.records[execution_id].status == "working"
    return world, execution_id


def test_an_execution_goes_from_policy_to_reward_and_its_books_balance() -> None:
    world = a_world()
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
    world.advance(60.0)
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
    world = a_world()
    execution_id = world.execute()
    world.finish()
    entries = tuple(world.audit(execution_id))
    ask = VerifyExecution(
        command_id=an_id("verify"), symbol="BTC-USDT", execution_id=execution_id, entries=entries
    )
    (verified,) = world.deliver(ask)
    assert isinstance(verified, ExecutionVerified)
    assert verified.differences == ()
    assert verified.decisions == 4  # signal, sizing, plan, shortfall
    decided = [n for n, e in enumerate(entries) if e.kind in ("signal", "sizing", "plan", "shortfall")]
    for n in decided:  # a forger who also repairs all hashes is found by the decisions
        payload = json.loads(entries[n].payload)
        payload["output"] = {**payload["output"], "forged": 1}
        forged = replace(entries[n], payload=json.dumps(payload))
        (found,) = world.deliver(replace(ask, entries=(*entries[:n], forged, *entries[n + 1 :])))
        assert isinstance(found, ExecutionVerified)
        assert len(found.differences) == 1
        assert broken_links([*entries[:n], forged, *entries[n + 1 :]])


def test_a_flat_signal_is_skipped_and_earns_the_policy_nothing() -> None:
    world = a_world("p_flat")
    execution_id = world.execute()
    world.answer()
    record = world.records[execution_id]
    assert record.status is ExecutionStatus.SKIPPED
    assert "flat" in record.reason
    assert world.all(ExecutionPlanned)[0].record == record
    assert not world.all(OrderSubmitted)
    world.now += 61 * S
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
    world = a_world()
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
    world = a_world()
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


def test_answers_to_others_change_nothing() -> None:
    world = a_world()
    world.execute()
    stranger = replace(world.answer_to(world.unanswered[0]), command_id=an_id("stranger"))
    assert world.deliver(stranger) == []


@pytest.mark.parametrize("kind", [*ROUTER_CHOICES.events, *VENUES_SCORES.events])
@settings(max_examples=5)
@given(data=st.data())
def test_every_message_on_the_topics_of_answers_may_be_meant_for_others(
    kind: type[Event], data: st.DataObject
) -> None:
    world = a_world()
    world.execute()
    assert world.deliver(data.draw(values_of(kind))) == []


def test_a_book_that_is_not_live_is_waited_for_and_that_is_said() -> None:
    world = a_world()
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
    world = a_world()
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
    assert record.filled == Decimal("0.001"), "what we took is not offered again"
    assert "unfilled" in record.reason
    assert_books_balance(world)


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_cancel_works_at_any_moment_and_is_answered_once_more(answers: int) -> None:
    world = a_world()
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


def test_a_repeated_command_is_answered_again_and_not_done_again() -> None:
    world, execution_id = a_working_world()
    sent = len(world.sent)
    world.execute()
    (again,) = world.sent[sent:]
    assert isinstance(again, ExecutionPlanned)
    assert again.record == world.all(ExecutionPlanned)[0].record
    assert len(world.all(OrderSubmitted, execution_id)) == 1


def test_an_ended_execution_is_forgotten_after_its_time_but_never_carried_out_twice() -> None:
    world, execution_id = a_working_world()
    world.finish()
    world.advance(world.settings.execution_remember_s + 100.0)
    assert isinstance(world.state[saga_key(execution_id)], Done)
    assert all(not key.startswith(b"asked/") for key in world.state)
    told = len(world.all(ExecutionRecord))
    world.execute()
    refusal = world.all(CommandRejected)[-1]
    assert (refusal.command_id, refusal.refusal) == (execution_id, Refusal.INVALID)
    assert "Idempotency-Key" in refusal.detail
    assert len(world.all(ExecutionRecord)) == told
    world.advance(IDS_KEPT_NS / 1e9)
    assert saga_key(execution_id) not in world.state


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [({"symbol": "NOPE-USDT"}, Refusal.UNKNOWN), ({"urgency": 2.0}, Refusal.INVALID)],
)
def test_a_wish_that_cannot_be_is_refused(fields: dict[str, object], refusal: Refusal) -> None:
    world = a_world()
    from libs.common.events import PlanAndExecute  # noqa: PLC0415 -- beside its only use

    known: dict[str, object] = {"symbol": "BTC-USDT"}
    (answer,) = world.deliver(PlanAndExecute(command_id=an_id("x"), **known | fields))  # type: ignore[arg-type]  # mixed fields
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is refusal
    assert not world.state


def test_without_a_live_book_an_execution_is_refused_as_unavailable() -> None:
    world = a_world()
    world.books(state=BookState.DISCONNECTED)
    world.execute()
    answer = world.sent[-1]
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is Refusal.UNAVAILABLE


def test_simulate_answers_with_a_plan_and_its_cost_and_changes_nothing() -> None:
    world = a_world()
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
    world = a_world()
    (answer,) = world.deliver(SimulateExecution(command_id=an_id("s"), symbol="BTC-USDT", size=0.00001))
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is Refusal.INVALID
    assert "minimum" in answer.detail


def test_executions_on_their_way_count_as_held_for_the_next_size() -> None:
    world = a_world()
    first = world.execute("first")
    world.answer()
    second = world.execute("second")
    world.unanswered.reverse()
    world.answer()
    sizings = {s.execution_id: s for s in world.all(SizingSnapshot)}
    assert sizings[first].qty > 0
    assert sizings[second].held == sizings[first].qty
    assert world.records[second].status is ExecutionStatus.SKIPPED, "the first takes it to the target"


def test_what_was_just_bought_counts_as_held_before_the_portfolio_has_seen_it() -> None:
    world = a_world()
    first = world.execute("first")
    world.finish()
    second = world.execute("second")
    world.answer()
    assert world.records[second].status is ExecutionStatus.SKIPPED
    sizings = {s.execution_id: s for s in world.all(SizingSnapshot)}
    assert sizings[second].held == world.records[first].filled


def test_the_portfolio_counts_where_it_has_seen_more_fills() -> None:
    world = a_world()
    position = a_position(Decimal("2.5"), fills=3)
    world.fold(world.market.positions, b"BTC-USDT", position)
    world.execute()
    world.answer()
    assert world.all(SizingSnapshot)[0].held == Decimal("2.5")


def test_the_portfolio_counts_as_soon_as_it_has_seen_one_fill_more_than_we_have() -> None:
    world = a_world()
    first = world.execute("first")
    world.finish()
    fills = len(world.records[first].fills)
    for seen, expected in ((fills, world.records[first].filled), (fills + 1, Decimal("9.5"))):
        world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal("9.5"), fills=seen))
        name = world.execute(f"seen {seen}")
        world.answer()
        sizings = {s.execution_id: s for s in world.all(SizingSnapshot)}
        assert sizings[name].held == expected


def test_a_slice_that_falls_due_while_a_child_is_on_its_way_waits_for_it() -> None:
    world = ExecutionWorld(execution_latency_ms=60_000.0)
    world.ready(equity=Decimal(10_000_000_000))
    world.books(asks=tuple((60_000.5 + 0.5 * i, 0.5) for i in range(50)))
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
    assert set(STATUS) == set(Step)
    left = {step for step, _ in TRANSITIONS}
    assert {step for step in Step if STATUS[step].final} == set(Step) - left


def test_the_state_survives_its_log_at_every_step() -> None:
    world = a_world()
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
