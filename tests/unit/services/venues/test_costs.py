"""The price of failures against simulated venues, and against the exact bound of its source."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import Generator, Philox
from scipy.stats import norm

from services.venues.costs import (
    Terms,
    credible_bps,
    immediacy_bps,
    reliability_bps,
    stuck_probability,
)

TERMS = Terms(10.0, 0.03, 0.05, 300.0, 1.0, 1.0)


def longstaff(x: float) -> float:
    """Return the bound on the discount for `x = sigma sqrt(T)` (Longstaff 1995, eq. 7), a fraction."""
    return float((2 + x * x / 2) * norm.cdf(x / 2) + x / math.sqrt(2 * math.pi) * math.exp(-x * x / 8) - 1)


@pytest.mark.parametrize("seconds", [0.05, 10.0, 600.0])
def test_immediacy_is_the_bound_on_what_cannot_be_traded_for_so_long(seconds: float) -> None:
    x = 0.03 * math.sqrt(seconds / 86_400)
    assert immediacy_bps(0.03, seconds) == pytest.approx(1e4 * longstaff(x), rel=2e-3)
    moves = Generator(Philox(key=3)).normal(0, x, 400_000)
    assert immediacy_bps(0.03, seconds) == pytest.approx(1e4 * np.abs(moves).mean(), rel=0.01)


@pytest.mark.parametrize(("up_s", "down_s", "holding_s"), [(100.0, 50.0, 20.0), (30.0, 570.0, 3600.0)])
def test_the_probability_of_being_stuck_is_that_of_a_simulated_venue(
    up_s: float, down_s: float, holding_s: float
) -> None:
    venues, rng = 100_000, Generator(Philox(key=5))
    left, up = np.full(venues, holding_s), np.ones(venues, bool)
    while (left > 0).any():
        left = left - rng.exponential(np.where(up, up_s, down_s))
        up = np.where(left > 0, ~up, up)
    told = stuck_probability(up_s, down_s, down_s, holding_s)
    assert told == pytest.approx(float((~up).mean()), abs=0.006)  # 4 sigma


def test_the_lost_tries_are_those_of_simulated_orders() -> None:
    rng = Generator(Philox(key=9))
    lost = rng.geometric(rng.beta(30.0, 12.0, 400_000)) - 1
    terms = replace(TERMS, alpha=30.0, beta=12.0, outage_s=1e-9)
    waits = immediacy_bps(0.03, float(lost.mean()) * terms.delay_s)
    assert reliability_bps(terms) == pytest.approx(waits, rel=0.01)


def test_a_venue_well_one_time_in_twenty_is_dearer_than_one_that_costs_ten_bps_more() -> None:
    ill = replace(TERMS, alpha=20.0, beta=361.0, outage_s=190.0)
    assert reliability_bps(ill) - reliability_bps(TERMS) > 10.0
    half = replace(TERMS, alpha=200.0, beta=180.0)
    assert reliability_bps(half) - reliability_bps(TERMS) > 1.0
    assert reliability_bps(TERMS) < 0.1


def test_a_failure_costs_more_the_longer_it_lasts_and_the_more_the_price_moves() -> None:
    costs = [reliability_bps(replace(TERMS, outage_s=each)) for each in (1.0, 10.0, 100.0)]
    assert costs == sorted(costs)
    calm = replace(TERMS, sigma_day=0.015)
    assert reliability_bps(calm) == pytest.approx(reliability_bps(TERMS) / 2)


def test_the_credibility_of_a_mean_is_that_of_least_squares_on_simulated_venues() -> None:
    rng, orders = Generator(Philox(key=11)), 10
    means = rng.normal(0, 1.0, 200_000)
    seen = means + rng.normal(0, math.sqrt(20.0 / orders), 200_000)
    slope = float(seen @ means / (seen @ seen))
    assert credible_bps(1.0, float(orders)) == pytest.approx(slope, abs=0.01)
    assert credible_bps(7.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("alpha", "beta", "outage_s", "bps"),
    [
        (380, 1, 10, 0.02),
        (20, 1, 10, 0.16),
        (200, 178, 60, 3.14),
        (38, 343, 180, 10.39),
        (20, 361, 190, 11.43),
    ],
)
def test_the_figures_of_the_page_are_those_of_the_formula(
    alpha: float, beta: float, outage_s: float, bps: float
) -> None:
    terms = replace(TERMS, alpha=alpha, beta=beta, outage_s=outage_s)
    assert reliability_bps(terms) == pytest.approx(bps, abs=0.005)
