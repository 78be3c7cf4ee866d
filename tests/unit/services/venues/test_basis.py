"""What of a venue's basis lasts: plain sums, a fit of an autoregression, and markets with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import Generator, Philox

from libs.common.time_units import NS_PER_S
from services.venues.basis import PRIOR_SAMPLES, Basis, fold_basis, lasting_bps, share_left
from tests.venue_market import NOW


def seen(path: list[float], *, every_s: float = 1.0) -> Basis:
    found = Basis()
    for at, bps in enumerate(path):
        found = fold_basis(found, bps, NOW + round(at * every_s * NS_PER_S))
    return found


def a_wandering(
    seconds: int, *, half_life_s: float, sd: float, mean: float = 0.0, seed: int = 1
) -> list[float]:
    """Return a mean-reverting basis, once a second."""
    rng, phi = Generator(Philox(key=seed)), 0.5 ** (1 / half_life_s)
    noise = rng.normal(0, sd * math.sqrt(1 - phi * phi), seconds)
    path, b = [], rng.normal(0, sd)
    for each in noise:
        b = phi * b + each
        path.append(mean + b)
    return path


def test_the_moments_are_those_of_plain_weighted_sums() -> None:
    path = a_wandering(2000, half_life_s=5.0, sd=2.0, mean=1.0)
    found = seen(path)
    weights = np.exp(-np.arange(len(path) - 1)[::-1] / 3600)
    total = weights.sum() + PRIOR_SAMPLES
    assert found.samples == pytest.approx(weights.sum(), rel=1e-9)
    assert found.mean == pytest.approx(float(weights @ np.array(path[1:])) / total, rel=1e-9)
    means = [seen(path[:at]).mean for at in range(1, 200)]
    products = sum(
        math.exp(-(198 - at) / 3600) * (path[at] - means[at - 1]) * (path[at - 1] - means[at - 1])
        for at in range(1, 199)
    )
    assert seen(path[:199]).products == pytest.approx(products, rel=1e-9)


@pytest.mark.parametrize("half_life_s", [2.0, 20.0])
def test_the_persistence_is_the_slope_of_a_regression_on_the_second_before(half_life_s: float) -> None:
    path = np.array(a_wandering(7200, half_life_s=half_life_s, sd=3.0))
    slope, _ = np.polyfit(path[-3600:-1], path[-3599:], 1)
    found = seen([*path])
    assert found.persistence == pytest.approx(slope, abs=0.02)
    assert share_left(found, half_life_s) == pytest.approx(0.5, abs=0.1)


def test_the_share_left_is_what_is_left_on_average_in_simulated_markets() -> None:
    starts, phi, seconds = 200_000, 0.8, 7
    rng = Generator(Philox(key=7))
    b = np.full(starts, 6.0)
    for _ in range(seconds):
        b = phi * b + rng.normal(0, 1.0, starts)
    basis = Basis(ts=0, samples=1e9, squares=1e9, products=phi * 1e9)
    assert share_left(basis, seconds) * 6.0 == pytest.approx(float(b.mean()), abs=4 * float(b.std()) / 447)


def test_what_lasts_for_an_hour_is_told_as_lasting_and_a_moment_is_not() -> None:
    assert lasting_bps(seen([-5.0] * 3600)) == pytest.approx(-5.0, abs=0.3)
    noise = a_wandering(3600, half_life_s=3.0, sd=3.0)
    assert abs(lasting_bps(seen([*noise, -8.0]))) < 0.3
    assert share_left(seen(noise), 3600.0) < 1e-9


def test_a_basis_that_wanders_for_minutes_is_not_called_lasting_for_where_it_has_been() -> None:
    told, plain = [], []
    for seed in range(20):
        found = seen(a_wandering(3600, half_life_s=300.0, sd=4.0, seed=seed))
        told.append(lasting_bps(found))
        plain.append(found.mean)
    assert np.square(told).mean() < 0.5 * np.square(plain).mean(), "its true mean is 0"


def test_what_is_remembered_fades_in_silence_and_a_pair_over_a_hole_is_none() -> None:
    found = seen([-5.0] * 3600)
    later = fold_basis(found, 3.0, NOW + 3600 * NS_PER_S + 6 * 86_400 * NS_PER_S)
    assert later.samples == pytest.approx(0.0, abs=1e-9)
    assert lasting_bps(later) == pytest.approx(0.0, abs=1e-9)
    assert later.persistence == pytest.approx(math.exp(-0.1))


def test_samples_of_the_same_half_second_count_once_and_a_clock_set_back_ends_nothing() -> None:
    found = seen([1.0, 2.0])
    assert fold_basis(found, 9.0, NOW + NS_PER_S + NS_PER_S // 4) is found
    back = fold_basis(found, 2.0, NOW - 100 * NS_PER_S)
    assert fold_basis(back, 2.0, NOW - 99 * NS_PER_S).samples == pytest.approx(found.samples + 1, abs=1e-3)


def test_a_mid_that_is_none_is_outlived() -> None:
    found = fold_basis(seen([0.0] * 600), 1e16, NOW + 600 * NS_PER_S)
    assert abs(lasting_bps(found)) < 0.2
