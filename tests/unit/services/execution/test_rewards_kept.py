"""What is kept of decisions until they are paid, what older versions kept, and what the router answers."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from libs.common.codec import decode
from libs.common.events import (
    BookState,
    PolicyRewarded,
    RewardPolicy,
)
from services.execution.app import wiring
from services.execution.audit.verify import report
from services.execution.broker.holdings import Held, held_key
from services.execution.early import early
from services.execution.kept import kept_of
from services.execution.saga import rewarding
from services.execution.saga.forgetting import Done
from services.execution.saga.phases import DecisionWindow, Ended, asked_key, saga_key, window_key
from services.execution.saga.unit_of_work import step_id
from tests.deciding_world import EQUITY, SYMBOL, DecidingWorld

RISE = 60_600.25  # 1 %
FALL = 59_400.25


def test_only_the_newest_decision_of_a_symbol_is_kept_beyond_the_memory_and_until_it_is_rewarded() -> None:
    world = DecidingWorld(remember_s=10.0)
    ids = [world.decide("p_breakout") for _ in range(5)]
    world.advance(11.0)
    kinds = [type(world.state[saga_key(each)]) for each in ids]
    assert kinds == [Done] * 4 + [Ended]
    assert kept_of(world.state).kept_whole == 1
    world.advance(86_400.0)
    world.price()
    world.advance(1.0)
    assert world.taught(ids[-1]) is not None
    world.advance(11.0)
    assert isinstance(world.state[saga_key(ids[-1])], Done)
    assert not kept_of(world.state).sagas.closing
    assert not kept_of(world.state).sagas.deciding


def test_a_window_costs_a_look_at_the_books_nothing_before_its_horizon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A day's window of each of thousands of symbols is open, and every change of a book is looked at."""
    world = DecidingWorld(horizon_s=30.0)
    world.decide("p_breakout")
    asked: list[DecisionWindow] = []
    monkeypatch.setattr(rewarding, "is_due", lambda window, *_: asked.append(window))
    assert not list(early(world.state, world.now, world.market))
    assert not asked
    world.price(state=BookState.GAP)
    world.advance(31.0)
    asked.clear()
    assert not list(early(world.state, world.now, world.market))
    assert len(asked) == 1


def test_an_open_window_survives_a_restart() -> None:
    world = DecidingWorld()
    world.decide("p_sma")
    kept = world.decide("p_sma")
    world.restart()
    world.decide("p_flat", RISE)
    assert world.taught(kept) == pytest.approx(float(world.earned_held(kept) * 600 / EQUITY))


def test_the_state_of_the_version_before_loads_and_counts_from_its_next_fill() -> None:
    log = wiring(DecidingWorld().settings).state
    raw = msgspec.msgpack.encode({"type": "Held", "quantity": "2", "fills": 7, "last_px": "60000"})
    old = decode(log, raw)
    assert isinstance(old, Held)
    world = DecidingWorld()
    world.state.put(held_key(SYMBOL), old)
    decided = world.decide("p_flat")
    world.decide("p_flat", RISE)
    outcome = world.outcome(decided)
    assert outcome.unchanged == pytest.approx(float(2 * Decimal(600) / EQUITY))


def test_a_saga_of_the_version_before_ends_without_a_reward_and_says_why() -> None:
    world = DecidingWorld()
    old = world.begin("p_sma")
    while any(not isinstance(each, RewardPolicy) for each in world.unanswered):
        world.answer()
    world.state.remove(window_key(old))
    world.work()
    outcome = world.outcome(old)
    assert outcome.reward is None
    assert "older version" in outcome.reason


def test_a_reward_is_made_again_from_the_audit_log_and_an_altered_one_is_found() -> None:
    world = DecidingWorld()
    decided = world.decide("p_sma")
    world.decide("p_flat", RISE)
    world.work()
    entries = world.audit(decided)
    lines, code = report("x", entries)
    assert code == 0, lines[-1]
    (at,) = (n for n, entry in enumerate(entries) if entry.kind == "earned")
    inputs = world.earned(decided)
    altered = entries[at].payload.replace(f'"cost":"{inputs["cost"]}"', '"cost":"0"', 1)
    assert altered != entries[at].payload
    lines, _ = report("x", [*entries[:at], replace(entries[at], payload=altered), *entries[at + 1 :]])
    assert any("(earned) comes out as" in line for line in lines)


def test_a_reward_that_is_answered_after_its_execution_was_forgotten_is_nobodys() -> None:
    world = DecidingWorld()
    execution_id = world.decide("p_sma")
    world.begin("p_flat")
    world.answer()
    (reward,) = (each for each in world.unanswered if isinstance(each, RewardPolicy))
    world.advance(world.settings.remember_s)
    assert isinstance(world.state[saga_key(execution_id)], Done)
    assert asked_key(reward.command_id) not in world.state, "a question nobody waits for is not kept"
    assert world.deliver(world.answer_to(reward)) == []


def test_a_state_that_still_waits_for_a_forgotten_execution_drops_the_answer() -> None:
    world = DecidingWorld()
    execution_id = world.decide("p_sma")
    world.begin("p_flat")
    world.answer()
    (reward,) = (each for each in world.unanswered if isinstance(each, RewardPolicy))
    key = asked_key(step_id(execution_id, "RewardPolicy"))
    asked = world.state[key]
    world.advance(world.settings.remember_s)
    for forgotten in (False, True):
        if forgotten:
            world.state.remove(saga_key(execution_id))
        world.state.put(key, asked)
        assert world.deliver(world.answer_to(reward)) == []
        assert key not in world.state


def test_a_decision_that_expired_at_the_router_is_told_as_not_counted_and_why() -> None:
    world = DecidingWorld()
    execution_id = world.decide("p_sma")
    world.begin("p_flat")
    world.answer()
    (reward,) = (each for each in world.unanswered if isinstance(each, RewardPolicy))
    answer = world.answer_to(reward)
    assert isinstance(answer, PolicyRewarded)
    world.deliver(replace(answer, counted=False, reason="decision expired"))
    outcome = world.outcome(execution_id)
    assert outcome.counted is False
    assert outcome.reason.endswith("; the router did not count it: decision expired")


def test_what_the_router_says_of_a_reward_that_it_counted_stands_beside_what_became_of_it() -> None:
    world = DecidingWorld()
    decided = world.decide("p_flat")
    world.begin("p_flat")
    world.answer()
    (reward,) = (each for each in world.unanswered if isinstance(each, RewardPolicy))
    answer = world.answer_to(reward)
    assert isinstance(answer, PolicyRewarded)
    world.deliver(replace(answer, reason="learnt as 6 noise scales"))
    outcome = world.outcome(decided)
    assert (outcome.counted, outcome.reason) == (True, "flat: what was held; learnt as 6 noise scales")
