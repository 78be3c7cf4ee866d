"""The split against brute force: every way to divide a few lots over a few small books."""

from __future__ import annotations

import math
from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from services.venues.split import Ladder, cost_of, split, steps

MAX_LOTS = 7


@st.composite
def ladders(draw: st.DrawFn, *, minima: bool) -> list[Ladder]:
    count = draw(st.integers(1, 4))
    found = []
    for number in range(count):
        slopes = sorted(draw(st.lists(st.integers(0, 40), min_size=1, max_size=5)))
        sizes = [draw(st.sampled_from((0.25, 0.5, 1.0, 1.5, 3.0))) for _ in slopes]
        levels = tuple((slope / 4, size) for slope, size in zip(slopes, sizes, strict=True))
        found.append(Ladder(f"v{number}", levels, draw(st.integers(1, 4)) if minima else 1))
    return found


def naive_cost(ladder: Ladder, lots: int) -> float:
    """Return what `lots` cost by walking in eighths of a lot; infinite where the book is not that deep."""
    eighths = [slope / 8 for slope, size in ladder.levels for _ in range(round(size * 8))]
    return math.fsum(eighths[: lots * 8]) if len(eighths) >= lots * 8 else math.inf


def brute_force(found: list[Ladder], lots: int, most: int = 4) -> float:
    allowed = [[0, *range(ladder.min_lots, lots + 1)] for ladder in found]
    return min(
        (
            math.fsum(naive_cost(ladder, each) for ladder, each in zip(found, way, strict=True))
            for way in product(*allowed)
            if sum(way) == lots and sum(1 for each in way if each) <= most
        ),
        default=math.inf,
    )


@given(ladders(minima=False), st.integers(1, MAX_LOTS))
@settings(max_examples=400)
def test_without_minima_the_split_costs_what_the_best_of_all_ways_costs(
    found: list[Ladder], lots: int
) -> None:
    _check(found, lots)


@given(ladders(minima=True), st.integers(1, MAX_LOTS))
@settings(max_examples=400)
def test_with_minima_the_split_costs_what_the_best_way_costs(found: list[Ladder], lots: int) -> None:
    _check(found, lots)


@given(ladders(minima=True), st.integers(1, MAX_LOTS), st.integers(1, 4))
@settings(max_examples=400)
def test_over_a_bounded_number_of_venues_it_costs_what_the_best_way_over_so_many_costs(
    found: list[Ladder], lots: int, most: int
) -> None:
    _check(found, lots, most)


def _check(found: list[Ladder], lots: int, most: int | None = None) -> None:
    least, best = brute_force(found, lots, most or len(found)), split(found, lots, most)
    if best is None:
        assert least == math.inf
        return
    assert math.isclose(best.cost, least, abs_tol=1e-9)
    assert sum(best.lots.values()) == lots
    assert len(best.lots) <= (most or len(found))
    by_venue = {ladder.venue: ladder for ladder in found}
    assert all(each >= by_venue[venue].min_lots for venue, each in best.lots.items())
    told = math.fsum(naive_cost(by_venue[venue], each) for venue, each in best.lots.items())
    assert math.isclose(told, best.cost, abs_tol=1e-9)


@given(ladders(minima=False), st.integers(1, MAX_LOTS))
def test_the_steps_of_a_ladder_never_get_cheaper_and_cost_what_a_walk_costs(
    found: list[Ladder], lots: int
) -> None:
    for ladder in found:
        slopes = [slope for slope, _ in steps(ladder)]
        assert all(b >= a - 1e-9 for a, b in pairwise(slopes))
        cost, naive = cost_of(ladder, lots), naive_cost(ladder, lots)
        assert (cost is None and naive == math.inf) or math.isclose(cost or 0.0, naive, abs_tol=1e-9)


def test_with_more_than_six_venues_the_six_cheapest_alone_share_what_minima_bind() -> None:
    found = [Ladder(f"v{at}", ((float(at), 2.0), (50.0, 9.0)), 3) for at in range(8)]
    best = split(found, 6)
    assert best is not None
    assert best.lots == {"v0": 3, "v1": 3}
