from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from libs.common.handling import State
from services.execution.decide.calibration import KEEP, CostHistory, CostObservation, fit
from services.execution.decide.cost import (
    PRIOR,
    impact_bps,
    impact_interval_bps,
    phi,
)
from services.execution.decide.cost_history import (
    CostCurve,
    cost_fit,
    curve_key,
    learn,
    migrate_curves,
    seen_key,
)
from tests.unit.services.execution.builders import seeded


def _observations(
    n: int, key: int, *, k: float = 5.5, alpha: float = 1.02, s: float = 1.0
) -> list[CostObservation]:
    generator = seeded(key)
    x = np.exp(generator.normal(math.log(0.2), 1.0, n))
    y = k * x**alpha + s * generator.standard_t(4, n)
    return [CostObservation(float(a), float(b), 1.0) for a, b in zip(x, y, strict=True)]


@pytest.mark.parametrize("alpha", [0.5, 0.9, 1.2])
@pytest.mark.parametrize("cv", [0.2, 0.4, 0.6])
def test_phi_is_what_lognormal_volume_costs_fixed_slices(cv: float, alpha: float) -> None:
    """400,000 draws; the widest case has a relative standard error of .2 %, the tolerance is 1 %."""
    variance = math.log1p(cv * cv)
    volume = np.exp(seeded().normal(-variance / 2, math.sqrt(variance), 400_000))
    assert phi(cv, alpha) == pytest.approx(float(np.mean(volume**-alpha)), rel=0.01)


def test_without_fills_the_cost_is_the_prior() -> None:
    assert fit(()) is PRIOR
    assert impact_bps(PRIOR, 1.0) == pytest.approx(6.0)


