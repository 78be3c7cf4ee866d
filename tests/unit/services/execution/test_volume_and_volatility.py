from __future__ import annotations

import math

import numpy as np
import pytest

from libs.common.time_units import DAY_NS, MINUTE_NS
from services.execution.profile import BUCKETS, profile_of
from services.execution.volatility import sigma_day
from tests.unit.services.execution.builders import a_candle, seeded


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


def test_without_candles_the_profile_is_flat_and_the_rate_unknown() -> None:
    profile = profile_of((), DAY_NS)
    assert set(profile.expected) == {1.0}
    assert (profile.days, profile.rate) == (0, None)
    assert profile.cv == profile.cv_left == pytest.approx(0.6)


def test_a_bucket_is_shrunk_to_flat_by_five_days() -> None:
    volumes = [3.0 if 600 <= at % 1440 < 605 else 1.0 for at in range(2 * 1440)]
    profile = profile_of([a_candle(at, 1.0, volume) for at, volume in enumerate(volumes)], 2 * DAY_NS)
    flat = (287 * 5.0 + 15.0) / 288
    assert profile.days == 2
    assert profile.weight_at(600 * MINUTE_NS) == pytest.approx((2 * 15.0 + 5 * flat) / 7)
    assert profile.weight_at(DAY_NS + 605 * MINUTE_NS) == pytest.approx((2 * 5.0 + 5 * flat) / 7)
    assert len(profile.expected) == BUCKETS


def test_the_newer_day_weighs_more() -> None:
    candles = [a_candle(at, 1.0, 1.0 if at < 1440 else 2.0) for at in range(2 * 1440)]
    v = (0.9 * 5.0 + 10.0) / 1.9
    assert profile_of(candles, 2 * DAY_NS).expected[0] == pytest.approx(v)


def test_a_daily_pattern_that_repeats_leaves_less_variation_than_there_was() -> None:
    volumes = [1 + 0.8 * math.sin(2 * math.pi * at / 1440) for at in range(4 * 1440)]
    profile = profile_of([a_candle(at, 1.0, volume) for at, volume in enumerate(volumes)], 4 * DAY_NS)
    assert profile.cv == pytest.approx(0.8 / math.sqrt(2), rel=0.03)
    assert profile.cv_left < 0.85 * profile.cv


def test_noise_without_a_pattern_leaves_no_less() -> None:
    volumes = np.repeat(np.exp(seeded().normal(0, 0.5, 2 * 288)), 5)
    profile = profile_of([a_candle(at, 1.0, float(v)) for at, v in enumerate(volumes)], 2 * DAY_NS)
    assert profile.cv == pytest.approx(math.sqrt(math.exp(0.25) - 1), rel=0.1)
    assert profile.cv_left > 0.95 * profile.cv


def test_the_rate_is_the_profile_at_the_level_of_the_last_hour() -> None:
    candles = [a_candle(at, 1.0, 2.0 if at >= 1440 + 540 else 1.0) for at in range(1440 + 600)]
    now = (1440 + 600) * MINUTE_NS
    profile = profile_of(candles, now)
    recent = sum(profile.weight_at((1440 + 540 + at) * MINUTE_NS) for at in range(0, 60, 5))
    assert profile.rate == pytest.approx(120.0 / recent * profile.weight_at(now) / 300)


def test_a_bucket_that_is_not_over_does_not_count() -> None:
    candles = [a_candle(at, 1.0, 1.0) for at in range(60)]
    assert profile_of([*candles, a_candle(60, 1.0, 999.0)], 61 * MINUTE_NS) == profile_of(
        candles, 61 * MINUTE_NS
    )
