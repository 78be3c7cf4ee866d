"""What a decision is paid: the change of equity over its window, whatever became of it."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from libs.common.command_rules import refused_at_the_door
from libs.common.events import (
    BOOK,
    BookState,
    CancelExecution,
    ChoosePolicy,
    RewardPolicy,
    ScoreVenues,
    SubmitPaperOrder,
)
from services.execution.decide import policies
from services.execution.decide.policies import POLICIES
from services.execution.saga.phases import Working, saga_key, window_key
from services.execution.saga.rewarding import rewarded_within_s
from tests.deciding_world import EQUITY, SYMBOL, DecidingWorld
from tests.execution_world import S, an_id

RISE = 60_600.25  # 1 %
FALL = 59_400.25


def test_holding_earns_the_policy_that_keeps_it() -> None:
    world = DecidingWorld()
    entered = world.decide("p_sma")
    held = world.held
    assert held > 1
    kept = world.decide("p_sma")  # the price stood still
    assert world.records[kept].reason.startswith("at_target")
    world.decide("p_sma", RISE)
    outcome = world.outcome(kept)
    assert outcome.reward == outcome.unchanged == pytest.approx(float(held * 600 / EQUITY))
    assert outcome.cost == 0
    assert outcome.closed == "next decision"
    assert outcome.reason == "at target: what was held"
    paid = world.outcome(entered)
    assert paid.reason == "traded"
    assert paid.unchanged == 0
    assert world.taught(entered) == paid.reward
    assert world.taught(entered) < 0, "the price stood still, so it cost its costs"


def test_a_top_up_is_billed_for_what_was_traded_and_not_as_an_entry() -> None:
    world = DecidingWorld()
    entered = world.decide("p_sma")
    whole = world.held
    world.equity(EQUITY * Decimal("1.001"))
    topped = world.decide("p_sma")
    assert 0 < (world.held - whole) / whole < Decimal("0.002")
    world.decide("p_sma")
    costs = [world.outcome(each).cost for each in (entered, topped)]
    assert costs[0] is not None
    assert costs[1] is not None
    assert 0 < costs[1] < costs[0] / 400
    assert world.taught(topped) == pytest.approx(float(-costs[1] / (EQUITY * Decimal("1.001"))))


def test_a_sell_to_flat_is_not_a_short() -> None:
    world = DecidingWorld()
    world.decide("p_sma")
    sold = world.decide("p_meanrev")  # the price has risen over its mean: a negative signal
    assert world.held == 0
    world.decide("p_flat", FALL)
    outcome = world.outcome(sold)
    signal = world.records[sold].signal
    assert signal is not None
    assert signal.value < 0
    assert outcome.unchanged is not None
    assert outcome.unchanged < -0.003, "what was held would have lost"
    assert -0.001 < world.taught(sold) < 0, "it left, at the cost of leaving, and was short of nothing"


def test_a_policy_with_a_signal_and_no_trade_is_rewarded() -> None:
    world = DecidingWorld()
    none = world.decide("p_meanrev")
    assert world.records[none].reason.startswith("no_short")
    world.decide("p_flat", RISE)
    assert world.taught(none) == 0.0
    assert world.outcome(none).reason == "no short: what was held"
    world.work()
    assert world.outcome(none).counted


def test_leaving_a_position_costs_the_flat_policy_its_exit() -> None:
    world = DecidingWorld()
    world.decide("p_sma")
    value = world.held * Decimal("60000.25")
    left = world.decide("p_flat")
    assert world.held == 0
    world.decide("p_flat")
    outcome = world.outcome(left)
    assert outcome.cost is not None
    assert outcome.cost == pytest.approx(value * Decimal("0.001"), rel=Decimal("0.1")), "10 bps and the walk"
    assert world.taught(left) == pytest.approx(float(-outcome.cost / EQUITY))


def refused_by_the_venues(world: DecidingWorld) -> None:
    world.answer()
    (asked,) = (each for each in world.unanswered if isinstance(each, ScoreVenues))
    world.unanswered.remove(asked)
    scored: Any = world.answer_to(asked)
    none = tuple(replace(each, eligible=False) for each in scored.candidates)
    world.deliver(replace(scored, candidates=none, venue=None))


def canceled(world: DecidingWorld) -> None:
    world.answer()
    execution_id = an_id(f"decision {world.begun}")
    world.deliver(CancelExecution(command_id=an_id("cancel"), symbol=SYMBOL, execution_id=execution_id))
    world.unanswered = [each for each in world.unanswered if not isinstance(each, ScoreVenues)]


def no_longer_sized(world: DecidingWorld) -> None:
    world.fold(world.market.risk, BOOK.encode(), None)
    world.answer()
    world.equity(EQUITY)


def unknown_policy(world: DecidingWorld) -> None:
    asked = world.unanswered.pop(0)
    chosen: Any = world.answer_to(asked)
    world.deliver(replace(chosen, policy_id="p_newer"))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (refused_by_the_venues, "failed: no usable venue"),
        (canceled, "canceled"),
        (no_longer_sized, "refused: no_equity"),
        (unknown_policy, "failed: 'p_newer' is no policy"),
    ],
)
def test_every_decision_is_rewarded_with_what_was_held_whatever_became_of_it(how: Any, reason: str) -> None:
    world = DecidingWorld()
    world.decide("p_sma")
    held = world.held
    world.equity(2 * EQUITY)  # so that there is something to buy
    execution_id = world.begin("p_sma")
    how(world)
    assert world.records[execution_id].status.final
    assert world.held == held
    world.decide("p_flat", RISE)
    equity = EQUITY if how is no_longer_sized else 2 * EQUITY
    assert world.taught(execution_id) == pytest.approx(float(held * 600 / equity))
    assert world.outcome(execution_id).reason.startswith(reason)


def test_rewards_of_abutting_windows_sum_to_the_change_of_equity_exactly() -> None:
    world = DecidingWorld()
    first = world.wealth()
    plays = (
        ("p_sma", 60_000.25),
        ("p_sma", 60_333.75),
        ("p_flat", 60_111.25),
        ("p_meanrev", 59_900.75),
        ("p_sma", 60_700.25),
        ("p_meanrev", 60_650.75),
    )
    decided = [world.decide(policy, mid) for policy, mid in plays]
    world.decide("p_flat", 60_123.25)
    outcomes = [world.outcome(each) for each in decided]
    sums = sum((each.gross - each.cost for each in outcomes), Decimal(0))  # type: ignore[operator]  # told
    last = world.outcome(decided[-1])
    assert last.closed == "next decision"
    assert world.records[list(world.records)[-1]].filled == 0, "the last decision traded nothing"
    assert sums == world.wealth() - first
    for each in outcomes:
        assert each.reward == float((each.gross - each.cost) / each.equity)  # type: ignore[operator]  # told


def test_what_an_order_on_its_own_buys_earns_the_decision_of_the_moment_and_costs_none() -> None:
    world = DecidingWorld()
    decided = world.decide("p_flat")
    order = SubmitPaperOrder(
        command_id=an_id("own"), symbol=SYMBOL, side="buy", order_qty=Decimal(1), ord_type="market"
    )
    world.deliver(order)
    world.advance(0.01)
    assert world.held == 1
    world.decide("p_flat", RISE)
    assert world.outcome(decided).gross == 600
    assert world.outcome(decided).cost == 0


@pytest.mark.parametrize("policy_id", POLICIES)
def test_a_window_ends_at_the_policys_own_horizon_if_nothing_is_decided_before(
    policy_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    horizon_s = 100 * (1 + list(POLICIES).index(policy_id))
    own = {name: dataclasses.replace(policy, horizon_s=horizon_s) for name, policy in POLICIES.items()}
    monkeypatch.setattr(policies, "POLICIES", own)
    world = DecidingWorld()
    decided = world.decide(policy_id)
    began = world.began(decided)
    world.advance((began + horizon_s * S - world.now) / S - 1)
    world.price(RISE)
    assert world.records[decided].reward is None
    world.advance(1.0)
    outcome = world.outcome(decided)
    assert (outcome.closed, outcome.mid, outcome.begin_mid) == ("horizon", RISE, 60_000.25)
    assert outcome.end_ts == began + horizon_s * S
    assert world.taught(decided) == outcome.reward


def test_every_policy_answers_for_what_is_held_until_the_next_decision_a_day_at_most() -> None:
    """None closes by itself what it opened; what is held after its window would be nobody's."""
    assert {policy.horizon_s for policy in POLICIES.values()} == {86_400.0}


