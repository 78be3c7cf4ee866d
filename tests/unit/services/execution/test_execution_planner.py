from __future__ import annotations

import math
from decimal import Decimal

import pytest

from services.execution.decide.alternatives import PlanInputs, Style
from services.execution.decide.planner import CannotPlanError, plan
from tests.unit.services.execution.builders import NOW, a_volume, plan_inputs, seeded

BUSY = a_volume(rate=4.0)  # ten times the usual volume: the same order moves the price by a third


def _style(quantity: str, urgency: float) -> tuple[str, float]:
    planned = plan(plan_inputs(quantity, urgency, volume=BUSY), seeded())
    return planned.style, planned.horizon_s


@pytest.mark.parametrize("urgency", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_small_order_is_sent_at_once_at_any_urgency(urgency: float) -> None:
    assert _style("0.02", urgency)[0] is Style.IMMEDIATE


def test_a_hundred_bitcoin_are_spread_the_longer_the_less_urgent_they_are() -> None:
    assert _style("100", 0.0) == (Style.VWAP, 3600.0)
    assert _style("100", 0.1) == (Style.IS, 1200.0)
    assert _style("100", 0.5) == (Style.IS, 300.0)
    assert _style("100", 1.0) == (Style.IMMEDIATE, 0.0)


def test_where_walking_the_book_costs_less_than_moving_the_price_the_book_is_walked() -> None:
    """Of 34,560 BTC a day, 50 worked over an hour move the price by 9.5 bps; the book gives them at 5.25."""
    planned = plan(plan_inputs("50", 0.0), seeded())
    assert planned.style is Style.IMMEDIATE
    assert planned.expected_bps == pytest.approx(5.25)


def test_a_thousand_patient_bitcoin_follow_the_volume() -> None:
    assert _style("1000", 0.1)[0] is Style.POV


def test_every_alternative_says_what_it_costs_or_why_not() -> None:
    planned = plan(plan_inputs("280", 0.5), seeded())
    assert [each.style for each in planned.alternatives] == ["Immediate"] + ["TWAP"] * 4 + ["VWAP"] * 2 + [
        "POV",
        "IS",
    ]
    for each in planned.alternatives:
        assert (each.expected_bps is None) == (each.risk_bps is None) == bool(each.why_not)
    reasons = {each.style: each.why_not for each in planned.alternatives}
    assert reasons[Style.IMMEDIATE] == "the known book holds 100"
    assert reasons[Style.POV] == "7000 s is past the deadline of 3600 s"


def test_the_chosen_alternative_has_the_least_objective() -> None:
    for urgency in (0.0, 0.2, 0.4, 0.6, 0.8):
        inputs = plan_inputs("20", urgency)
        planned = plan(inputs, seeded())
        weight = 0.3 * urgency / (1 - urgency)
        judged = [
            e.expected_bps + weight * e.risk_bps
            for e in planned.alternatives
            if e.expected_bps is not None and e.risk_bps is not None
        ]
        assert planned.expected_bps + weight * planned.risk_bps == pytest.approx(min(judged), rel=1e-12)


def test_full_urgency_takes_the_least_risk_where_the_book_is_too_shallow() -> None:
    inputs = plan_inputs("20", 1.0, levels=((60_003.0, 5.0),))
    planned = plan(inputs, seeded())
    assert planned.lambda_u is None
    risks = [each.risk_bps for each in planned.alternatives if each.risk_bps is not None]
    assert planned.risk_bps == min(risks)


def test_an_unknown_volume_rules_out_only_pov() -> None:
    planned = plan(plan_inputs("2", 0.1, volume=a_volume(rate=None)), seeded())
    refused = [each.style for each in planned.alternatives if each.why_not]
    assert refused == [Style.POV]


def test_an_order_under_the_minimum_is_refused_by_name() -> None:
    with pytest.raises(CannotPlanError, match=r"0\.00005 is under binance's minimum of 0\.00009"):
        plan(plan_inputs("0.00005", 0.5), seeded())


def test_an_order_that_nothing_can_work_is_refused_with_every_reason() -> None:
    inputs = plan_inputs("0.00010", 0.5, levels=())
    with pytest.raises(CannotPlanError, match=r"Immediate: the known book holds 0; TWAP: no two children"):
        plan(inputs, seeded())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("urgency", 1.5),
        ("participation", 0.2),
        ("mid", math.nan),
        ("sigma_day", -1.0),
        ("participation_cap", 0.0),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: float) -> None:
    inputs = plan_inputs("1", **({"urgency": 0.5} | {field: value}))
    with pytest.raises(ValueError, match=field):
        plan(inputs, seeded())


def test_pov_carries_its_rule_beside_the_children_that_are_expected() -> None:
    planned = plan(plan_inputs("1000", 0.1, volume=BUSY), seeded())
    assert planned.style is Style.POV
    assert planned.participation == 0.1
    assert planned.horizon_s == pytest.approx(1000 / (0.1 * 4.0))
    assert sum(each.size for each in planned.slices) == 1000


def test_vwap_children_follow_the_profile() -> None:
    expected = tuple(300.0 if bucket == 1 else 100.0 for bucket in range(288))
    volume = a_volume(expected=expected, days=0, rate=None)
    planned = plan(plan_inputs("50", 0.0, volume=volume, deadline_s=900.0), seeded())
    assert planned.style is Style.VWAP
    by_bucket = [0.0, 0.0, 0.0]
    for each in planned.slices:
        by_bucket[(each.at_ts - NOW) // 300_000_000_000] += float(each.size)
    # twenty children a bucket, each jittered by at most 20 %: the ratio of the means of twenty
    # uniforms has a standard deviation of 3.7 %
    assert by_bucket[1] / by_bucket[0] == pytest.approx(3.0, rel=0.15)
    assert by_bucket[1] / by_bucket[2] == pytest.approx(3.0, rel=0.15)


def test_the_same_generator_gives_the_same_plan_and_another_other_times() -> None:
    inputs = plan_inputs("100", 0.5, volume=BUSY)
    assert plan(inputs, seeded(1)) == plan(inputs, seeded(1))
    assert plan(inputs, seeded(1)).slices != plan(inputs, seeded(2)).slices


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
def test_limits_leave_the_stated_room_and_no_more(side: str, sign: int) -> None:
    inputs = plan_inputs("100", 0.5, side=side, volume=BUSY)
    best = Decimal(repr(inputs.levels[0][0]))
    for each in plan(inputs, seeded()).slices:
        wait_s = (each.at_ts - NOW) / 1e9
        room_bps = 25.0 + 3 * 250.0 * math.sqrt(wait_s / 86_400)
        given_bps = float(sign * (each.limit - best) / best) * 1e4
        assert room_bps - 0.01 < given_bps <= room_bps + 1e-9
        assert each.limit % inputs.tick == 0


def test_a_smaller_order_than_many_minima_gets_fewer_children() -> None:
    inputs: PlanInputs = plan_inputs("3", 0.1, min_qty=Decimal(1), levels=())
    planned = plan(inputs, seeded())
    assert all(each.size >= 1 for each in planned.slices)
    assert sum(each.size for each in planned.slices) == 3


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("price", [0.004, 0.0049, 0.0099, 1e-12])
def test_a_price_under_the_tick_of_the_table_is_refused_in_words(side: str, price: float) -> None:
    inputs = plan_inputs("10000", 0.5, side=side, levels=((price, 1e9),), mid=price)
    with pytest.raises(CannotPlanError, match=r"is under the tick 0\.01 .* does not fit the market"):
        plan(inputs, seeded())
