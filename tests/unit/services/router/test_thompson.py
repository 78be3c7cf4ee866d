from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
from numpy.random import Generator, Philox
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import stdtr

from libs.common.cloudevents import caused_id
from services.router.mixture import Mixture
from services.router.thompson import Law, Posterior, Tuning, cdf_t, draw, propensities


def _posterior(policies: int, copies: int, seed: int) -> Posterior:
    random = Generator(Philox(key=seed))
    weights = random.uniform(0.2, 1.0, copies)
    return Posterior(
        random.normal(size=(copies, policies)),
        random.uniform(0.01, 2, (copies, policies)),
        random.uniform(0.5, 2, policies),
        random.uniform(6, 60, policies),
        np.full(policies, 3.0),
        weights / weights.sum(),
    )


@pytest.mark.parametrize("policies", [2, 5, 8])
def test_propensities_are_the_integrals_they_stand_for(policies: int) -> None:
    posterior, tuning = _posterior(policies, 3, policies), Tuning(epsilon=0.01, c=0.3)
    p, exact = propensities(posterior, tuning), np.zeros(policies)
    for weight, means, spreads in zip(posterior.weights, posterior.means, posterior.spreads, strict=True):
        scales = tuning.c * posterior.s * spreads
        laws = [stats.t(nu, loc=m, scale=s) for m, s, nu in zip(means, scales, posterior.nu, strict=True)]
        for k, law in enumerate(laws):
            # in the policy's own quantiles, so that a narrow law is not missed
            value, _ = quad(
                lambda u, k=k, law=law, laws=laws: np.prod(
                    [other.cdf(law.ppf(u)) for j, other in enumerate(laws) if j != k]
                ),
                0,
                1,
                epsabs=1e-7,
            )
            exact[k] += weight * value
    assert p == pytest.approx(0.99 * exact + 0.01 / policies, abs=2e-5)
    assert p.sum() == pytest.approx(1, abs=1e-12)


def test_the_sampler_does_what_its_propensities_say() -> None:
    """Chi-square of 8,000 choices; a right sampler fails with probability 0.001."""
    posterior, tuning = _posterior(3, 3, 4), Tuning(epsilon=0.05, c=0.5)
    p, n = propensities(posterior, tuning), 8000
    chosen = np.bincount([draw(posterior, tuning, UUID(int=t)).chosen for t in range(n)], minlength=3)
    assert stats.chisquare(chosen, n * p).pvalue > 0.001


def test_scores_have_the_law_of_drawing_whole_vectors() -> None:
    """KS of 5,000 draws each; a right sampler fails with probability 0.001, twice."""
    tuning = Tuning(c=1.0, epsilon=0.0, discounts=(), memories=0)
    random = Generator(Philox(key=77))
    mixture = Mixture(3, 5, tuning)
    for t in range(60):
        mixture.learn(t % 3, random.normal(size=5), float(random.normal()))
    x = random.normal(size=5)
    posterior = mixture.project(x)
    drawn = np.array([draw(posterior, tuning, UUID(int=n)).scores for n in range(5000)])
    for k in (0, 2):
        P, nu = np.linalg.inv(mixture.A[0, k]), posterior.nu[k]
        scale = posterior.s[k] / np.sqrt(random.chisquare(nu, 5000) / nu)
        theta = (
            P @ mixture.h[0, k] + (random.normal(size=(5000, 5)) @ np.linalg.cholesky(P).T) * scale[:, None]
        )
        assert stats.ks_2samp(drawn[:, k], theta @ x).pvalue > 0.001


def test_uniform_choices_are_as_frequent_as_told_and_uniform() -> None:
    """Binomial and chi-square of 8,000 choices; each fails with probability 0.001 by chance."""
    posterior, tuning = _posterior(3, 2, 5), Tuning(epsilon=0.05)
    drawn = [draw(posterior, tuning, UUID(int=t)) for t in range(8000)]
    explored = [one.chosen for one in drawn if one.explored]
    assert stats.binomtest(len(explored), len(drawn), 0.05).pvalue > 0.001
    assert stats.chisquare(np.bincount(explored, minlength=3)).pvalue > 0.001


def test_a_command_is_drawn_alike_whenever_it_is_drawn() -> None:
    one, two = (draw(_posterior(3, 2, 6), Tuning(), UUID(int=5)) for _ in range(2))
    assert one.chosen == two.chosen
    assert one.scores.tolist() == two.scores.tolist()


def test_the_draws_of_a_command_are_those_of_a_generator_of_its_key() -> None:
    """As logs have them: of the keys caused by the id, whatever was drawn before."""
    posterior, tuning = _posterior(3, 2, 6), Tuning(epsilon=0.0)
    for number in (0, 5, 2**64 + 3, 2**128 - 1):
        key = UUID(int=number)
        copy = int(Generator(Philox(key=caused_id(key, "copy").int)).random() >= posterior.weights[0])
        noise = Generator(Philox(key=number)).standard_t(posterior.nu)
        expected = posterior.means[copy] + tuning.c * posterior.s * posterior.spreads[copy] * noise
        assert draw(posterior, tuning, key).scores.tolist() == expected.tolist()


