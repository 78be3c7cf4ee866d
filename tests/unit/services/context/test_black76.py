from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from services.context.black76 import CALL, PUT, forward_delta, normal_cdf, price
from tests.option_surfaces import bumped_delta, payoff_price

CASES = [
    (60_000.0, K, T, sigma, r)
    for K in (30_000.0, 55_000.0, 60_000.0, 90_000.0)
    for T, sigma, r in ((0.02, 0.45, 0.0), (0.25, 0.8, 0.05), (2.0, 0.6, -0.01))
]


@pytest.mark.parametrize(("F", "K", "T", "sigma", "r"), CASES)
def test_a_price_is_the_discounted_mean_of_the_payoff(
    F: float, K: float, T: float, sigma: float, r: float
) -> None:
    for phi in (CALL, PUT):
        assert price(phi, F, K, T, sigma, r) == pytest.approx(payoff_price(phi, F, K, T, sigma, r), abs=1e-4)


@pytest.mark.parametrize(("F", "K", "T", "sigma"), [case[:4] for case in CASES])
def test_a_forward_delta_is_the_derivative_of_the_undiscounted_price(
    F: float, K: float, T: float, sigma: float
) -> None:
    for phi in (CALL, PUT):
        assert forward_delta(phi, F, K, T, sigma) == pytest.approx(
            bumped_delta(phi, F, K, T, sigma), abs=2e-6
        )
    assert forward_delta(CALL, F, K, T, sigma) - forward_delta(PUT, F, K, T, sigma) == pytest.approx(1.0)


@pytest.mark.parametrize(("F", "K", "T", "sigma", "r"), CASES)
def test_a_call_and_a_put_of_a_strike_differ_by_the_discounted_forward(
    F: float, K: float, T: float, sigma: float, r: float
) -> None:
    parity = price(CALL, F, K, T, sigma, r) - price(PUT, F, K, T, sigma, r)
    assert parity == pytest.approx(math.exp(-r * T) * (F - K), abs=1e-8)


def test_the_normal_distribution_has_known_values() -> None:
    # Abramowitz and Stegun, table 26.1.
    assert normal_cdf(0.0) == 0.5
    assert normal_cdf(1.0) == pytest.approx(0.841344746, abs=5e-10)
    assert normal_cdf(-2.0) == pytest.approx(1 - 0.977249868, abs=5e-10)


# Recorded of Deribit: two rows of get_book_summary_by_currency of 2025-01-17.
# (forward, strike, expiry at 08:00 UTC, as of, volatility in percent, mark in coin)
MARKS = [
    (PUT, 98_763.21, 106_000.0, datetime(2025, 2, 7, 8, tzinfo=UTC), 1_737_074_222.663, 60.86, 0.1042716),
    (PUT, 99_067.37, 92_000.0, datetime(2025, 1, 31, 8, tzinfo=UTC), 1_737_074_222.663, 60.13, 0.01866323),
]


@pytest.mark.parametrize(("phi", "F", "K", "expiry", "now_s", "percent", "mark"), MARKS)
def test_recorded_marks_of_a_venue_are_these_prices_over_the_forward(
    phi: int, F: float, K: float, expiry: datetime, now_s: float, percent: float, mark: float
) -> None:
    T = (expiry.timestamp() - now_s) / (365 * 86_400)
    rounding = price(phi, F, K, T, percent / 100 + 1e-4) - price(phi, F, K, T, percent / 100)
    assert price(phi, F, K, T, percent / 100) == pytest.approx(mark * F, abs=rounding)


def test_a_recorded_delta_of_a_venue_is_this_forward_delta() -> None:
    # get_order_book of BTC-15JAN21-28000-C, 2020-12-31: greeks.delta.
    T = (datetime(2021, 1, 15, 8, tzinfo=UTC).timestamp() - 1_609_384_730.848) / (365 * 86_400)
    assert forward_delta(CALL, 29_153.69, 28_000.0, T, 0.872) == pytest.approx(0.62396, abs=2e-5)