def test_the_setting_cuts_every_horizon() -> None:
    world = DecidingWorld(horizon_s=5.0)
    decided = world.decide("p_breakout")
    world.advance(4.0)
    world.price()
    world.advance(1.0)
    assert world.outcome(decided).closed == "horizon"


def test_an_execution_that_outlasts_its_window_is_rewarded_at_its_end_with_all_its_costs() -> None:
    world = DecidingWorld(horizon_s=30.0)
    world.price(size=0.03)
    slow = world.begin("p_sma", urgency=0.0)
    while any(not isinstance(each, RewardPolicy) for each in world.unanswered):
        world.answer()
    for _ in range(60):
        world.price(size=0.03)
        world.advance(1.0)
    saga = world.state[saga_key(slow)]
    assert isinstance(saga, Working)
    assert world.state[window_key(slow)].window.end is not None, "its window is over, and it is not"
    world.price(RISE, size=0.03)
    world.deliver(CancelExecution(command_id=an_id("cancel"), symbol=SYMBOL, execution_id=slow))
    outcome = world.outcome(slow)
    assert outcome.gross == 0, "the price rose when the window was over"
    fees = sum((fill.fee for fill in world.records[slow].fills), Decimal(0))
    assert outcome.cost is not None
    assert outcome.cost >= fees > 0
    assert len(world.records[slow].fills) > 1