def test_widths_are_between_the_quantiles_of_the_whole_mixture() -> None:
    posterior = _posterior(2, 3, 7)
    for k, width in enumerate(posterior.width(0.9)):
        scales = posterior.s[k] * posterior.spreads[:, k]

        def below(value: float, k: int = k, scales: np.ndarray = scales) -> float:
            return float(
                posterior.weights @ stats.t.cdf((value - posterior.means[:, k]) / scales, posterior.nu[k])
            )

        ends = [brentq(lambda value, at=at: below(value) - at, -50, 50) for at in (0.05, 0.95)]
        assert width == pytest.approx(ends[1] - ends[0], abs=1e-6)


def test_a_quantile_of_copies_far_apart_is_where_their_distribution_says() -> None:
    """Where the copies' laws do not touch, no step of a search is good, and half an interval is taken."""
    for nu in (4.0, 8.0, 2006.0):
        law = Law(nu, [(0.3, -5.0, 1e-6), (0.4, 0.0, 2.0), (0.3, 4.0, 1e-3)])
        for probability in (0.05, 0.25, 0.299, 0.301, 0.5, 0.69, 0.95):
            at = law.quantile(probability)
            near = [sum(w * stdtr(nu, (at + d - m) / s) for w, m, s in law.copies) for d in (-1e-9, 1e-9)]
            assert near[0] - 1e-6 <= probability <= near[1] + 1e-6


@pytest.mark.parametrize("nu", [6.0, 16.0, 300.0, 2006.0])
def test_a_quantile_that_lies_in_the_narrowest_copy_is_found_from_far_away(nu: float) -> None:
    law = Law(nu, [(0.985, 0.0084, 1.6e-7), (0.015, -0.039, 2.1e-5)])
    for probability in (0.05, 0.5, 0.95):
        at = law.quantile(probability)
        below = sum(w * stdtr(nu, (at - m) / s) for w, m, s in law.copies)
        assert below == pytest.approx(probability, abs=1e-6)


def test_a_policy_without_any_scatter_has_no_width() -> None:
    known, one = np.full((2, 1), 0.25), np.ones(1)
    posterior = Posterior(known, 0 * known, one, 8 * one, one, np.full(2, 0.5))
    assert posterior.width() == 0
    assert posterior.mean == 0.25


def test_the_prior_s_width_is_that_of_its_own_t() -> None:
    posterior = _posterior(2, 3, 8)
    expected = [2 * stats.t.ppf(0.95, nu) * s * 3.0 for nu, s in zip(posterior.nu, posterior.s, strict=True)]
    assert posterior.prior_width() == pytest.approx(expected)


@pytest.mark.parametrize("nu", [3.0, 5.0, 6.0, 30.0, 2006.0])
def test_the_fast_distribution_function_is_students(nu: float) -> None:
    t = np.linspace(-40, 40, 4001)
    np.testing.assert_allclose(cdf_t(np.array([nu]), t), stdtr(nu, t), atol=1e-7)


def test_credible_intervals_of_90_percent_cover_90_percent() -> None:
    """1,500 models drawn from the prior; coverage leaves 0.9 by 0.03 with probability 1e-4."""
    random = Generator(Philox(key=3))
    tuning = Tuning(s0=1.0, discounts=(), memories=0, decays=(), change=np.inf, tails=1e6)
    covered = 0
    for _ in range(1500):
        sigma = np.sqrt(tuning.a0 / random.gamma(tuning.a0))
        theta = sigma * random.normal(size=4)
        mixture = Mixture(1, 4, tuning)
        for _ in range(9):  # below ten, s0 is exactly the prior's scale
            x = random.normal(size=4)
            mixture.learn(0, x, float(x @ theta + sigma * random.normal()))
        x = random.normal(size=4)
        posterior = mixture.project(x)
        covered += abs(x @ theta - posterior.mean[0]) <= posterior.width()[0] / 2
    assert covered / 1500 == pytest.approx(0.9, abs=0.03)


def test_the_better_policy_has_nearly_all_choices_in_the_end() -> None:
    """Ten seeds: the better one, by 0.5 noise sigmas, has over 90 % of the last 200 of 600 choices."""
    for seed in range(10):
        random = Generator(Philox(key=seed))
        tuning = Tuning()
        mixture, chosen = Mixture(2, 2, tuning), []
        for t in range(600):
            x = np.array([1.0, random.normal()])
            k = draw(mixture.project(x), tuning, UUID(int=(seed << 64) + t)).chosen
            chosen.append(k)
            mixture.learn(k, x, float(0.002 * k + 0.004 * random.normal()))
        assert np.mean(chosen[-200:]) > 0.9, f"seed {seed}"
