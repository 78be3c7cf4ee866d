"""Large parents: the square-root law in their price, a cap on their share of the volume, and honest words."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.integrate import quad

from services.execution.decide.alternatives import PlanInputs, Style
from services.execution.decide.calibration import CostObservation, fit
from services.execution.decide.cost import PRIOR
from services.execution.decide.expected_volume import span_of, volume_of_day, volume_over
from services.execution.decide.planner import CannotPlanError, plan
from services.execution.decide.schedule import front_loaded, meta_impact_bps, moved
from tests.unit.services.execution.builders import MID, NOW, a_volume, plan_inputs, seeded

if TYPE_CHECKING:
    from libs.common.events import PlanAlternative
    from services.execution.decide.profile import VolumeProfile

HOUR_OF_ETH = 10_000 / 0.42  # 10,000 ETH are 42 % of the hour's volume
SIGMA_OF_ETH = 0.0363  # per day: the square-root law is 48 bps for 10,000 ETH, 15 for 1,000


def an_eth_order(quantity: str, **fields: object) -> PlanInputs:
    rate = HOUR_OF_ETH / 3600
    volume = a_volume(expected=(rate * 300,) * 288, rate=rate)
    values = {
        "volume": volume,
        "depth": 1090.0,
        "sigma_day": SIGMA_OF_ETH,
        "participation_cap": 0.5,
        "cost": replace(PRIOR, kappa=math.log(5.46), alpha=0.81),
        "levels": tuple((MID * (1 + 5e-5 * at), 55.0) for at in range(1, 51)),
    }
    return plan_inputs(quantity, 0.0, **(values | fields))


def the_hour(inputs: PlanInputs) -> PlanAlternative:
    found = plan(inputs, seeded()).alternatives
    return next(each for each in found if each.style is Style.TWAP and each.horizon_s == 3600)


@pytest.mark.parametrize(("quantity", "law_bps"), [("10000", 48.0), ("1000", 15.0)])
def test_an_hour_of_eth_costs_what_the_square_root_law_says(quantity: str, law_bps: float) -> None:
    hour = the_hour(an_eth_order(quantity))
    assert hour.meta_impact_bps == pytest.approx(law_bps, rel=0.02)
    assert hour.expected_bps is not None
    assert law_bps * 0.98 < hour.expected_bps < law_bps + 2.0


def test_the_meta_impact_is_a_term_of_its_own_beside_spread_and_children() -> None:
    inputs = an_eth_order("10000")
    hour = the_hour(inputs)
    assert hour.expected_bps is not None
    assert hour.meta_impact_bps is not None
    x = 10_000 / 240 / 1090
    # the first of the 240 takes 41.7 of the 55 ETH of the best level, at no more than half the spread
    children_bps = 239 / 240 * 5.46 * x**0.81 * (1 + 0.6**2) ** (0.81 * 1.81 / 2)
    assert hour.expected_bps - hour.meta_impact_bps == pytest.approx(0.5 + children_bps, rel=1e-9)


def test_the_law_is_written_out() -> None:
    assert meta_impact_bps(100.0, 10_000.0, 0.03) == pytest.approx(0.03 * 0.1 * 1e4, rel=1e-12)


def test_the_meta_impact_of_a_small_parent_is_proportional_to_its_size() -> None:
    """The law and the line meet at a thousandth of a day's volume; 250 bps is what the day moves."""
    V, day_bps = 1_000_000.0, 250.0
    for Q in (1.0, 30.0, 999.0):
        at_the_crossover = day_bps * math.sqrt(0.001)
        assert meta_impact_bps(Q, V, 0.025) == pytest.approx(at_the_crossover * Q / 1000.0, rel=1e-12)
    assert meta_impact_bps(4000.0, V, 0.025) == pytest.approx(2 * day_bps * math.sqrt(0.001), rel=1e-12)


def test_a_parent_of_many_children_pays_the_law_whatever_its_schedule() -> None:
    """The mean of 3/2 sqrt(W) over W is 1, by quadrature; 20,000 children are off by 3/4 of their largest."""
    assert quad(lambda w: 1.5 * math.sqrt(w), 0, 1)[0] == pytest.approx(1.0, rel=1e-9)
    for kappa in (0.0, 1e-4, 1e-3):
        shares = front_loaded(kappa, 0.18, 20_000)
        assert float(moved(shares)) == pytest.approx(1.0, abs=float(shares.max()))


