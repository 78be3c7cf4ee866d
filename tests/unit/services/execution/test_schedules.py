"""The front-loaded schedule against the convex optimum, and the exact risk of unequal children."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.execution.decide.alternatives import Style
from services.execution.decide.planner import plan
from services.execution.decide.schedule import front_loaded, risk_bps
from tests.schedule_problems import FLAT, FLAT_LEVELS, optimum_bps
from tests.unit.services.execution.builders import a_volume, plan_inputs, seeded

DAY_S = 86_400.0
SIGMA_BPS = 250.0  # a day
A_FLAT_BOOK = {
    "cost": FLAT,
    "levels": FLAT_LEVELS,
    "spread_bps": 0.0,
    "volume": a_volume(rate=1e9, cv=0.0, cv_left=0.0),  # no meta impact and no cap: the objective of E and R
}


@pytest.mark.parametrize("quantity", ["10", "50", "200", "1000"])
@pytest.mark.parametrize("urgency", [0.3, 0.5, 0.7, 0.9])
def test_a_plan_is_within_three_percent_of_the_best_schedule_there_is(quantity: str, urgency: float) -> None:
    planned = plan(plan_inputs(quantity, urgency, **A_FLAT_BOOK), seeded())
    assert planned.lambda_u is not None
    J = planned.expected_bps + planned.lambda_u * planned.risk_bps
    best = optimum_bps(float(quantity), urgency)
    assert best * (1 - 1e-6) <= J <= best * 1.03


def test_equal_slices_of_the_same_order_are_dearer_by_what_was_measured() -> None:
    planned = plan(plan_inputs("200", 0.7, **A_FLAT_BOOK), seeded())
    twap = min(
        each.objective_bps
        for each in planned.alternatives
        if each.style is Style.TWAP and each.objective_bps is not None
    )
    assert planned.style is Style.IS
    assert twap / optimum_bps(200.0, 0.7) > 1.11


@pytest.mark.parametrize("kappa", [0.0, 1e-4, 1e-2, 0.1])
def test_the_shares_are_those_of_the_sinh_written_out(kappa: float) -> None:
    """Almgren & Chriss (18): ``n_j = 2 sinh(kappa tau / 2) / sinh(kappa T) cosh(kappa (T - t_(j-1/2)))``."""
    N, tau = 40, 15.0
    j = np.arange(1, N + 1)
    written = (
        np.full(N, 1 / N)
        if kappa == 0
        else 2
        * np.sinh(kappa * tau / 2)
        / np.sinh(kappa * N * tau)
        * np.cosh(kappa * (N * tau - (j - 0.5) * tau))
    )
    assert front_loaded(kappa, tau, N) == pytest.approx(written, rel=1e-9)
    assert front_loaded(kappa, tau, N).sum() == pytest.approx(1.0, rel=1e-12)


def test_the_risk_of_unequal_children_is_that_of_a_simulated_walk() -> None:
    """The price wanders between the children; the cost is the mean of their prices by their shares.

    40,000 walks: the sample standard deviation is off by a relative .35 % (one sd); 2 % is six of them.
    """
    generator = seeded()
    times = np.sort(generator.uniform(0, 900, 30))
    for shares in (front_loaded(0.01, 30.0, 30), generator.dirichlet(np.full(30, 0.5)), np.full(30, 1 / 30)):
        steps = np.diff(times, prepend=0.0)
        walks = np.cumsum(
            SIGMA_BPS * np.sqrt(steps / DAY_S) * generator.standard_normal((40_000, 30)), axis=1
        )
        assert float(risk_bps(0.025, times, shares)) == pytest.approx(float((walks @ shares).std()), rel=0.02)


def test_the_risk_of_equal_children_is_the_closed_form() -> None:
    for T, N in ((60.0, 4), (300.0, 20), (3600.0, 240)):
        closed = SIGMA_BPS * math.sqrt(T / DAY_S * (N - 1) * (2 * N - 1) / (6 * N * N))
        found = risk_bps(0.025, np.arange(N) * (T / N), np.full(N, 1 / N))
        assert float(found) == pytest.approx(closed, rel=1e-12)


def test_one_child_now_bears_no_risk() -> None:
    assert float(risk_bps(0.025, [0.0], np.ones(1))) == 0.0


def test_vwap_bears_the_risk_of_its_own_children_and_not_of_equal_ones() -> None:
    late = tuple(100.0 if bucket < 1 else 900.0 for bucket in range(288))
    planned = plan(plan_inputs("50", 0.1, volume=a_volume(expected=late, rate=4.0)), seeded())
    risks = {(each.style, each.horizon_s): each.risk_bps for each in planned.alternatives}
    assert risks[Style.VWAP, 900.0] > 1.1 * risks[Style.TWAP, 900.0]  # type: ignore[operator]  # both possible


def test_a_front_loaded_plan_sends_the_most_first_and_the_more_the_more_urgent() -> None:
    firsts = []
    for urgency in (0.3, 0.5, 0.7):
        planned = plan(plan_inputs("200", urgency, **A_FLAT_BOOK), seeded())
        assert planned.style is Style.IS
        assert planned.kappa is not None
        assert planned.kappa > 0
        assert sum(each.size for each in planned.slices) == 200
        firsts.append(float(planned.slices[0].size) / 200)
    assert firsts == sorted(firsts)
    assert 0.1 < firsts[1] < 0.5


def test_no_first_child_is_larger_than_what_is_known_to_stand_there() -> None:
    shallow = A_FLAT_BOOK | {"levels": FLAT_LEVELS[:400]}  # 100 BTC
    for urgency in (0.9, 0.99, 1.0):
        planned = plan(plan_inputs("1000", urgency, **shallow), seeded())
        front = next(each for each in planned.alternatives if each.style is Style.IS)
        assert not front.why_not
        assert float(front_loaded(front.kappa or 0.0, 15.0, front.children)[0]) * 1000 <= 100 * (1 + 1e-9)
