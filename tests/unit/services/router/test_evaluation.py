from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from libs.common.events import PolicyChosen, RouterScopeState
from libs.common.off_policy import OVERLAP, Sums, halves
from services.router.evaluation import evaluated, sums_of
from services.router.mixture import Mixture
from services.router.records import find, scope_key
from services.router.thompson import Tuning, propensities
from tests.full_valued import bare
from tests.off_policy_world import FEATURES, POLICIES, Decision, Market, Watch, play
from tests.router_world import World, choose, reward

NAMES = tuple(f"p_{k}" for k in range(POLICIES))


def _decision(p: list[float], q: list[float], chosen: int) -> PolicyChosen:
    some: PolicyChosen = bare(PolicyChosen)
    return replace(
        some,
        policy_id=NAMES[chosen],
        propensity=p[chosen],
        propensities=dict(zip(NAMES, p, strict=False)),
        means=dict(zip(NAMES, q, strict=False)),
    )


def _scope(names: tuple[str, ...] = NAMES) -> RouterScopeState:
    some: RouterScopeState = bare(RouterScopeState)
    return replace(some, policies=names)


def _learnt(log: list[Decision], run: int) -> RouterScopeState:
    shared = _scope()
    for each in log:
        decision = _decision(each.p[run].tolist(), each.q[run].tolist(), int(each.chosen[run]))
        shared = evaluated(shared, decision, float(each.r[run]))
    return shared


def test_incremental_sums_are_the_definitions_over_the_whole_log() -> None:
    log = list(play(Market("switch", 2, 200, seed=5), Tuning()))
    sums = [sums_of(_learnt(log, 1), name) for name in NAMES]
    p, q = (np.array([getattr(each, name)[1] for each in log]) for name in ("p", "q"))
    a, r = np.array([each.chosen[1] for each in log]), np.array([each.r[1] for each in log])
    for k, (found, half) in enumerate(zip(sums, halves(tuple(sums)), strict=True)):
        at = p[:, k] >= OVERLAP
        taken = a[at] == k
        w = taken / p[at, k]
        terms = w * (r[at] - q[at, a[at]])
        value = np.mean(q[at, k] + terms)
        V = np.sum(terms**2) + np.max(terms**2)
        n, log_alpha = at.sum(), 2 * np.log(20)
        rho = 500 * V / n / (log_alpha + np.log(1 + log_alpha))
        estimate = found.estimate(float(half))
        assert (found.seen, found.n) == (200, n)
        assert estimate.overlap == pytest.approx(n / 200)
        assert estimate.value == pytest.approx(value)
        assert found.ess == pytest.approx(w.sum() ** 2 / (w**2).sum())
        assert half == pytest.approx(np.sqrt((V + rho) * (np.log(V + rho) - np.log(rho) + log_alpha)) / n)


def test_the_watch_of_the_coverage_bench_sees_what_the_service_shows() -> None:
    watch = Watch(3)
    log = list(play(Market("stationary", 3, 150, seed=2), Tuning()))
    for decision in log:
        watch.see(decision)
    sums = [sums_of(_learnt(log, 2), name) for name in NAMES]
    assert halves(tuple(sums)) == pytest.approx(watch.halves()[2])
    assert [each.dr for each in sums] == pytest.approx(watch.dr[2].tolist())
    assert [each.n for each in sums] == watch.n[2].tolist()


@pytest.mark.parametrize("kind", ["switch", "recurring"])
def test_the_log_of_the_coverage_bench_is_that_of_the_service_s_own_mixture(kind: str) -> None:
    tuning = Tuning(change=4.0)  # often
    mixture = Mixture(POLICIES, FEATURES, tuning)
    for each in play(Market(kind, 2, 450, seed=8), tuning):
        posterior = mixture.project(each.x[1])
        assert posterior.mean == pytest.approx(each.q[1], rel=1e-6, abs=1e-10)
        assert propensities(posterior, tuning) == pytest.approx(each.p[1], abs=0.05)
        mixture.learn(int(each.chosen[1]), each.x[1], float(each.r[1]))
    assert mixture.alarms > 0


def test_a_policy_without_overlap_has_no_value_and_the_answer_says_why() -> None:
    shared = _scope(NAMES[:2])
    assert sums_of(shared, "p_1").estimate(0.0).why == "no rewarded decision could choose it"
    for _ in range(40):
        shared = evaluated(shared, _decision([0.99, 0.01], [0.0, 0.0], 0), 0.001)
    estimate = sums_of(shared, "p_1").estimate(0.0)
    assert (estimate.value, estimate.low, estimate.high, estimate.overlap) == (None, None, None, 0.0)
    assert estimate.why == "no overlap: of 40 decisions none had its propensity at 0.02 or more"


def test_a_policy_never_chosen_has_no_value_however_many_decisions_could_have() -> None:
    shared = _scope(NAMES[:2])
    for _ in range(100):
        shared = evaluated(shared, _decision([0.9, 0.1], [0.0, 0.0], 0), 0.001)
    estimate = sums_of(shared, "p_1").estimate(0.0)
    assert (estimate.value, estimate.overlap) == (None, 1.0)
    assert estimate.why == "never chosen among 100 with overlap"


def test_chosen_once_it_has_a_value_without_an_interval() -> None:
    shared = _scope(NAMES[:2])
    for n in range(100):
        shared = evaluated(shared, _decision([0.9, 0.1], [0.0, 0.0], int(n == 50)), 0.001)
    estimate = sums_of(shared, "p_1").estimate(0.0)
    assert estimate.value == pytest.approx(0.0001)
    assert estimate.low is estimate.high is None
    assert estimate.why == "100 decisions with overlap are worth 1.0; an interval needs 30, worth 20"


def test_a_late_reward_is_held_against_what_was_expected_at_its_decision() -> None:
    world = World()
    chosen = [world.choose(choose(n)) for n in range(8)]
    for n, decision in reversed(list(enumerate(chosen))):
        world.reward(reward(f"r{n}", decision.policy_id, 0.004, decision=n))
    shared = find(world.state, scope_key("s"), RouterScopeState)
    assert shared is not None
    for name in chosen[0].means:
        terms = []
        for decision in chosen:
            e = 0.004 - decision.means[name] if decision.policy_id == name else 0.0
            terms.append(decision.means[name] + e / decision.propensities[name])
        assert sums_of(shared, name).dr == pytest.approx(sum(terms), abs=1e-15)


def test_the_sums_of_older_versions_begin_anew() -> None:
    shared = replace(_scope(NAMES[:1]), evaluation={"p_0": (9.0, 9.0, 9.0, 0.1, 0.1, 0.1, 0.1, 0.1)})
    assert sums_of(shared, "p_0") == Sums()


@pytest.mark.parametrize("kind", ["garch", "hidden"])
def test_watched_after_every_reward_intervals_of_95_percent_miss_in_5_percent_of_runs_at_most(
    kind: str,
) -> None:
    """100 logs of the shipped tuning, 300 rewards each: 10 % or more has probability .03 at exactly 5 %."""
    watch = Watch(100)
    for decision in play(Market(kind, 100, 300), Tuning()):
        watch.see(decision)
    assert watch.missed.mean(0).max() < 0.1, watch.missed.mean(0)
    assert watch.given.mean(0).max() > 0.5
    assert watch.plain_missed.any(1).mean() > 0.3  # what ±1.96 standard errors over all decisions are worth
