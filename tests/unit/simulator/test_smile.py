"""The surface held against what no-arbitrage means, and the prices against integrals and differences."""

from __future__ import annotations

import itertools
from math import exp, log, pi, sqrt

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from simulator.smile import Smile, black_76, implied_volatility

CALM = Smile(0.12, 0.23, 8.0, -0.08, 1.1)
GRID = [
    Smile(short, 0.23, 8.0, rho, 1.1) for short in (0.01, 0.12, 0.9, 4.0) for rho in (-0.4, -0.08, 0.0, 0.25)
]
YEARS = (0.2 / 365, 1 / 365, 7 / 365, 30 / 365, 0.5, 1.0)


@pytest.mark.parametrize("smile", GRID)
def test_no_butterfly_wins_in_any_slice(smile: Smile) -> None:
    """Gatheral and Jacquier, theorem 4.2, and Durrleman's g >= 0, lemma 2.2, with differences."""
    for years in YEARS:
        theta = smile.theta(years)
        phi = smile.eta / sqrt(theta * (1.0 + theta))
        assert theta * phi * (1.0 + abs(smile.rho)) < 4.0
        assert theta * phi**2 * (1.0 + abs(smile.rho)) <= 4.0
        k = np.linspace(-8.0, 8.0, 801) * sqrt(theta)
        h = k[1] - k[0]
        w = np.array([smile.variance(float(x), theta) for x in k])
        first, second = (w[2:] - w[:-2]) / (2 * h), (w[2:] - 2 * w[1:-1] + w[:-2]) / h**2
        k, w = k[1:-1], w[1:-1]
        g = (1 - k * first / (2 * w)) ** 2 - first**2 / 4 * (1 / w + 0.25) + second / 2
        assert g.min() > 0.0


@pytest.mark.parametrize("smile", GRID)
def test_total_variance_grows_with_time_at_every_strike(smile: Smile) -> None:
    for k in np.linspace(-1.5, 1.5, 61):
        variances = [smile.variance(float(k), smile.theta(years)) for years in YEARS]
        assert variances == sorted(variances)
        assert len(set(variances)) == len(variances)


def test_a_smile_that_could_be_arbitraged_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 2"):
        Smile(0.1, 0.1, 8.0, -0.9, 1.1)
    with pytest.raises(ValueError, match="above zero"):
        Smile(0.0, 0.1, 8.0, 0.0, 1.1)


def test_at_the_money_variance_runs_from_the_short_to_the_long_one() -> None:
    forward = [(CALM.theta(t + 1e-6) - CALM.theta(t)) / 1e-6 for t in (0.0, 0.1, 5.0)]
    expected = [0.23 + (0.12 - 0.23) * exp(-8.0 * t) for t in (0.0, 0.1, 5.0)]
    assert forward == pytest.approx(expected, rel=1e-4)
    assert CALM.volatility(0.0, 0.25) == pytest.approx(sqrt(CALM.theta(0.25) / 0.25))


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("strike", [60_000.0, 100_000.0, 150_000.0])
def test_a_price_is_the_mean_payoff_in_coins(strike: float, is_call: bool) -> None:  # noqa: FBT001
    forward, years, sigma = 101_000.0, 0.3, 0.6

    def payoff(x: float) -> float:
        price = forward * exp(sigma * sqrt(years) * x - 0.5 * sigma**2 * years)
        paid = max(0.0, price - strike) if is_call else max(0.0, strike - price)
        return paid / forward * exp(-0.5 * x * x) / sqrt(2 * pi)

    kink = (log(strike / forward) + 0.5 * sigma**2 * years) / (sigma * sqrt(years))
    mean = quad(payoff, -12.0, kink)[0] + quad(payoff, kink, 12.0)[0]
    found = black_76(forward, strike, years, sigma, is_call=is_call).value
    assert found == pytest.approx(mean, abs=1e-9)
    assert implied_volatility(found, forward, strike, years, is_call=is_call) == pytest.approx(
        sigma, abs=1e-9
    )