def test_what_children_pay_for_those_before_them_starts_at_nothing_and_grows_with_their_number() -> None:
    paid = []
    for children in (1, 2, 4, 8, 240):
        price, sent = 0.0, 0.0
        for _ in range(children):  # child by child: what it meets, then what it leaves behind
            price += (1 / children) * 1.5 * math.sqrt(sent)
            sent += 1 / children
        assert float(moved(np.full(children, 1 / children))) == pytest.approx(price, rel=1e-9)
        paid.append(price)
    assert paid[0] == 0.0
    assert paid == sorted(paid)


def test_an_order_sent_at_once_pays_the_book_and_no_meta_impact() -> None:
    at_once = plan(plan_inputs("50", 1.0), seeded())
    assert at_once.style is Style.IMMEDIATE
    assert at_once.meta_impact_bps == 0.0


def test_more_than_the_cap_sent_at_once_into_a_deep_book_says_so() -> None:
    deep = tuple((MID * (1 + 5e-5 * at), 50.0) for at in range(1, 41))
    planned = plan(plan_inputs("1000", 0.5, levels=deep), seeded())
    assert planned.style is Style.IMMEDIATE
    (words,) = planned.warnings
    assert words.startswith(
        "sent at once into the book that is shown, though at most 288 of 1000 can be worked"
    )


def test_a_million_bitcoin_are_refused_with_what_could_be_done() -> None:
    with pytest.raises(CannotPlanError) as refused:
        plan(plan_inputs("1000000", 0.0), seeded())
    assert str(refused.value).startswith(
        "at most 288 of 1e+06 can be worked within the deadline of 3600 s: 20% of the expected volume of"
        " 1440; Immediate: the known book holds 100; TWAP: "
    )


def test_a_horizon_beyond_the_cap_is_refused_in_words_and_a_longer_one_is_taken() -> None:
    found = plan(plan_inputs("150", 0.0), seeded()).alternatives
    twap = {each.horizon_s: each.why_not for each in found if each.style is Style.TWAP}
    assert twap[900.0] == "42% of the volume expected in 900 s, above the cap of 20%"
    assert twap[3600.0] == ""


def test_an_order_is_stretched_to_the_horizon_that_fits_and_says_so() -> None:
    planned = plan(plan_inputs("400", 0.0, deadline_s=7200.0), seeded())
    assert 5000.0 <= planned.horizon_s <= 7200.0  # 400 / (.2 x .4 a second)
    (stretched,) = (
        each
        for each in planned.alternatives
        if each.style is Style.TWAP and each.horizon_s == pytest.approx(5000.0)
    )
    assert stretched.warnings[0] == "stretched to 5000 s, to stay within the participation cap"
    for each in planned.alternatives:
        assert each.why_not or each.horizon_s >= 4999.9


@pytest.mark.parametrize("quantity", ["30", "150", "288", "500"])
@pytest.mark.parametrize("urgency", [0.0, 0.3, 0.6, 0.95])
def test_no_plan_over_time_is_more_than_the_cap_of_what_is_expected(quantity: str, urgency: float) -> None:
    for cap in (0.05, 0.2):
        inputs = plan_inputs(quantity, urgency, participation_cap=cap, deadline_s=7200.0, participation=0.05)
        try:
            planned = plan(inputs, seeded())
        except CannotPlanError:
            assert float(quantity) > cap * 0.4 * 7200
            continue
        for each in planned.alternatives:
            if not each.why_not and each.children > 1:
                assert float(quantity) <= cap * 0.4 * each.horizon_s * (1 + 1e-6)


def unknown() -> VolumeProfile:
    return a_volume(expected=(1.0,) * 288, days=0, rate=None)


def test_where_no_volume_is_known_nothing_is_invented_and_it_is_said() -> None:
    hour = the_hour(plan_inputs("50", 0.1, volume=unknown()))
    assert hour.meta_impact_bps is None
    assert "the volume is unknown: what the whole order moves is not in the cost" in hour.warnings


