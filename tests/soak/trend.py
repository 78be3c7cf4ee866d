"""How fast something grows: a robust slope with an interval that neighbours alike do not make too narrow.

Symbols
-------
t, y : hours and values of the observations, in lives; a life ends where its process is killed
S    : Kendall's statistic, pairs of a life that rise less those that fall
n    : observations of a life
rho  : autocorrelation of what the slope leaves

References
----------
Sen (1968), Estimates of the regression coefficient based on Kendall's tau, JASA 63: slope and interval.
Hirsch and Slack (1984), Water Resources Research 20: statistics of blocks add up (there seasons, here lives).
Yue and Wang (2004), Water Resources Management 18, equation 12: the variance of S under autocorrelation.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST: Final = 8  # observations in all lives together; fewer have no interval


class Slope(NamedTuple):
    """A slope an hour, and between what it is with the confidence asked for."""

    per_hour: float
    lower: float
    upper: float


def slope(lives: Sequence[Sequence[tuple[float, float]]], confidence: float = 0.95) -> Slope | None:
    """Return the common slope of several lives, each of a level of its own; None of too few observations.

    Parameters
    ----------
    lives
        Each of (hours, value) at even steps of time.
    """
    blocks = [np.array(life, dtype=np.float64) for life in lives if len(life) > 1]
    if sum(map(len, blocks)) < LEAST:
        return None
    slopes = np.sort(np.concatenate([_slopes(block) for block in blocks]))
    middle = float(np.median(slopes))
    left = [block[:, 1] - middle * block[:, 0] for block in blocks]
    variance = sum(map(_variance, blocks)) * _inflation([rest - np.median(rest) for rest in left])
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance)
    lower = max(0, math.floor((len(slopes) - reach) / 2) - 1)
    upper = min(len(slopes) - 1, math.ceil((len(slopes) + reach) / 2))
    return Slope(middle, float(slopes[lower]), float(slopes[upper]))


def medians(life: Sequence[tuple[float, float]], size: int) -> list[tuple[float, float]]:
    """Return the medians of runs of `size` observations; the rest at the end is left out."""
    runs = len(life) // size
    if not runs:
        return []
    parts = np.array(life[: runs * size], dtype=np.float64).reshape(runs, size, 2)
    return [(float(t), float(y)) for t, y in np.median(parts, axis=1)]


def _slopes(block: Floats) -> Floats:
    first, second = np.triu_indices(len(block), 1)
    run = block[second] - block[first]
    return run[:, 1] / run[:, 0]


def _variance(block: Floats) -> float:
    """Return the variance of S of independent observations, ties among them (Kendall)."""

    def term(n: Floats) -> float:
        return float(np.sum(n * (n - 1) * (2 * n + 5)))

    ties = np.unique(block[:, 1], return_counts=True)[1].astype(np.float64)
    return (term(np.array([float(len(block))])) - term(ties)) / 18


def _inflation(left: Sequence[Floats]) -> float:
    """Return by what the variance of S is larger, for the lags until the first that is not alike."""
    n = sum(map(len, left))
    power = sum(float(rest @ rest) for rest in left)
    factor = 1.0
    for lag in range(1, n):
        both = sum(float(rest[lag:] @ rest[:-lag]) for rest in left if len(rest) > lag)
        rho = both / power if power else 0.0
        if rho <= 0:
            break
        factor += 2 * (1 - lag / n) * rho
    return factor
