"""What processes cost by what they do: fixed cost, cost a book, cost a message; fitted and carried further.

Symbols
-------
a, b, c : CPU seconds a second of one more process, book, and message a second; none is below 0
W, B, M : processes of the service, books, messages a second; B and M W times where each process reads all

References
----------
Lawson and Hanson (1974), Solving Least Squares Problems, chapter 23: least squares without negative answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.optimize import nnls

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_POINTS: Final = 4  # one more than there are costs


class Point(NamedTuple):
    """What a service's processes took together in one case; `cost` is in any unit that adds up."""

    workers: int
    books: int
    messages_per_s: float
    cost: float


class Costs(NamedTuple):
    """The fit: W a + B b + M c."""

    a: float
    b: float
    c: float

    def of(self, workers: int, books: int, messages_per_s: float) -> float:
        """Return what so much takes."""
        return workers * self.a + books * self.b + messages_per_s * self.c


def fit(points: Sequence[Point]) -> Costs:
    """Return the costs that come nearest in relative terms, so that small cases count as large ones do.

    Raises
    ------
    ValueError
        If the points are too few.
    """
    if len(points) < LEAST_POINTS:
        raise ValueError(f"{len(points)} points fit anything; {LEAST_POINTS} or more are right")
    A = np.array([point[:3] for point in points], dtype=np.float64)
    y = np.array([point.cost for point in points])
    weights = 1 / np.maximum(y, y.max() * 1e-3)
    scale = np.maximum(A.max(axis=0), 1e-12)  # columns of one size, for the solver's tolerance
    found, _ = nnls(A / scale * weights[:, None], y * weights)
    return Costs(*map(float, found / scale))


def errors(points: Sequence[Point]) -> list[float]:
    """Return, for each point, by what share of it the fit of all others misses it.

    Raises
    ------
    ValueError
        If the others are too few.
    """
    found = []
    for place, point in enumerate(points):
        costs = fit([*points[:place], *points[place + 1 :]])
        found.append(costs.of(*point[:3]) / point.cost - 1)
    return found