def test_where_no_volume_is_known_the_cap_works_from_the_visible_depth() -> None:
    found = plan(plan_inputs("1000", 0.0, volume=unknown()), seeded())
    twap = {each.horizon_s: each.why_not for each in found.alternatives if each.style is Style.TWAP}
    assert twap[60.0] == "the volume is unknown, and children of 250 are larger than the depth of 50"
    assert twap[300.0] == ""
    with pytest.raises(CannotPlanError, match=r"^at most 12000 of 1e\+06 .* at most the depth of 50"):
        plan(plan_inputs("1000000", 0.0, volume=unknown()), seeded())


def test_a_plan_outside_the_sizes_seen_says_that_its_cost_is_extrapolated() -> None:
    seen = fit([CostObservation(x, 6.0 * x, 6.0 * x) for x in np.linspace(0.01, 0.05, 40)])
    assert (seen.x_least, seen.x_most) == (0.01, 0.05)
    volume = a_volume(rate=40.0)
    within = the_hour(plan_inputs("240", 0.0, cost=seen, volume=volume))  # x .02
    beyond = the_hour(plan_inputs("1200", 0.0, cost=seen, volume=volume))  # x .1
    assert [each for each in within.warnings if "extrapolated" in each] == []
    assert (
        "the cost curve is extrapolated: children of 0.1 to 0.1 depths, fills seen of 0.01 to 0.05"
        in beyond.warnings
    )


def test_a_plan_on_the_assumed_curve_says_that_no_fill_has_been_seen() -> None:
    assert (
        "no fill has been seen yet: the cost curve is the one that is assumed"
        in the_hour(plan_inputs("50", 0.1)).warnings
    )


def test_urgency_zero_says_beside_the_number_what_risk_is_borne_for_nothing() -> None:
    planned = plan(plan_inputs("10", 0.0, volume=unknown()), seeded())
    assert planned.horizon_s == 3600
    (words,) = (each for each in planned.warnings if each.startswith("urgency 0 weighs no risk"))
    assert words == (
        "urgency 0 weighs no risk: 29.4 bps, one standard deviation, are borne;"
        " at once it would cost 1.25 bps and bear none"
    )
    assert not any("urgency 0" in each for each in plan(plan_inputs("10", 0.1), seeded()).warnings)


def test_the_volume_of_a_span_is_that_of_its_seconds_one_by_one() -> None:
    generator = seeded()
    expected = tuple(float(v) for v in generator.uniform(1, 9, 288))
    profile = a_volume(expected=expected, rate=0.5)
    now = NOW + 86_000_500_000_000  # 23:53:20.5: the span goes on past midnight
    level = 0.5 * 300 / profile.weight_at(now)
    for span_s in (0.5, 99.0, 700.0, 5000.0):
        halves = np.arange(round(span_s * 2)) * 500_000_000 + now
        whole = math.fsum(level * profile.weight_at(int(ts)) / 600 for ts in halves)
        assert volume_over(profile, now, span_s) == pytest.approx(whole, rel=1e-9)
        assert span_of(profile, now, whole, 7200.0) == pytest.approx(span_s, rel=1e-9)
    assert volume_of_day(profile, now) == pytest.approx(level * sum(expected), rel=1e-9)
    assert span_of(profile, now, 1e9, 7200.0) is None
    assert volume_over(unknown(), now, 60.0) is None


def test_a_last_hour_that_is_unknown_leaves_the_profile_of_the_days() -> None:
    assert volume_of_day(a_volume(rate=None), NOW) == pytest.approx(120.0 * 288)


def test_too_few_children_for_the_cap_are_not_blamed_on_a_book_that_holds_a_hundred_times_the_order() -> None:
    """Two children of the venue's minimum are over in 30 s, and the cap demands minutes."""
    volume = a_volume(expected=(0.002,) * 288, rate=0.002 / 300)
    inputs = plan_inputs("0.0005", 0.5, volume=volume, min_qty=Decimal("0.0002"))
    (chosen,) = (each for each in plan(inputs, seeded()).alternatives if each.style is Style.IS)
    assert chosen.why_not == (
        "2 children of the venue's minimum, 15 s apart, are over before the 375 s that the participation cap"
        " demands"
    )


def test_the_price_of_a_stretched_plan_holds_its_parts() -> None:
    planned = plan(plan_inputs("400", 0.0, deadline_s=7200.0), seeded())
    assert planned.meta_impact_bps == pytest.approx(250 * math.sqrt(400 / 34_560), rel=0.01)
    assert sum((each.size for each in planned.slices), Decimal(0)) == 400
