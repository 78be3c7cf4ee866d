"""What the snapshot says of posteriors: the whole law of each policy, and its probability of being best."""

from __future__ import annotations

from math import atan, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator, Philox
from scipy import stats
from scipy.integrate import quad

from services.router.thompson import Posterior, Tuning, best_probabilities, propensities
from tests.router_world import BULL, POLICIES, World, choose, reward

if TYPE_CHECKING:
    from libs.common.events import PolicyBelief, PolicySummary, RouterSnapshot

CERTAIN = 1e9  # degrees of freedom of what is a normal law in all but name


def a_posterior(
    means: list[list[float]], spreads: list[list[float]], nu: list[float], weights: list[float]
) -> Posterior:
    K = len(nu)
    return Posterior(
        np.array(means), np.array(spreads), np.ones(K), np.array(nu), np.ones(K), np.array(weights)
    )


@pytest.mark.parametrize("ahead", [-3.0, -0.4, 0.0, 0.1, 1.0, 6.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 40.0])
def test_of_two_normal_laws_the_chance_is_that_of_their_difference(ahead: float, scale: float) -> None:
    """P(A > B) = Φ((a - b)/√(s² + r²))."""
    p = best_probabilities(a_posterior([[ahead, 0.0]], [[1.0, scale]], [CERTAIN] * 2, [1.0]))
    exact = stats.norm.cdf(ahead / sqrt(1 + scale**2))
    assert p == pytest.approx([exact, 1 - exact], abs=2e-5)


@pytest.mark.parametrize("ahead", [-2.0, 0.0, 0.3, 5.0])
@pytest.mark.parametrize("scale", [0.2, 1.0, 7.0])
def test_of_two_cauchy_laws_too(ahead: float, scale: float) -> None:
    """The difference of two Cauchy laws is one: P(A > B) = 1/2 + atan((a - b)/(s + r))/π."""
    p = best_probabilities(a_posterior([[ahead, 0.0]], [[1.0, scale]], [1.0, 1.0], [1.0]))
    exact = 0.5 + atan(ahead / (1 + scale)) / pi
    assert p == pytest.approx([exact, 1 - exact], abs=1e-4)


def test_copies_count_by_their_weights() -> None:
    """In one copy the first policy is better for sure, in the other the second: the chance is the weight."""
    p = best_probabilities(a_posterior([[9.0, 0.0], [0.0, 9.0]], [[0.1] * 2] * 2, [50.0] * 2, [0.3, 0.7]))
    assert p == pytest.approx([0.3, 0.7], abs=1e-6)


def test_drawing_from_the_laws_says_the_same() -> None:
    """300,000 draws of six policies, three copies; a right number is 4.5 errors off with probability 4e-5."""
    random = Generator(Philox(key=5))
    means, spreads = random.normal(size=(3, 6)), random.uniform(0.1, 2, (3, 6))
    nu, weights = random.uniform(6, 60, 6), np.array([0.2, 0.5, 0.3])
    p = best_probabilities(a_posterior(means.tolist(), spreads.tolist(), nu.tolist(), weights.tolist()))
    n = 300_000
    copies = random.choice(3, n, p=weights)
    drawn = means[copies] + spreads[copies] * random.standard_t(nu, (n, 6))
    found = np.bincount(drawn.argmax(axis=1), minlength=6) / n
    assert (abs(found - p) < 4.5 * np.sqrt(p * (1 - p) / n) + 1e-5).all()


NUMBERS = st.floats(-5, 5)
LAWS = st.lists(st.tuples(NUMBERS, st.floats(0.05, 5), st.floats(6, 300)), min_size=2, max_size=7)


