from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from libs.common.time_units import DAY_NS, MINUTE_NS
from services.execution.decide.expected_volume import volume_of_day
from services.execution.decide.profile import BUCKETS, by_bucket, credibility, profile_of, shares_of
from services.execution.decide.volatility import sigma_day
from tests.unit.services.execution.builders import a_candle, seeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from services.execution.decide.profile import VolumeProfile


def test_the_volatility_of_a_random_walk_is_found() -> None:
    """Two days of minutes; overlapping 5-minute squares have a relative sd of 4 % in variance, 2 % here."""
    closes = np.exp(np.cumsum(0.025 / math.sqrt(1440) * seeded().standard_normal(2880)))
    found = sigma_day([a_candle(at, float(close)) for at, close in enumerate(closes)])
    assert found == pytest.approx(0.025, rel=0.08)


def test_the_volatility_is_the_mean_over_five_grids() -> None:
    closes = 100 + np.cumsum(seeded().standard_normal(301)) / 10
    rates = []
    for offset in range(5):
        grid = np.log(closes[offset : offset + 296 : 5])
        rates.append(float(np.sum(np.diff(grid) ** 2)) * 1440 / (5 * (len(grid) - 1)))
    candles = [a_candle(at, float(close)) for at, close in enumerate(closes[:300])]
    assert sigma_day(candles) == pytest.approx(math.sqrt(np.mean(rates)))


def test_missing_minutes_are_skipped_and_too_few_give_none() -> None:
    closes = [100.0 + at % 7 for at in range(30)]
    candles = [a_candle(at, close) for at, close in enumerate(closes)]
    assert sigma_day(candles[:9]) is None
    far = [a_candle(at + 10_000, close) for at, close in enumerate(closes)]
    apart = sigma_day([*candles, *far])
    assert apart == pytest.approx(sigma_day(candles))


