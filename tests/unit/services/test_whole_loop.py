"""The whole loop in one process: what its parts must add up to, whatever each of them does."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from libs.common.events import (
    CommandRejected,
    EquityMarked,
    ExecutionRecord,
    OrderFilled,
    PolicyChosen,
    PolicyRewarded,
    RouterSnapshot,
)
from libs.common.time_units import DAY_NS
from libs.common.topics import POLICIES_REGISTRY, POLICIES_SIGNALS, signal_key
from libs.performance.measure import performance_of
from libs.performance.tape import Tape
from simulator.latent import GENESIS_DAY
from tests.execution_market import a_policy_signalled
from tests.loop_world import CAPITAL, LoopWorld
from tests.registered import a_policy_registered

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.performance.answer import Performance

WINDOWED = "p_sma p_breakout p_meanrev p_flat"  # whose horizons are longer than the interval
A_QUARTER = 0.25


@lru_cache(maxsize=1)
def played() -> LoopWorld:
    world = LoopWorld(
        first_day=GENESIS_DAY + 900, policies=WINDOWED, interval_s=600.0, symbols=("BTC-USDT", "SOL-USDT")
    )
    world.run(A_QUARTER)
    return world


@lru_cache(maxsize=1)
def played_with_others() -> LoopWorld:
    """One in which a policy from outside is chosen too, and signals for a part of the time."""
    world = LoopWorld(
        first_day=GENESIS_DAY + 900,
        policies="p_meanrev p_flat x_mine",
        interval_s=600.0,
        symbols=("BTC-USDT",),
        execution_settings={"allow_short": True},
    )
    world.publish(POLICIES_REGISTRY, b"x_mine", a_policy_registered("x_mine", kind="external"))
    for n in range(48):
        if n % 4 > 1:
            signal = a_policy_signalled("x_mine", (-1.0) ** n, inputs_ts=world.now)
            signal = replace(signal, valid_until_ts=world.now + DAY_NS // 96)
            world.publish(POLICIES_SIGNALS, signal_key("x_mine", "BTC-USDT"), signal)
        world.run(1 / 96)
    return world


def last_records(world: LoopWorld) -> list[ExecutionRecord]:
    return list({record.execution_id: record for record in world.sent[ExecutionRecord]}.values())


def test_every_decision_is_rewarded_but_the_one_whose_window_is_open() -> None:
    chosen, rewarded = played().sent[PolicyChosen], played().sent[PolicyRewarded]
    decided = {each.command_id for each in chosen}
    taught = [each.decision_id for each in rewarded]
    assert len(taught) == len(set(taught))
    assert all(each.counted for each in rewarded)
    assert len(decided - set(taught)) == len(played().symbols)
    assert not played().sent[CommandRejected]
    assert len(chosen) > 60


@pytest.mark.parametrize("play", [played, played_with_others])
def test_the_rewards_of_all_decisions_add_up_to_the_change_of_equity(play: Callable[[], LoopWorld]) -> None:
    fills = play().sent[OrderFilled]
    assert len(fills) > 5
    for symbol in play().symbols:
        told = [r.reward for r in last_records(play()) if r.symbol == symbol and r.reward and r.reward.mid]
        end = max(told, key=lambda outcome: outcome.end_ts or 0)
        mine = [fill for fill in fills if fill.symbol == symbol and fill.ts <= (end.end_ts or 0)]
        held = sum((fill.last_qty if fill.side == "buy" else -fill.last_qty for fill in mine), Decimal(0))
        paid = sum(
            (fill.last_px * (fill.last_qty if fill.side == "buy" else -fill.last_qty) for fill in mine),
            Decimal(0),
        )
        fees = sum((fill.fee for fill in mine), Decimal(0))
        by_decision = sum(
            (r.gross - r.cost for r in told if r.gross is not None and r.cost is not None), Decimal(0)
        )
        assert by_decision == held * Decimal(repr(end.mid)) - paid - fees
        by_share = sum(Decimal(r.reward or 0) * (r.equity or 0) for r in told)
        assert float(by_share) == pytest.approx(float(by_decision), abs=1e-6)


def test_the_equity_is_what_its_fills_and_the_price_make_of_the_capital() -> None:
    world = played()
    budget = next(iter(world.risk.values()))
    assert float(budget.equity) == pytest.approx(world.equity, rel=2e-3)  # its marks are up to an hour old


def test_a_policy_from_outside_is_paid_for_what_it_wanted_and_learns_nothing_where_it_wanted_nothing() -> (
    None
):
    world = played_with_others()
    mine = [record for record in last_records(world) if record.policy_id == "x_mine"]
    void = {each.decision_id for each in mine if each.reason.startswith("no signal of x_mine to act on: ")}
    answers = [each for each in world.sent[PolicyRewarded] if each.policy_id == "x_mine"]
    assert len(void) >= 3
    assert sorted(each.decision_id or "" for each in answers if not each.counted) == sorted(void)
    paid = [each for each in answers if each.counted]
    assert len(paid) >= 3
    assert {each.decision_id for each in paid} < {each.decision_id for each in mine} - void
    assert any(each.reward for each in paid)
    (summary,) = (each for each in world.sent[RouterSnapshot][-1].policies if each.policy_id == "x_mine")
    assert summary.updates == len(paid)
    assert not world.sent[CommandRejected]


@lru_cache(maxsize=1)
def told() -> Performance:
    """Return the numbers of the loop, from what its services said."""
    tape = Tape()
    for kind in (EquityMarked, ExecutionRecord, PolicyChosen, PolicyRewarded, RouterSnapshot):
        for event in played().sent[kind]:
            tape.take(event)
    return performance_of(tape)


def test_equity_is_marked_each_minute_and_after_each_fill_and_is_what_the_fills_leave() -> None:
    world = played()
    marks, fills = world.sent[EquityMarked], world.sent[OrderFilled]
    minutes = [mark.ts for mark in marks if mark.cause == "minute"]
    assert len(minutes) == len(set(minutes)) == 1 + round(A_QUARTER * 1440)
    assert [mark.fills for mark in marks if mark.cause == "fill"] == list(range(1, len(fills) + 1))
    cash, done = CAPITAL, 0
    for mark in marks:  # the fills in order, each taken in at once
        for fill in fills[done : mark.fills]:
            cash -= (fill.last_qty if fill.side == "buy" else -fill.last_qty) * fill.last_px + fill.fee
        done = mark.fills
        assert mark.equity == cash + sum(mark.values.values())
        assert mark.equity == mark.capital + mark.realized_pnl + mark.unrealized_pnl - mark.fees
    assert (cash, marks[-1].fees) == (world.cash, world.fees)
    assert marks[-1].marks.keys() == set(world.symbols)


def test_the_performance_of_the_loop_is_what_its_fills_and_records_add_up_to() -> None:
    fills, records, found = played().sent[OrderFilled], last_records(played()), told()
    paid = sum(fill.last_qty * fill.last_px for fill in fills)
    assert found.counts.fills == len(fills)
    assert found.counts.orders_alone == 0
    assert found.counts.executions == len(records)
    assert found.counts.trades == sum(record.filled > 0 for record in records) > 5
    assert found.trading.fees.value == pytest.approx(float(played().fees))
    assert found.trading.notional.value == pytest.approx(float(paid))
    for venue in found.venues:
        of_venue = [fill for fill in fills if fill.venue == venue.venue]
        against = sum(
            (1 if fill.side == "buy" else -1)
            * float(fill.last_qty)
            * (float(fill.last_px) - fill.expected_px)
            for fill in of_venue
        )
        assert venue.fills == len(of_venue)
        assert venue.fees == pytest.approx(float(sum(fill.fee for fill in of_venue)))
        assert venue.slippage_bps.value == pytest.approx(against / venue.notional * 1e4)
    ended = [record.shortfall for record in records if record.shortfall is not None and record.filled]
    for cost in found.costs:
        assert cost.realized.value == pytest.approx(sum(float(each.detail[cost.term]) for each in ended))
    earned = [
        float(record.reward.gross - record.reward.cost)
        for record in records
        if record.filled
        and record.reward
        and record.reward.gross is not None
        and record.reward.cost is not None
    ]
    assert found.trading.mean_profit.value == pytest.approx(sum(earned) / len(earned))
    assert found.trading.hit_rate.value == pytest.approx(sum(each > 0 for each in earned) / len(earned))
    assert [trade.profit for trade in found.worst] == pytest.approx(sorted(earned)[:10])


def test_values_of_policies_are_the_routers_own_and_shares_and_mean_rewards_those_of_its_answers() -> None:
    chosen, rewarded, found = played().sent[PolicyChosen], played().sent[PolicyRewarded], told()
    (snapshot,) = played().sent[RouterSnapshot][-1:]
    assert {each.policy_id for each in found.policies} == set(WINDOWED.split())
    for policy in found.policies:
        own = [each.reward for each in rewarded if each.policy_id == policy.policy_id]
        (summary,) = (each for each in snapshot.policies if each.policy_id == policy.policy_id)
        assert summary.dr is not None
        assert policy.share.value == pytest.approx(summary.choices / len(chosen))
        assert policy.rewards == summary.updates == len(own)
        assert policy.mean_reward.value == pytest.approx(summary.mean_reward)
        for told_value in (policy.value, policy.router_value):
            assert told_value.value == pytest.approx(summary.dr.value)
            assert told_value.low == pytest.approx(summary.dr.low)
            assert told_value.high == pytest.approx(summary.dr.high)
