"""What is told of a plan: the same by simulate and plan-and-execute, its parts, and older versions' plans."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from libs.common.audit_chain import GENESIS, link
from libs.common.events import (
    ChoosePolicy,
    CommandRejected,
    ExecutionPlan,
    ExecutionRecord,
    ExecutionSimulated,
    OrderSubmitted,
    SimulateExecution,
)
from services.execution.audit.older_forms import in_todays_names
from services.execution.audit.rerun import rerun
from services.execution.audit.verify import report
from services.execution.decide.calibration import CostHistory, CostObservation
from services.execution.decide.cost import PRIOR
from services.execution.decide.cost_history import CostCurve, cost_fit, curve_key
from services.execution.decide.volatility import sigma_day
from services.execution.saga.older import migrate
from tests.execution_market import a_policy_chosen
from tests.execution_world import ExecutionWorld, an_id

OLDER = Path("tests/data/older_records/plan-of-model-1.json")
STEEP = tuple((60_000.5 + 10.0 * n, 0.05) for n in range(50))
EXECUTION_ID = "6005052a-3a34-59e3-815f-5cebba3097eb"


def a_world() -> ExecutionWorld:
    world = ExecutionWorld()
    world.ready()
    world.books(asks=STEEP)
    return world


def executed(world: ExecutionWorld, urgency: float) -> ExecutionRecord:
    execution_id = world.execute(urgency=urgency)
    (choose,) = world.unanswered
    assert isinstance(choose, ChoosePolicy)
    world.unanswered.clear()
    told = sigma_day(world.market.minutes("BTC-USDT", "binance"))
    world.deliver(a_policy_chosen(choose.command_id, "p_sma", forecast_vol=told))
    world.answer()
    return world.records[execution_id]


def simulated(size: float, urgency: float, command_id: str) -> ExecutionSimulated:
    command = SimulateExecution(command_id=command_id, symbol="BTC-USDT", size=size, urgency=urgency)
    (answer,) = a_world().deliver(command)
    assert isinstance(answer, ExecutionSimulated), answer
    return answer


@pytest.mark.parametrize("urgency", [0.0, 0.3, 0.6, 1.0])
def test_simulate_and_plan_and_execute_make_the_same_plan_of_the_same_inputs(urgency: float) -> None:
    record = executed(a_world(), urgency)
    assert record.plan is not None
    answer = simulated(float(record.plan.size), urgency, record.execution_id)
    assert answer.plan == record.plan


def test_a_child_is_expected_to_pay_its_own_part_and_not_what_moved_the_mid_before_it() -> None:
    world = a_world()
    plan = executed(world, 0.3).plan
    assert plan is not None
    assert plan.meta_impact_bps is not None
    assert plan.meta_impact_bps > 0
    world.finish()
    own = plan.expected_bps - plan.meta_impact_bps
    orders = [each.order for each in world.all(OrderSubmitted)]
    assert orders
    for order in orders:
        assert order.expected_px == pytest.approx(order.mid * (1 + own / 1e4), rel=1e-12)


def test_the_meta_impact_is_its_own_term_of_the_price_and_the_terms_sum_to_it() -> None:
    cost = simulated(0.6, 0.3, an_id("simulated")).cost
    assert cost.meta_impact_bps is not None
    assert cost.meta_impact_bps > 0
    parts = cost.spread_bps + cost.impact_bps + cost.meta_impact_bps + cost.fee_bps
    assert parts == pytest.approx(cost.total_bps, rel=1e-9)


def test_a_parent_beyond_the_cap_is_refused_by_both_in_the_same_words() -> None:
    command = SimulateExecution(command_id=an_id("large"), symbol="BTC-USDT", size=1e6, urgency=0.0)
    (refused,) = a_world().deliver(command)
    assert isinstance(refused, CommandRejected)
    assert "can be worked within the deadline of 3600 s: 20% of the expected volume of" in refused.detail
    world = a_world()
    world.ready(equity=10**12)
    world.books(asks=STEEP)
    record = executed(world, 0.0)
    assert "can be worked within the deadline of 3600 s: 20% of the expected volume of" in record.reason


def test_a_plan_of_an_older_version_loads_and_its_audit_says_which_model_made_it() -> None:
    older = json.loads(OLDER.read_text())
    book = {"side": "buy", "size": "2", "mid": 60000.0, "epoch": 1, "seq": 7}
    plan = msgspec.convert(in_todays_names("plan", older["output"]) | book, ExecutionPlan, strict=False)
    assert sum(each.size for each in plan.slices) == plan.size
    assert plan.meta_impact_bps is None
    assert plan.warnings == ()
    entries = [link(EXECUTION_ID, 0, 0, "plan", older, GENESIS)]
    found = rerun(entries)
    assert (found.decisions, found.differences) == (0, ())
    assert found.others == (
        "entry 0 (plan) was made by plan model 1 of another version; this one has model 2",
    )
    lines, code = report(EXECUTION_ID, entries)
    assert code == 0
    assert lines[-2].startswith("not made again: entry 0 (plan) was made by plan model 1")
    assert "0 decisions made again and 1 of another version not" in lines[-1]


def test_a_told_plan_of_an_older_version_loads() -> None:
    plan = executed(a_world(), 0.3).plan
    assert plan is not None
    members = msgspec.to_builtins(plan)
    for name in ("meta_impact_bps", "kappa", "warnings", "min_child", "lambda_u"):
        del members[name]
    for each in members["alternatives"]:
        del each["meta_impact_bps"], each["warnings"], each["kappa"]
    older = msgspec.convert(members, ExecutionPlan, strict=False)
    assert (older.meta_impact_bps, older.kappa, older.warnings) == (None, None, ())
    assert (older.min_child, older.lambda_u) == (Decimal(0), None)
    assert all(each.kappa is None for each in older.alternatives)


def test_a_curve_that_was_fitted_without_the_range_of_its_sizes_gets_it_from_its_fills() -> None:
    world = a_world()
    history = CostHistory(tuple(CostObservation(x, 1.0, 1.0) for x in (0.02, 0.01, 0.04)))
    world.state.put(curve_key("binance", "BTC-USDT"), CostCurve(history=history, fit=replace(PRIOR, fills=3)))
    migrate(world.state)
    fit = cost_fit(world.state, "binance", "BTC-USDT")
    assert (fit.x_least, fit.x_most) == (0.01, 0.04)
