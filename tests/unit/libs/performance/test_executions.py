"""What is kept of executions, against all of their records kept."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.random import Generator, Philox
from scipy import stats

from libs.common.events import (
    ExecutionLeg,
    ExecutionPlan,
    ExecutionProgress,
    ExecutionRecord,
    ExecutionStatus,
    PaperOrder,
    RewardOutcome,
    ShortfallBps,
)
from libs.performance import executions
from libs.performance.executions import PENDING, TERMS
from libs.performance.measure import performance_of
from libs.performance.tape import Tape
from tests.full_valued import bare

if TYPE_CHECKING:
    from libs.performance.answer import Performance

RECORD: ExecutionRecord = bare(ExecutionRecord)
ORDER: PaperOrder = bare(PaperOrder)
PLAN: ExecutionPlan = bare(ExecutionPlan)
STEP: ExecutionProgress = bare(ExecutionProgress)
LEG: ExecutionLeg = bare(ExecutionLeg)
OUTCOME: RewardOutcome = bare(RewardOutcome)
SIZE, MID = Decimal(2), 100.0


def a_record(n: int, profit: float | None = None, **changes: Any) -> ExecutionRecord:
    """Return an execution that bought 2 at 101, 1 above the mid at submission; its value was 200."""
    order = replace(
        ORDER,
        venue="binance",
        side="buy",
        cum_qty=SIZE,
        cum_quote=Decimal(202),
        fees=Decimal("0.2"),
        fills=3,
        mid=100.0,
        expected_px=100.5,
    )
    outcome = replace(
        OUTCOME, reward=0.0, gross=Decimal(repr(profit or 0.0)), cost=Decimal(0), counted=True, reason=""
    )
    fields: dict[str, Any] = {
        "execution_id": str(UUID(int=n)),
        "symbol": "BTC-USDT",
        "status": ExecutionStatus.COMPLETED,
        "policy_id": "p_sma",
        "plan": replace(PLAN, size=SIZE, mid=MID),
        "legs": (replace(LEG, size=SIZE, expected_bps=60.0, fee_bps=10.0),),
        "orders": (order,),
        "filled": SIZE,
        "shortfall": a_cost(),
        "reward": None if profit is None else outcome,
        "created_ts": n,
        "ts": n,
    }
    return replace(RECORD, **fields | changes)


def a_cost(**amounts: float) -> ShortfallBps:
    told = {name: str(amounts.get(name, 0.0)) for name in TERMS}
    return ShortfallBps(
        delay_bps=0.0, impact_bps=0.0, opportunity_bps=0.0, fees_bps=0.0, total_bps=0.0, detail={**told}
    )


def told(*records: ExecutionRecord) -> Performance:
    tape = Tape()
    for record in records:
        tape.take(record)
    return performance_of(tape)


def test_a_record_that_comes_again_or_grows_counts_once_as_it_stands_last() -> None:
    working = a_record(1, status=ExecutionStatus.WORKING, filled=Decimal(0), orders=(), shortfall=None)
    final, taught = a_record(1), a_record(1, profit=5.0)
    found = told(working, final, taught, taught, working)
    assert found == told(taught)
    assert (found.counts.executions, found.counts.trades, found.trading.mean_profit.value) == (1, 1, 5.0)


def test_what_is_under_way_counts_as_it_stands_and_asking_changes_nothing() -> None:
    tape = Tape()
    tape.take(a_record(1, status=ExecutionStatus.WORKING, shortfall=None))
    first = performance_of(tape)
    assert performance_of(tape) == first
    assert (first.counts.executions, first.venues[0].fills) == (1, 3)
    assert any("1 execution had not ended" in warning for warning in first.warnings)
    assert any(warning.startswith("There is 1 trade, fewer than 30") for warning in first.warnings)
    tape.take(a_record(1, profit=1.0))
    assert performance_of(tape) == told(a_record(1, profit=1.0))


def test_what_was_filled_since_the_last_whole_record_of_an_execution_counts() -> None:
    (order,) = a_record(1).orders
    second = replace(
        order, cl_ord_id="second", venue="okx", fills=1, cum_quote=Decimal(50), cum_qty=Decimal("0.5")
    )
    working = a_record(
        1,
        status=ExecutionStatus.WORKING,
        filled=Decimal(0),
        orders=(replace(order, cum_qty=Decimal(0), cum_quote=Decimal(0), fills=0),),
        shortfall=None,
    )
    tape = Tape(0, 100)
    for of_order in (
        order,
        replace(second, fills=0, cum_quote=Decimal(0), cum_qty=Decimal(0)),
        second,
        second,
    ):
        if of_order is order:
            tape.take(working)
        tape.take(a_step(of_order))
    tape.take(a_step(replace(second, cum_quote=Decimal("NaN"))))
    tape.take(replace(a_step(second), execution_id="of no execution of the time"))
    found = performance_of(tape)
    assert [(at.venue, at.fills, at.notional) for at in found.venues] == [
        ("binance", 3, 202.0),
        ("okx", 1, 50.0),
    ]
    assert (found.counts.trades, found.trading.notional.value) == (1, 252.0)
    assert any("Left out: 1 message with amounts that cannot be" in warning for warning in found.warnings)
    final = a_record(1, profit=1.0)
    tape.take(final)
    tape.take(a_step(second))
    assert performance_of(tape).venues == told(final).venues


def a_step(order: PaperOrder) -> ExecutionProgress:
    return replace(STEP, execution_id=str(UUID(int=1)), order=order, filled=order.cum_qty)


def test_venues_have_fees_and_what_was_paid_beyond_the_mid_and_the_expectation() -> None:
    sold = replace(
        *a_record(2).orders, venue="okx", side="sell", cum_quote=Decimal(198), mid=100.0, expected_px=99.5
    )
    binance, okx = told(a_record(1, profit=1.0), a_record(2, profit=1.0, orders=(sold,))).venues
    assert (binance.venue, binance.fills, binance.notional, binance.fees) == ("binance", 3, 202.0, 0.2)
    assert binance.against_mid_bps.value == pytest.approx(2 / 202 * 1e4)
    assert binance.slippage_bps.value == pytest.approx(1 / 202 * 1e4)
    assert binance.fee_bps.value == pytest.approx(0.2 / 202 * 1e4)
    assert okx.against_mid_bps.value == pytest.approx(2 / 198 * 1e4)
    assert okx.slippage_bps.value == pytest.approx(1 / 198 * 1e4)


def test_costs_are_ratios_of_sums_with_the_interval_of_their_residuals() -> None:
    draw = Generator(Philox(key=4))
    sizes, amounts = draw.integers(1, 9, 40), draw.normal(3.0, 2.0, 40)
    records = [
        a_record(
            n + 1,
            profit=0.0,
            plan=replace(PLAN, size=Decimal(int(size)), mid=MID),
            legs=(replace(LEG, size=Decimal(int(size)), expected_bps=60.0 + n, fee_bps=10.0),),
            shortfall=a_cost(impact=float(amount)),
        )
        for n, (size, amount) in enumerate(zip(sizes, amounts, strict=True))
    ]
    costs = {cost.term: cost for cost in told(*records).costs}
    V = sizes * MID
    R = amounts.sum() / V.sum()
    error = math.sqrt(np.sum((amounts - R * V) ** 2) * 40 / 39) / V.sum()
    half = stats.t.ppf(0.975, 39) * error
    impact = costs["impact"]
    assert impact.realized.value == pytest.approx(amounts.sum())
    assert impact.realized_bps.value == pytest.approx(R * 1e4)
    assert (impact.realized_bps.low, impact.realized_bps.high) == (
        pytest.approx((R - half) * 1e4),  # type: ignore[comparison-overlap]
        pytest.approx((R + half) * 1e4),
    )
    assert impact.predicted_bps.value == pytest.approx(np.sum(V * (60 + np.arange(40))) / V.sum())
    assert costs["fees"].predicted_bps.value == pytest.approx(10.0)
    assert costs["delay"].predicted_bps.value is None
    assert "nowhere" in costs["delay"].predicted_bps.why


def test_the_worst_ten_lost_most_and_are_named_with_the_hit_rate_of_all() -> None:
    profits = Generator(Philox(key=9)).normal(0.5, 3.0, 50).round(6).tolist()
    found = told(*(a_record(n + 1, profit=profit) for n, profit in enumerate(profits)))
    worst = sorted(profits)[:10]
    assert [each.profit for each in found.worst] == worst
    assert [each.execution_id for each in found.worst] == [str(UUID(int=profits.index(p) + 1)) for p in worst]
    hits = sum(profit > 0 for profit in profits)
    rate = found.trading.hit_rate
    wilson = stats.binomtest(hits, 50).proportion_ci(method="wilson")
    assert rate.value == hits / 50
    assert rate.low == pytest.approx(wilson.low)
    assert rate.high == pytest.approx(wilson.high)
    half = stats.t.ppf(0.975, 49) * np.std(profits, ddof=1) / math.sqrt(50)
    assert found.trading.mean_profit.high == pytest.approx(np.mean(profits) + half)
    assert not any("chance outweighs" in warning for warning in found.warnings)


def test_no_more_wait_than_stated_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "PENDING", 5)
    monkeypatch.setattr(executions, "SETTLED", 5)
    assert PENDING == 10_000
    tape = Tape()
    for n in range(1, 41):
        tape.take(a_record(n))  # its reward never comes
        assert len(tape.executions.pending) <= 5
    found = performance_of(tape)
    assert (found.counts.trades, found.venues[0].fills) == (40, 120)
    assert any("Without a known result yet: 40 trades" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": replace(PLAN, size=SIZE, mid=float("nan"))},
        {"shortfall": replace(a_cost(), detail={**a_cost().detail, "impact": "much"})},
        {"shortfall": replace(a_cost(), total_bps=float("inf"))},
        {"legs": (replace(LEG, size=SIZE, expected_bps=float("nan")),)},
    ],
)
def test_a_record_of_what_cannot_be_is_left_out_and_said(changes: dict[str, Any]) -> None:
    found = told(a_record(1, profit=1.0), a_record(2, profit=9.0, **changes))
    assert found.trading.mean_profit.value == 1.0
    assert any(warning.startswith("Left out: 1 message with amounts") for warning in found.warnings)