def by_day(volumes: Sequence[float] | NDArray[np.float64], now: int | None = None) -> NDArray[np.float64]:
    """Return minutes from the start of a day on by days and buckets, of which those before `now` are over."""
    days = -(-len(volumes) // 1440)
    rest = np.full(days * 1440 - len(volumes), np.nan)
    minutes = np.append(np.asarray(volumes, float), rest).reshape(-1, 1440)
    return by_bucket(minutes, days * DAY_NS - 1 if now is None else now)


def test_without_candles_the_profile_is_flat_and_the_rate_unknown() -> None:
    profile = profile_of(np.empty((0, 288)), DAY_NS)
    assert set(profile.expected) == {1.0}
    assert (profile.days, profile.rate) == (0, None)
    assert profile.cv == profile.cv_left == pytest.approx(0.6)


def busy(days: int, noise: float = 0.0, levels: float = 0.0) -> VolumeProfile:
    """Return the profile of days with eight hours of nine times the volume of the others, before the next."""
    random = seeded()
    truth = np.where((np.arange(BUCKETS) >= 96) & (np.arange(BUCKETS) < 192), 9.0, 1.0)
    shape = 1 / noise**2 if noise else math.inf
    v = [
        truth
        * (random.gamma(shape, 1 / shape, BUCKETS) if noise else 1.0)
        * math.exp(random.normal(0, levels))
        for _ in range(days)
    ]
    return profile_of(by_day([volume for day in v for volume in np.repeat(day, 5)]), days * DAY_NS - 1)


def ratio(profile: VolumeProfile) -> float:
    expected = np.array(profile.expected)
    return float(expected[96:192].mean() / np.delete(expected, np.s_[96:192]).mean())


def test_busy_hours_of_nine_times_the_rest_are_found_in_two_weeks_whatever_the_days_levels() -> None:
    assert ratio(busy(14)) > 8.9
    assert ratio(busy(14, levels=1.0)) > 8.9
    assert ratio(busy(14, noise=0.4, levels=1.0)) > 8.0
    assert busy(14).days == 14


def test_the_fewer_days_and_the_more_they_differ_the_flatter_is_the_profile() -> None:
    days = [ratio(busy(days, noise=0.6)) for days in (1, 2, 5, 14, 29)]
    assert days == sorted(days)
    assert 2 < days[0] < 5
    noises = [ratio(busy(5, noise=noise)) for noise in (0.0, 0.3, 0.6, 1.2)]
    assert noises == sorted(noises, reverse=True)


def test_the_credibility_is_that_of_the_posterior_mean_of_a_normal_share() -> None:
    """Integrate over p: prior N(1, τ^2), mean of n days N(p, s^2/n)."""
    spread, noise, n, seen = 0.5, 1.3, 4.0, 1.8
    p = np.linspace(-10, 12, 200_001)
    density = np.exp(-((p - 1) ** 2) / (2 * spread) - n * (seen - p) ** 2 / (2 * noise))
    mean = float((p * density).sum() / density.sum())
    assert 1 + float(credibility(np.array(n), noise, spread)) * (seen - 1) == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize(("days", "cv", "sd"), [(2, 0.6, 0.3), (8, 1.0, 0.3), (8, 0.6, 0.9), (25, 0.6, 0.1)])
def test_no_other_shrinkage_of_all_shares_errs_noticeably_less(days: int, cv: float, sd: float) -> None:
    """Against the truth of 40 simulated profiles: at most 5 % above the least error of any factor.

    The shares are lognormal, the noise is gamma, the days' levels lognormal: neither is normal as in [1]_.
    """
    random = seeded()
    ours, others, factors = [], [], np.linspace(0, 1, 101)
    for _ in range(40):
        p = np.exp(random.normal(0, sd, BUCKETS))
        p /= p.mean()
        noise = random.gamma(1 / cv**2, cv**2, (days, BUCKETS))
        shares = shares_of(p * noise * np.exp(random.normal(0, 1, (days, 1))))
        ours.append(np.square(shares.expected() / shares.level - p).mean())
        others.append([np.square(1 + z * (shares.p - 1) - p).mean() for z in factors])
    assert np.mean(ours) < 1.05 * np.mean(others, axis=0).min()


def test_the_level_is_that_of_newer_days_and_a_part_of_a_day_does_not_bend_the_shares() -> None:
    truth = np.repeat(np.where(np.arange(BUCKETS) < 144, 3.0, 1.0), 5)
    volumes = np.concatenate([*[truth] * 9, 10 * truth[:200]])  # a day of ten times, and only its busy hours
    profile = profile_of(by_day(volumes), 9 * DAY_NS + 200 * MINUTE_NS)
    expected = np.array(profile.expected)
    assert expected[:144].mean() / expected[144:].mean() == pytest.approx(3.0, rel=0.02)
    weights = 0.9 ** np.arange(9, -1, -1)
    assert expected.mean() == pytest.approx(
        10 * float(weights @ [*[1.0] * 9, 10.0] / weights.sum()), rel=0.01
    )


def test_a_daily_pattern_that_repeats_leaves_less_variation_than_there_was() -> None:
    volumes = [1 + 0.8 * math.sin(2 * math.pi * at / 1440) for at in range(4 * 1440)]
    profile = profile_of(by_day(volumes), 4 * DAY_NS - 1)
    assert profile.cv == pytest.approx(0.8 / math.sqrt(2), rel=0.03)
    assert profile.cv_left < 0.85 * profile.cv


def test_noise_without_a_pattern_leaves_no_less() -> None:
    volumes = np.repeat(np.exp(seeded().normal(0, 0.5, 2 * 288)), 5)
    profile = profile_of(by_day(volumes), 2 * DAY_NS - 1)
    assert profile.cv == pytest.approx(math.sqrt(math.exp(0.25) - 1), rel=0.1)
    assert profile.cv_left > 0.95 * profile.cv


def test_the_rate_is_the_profile_at_the_level_of_the_last_hour() -> None:
    volumes = [2.0 if at >= 1440 + 540 else 1.0 for at in range(1440 + 600)]
    now = (1440 + 600) * MINUTE_NS
    profile = profile_of(by_day(volumes), now)
    recent = sum(profile.weight_at((1440 + 540 + at) * MINUTE_NS) for at in range(0, 60, 5))
    assert profile.rate == pytest.approx(120.0 / recent * profile.weight_at(now) / 300)


@pytest.mark.parametrize("told", [slice(0, 3), slice(0, 0)])
def test_weights_that_no_day_has_given_a_level_are_not_taken_for_volumes(told: slice) -> None:
    """A quarter of an hour before the last hour, or a day on which nothing traded: not 288 units a day."""
    v = np.full((2, BUCKETS), np.nan)
    v[0] = 0.0
    v[1, told] = 1_000.0
    now = 40 * DAY_NS + 600 * MINUTE_NS
    profile = profile_of(v, now)
    assert (profile.days, profile.rate) == (0, None)
    assert volume_of_day(profile, now) is None


def test_a_bucket_that_is_not_over_does_not_count() -> None:
    now = 61 * MINUTE_NS
    assert profile_of(by_day([*[1.0] * 60, 999.0], now), now) == profile_of(by_day([1.0] * 60, now), now)


def test_a_bucket_of_which_some_minutes_are_known_counts_as_five_times_their_mean() -> None:
    whole, holed = np.repeat(np.arange(1.0, 289.0), 5), np.repeat(np.arange(1.0, 289.0), 5)
    holed[::5] = holed[3::5] = np.nan
    assert profile_of(by_day(holed), DAY_NS - 1) == profile_of(by_day(whole), DAY_NS - 1)
