from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from services.context.smile import CALL_25, PUT_25, Smile, smile_of
from services.context.source import MalformedError

DELTAS = st.lists(st.floats(0.01, 0.99), min_size=7, max_size=40, unique=True).map(
    lambda drawn: sorted(drawn, reverse=True)
)
SIGMAS = st.lists(st.floats(0.2, 1.5), min_size=21, max_size=21)
T = 0.1


def a_smile(sigmas: list[float]) -> Smile:
    """Options at strikes symmetric about the forward in their logarithm, each with its own volatility."""
    strikes = [1_000 * math.exp(0.04 * (n - 10)) for n in range(21)]
    by_strike = dict(zip(strikes, sigmas, strict=True))
    return smile_of(1_000.0, T, by_strike, by_strike)


def gentle(sigmas: list[float]) -> list[float]:
    """Smooth them, so that most of them are a surface."""
    return [0.5 + 0.05 * (each - 0.85) * abs(n - 10) / 10 for n, each in enumerate(sigmas)]


@given(SIGMAS, st.floats(0.2, 0.8))
def test_a_volatility_lies_between_those_of_the_strikes_around_it(sigmas: list[float], delta: float) -> None:
    smile = a_smile(gentle(sigmas))
    assume(all(over > under for (over, _), (under, _) in pairwise(smile.points)))
    over = min(point for point in smile.points if point[0] >= delta)
    under = max(point for point in smile.points if point[0] <= delta)
    low, high = sorted((over[1], under[1]))
    assert low - 1e-12 <= smile.at(delta) <= high + 1e-12


@given(SIGMAS)
def test_a_volatility_at_a_strike_s_own_delta_is_that_strike_s(sigmas: list[float]) -> None:
    smile = a_smile(gentle(sigmas))
    assume(all(over > under for (over, _), (under, _) in pairwise(smile.points)))
    for delta, sigma in smile.points:
        assert math.isclose(smile.at(delta), sigma, rel_tol=1e-9)


@example([0.4, 0.6, 0.5], [0.75, 0.5, 0.25])
@given(st.lists(st.floats(0.2, 1.5), min_size=40, max_size=40), DELTAS)
def test_a_mirrored_smile_has_the_opposite_skew(sigmas: list[float], deltas: list[float]) -> None:
    assume(deltas[0] >= PUT_25 and deltas[-1] <= CALL_25)
    assume(all(a - b > 1e-6 for a, b in pairwise(deltas)))
    points = list(zip(deltas, sigmas, strict=False))
    mirrored = [(1 - delta, sigma) for delta, sigma in reversed(points)]
    assert math.isclose(Smile(T, points).rr25, -Smile(T, mirrored).rr25, abs_tol=1e-6)
    assert math.isclose(Smile(T, points).atm, Smile(T, mirrored).atm, abs_tol=1e-6)


@given(SIGMAS, st.floats(0.5, 2.0))
def test_raising_all_volatilities_at_given_deltas_leaves_the_skew(sigmas: list[float], lift: float) -> None:
    points = [(1 - (n + 0.5) / 21, sigma) for n, sigma in enumerate(sigmas)]
    lifted = [(delta, sigma + lift) for delta, sigma in points]
    assert math.isclose(Smile(T, points).rr25, Smile(T, lifted).rr25, abs_tol=1e-9)
    assert math.isclose(Smile(T, points).atm + lift, Smile(T, lifted).atm, abs_tol=1e-9)


@given(
    st.lists(st.tuples(st.floats(0.2, 1.5), st.floats(-3, 3)), min_size=2, max_size=21), st.floats(0.0, 1.0)
)
def test_any_points_give_a_volatility_between_those_of_neighbours_or_words(
    rough: list[tuple[float, float]], delta: float
) -> None:
    smile = Smile(T, [(1 - (n + share) / 22, sigma) for n, (sigma, share) in enumerate(rough)])
    points = smile.points
    passes = [
        sorted((high, low))
        for n, ((over, high), (under, low)) in enumerate(pairwise(points))
        if (over >= delta) != (under > delta if n == len(points) - 2 else under >= delta)
    ]
    if len(passes) == 1 and points[0][0] >= delta:
        assert passes[0][0] - 1e-9 <= smile.at(delta) <= passes[0][1] + 1e-9
    else:
        with pytest.raises(MalformedError, match="one-sided" if not passes else "do not fall"):
            smile.at(delta)


@given(SIGMAS)
def test_any_order_of_strikes_gives_the_same_smile(sigmas: list[float]) -> None:
    strikes = [1_000 * math.exp(0.04 * (n - 10)) for n in range(21)]
    by_strike = dict(zip(strikes, gentle(sigmas), strict=True))
    turned = dict(reversed(by_strike.items()))
    assert smile_of(1_000.0, T, turned, turned) == smile_of(1_000.0, T, by_strike, by_strike)
