from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator, Philox
from scipy.optimize import minimize, nnls

from libs.common.time_units import MINUTE_NS
from services.router.har import AHEAD, BETA0, HORIZONS, STALE, Forecast, forecast, non_negative_minimiser

DAY = 1440


def _walk(minutes: int, per_day: float = 0.03, seed: int = 1, drift: float = 0.0) -> np.ndarray:
    steps = Generator(Philox(key=seed)).normal(drift / DAY, per_day / np.sqrt(DAY), minutes)
    return np.asarray(100 * np.exp(np.cumsum(steps)))


def _of(closes: np.ndarray, keep: np.ndarray | None = None) -> object:
    kept = np.arange(len(closes)) if keep is None else keep
    return forecast([int(n) * MINUTE_NS for n in kept], closes[kept].tolist())


def test_a_steady_volatility_is_forecast_as_it_is() -> None:
    """Two days of minutes at 3 % a day; the error of such a sample is some 5 %, 0.01 is six of them."""
    said = forecast([n * MINUTE_NS for n in range(2 * DAY)], _walk(2 * DAY).tolist())
    assert said is not None
    assert said.sigma == pytest.approx(0.03, abs=0.01)


def test_the_variance_of_a_window_is_the_mean_over_the_five_offset_grids() -> None:
    """Within the first hour there is no target, so beta is the prior and the forecast is checked by hand."""
    closes = _walk(64)
    said = forecast([n * MINUTE_NS for n in range(64)], closes.tolist())
    logs = np.log(closes)

    def rate(minutes: int) -> float:
        window = logs[-(minutes + 1) :]
        grids = [window[offset::5] for offset in range(5)]
        total = sum(float(np.square(np.diff(grid)).sum()) for grid in grids)
        returns = sum(len(grid) - 1 for grid in grids)
        return total / returns * 288

    recent = float(np.square(logs[-1] - logs[-6])) * 288
    whole = float(np.mean(np.square(logs[5:] - logs[:-5]))) * 288
    assert said is not None
    np.testing.assert_array_equal(said.beta, BETA0)
    assert said.sigma**2 == pytest.approx(0.1 * recent + 0.4 * rate(60) + 0.5 * whole)