def test_where_there_is_no_book_at_the_horizon_the_venues_own_is_waited_for_and_a_basis_is_no_profit() -> (
    None
):
    world = DecidingWorld(horizon_s=30.0)
    decided = world.decide("p_sma")
    world.advance(25.0)
    world.price(venues=("binance",), state=BookState.GAP)
    world.price(60_300.25, venues=("bybit",))
    world.advance(10.0)
    assert world.records[decided].reward is None, "bybit's mid is another one"
    world.price(60_030.25, venues=("binance",))
    world.advance()
    outcome = world.outcome(decided)
    assert outcome.mid == 60_030.25
    assert outcome.reason == "traded"


def test_a_window_that_began_on_another_venue_is_closed_there_by_the_next_decision() -> None:
    """The reference venue was down when it began: bybit is 50 bps dearer, and stays so."""
    world = DecidingWorld()
    world.decide("p_sma")
    world.price(state=BookState.GAP, venues=("binance",))
    world.price(60_300.25, venues=("bybit",))
    kept = world.begin("p_sma")
    while world.unanswered[0] is not world.all(ChoosePolicy)[-1]:
        world.answer()
    unknown_policy(world)  # so that it trades nothing
    world.price(60_000.25, venues=("binance",))
    world.price(60_303.25, venues=("bybit",))
    world.begin("p_flat")
    while world.records[kept].reward is None:
        world.answer()
    outcome = world.outcome(kept)
    assert (outcome.begin_mid, outcome.mid) == (60_300.25, 60_303.25)
    assert outcome.gross == 3 * world.earned_held(kept)


@pytest.mark.parametrize(("others", "told"), [((), "the last mid known"), (("bybit",), "the mid of bybit")])
def test_after_the_patience_another_mid_or_the_last_one_known_counts_and_the_reason_says_so(
    others: tuple[str, ...], told: str
) -> None:
    world = DecidingWorld(horizon_s=30.0, patience_s=20.0)
    decided = world.decide("p_sma")
    world.price(state=BookState.GAP)
    world.advance(49.0)
    assert world.records[decided].reward is None
    world.price(RISE, venues=others)
    world.advance(2.0)
    outcome = world.outcome(decided)
    assert told in outcome.reason
    assert outcome.mid == (RISE if others else 60_000.25)
    assert world.taught(decided) == outcome.reward