def test_a_flat_book_costs_half_the_share_of_its_depth() -> None:
    """A book of even density over 10 bps: the mean of 0 to 10 x bps is 5 x, so k = 5 and alpha = 1."""
    observations = [CostObservation(x, 5.0 * x, 0.0) for x in np.linspace(0.02, 2.0, 400).tolist()]
    fitted = fit(observations)
    assert fitted.k_bps == pytest.approx(5.0, rel=0.01)
    assert fitted.alpha == pytest.approx(1.0, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 60),
    key=st.integers(0, 10**6),
    k=st.floats(1, 20),
    alpha=st.floats(0.1, 2.0),
    s=st.floats(0.1, 5),
)
def test_the_fit_is_the_mode_that_a_general_minimiser_finds(
    n: int, key: int, k: float, alpha: float, s: float
) -> None:
    """At the fitted scale the t4 posterior is minimised by L-BFGS-B from the fit and from the prior."""
    observations = _observations(n, key, k=k, alpha=alpha, s=s)
    fitted = fit(observations)
    x = np.array([o.x for o in observations])
    y = np.array([o.paid_bps for o in observations])

    def loss(theta: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        e = (y - np.exp(theta[0]) * x ** theta[1]) / fitted.scale_bps
        prior = (theta[0] - math.log(6)) ** 2 / 0.49 + (theta[1] - 0.9) ** 2 / 0.04
        return float(2.5 * np.sum(np.log(1 + e * e / 4)) + prior / 2)

    ours = np.array([fitted.kappa, fitted.alpha])
    found = min(
        (
            minimize(loss, start, method="L-BFGS-B", bounds=((-20, 20), (0.3, 1.5)), tol=1e-14)
            for start in (ours, np.array([math.log(6), 0.9]))
        ),
        key=lambda result: float(result.fun),
    )
    assert loss(ours) <= found.fun + 1e-5
    e = y - np.exp(ours[0]) * x ** ours[1]
    weights = 5 / (4 + (e / fitted.scale_bps) ** 2)
    assert fitted.scale_bps**2 == pytest.approx((5 + float(weights @ (e * e))) / (5 + n), rel=1e-6)


@pytest.mark.parametrize("n", [1, 20, 300])
def test_a_fit_leaves_no_step_to_take(n: int) -> None:
    """Newton's next step, by the covariance, from the slope of the posterior as the docstring has it."""
    observations = _observations(n, n)
    fitted = fit(observations)
    log_x = np.log([o.x for o in observations])
    curve = np.exp(fitted.kappa + fitted.alpha * log_x)
    e = np.array([o.paid_bps for o in observations]) - curve
    we = 5 / (4 + (e / fitted.scale_bps) ** 2) * e / fitted.scale_bps**2
    by_kappa = float(we @ curve) - (fitted.kappa - math.log(6)) / 0.7**2
    by_alpha = float(we @ (curve * log_x)) - (fitted.alpha - 0.9) / 0.2**2
    assert abs(fitted.var_kappa * by_kappa + fitted.cov_kappa_alpha * by_alpha) < 1e-9
    assert abs(fitted.cov_kappa_alpha * by_kappa + fitted.var_alpha * by_alpha) < 1e-9


def test_the_error_falls_with_the_fills_and_the_intervals_cover() -> None:
    """Truth drawn from the prior, 200 times; x lognormal about .2, noise t4 of 1 bps.

    The bounds on the mean absolute error at x = .2 are those of the notes (.97, .33, .14, .08 bps) with half
    as much again; a cover of .95 has a standard error of .015, the bound .88 is four and a half of them away.
    """
    bounds = {0: 1.45, 20: 0.5, 100: 0.21, 400: 0.12}
    for n, bound in bounds.items():
        errors, covered = [], 0
        for key in range(200):
            generator = seeded(10_000 + key)
            kappa = generator.normal(math.log(6), 0.7)
            alpha = float(np.clip(generator.normal(0.9, 0.2), 0.3, 1.5))
            truth = math.exp(kappa) * 0.2**alpha
            fitted = fit(_observations(n, key, k=math.exp(kappa), alpha=alpha))
            interval = impact_interval_bps(fitted, 0.2)
            errors.append(abs(impact_bps(fitted, 0.2) - truth))
            covered += interval.lower <= truth <= interval.upper
        assert float(np.mean(errors)) < bound, n
        assert covered / 200 > 0.88, n


def test_one_absurd_fill_moves_the_curve_less_than_it_moves_least_squares() -> None:
    honest = _observations(100, 3)
    absurd = [*honest, CostObservation(0.2, 500.0, 1.0)]
    moved = abs(impact_bps(fit(absurd), 0.2) - impact_bps(fit(honest), 0.2))
    assert moved < 0.1


def test_the_fit_tells_predicted_and_realised_cost() -> None:
    fitted = fit([CostObservation(0.1, 1.0, 2.0), CostObservation(0.2, 3.0, 4.0)])
    assert (fitted.fills, fitted.predicted_bps, fitted.realised_bps) == (2, 3.0, 2.0)


def test_the_intervals_narrow_with_fills() -> None:
    fitted = fit(_observations(400, 1))
    for x in (0.1, 1.0):
        wide, narrow = impact_interval_bps(PRIOR, x), impact_interval_bps(fitted, x)
        assert narrow.upper - narrow.lower < 0.5 * (wide.upper - wide.lower)


def test_the_last_500_fills_are_fitted_and_each_is_written_alone() -> None:
    state: State[Any] = State()
    key = curve_key("binance", "BTC-USDT")
    seen = _observations(KEEP + 3, 1)
    state.put(key, CostCurve(history=CostHistory(tuple(seen[:KEEP])), fit=fit(seen[:KEEP])))
    migrate_curves(state)
    for each in seen[KEEP:-1]:
        learn(state, "binance", "BTC-USDT", each)
    state.keep()
    list(state.take_changes())
    learn(state, "binance", "BTC-USDT", seen[-1])
    state.keep()
    written = {key: msgspec.msgpack.encode(value) for key, value in state.take_changes()}
    assert written.keys() == {key, seen_key(key, 2)}
    assert sum(map(len, written.values())) < 500
    assert cost_fit(state, "binance", "BTC-USDT") == fit(seen[3:])


@pytest.mark.parametrize("kept", [2, KEEP])
def test_what_older_versions_kept_as_one_is_learnt_on_from(kept: int) -> None:
    seen = _observations(kept + 1, 2)
    older: State[Any] = State()
    history = CostHistory(tuple(seen[:-1]))
    older.put(curve_key("binance", "BTC-USDT"), CostCurve(history=history, fit=fit(seen[:-1])))
    migrate_curves(older)
    migrate_curves(older)  # a second time does nothing
    learn(older, "binance", "BTC-USDT", seen[-1])
    assert cost_fit(older, "binance", "BTC-USDT") == fit(seen[-KEEP:])


@pytest.mark.parametrize("x", [0.0, -1.0, math.inf, math.nan])
def test_a_size_that_is_none_is_refused(x: float) -> None:
    with pytest.raises(ValueError, match="positive finite x"):
        fit([CostObservation(x, 1.0, 1.0)])
