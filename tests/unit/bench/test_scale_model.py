from __future__ import annotations

import re
from statistics import median
from string import ascii_uppercase

import numpy as np
import pytest

from libs.common.kafka import partition_of
from tests.bench.processes import ROOT
from tests.bench.scale_model import Costs, Point, errors, fit

PARTITIONS = 64
CASES = [(1, 15, 30.0), (1, 60, 120.0), (1, 150, 300.0), (1, 15, 300.0), (1, 60, 1200.0), (2, 150, 300.0)]


def test_the_costs_that_made_the_points_are_found() -> None:
    true = Costs(0.05, 0.001, 0.0002)
    found = fit([Point(*case, true.of(*case)) for case in CASES])
    assert found == pytest.approx(true)
    assert max(map(abs, errors([Point(*case, true.of(*case)) for case in CASES]))) < 1e-9


def test_no_cost_is_below_nothing() -> None:
    """What falls with the books would promise that 10,000 of them earn time."""
    points = [Point(*case, 0.1 + 0.0002 * case[2] - 0.0003 * case[1]) for case in CASES]
    assert min(fit(points)) >= 0


def test_a_cost_that_grows_faster_than_the_books_shows_as_an_error() -> None:
    points = [Point(1, books, books * 2.0, 1e-5 * books**2) for books in (15, 60, 150, 500)]
    assert abs(errors([*points, Point(1, 100, 400.0, 0.1)])[3]) > 0.3


def test_noise_of_a_tenth_leaves_the_costs_within_a_fourth() -> None:
    true = Costs(0.05, 0.001, 0.0002)
    random = np.random.Generator(np.random.Philox(key=3))
    cases = CASES * 4
    points = [Point(*case, true.of(*case) * float(np.exp(0.1 * random.standard_normal()))) for case in cases]
    assert fit(points) == pytest.approx(true, rel=0.25)


def test_three_points_are_refused() -> None:
    with pytest.raises(ValueError, match="4 or more"):
        fit([Point(*case, 1.0) for case in CASES[:3]])


def excess(symbols: list[str], workers: int) -> float:
    """Return by what share of the mean the fullest process has more symbols; each has partitions in a row."""
    counts = np.bincount([partition_of(each.encode(), PARTITIONS) for each in symbols], minlength=PARTITIONS)
    return max(int(each.sum()) for each in np.array_split(counts, workers)) * workers / len(symbols) - 1


def test_the_page_tells_how_unevenly_processes_share_symbols() -> None:
    random = np.random.Generator(np.random.Philox(key=1))
    worlds = [["".join(name) for name in random.choice([*ascii_uppercase], (2000, 6))] for _ in range(40)]
    page = re.sub(r"\s+", " ", (ROOT / "docs" / "scale.md").read_text())
    told = re.search(
        r"(\S+) for W = 16, (\S+) for 32, (\S+) for 64, but by (\S+) for 20, (\S+) for 28 and (\S+) for 56",
        page,
    )
    assert told is not None
    found = [median(excess(symbols, workers) for symbols in worlds) for workers in (16, 32, 64, 20, 28, 56)]
    assert list(map(float, told.groups())) == pytest.approx(found, abs=0.05)