def test_a_decision_without_a_book_counts_from_the_mid_of_its_command_and_so_ends_the_one_before() -> None:
    world = DecidingWorld()
    before = world.decide("p_sma")
    world.price(60_060.25)
    lost = world.begin("p_sma")
    world.price(RISE, state=BookState.GAP)
    world.answer()
    assert "no LIVE book" in world.records[lost].reason
    assert world.outcome(before).mid == 60_060.25
    assert "the mid at the command" in world.outcome(before).reason
    world.decide("p_flat", RISE)
    outcome = world.outcome(lost)
    assert outcome.begin_mid == 60_060.25
    assert outcome.reason.startswith("failed: no LIVE book")
    assert outcome.gross == world.earned_held(lost) * 540


def test_a_choice_that_comes_too_late_is_nobodys_and_opens_no_window() -> None:
    world = DecidingWorld()
    before = world.decide("p_sma")
    late = world.begin("p_flat")
    (asked,) = world.unanswered
    world.unanswered.clear()
    world.advance(world.settings.step_timeout_s)
    assert world.records[late].status == "failed"
    world.deliver(world.answer_to(asked))
    outcome = world.outcome(late)
    assert (outcome.reward, outcome.reason) == (None, "no policy was chosen")
    assert world.records[before].reward is None, "its window goes on"
    assert not world.all(RewardPolicy)


def test_the_router_is_told_what_each_policy_wants_and_when_the_reward_comes_at_the_latest() -> None:
    world = DecidingWorld()
    world.begin("p_sma")
    (asked,) = world.unanswered
    assert isinstance(asked, ChoosePolicy)
    assert {policy: set(known) for policy, known in asked.arms.items()} == {
        key: {"signal"} for key in POLICIES
    }
    wanted = {policy: known["signal"] for policy, known in asked.arms.items()}
    assert wanted["p_flat"] == 0 < wanted["p_sma"] < 1
    assert wanted["p_meanrev"] < 0
    world.work()
    signal = world.records[an_id("decision 1")].signal
    assert signal is not None
    assert signal.value == wanted["p_sma"]
    assert asked.reward_within_s is not None
    assert asked.reward_within_s >= max(policy.horizon_s for policy in POLICIES.values())
    assert asked.default_reward == 0
    assert refused_at_the_door(asked, SYMBOL, world.now) is None


@pytest.mark.parametrize("horizon_s", [1.0, 86_400.0])
def test_a_reward_is_told_within_the_time_that_the_router_was_told_even_of_the_longest_execution(
    horizon_s: float,
) -> None:
    world = DecidingWorld(horizon_s=horizon_s, deadline_s=600.0)
    within_s = rewarded_within_s(world.settings)
    world.price(size=0.01)
    began = world.now
    decided = world.begin("p_breakout", urgency=0.0)
    while any(not isinstance(each, RewardPolicy) for each in world.unanswered):
        world.answer()
    while world.records[decided].reward is None:
        world.advance(60.0)
        if world.now - began < 2000 * S:  # later no book is told any more
            world.price(size=0.01)
    assert world.now - began <= within_s * S


def test_a_reward_beyond_the_equity_is_cut_and_says_so() -> None:
    world = DecidingWorld(limit_order_notional=0, limit_symbol_exposure=0, limit_gross_exposure=0)
    world.decide("p_sma")
    world.equity(Decimal(100))
    decided = world.decide("p_flat")  # sells what a far greater equity bought
    world.decide("p_flat", RISE)
    outcome = world.outcome(decided)
    assert outcome.cost is not None
    assert outcome.cost > 100
    assert world.taught(decided) == -1.0
    assert outcome.reason.endswith("cut to 1 of the equity")


def test_without_an_equity_nothing_is_taught_and_the_reason_says_so() -> None:
    world = DecidingWorld()
    world.decide("p_sma")
    world.fold(world.market.risk, BOOK.encode(), None)
    decided = world.decide("p_flat")
    world.decide("p_flat")
    assert world.outcome(decided).reward is None
    assert "equity of the book is not known" in world.outcome(decided).reason
