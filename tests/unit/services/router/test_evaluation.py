from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator, Philox

from services.router.evaluation import Sums


def _log(n: int, seed: int = 1) -> tuple[np.ndarray, ...]:
    random = Generator(Philox(key=seed))
    p = random.uniform(0.1, 0.9, n)  # of policy 0
    taken = random.random(n) < p
    r = np.where(taken, 0.3, -0.1) + random.normal(0, 0.5, n)
    return p, taken, r


def _sums(p: np.ndarray, taken: np.ndarray, r: np.ndarray, q0: float, q1: float) -> Sums:
    sums = Sums()
    for i in range(len(r)):
        w = 1 / p[i] if taken[i] else 0.0
        sums = sums.after(float(w), float(r[i]), q0, q0 if taken[i] else q1)
    return sums


def test_incremental_sums_are_the_definitions_over_the_whole_log() -> None:
    p, taken, r = _log(400)
    sums = _sums(p, taken, r, 0.2, 0.1)
    w = taken / p
    ips, snips, dr = sums.ips(), sums.snips(), sums.dr_estimate()
    assert ips
    assert snips
    assert dr
    assert ips.value == pytest.approx(np.mean(w * r))
    assert ips.high == pytest.approx(np.mean(w * r) + 1.96 * np.std(w * r) / 20)
    value = np.sum(w * r) / np.sum(w)
    assert snips.value == pytest.approx(value)
    assert snips.low == pytest.approx(value - 1.96 * np.sqrt(np.sum(w**2 * (r - value) ** 2)) / np.sum(w))
    terms = 0.2 + w * (r - np.where(taken, 0.2, 0.1))
    assert dr.value == pytest.approx(np.mean(terms))
    assert dr.low == pytest.approx(np.mean(terms) - 1.96 * np.std(terms) / 20)
    assert sums.ess == pytest.approx(np.sum(w) ** 2 / np.sum(w**2))


def test_below_thirty_decisions_no_interval_is_claimed() -> None:
    p, taken, r = _log(29)
    sums = _sums(p, taken, r, 0, 0)
    ips, snips = sums.ips(), sums.snips()
    assert ips
    assert snips
    assert ips.low is snips.high is None


def test_a_policy_never_chosen_has_no_self_normalised_value() -> None:
    assert Sums().ips() is None
    sums = Sums().after(0.0, 1.0, 0.5, 0.5)
    assert sums.snips() is None
    assert sums.ess == 0


@pytest.mark.parametrize("model", [0.3, -1.0], ids=["right", "wrong"])
def test_intervals_of_95_percent_cover_the_truth(model: float) -> None:
    """400 logs of 600: coverage below 0.90 has probability 1e-5 for intervals of exactly 0.95."""
    hits = np.zeros(3)
    for seed in range(400):
        p, taken, r = _log(600, seed)
        sums = _sums(p, taken, r, model, -0.1)
        for j, estimate in enumerate((sums.ips(), sums.snips(), sums.dr_estimate())):
            assert estimate
            assert estimate.low is not None
            assert estimate.high is not None
            hits[j] += estimate.low <= 0.3 <= estimate.high
    assert (hits / 400 > 0.90).all(), hits / 400