def test_put_and_call_differ_by_the_forward() -> None:
    for years in YEARS:
        for k in (-0.5, -0.1, 0.0, 0.2, 0.9):
            strike = 90_000.0 * exp(k)
            sigma = CALM.volatility(k, years)
            call, put = (black_76(90_000.0, strike, years, sigma, is_call=side) for side in (True, False))
            assert call.value - put.value == pytest.approx(1.0 - strike / 90_000.0, abs=1e-12)
            assert call.delta - put.delta == pytest.approx(1.0, abs=1e-12)
            assert (call.gamma, call.vega) == (put.gamma, put.vega)


@pytest.mark.parametrize("is_call", [True, False])
def test_sensitivities_are_slopes_of_the_value_in_quote_units(is_call: bool) -> None:  # noqa: FBT001
    forward, strike, years, sigma = 100_000.0, 110_000.0, 0.2, 0.55

    def value(f: float = forward, t: float = years, s: float = sigma) -> float:
        return f * black_76(f, strike, t, s, is_call=is_call).value

    quote = black_76(forward, strike, years, sigma, is_call=is_call)
    h = 10.0
    assert quote.delta == pytest.approx((value(forward + h) - value(forward - h)) / (2 * h), rel=1e-6)
    bend = (value(forward + h) - 2 * value() + value(forward - h)) / h**2
    assert quote.gamma == pytest.approx(bend, rel=1e-4)
    assert quote.vega == pytest.approx((value(s=sigma + 1e-4) - value(s=sigma - 1e-4)) / 2e-4 / 100, rel=1e-6)
    day = 1 / 365
    slope = (value(t=years - 1e-3 * day) - value(t=years + 1e-3 * day)) / 2e-3
    assert quote.theta == pytest.approx(slope, rel=1e-5)

    def at_interest(r: float) -> float:  # of an option on spot, F = S exp(rT), discounted
        return exp(-r * years) * value(forward * exp(r * years))

    assert quote.rho == pytest.approx((at_interest(1e-5) - at_interest(-1e-5)) / 2e-5 / 100, rel=1e-5)


@pytest.mark.parametrize("smile", GRID)
def test_deltas_fall_with_the_strike(smile: Smile) -> None:
    for years in YEARS:
        width = 4.0 * sqrt(smile.theta(years))
        deltas = [
            black_76(1.0, exp(k), years, smile.volatility(float(k), years), is_call=True).delta
            for k in np.linspace(-width, width, 201)
        ]
        assert all(later < earlier for earlier, later in itertools.pairwise(deltas))


@pytest.mark.parametrize("smile", GRID)
def test_a_quarter_delta_strike_has_a_quarter_delta(smile: Smile) -> None:
    for years in YEARS:
        for delta in (0.25, -0.25, 0.1, -0.1):
            k = smile.strike_of_delta(delta, years)
            root = sqrt(smile.variance(k, smile.theta(years)))
            d1 = -k / root + root / 2
            found = norm.cdf(d1) if delta > 0 else norm.cdf(d1) - 1.0
            assert found == pytest.approx(delta, abs=1e-9)
        call, put = (smile.strike_of_delta(d, years) for d in (0.25, -0.25))
        gap = smile.volatility(call, years) - smile.volatility(put, years)
        assert smile.risk_reversal(0.25, years) == pytest.approx(gap, abs=1e-12)


def test_puts_are_dearer_below_zero_and_calls_above() -> None:
    reversals = [Smile(0.2, 0.2, 8.0, rho, 1.1).risk_reversal(0.25, 30 / 365) for rho in (-0.4, 0.0, 0.25)]
    assert reversals == sorted(reversals)
    assert reversals[0] < -0.01
    assert reversals[2] > 0.01


def test_a_price_of_no_more_than_the_payoff_implies_no_volatility() -> None:
    for value in (-1.0, 0.0, 0.0999):
        assert implied_volatility(value, 100.0, 90.0, 0.1, is_call=True) == 0.0
    assert implied_volatility(0.1001, 100.0, 90.0, 0.1, is_call=True) > 0.1
    assert implied_volatility(0.0, 100.0, 90.0, 0.1, is_call=False) == 0.0