def test_the_weights_are_the_minimum_of_the_ridge_they_stand_for() -> None:
    closes = _walk(2 * DAY, seed=3)
    said = forecast([n * MINUTE_NS for n in range(len(closes))], closes.tolist())
    logs = np.log(closes)
    G, h = np.zeros((4, 4)), np.zeros(4)
    for end in range(len(logs) % 5 or 5, len(logs) + 1, 5):  # each step, slowly, as the definition says
        f = np.array([_rate(logs, max(0, end - horizon), end) for horizon in HORIZONS])
        for j in (2, 1, 0):
            f[j] = f[j + 1] if np.isnan(f[j]) else f[j]
        y = _rate(logs, end, end + AHEAD) if end + AHEAD <= len(logs) else np.nan
        G, h = 0.999 * G, 0.999 * h
        g = BETA0 @ f
        if not np.isnan(g) and not np.isnan(y) and g > 0:
            z = f / g
            G, h = G + np.outer(z, z), h + z * min(y / g, 25)
    M, b = G + 50 * np.eye(4), h + 50 * BETA0
    best = minimize(
        lambda beta: 0.5 * beta @ M @ beta - b @ beta,
        BETA0,
        jac=lambda beta: M @ beta - b,
        bounds=[(0, None)] * 4,
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    assert said is not None
    np.testing.assert_allclose(said.beta, best.x, atol=1e-6)


def _rate(logs: np.ndarray, begin: int, end: int) -> float:
    squares = [(logs[n] - logs[n - 5]) ** 2 for n in range(begin + 5 - (begin > 0), end) if n >= 5]
    return float(np.mean(squares)) * 288 if squares else float("nan")


def test_the_future_is_not_looked_at() -> None:
    """What comes later changes no forecast made before: the same prefix, the same number."""
    closes = _walk(1000, seed=5)
    wild = closes.copy()
    wild[800:] *= np.exp(np.cumsum(Generator(Philox(key=9)).normal(0, 0.02, 200)))
    ts = [n * MINUTE_NS for n in range(800)]
    one, two = forecast(ts, closes[:800].tolist()), forecast(ts, wild[:800].tolist())
    assert one is not None
    assert two is not None
    assert one.sigma == two.sigma


def test_holes_are_skipped_and_are_not_zero_returns() -> None:
    """A third of the minutes gone: the forecast keeps its size, where zeros would take two fifths of it."""
    closes = _walk(2 * DAY, seed=2)
    keep = np.flatnonzero(Generator(Philox(key=8)).random(2 * DAY) > 0.33)
    whole, holed = _of(closes), _of(closes, keep)
    assert whole.sigma == pytest.approx(holed.sigma, rel=0.15)  # type: ignore[attr-defined]  # a Forecast


FIVE = np.arange(4, 2 * DAY, 5)
THIRD = np.arange(0, 2 * DAY, 3)


@pytest.mark.parametrize("keep", [FIVE, THIRD], ids=["5-minute bars", "each third minute"])
def test_where_minutes_are_sparse_the_size_is_right_and_the_weights_are_fitted(keep: np.ndarray) -> None:
    """The mean of 40 paths: the standard error of the ratio is some 2 %."""
    ratios = []
    for seed in range(40):
        said = _of(_walk(2 * DAY, seed=seed), keep)
        assert isinstance(said, Forecast)
        assert said.targets > 500
        assert not np.array_equal(said.beta, BETA0)
        ratios.append(said.sigma / 0.03)
    assert np.mean(ratios) == pytest.approx(1, abs=0.06)


def test_within_an_hour_nothing_is_fitted_and_the_forecast_says_so() -> None:
    fresh, later = (_of(_walk(minutes)) for minutes in (60, 200))
    assert isinstance(fresh, Forecast)
    assert isinstance(later, Forecast)
    assert (fresh.targets, later.targets > 0) == (0, True)
    np.testing.assert_array_equal(fresh.beta, BETA0)


def test_a_price_stands_for_a_quarter_of_an_hour_and_no_longer() -> None:
    """After a silence the jump is no return, unless the silence was short."""
    closes = _walk(600, 0.01, seed=4)
    closes[300:] *= 1.2
    short, long = (_of(closes, np.r_[0:300, 300 + gap : 600]) for gap in (10, 40))
    assert isinstance(short, Forecast)
    assert isinstance(long, Forecast)
    assert short.sigma > 0.2
    assert long.sigma == pytest.approx(0.01, rel=0.3)


def test_a_target_weighs_by_the_share_of_its_minutes_that_have_a_bar() -> None:
    """Slowly: prices carried on minute by minute, sums one by one, the minimum by another solver."""
    keep = np.flatnonzero(Generator(Philox(key=8)).random(DAY) < 0.4)
    keep = np.union1d(keep, [0, DAY - 1])
    closes = _walk(DAY, seed=6)
    logs, age, last = np.full(DAY, np.nan), 0, np.nan
    for minute in range(DAY):
        age, last = (0, float(np.log(closes[minute]))) if minute in keep else (age + 1, last)
        logs[minute] = last if age <= STALE else np.nan
    G, h = 50 * np.eye(4), 50 * BETA0
    for end in range(DAY % 5 or 5, DAY - AHEAD + 1, 5):
        f = np.array([_rate(logs, max(0, end - horizon), end) for horizon in HORIZONS])
        for j in (2, 1, 0):
            f[j] = f[j + 1] if np.isnan(f[j]) else f[j]
        returns = logs[end + 4 : end + AHEAD] - logs[end - 1 : end + AHEAD - 5]
        if np.isnan(f).any() or np.isfinite(returns).sum() < 27:
            continue
        z, w = f / (BETA0 @ f), np.isin(np.arange(end, end + AHEAD), keep).mean()
        w *= 0.999 ** ((DAY - end) // 5)
        G = G + w * np.outer(z, z)
        h = h + w * z * min(np.nanmean(returns**2) * 288 / (BETA0 @ f), 25)
    half = np.linalg.cholesky(G).T
    best, _ = nnls(half, np.linalg.solve(half.T, h))
    said = _of(closes, keep)
    assert isinstance(said, Forecast)
    np.testing.assert_allclose(said.beta, best, atol=1e-8)


@pytest.mark.parametrize("keep", [np.arange(2 * DAY), FIVE, THIRD], ids=["dense", "5-minute bars", "third"])
def test_where_the_last_minutes_say_little_the_fitted_weights_beat_the_prior_ones(keep: np.ndarray) -> None:
    """QLIKE of 40 hours: volatility that changes by the day, fat-tailed minutes, so beta0 is too short."""
    ours, prior = [], []
    for seed in range(40):
        random = Generator(Philox(key=seed))
        per_minute = np.repeat(0.03 / np.sqrt(DAY) * np.exp(random.normal(0, 0.2, 2)), DAY)
        closes = 100 * np.exp(np.cumsum(per_minute * random.standard_t(4, 2 * DAY) / np.sqrt(2)))
        y = per_minute[-1] ** 2 * DAY
        said = _of(closes, keep)
        assert isinstance(said, Forecast)
        ours.append(_qlike(y, said.sigma**2))
        prior.append(_qlike(y, float(BETA0 @ said.features)))
    assert np.mean(ours) < 0.95 * np.mean(prior)


def _qlike(y: float, forecasted: float) -> float:
    return y / forecasted - float(np.log(y / forecasted)) - 1


@pytest.mark.parametrize("minutes", [0, 1, 4])
def test_below_five_bars_there_is_no_forecast(minutes: int) -> None:
    assert forecast([n * MINUTE_NS for n in range(minutes)], [100.0] * minutes) is None


def test_prices_that_never_moved_forecast_nothing() -> None:
    assert forecast([n * MINUTE_NS for n in range(100)], [100.0] * 100) is None


def test_the_regime_is_the_days_trend_unless_the_last_hour_is_wild() -> None:
    def regime(closes: np.ndarray) -> str | None:
        said = forecast([n * MINUTE_NS for n in range(len(closes))], closes.tolist())
        assert said is not None
        return said.regime

    assert regime(_walk(DAY, 0.01, drift=0.05)) == "bull"
    assert regime(_walk(DAY, 0.01, drift=-0.05)) == "bear"
    wild = _walk(DAY, 0.01)
    wild[-60:] *= np.exp(np.cumsum(Generator(Philox(key=2)).normal(0, 0.004, 60)))
    assert regime(wild) == "volatile"
    assert regime(_walk(300)) is None
    ebb = 100 * np.exp(0.002 * np.sin(np.arange(DAY) / 40 * np.pi))
    assert regime(ebb) == "sideways"


@pytest.mark.parametrize("seed", range(200))
def test_weights_are_those_of_an_independent_non_negative_least_squares(seed: int) -> None:
    """On its Cholesky factor, which is how scipy's solver takes such a problem; all supports occur."""
    draw = Generator(Philox(key=seed))
    A = draw.normal(size=(6, 4)) * draw.choice([0.01, 1.0, 30.0], size=4)
    Q, c = A.T @ A + np.eye(4), draw.normal(size=4) * 10
    L = np.linalg.cholesky(Q)
    expected, _ = nnls(L.T, np.linalg.solve(L, c))
    assert non_negative_minimiser(Q, c) == pytest.approx(expected, rel=1e-9, abs=1e-12)
