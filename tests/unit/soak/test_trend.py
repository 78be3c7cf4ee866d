"""Slopes of made-up lives, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.soak.trend import medians, slope

RUNS = 200
N = 45


def a_life(
    random: np.random.Generator, per_hour: float, memory: float, level: float
) -> list[tuple[float, float]]:
    """Return N minutes of a trend in noise of unit variance, alike from minute to minute by `memory`."""
    noise, life = float(random.standard_normal()), []
    for minute in range(N):
        life.append((minute / 60, level + per_hour * minute / 60 + noise))
        noise = memory * noise + (1 - memory**2) ** 0.5 * float(random.standard_normal())
    return life


def lives(seed: int, per_hour: float, memory: float) -> list[list[tuple[float, float]]]:
    random = np.random.Generator(np.random.Philox(key=seed))
    return [a_life(random, per_hour, memory, level) for level in (100.0, 160.0)]


@pytest.mark.parametrize(("memory", "least"), [(0.0, 0.90), (0.6, 0.85), (0.9, 0.75)])
def test_the_interval_holds_the_true_slope(memory: float, least: float) -> None:
    """Of 200 seeded worlds; a true cover of 95 % would fall under .90 with a probability of .003."""
    found = [slope(lives(seed, 3.0, memory)) for seed in range(RUNS)]
    assert sum(each is not None and each.lower <= 3.0 <= each.upper for each in found) >= least * RUNS


def test_what_falls_has_the_interval_of_what_rises() -> None:
    for seed in range(20):
        rising = lives(seed, 3.0, 0.6)
        up, down = slope(rising), slope([[(t, -y) for t, y in life] for life in rising])
        assert up is not None
        assert down is not None
        assert (down.lower, down.upper) == pytest.approx((-up.upper, -up.lower))


def test_what_is_alike_from_minute_to_minute_has_a_wider_interval() -> None:
    def width(memory: float) -> float:
        found = [slope(lives(seed, 0.0, memory)) for seed in range(50)]
        return float(np.median([each.upper - each.lower for each in found if each is not None]))

    assert width(0.9) > 1.5 * width(0.0)


def test_a_kill_that_sets_the_level_back_is_no_slope() -> None:
    rising = [(minute / 60, 100 + 60 * minute / 60) for minute in range(30)]
    again = [(0.5 + minute / 60, 100 + 60 * minute / 60) for minute in range(30)]
    found = slope([rising, again])
    assert found is not None
    assert found == pytest.approx((60.0, 60.0, 60.0))


def test_what_never_changes_is_flat_without_doubt() -> None:
    assert slope([[(minute / 60, 7.0) for minute in range(20)]]) == (0.0, 0.0, 0.0)


def test_one_observation_far_out_moves_no_slope() -> None:
    life = [(minute / 60, 1.0 + minute / 60) for minute in range(30)]
    life[15] = (15 / 60, 1e6)
    found = slope([life])
    assert found is not None
    assert found.per_hour == pytest.approx(1.0)


def test_too_few_observations_have_no_slope() -> None:
    assert slope([[(0.0, 1.0), (0.1, 2.0)], [(0.5, 1.0)]]) is None


def test_medians_leave_out_an_unfinished_run() -> None:
    assert medians([(0.0, 1.0), (1.0, 9.0), (2.0, 2.0), (3.0, 4.0)], 3) == [(1.0, 2.0)]
