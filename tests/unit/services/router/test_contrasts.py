from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.random import Generator, Philox

from libs.common.events import PolicyChosen, RouterContrasts
from services.router.contrasts import best_of, compared
from services.router.thompson import Tuning
from tests.full_valued import bare
from tests.off_policy_world import Market, Watch, play

NAMES = ("p_sma", "p_obi", "p_flat")
MEANS = np.array([1.6e-3, 0.0, -4e-4])


def _decision(p: list[float], q: list[float], chosen: int) -> PolicyChosen:
    some: PolicyChosen = bare(PolicyChosen)
    return replace(
        some,
        policy_id=NAMES[chosen],
        propensities=dict(zip(NAMES, p, strict=False)),
        means=dict(zip(NAMES, q, strict=False)),
    )


def _log(rounds: int) -> list[tuple[PolicyChosen, float]]:
    random = Generator(Philox(key=4))
    log = []
    for _ in range(rounds):
        p = random.dirichlet(np.ones(3)).tolist()
        q, chosen = random.normal(0, 2e-4, 3).tolist(), int(random.choice(3, p=p))
        reward = MEANS[chosen] + 1e-3 * random.normal()
        log.append((_decision(p, q, chosen), float(reward - q[chosen])))
    return log


@cache
def _sums_of(rounds: int) -> RouterContrasts:
    return _sums(_log(rounds))


def _sums(log: list[tuple[PolicyChosen, float]]) -> RouterContrasts:
    sums = RouterContrasts()
    for decision, e in log:
        sums = compared(sums, decision, e)
    return sums


def test_the_sums_of_every_two_are_the_definitions_over_the_whole_log() -> None:
    log = _log(50)
    sums = _sums(log)
    assert sums.names == NAMES
    found = np.frombuffer(sums.sums, dtype="<f8").reshape(4, 3)
    for at, (i, j) in enumerate(combinations(NAMES, 2)):
        h, d, v = [], [], []
        for decision, e in log:
            p, q = decision.propensities, decision.means
            phi = {name: q[name] + (e / p[name] if name == decision.policy_id else 0) for name in NAMES}
            h.append(1 / (1 / p[i] + 1 / p[j]))
            d.append(h[-1] * (phi[i] - phi[j]))
            v.append(h[-1] ** 2 * ((phi[i] - q[i]) ** 2 + (phi[j] - q[j]) ** 2))
        assert found[:, at] == pytest.approx([sum(h), sum(d), sum(v), max(v)])


def test_the_best_is_named_once_it_is_proven_and_the_words_say_by_how_much() -> None:
    early = best_of(_sums_of(30), NAMES)
    assert early.policy_id is None
    assert early.why.startswith("p_sma leads; against p_obi ")
    late = best_of(_sums_of(600), NAMES)
    assert late.policy_id == "p_sma"
    assert late.why.startswith("earns at least ")
    assert 0 < float(late.why.split()[3]) < 16  # bps; the truth is 16
    assert best_of(_sums_of(600), ("p_flat", "p_sma", "p_obi")) == late


def test_the_words_tell_the_least_gap_of_the_boundary_at_its_share_of_the_error() -> None:
    H, D, Q, X = np.frombuffer(_sums_of(600).sums, dtype="<f8").reshape(4, 3)
    two_log = -2 * np.log(0.05 / 3)  # three pairs
    gaps = []
    for at in (0, 1):  # p_sma and each other
        V = Q[at] + X[at]
        rho = 40 * X[at] / (two_log + np.log(1 + two_log))
        gaps.append((D[at] - np.sqrt((V + rho) * (np.log((V + rho) / rho) + two_log))) / H[at])
    why = best_of(_sums_of(600), NAMES).why
    assert why == f"earns at least {1e4 * min(gaps):.2f} bps a decision more than any other"


def test_a_rival_that_could_not_be_chosen_leaves_the_best_open() -> None:
    sums = _sums_of(600)
    assert best_of(sums, (*NAMES, "p_new")) == (None, "no rewarded decision could choose p_new")
    assert best_of(sums, ("p_sma",)) == (None, "there is no other policy to be better than")
    for _ in range(100):  # chosen for certain: nothing is learnt of the other
        sums = compared(sums, replace(_decision([1.0, 0.0, 0.0], [0.0, 0.0, 0.0], 0)), 1e-3)
    assert best_of(sums, NAMES).policy_id == "p_sma"
    assert best_of(_sums([(_decision([1.0, 0.0], [0.0, 0.0], 0), 1e-3)] * 100), NAMES[:2]).policy_id is None


def test_a_policy_that_comes_later_leaves_the_sums_of_the_others() -> None:
    log = _log(40)
    before = _sums(log)
    later = replace(bare(PolicyChosen), policy_id="p_new", propensities={"p_new": 1.0}, means={"p_new": 0.0})
    after = compared(before, later, 1e-3)
    assert after.names == (*NAMES, "p_new")
    assert best_of(after, NAMES) == best_of(before, NAMES)


def test_of_policies_that_are_alike_none_is_named_however_often_one_looks() -> None:
    """100 logs of 300 rewards, much explored: 10 % or more has probability .03 where it is 5 % exactly."""
    watch = Watch(100)
    for decision in play(Market("even", 100, 300), Tuning(epsilon=0.2, c=1.0)):
        watch.see(decision)
    assert watch.wrong.mean() < 0.1


def test_where_all_are_explored_the_best_is_found() -> None:
    watch = Watch(20)
    for decision in play(Market("edge", 20, 500), Tuning(epsilon=0.6)):
        watch.see(decision)
    assert watch.named.mean() > 0.5
    assert not watch.wrong.any()