@given(laws=LAWS, shift=NUMBERS, unit=st.floats(1e-4, 1e3))
@settings(max_examples=60, deadline=None)
def test_it_is_a_chance_whatever_the_unit_the_zero_and_the_order(
    laws: list[tuple[float, float, float]], shift: float, unit: float
) -> None:
    means, spreads, nu = (list(each) for each in zip(*laws, strict=True))
    p = best_probabilities(a_posterior([means], [spreads], nu, [1.0]))
    assert p.sum() == pytest.approx(1, abs=1e-9)
    assert (p >= 0).all()
    moved = a_posterior([[unit * (m + shift) for m in means]], [[unit * s for s in spreads]], nu, [1.0])
    assert best_probabilities(moved) == pytest.approx(p, abs=1e-4)
    turned = a_posterior([means[::-1]], [spreads[::-1]], nu[::-1], [1.0])
    assert best_probabilities(turned)[::-1] == pytest.approx(p, abs=1e-6)


def test_it_is_the_propensity_of_a_router_that_draws_from_the_whole_law() -> None:
    posterior = a_posterior([[0.4, 0.0, 0.3]], [[0.2, 1.0, 0.5]], [8.0, 9.0, 30.0], [1.0])
    p = best_probabilities(posterior)
    assert p == pytest.approx(propensities(posterior, Tuning(c=1.0, epsilon=0.0)))
    assert abs(p - propensities(posterior, Tuning())).max() > 0.1  # and not of this one


def a_taught_world() -> World:
    world = World()
    for n in range(60):
        policy = world.choose(choose(n)).policy_id
        r = 0.001 * (POLICIES.index(policy) - 1) + 0.002 * (n % 5 - 2)
        world.reward(reward(f"r{n}", policy, r, decision=n))
    world.choose(choose("last", BULL | {"obi": -0.4}))
    return world


def shown(world: World) -> RouterSnapshot:
    assert world.snapshot is not None
    return world.snapshot


def belief_of(policy: PolicySummary) -> PolicyBelief:
    assert policy.belief is not None
    return policy.belief


def test_the_law_in_the_snapshot_is_the_one_that_its_numbers_sum_up() -> None:
    snapshot = shown(a_taught_world())
    assert sum(snapshot.weights) == pytest.approx(1)
    for policy in snapshot.policies:
        belief = belief_of(policy)
        parts = list(zip(snapshot.weights, belief.means, belief.scales, strict=True))
        assert sum(w * m for w, m, _ in parts) == pytest.approx(policy.estimate)
        laws = [(w, stats.t(belief.degrees, loc=m, scale=s)) for w, m, s in parts]
        half = (policy.high - policy.low) / 2
        whole, _ = quad(
            lambda y, laws=laws: sum(w * law.pdf(y) for w, law in laws),
            policy.estimate - half,
            policy.estimate + half,
            limit=200,
        )
        assert whole == pytest.approx(0.9, abs=0.005)  # the interval is put around the mean


def test_chances_are_shared_out_among_those_that_may_be_chosen() -> None:
    world = a_taught_world()
    assert sum(belief_of(policy).best or 0.0 for policy in shown(world).policies) == pytest.approx(1)
    world.unregister("p_breakout")
    world.choose(choose("without"))
    chances = {policy.policy_id: belief_of(policy).best for policy in shown(world).policies}
    assert chances["p_breakout"] is None
    assert sum(chance or 0.0 for chance in chances.values()) == pytest.approx(1)


def test_with_nobody_to_choose_nobody_is_best() -> None:
    world = a_taught_world()
    world.unregister(*POLICIES)
    world.reward(reward("late", "p_sma", 0.001, context=BULL))
    assert [belief_of(policy).best for policy in shown(world).policies] == [None] * len(POLICIES)


def test_what_rewards_prove_shows_in_the_chances() -> None:
    world = World()
    for n in range(200):
        name = POLICIES[n % 3]
        r = 0.004 if name == "p_breakout" else -0.004
        world.reward(reward(n, name, r + 0.001 * (n % 7 - 3), context=BULL))
    world.choose(choose("last"))
    chances = {policy.policy_id: belief_of(policy).best or 0.0 for policy in shown(world).policies}
    assert chances["p_breakout"] > 0.99
