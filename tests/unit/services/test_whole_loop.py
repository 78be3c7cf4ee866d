"""The whole loop in one process: what its parts must add up to, whatever each of them does."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import pytest

from libs.common.events import CommandRejected, ExecutionRecord, OrderFilled, PolicyChosen, PolicyRewarded
from simulator.latent import GENESIS_DAY
from tests.loop_world import LoopWorld

WINDOWED = "p_sma p_breakout p_meanrev p_flat"  # whose horizons are longer than the interval
A_QUARTER = 0.25


@lru_cache(maxsize=1)
def played() -> LoopWorld:
    world = LoopWorld(
        first_day=GENESIS_DAY + 900, policies=WINDOWED, interval_s=600.0, symbols=("BTC-USDT", "SOL-USDT")
    )
    world.run(A_QUARTER)
    return world


def last_records() -> list[ExecutionRecord]:
    return list({record.execution_id: record for record in played().sent[ExecutionRecord]}.values())


def test_every_decision_is_rewarded_but_the_one_whose_window_is_open() -> None:
    chosen, rewarded = played().sent[PolicyChosen], played().sent[PolicyRewarded]
    decided = {each.command_id for each in chosen}
    taught = [each.decision_id for each in rewarded]
    assert len(taught) == len(set(taught))
    assert all(each.counted for each in rewarded)
    assert len(decided - set(taught)) == len(played().symbols)
    assert not played().sent[CommandRejected]
    assert len(chosen) > 60


def test_the_rewards_of_all_decisions_add_up_to_the_change_of_equity() -> None:
    fills = played().sent[OrderFilled]
    assert len(fills) > 5
    for symbol in played().symbols:
        told = [r.reward for r in last_records() if r.symbol == symbol and r.reward and r.reward.mid]
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
