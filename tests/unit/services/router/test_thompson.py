from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
from numpy.random import Generator, Philox
from scipy import stats
from scipy.integrate import quad

from services.router.thompson import Bank, Posterior, Tuning, draw, propensities


def _learnt(
    tuning: Tuning, d: int = 5, rounds: int = 60, seed: int = 1
) -> tuple[Bank, np.ndarray, np.ndarray]:
    random = Generator(Philox(key=seed))
    bank = Bank(3, d, tuning)
    x, r = random.normal(size=(rounds, d)), random.normal(size=rounds)
    for t in range(rounds):
        bank.learn(t % 3, x[t], r[t])
    return bank, x, r


@pytest.mark.parametrize("rounds", [60, 4000])
def test_rank_one_updates_are_a_batch_ridge_regression(rounds: int) -> None:
    bank, x, r = _learnt(Tuning(gamma=1.0, alarm=np.inf), rounds=rounds)
    for k in range(3):
        X, y = x[k::3], r[k::3]
        P = np.linalg.inv(X.T @ X + np.eye(5))
        np.testing.assert_allclose(bank.P[k], P, rtol=0, atol=1e-9)
        np.testing.assert_allclose(bank.m[k], P @ X.T @ y, rtol=0, atol=1e-9)


def test_discounted_updates_are_a_weighted_ridge_that_keeps_its_prior() -> None:
    gamma = 0.97
    bank, x, r = _learnt(Tuning(gamma=gamma, lam=2.0, alarm=np.inf))
    for k in range(3):
        X, y = x[k::3], r[k::3]
        w = gamma ** np.arange(len(y))[::-1]
        A = (X.T * w) @ X + 2.0 * np.eye(5)  # what is discounted of the prior is put back
        np.testing.assert_allclose(bank.m[k], np.linalg.solve(A, X.T @ (w * y)), rtol=0, atol=1e-9)
        np.testing.assert_allclose(bank.P[k], np.linalg.inv(A), rtol=0, atol=1e-9)


def test_the_noise_is_the_textbook_normal_inverse_gamma() -> None:
    bank, x, r = _learnt(Tuning(gamma=1.0, alarm=np.inf))
    for k in range(3):
        X, y = x[k::3], r[k::3]
        A = X.T @ X + np.eye(5)
        m = np.linalg.solve(A, X.T @ y)
        assert bank.a[k] == len(y) / 2
        assert bank.B[k] == pytest.approx((y @ y - m @ A @ m) / 2, abs=1e-9)
    pooled = sum(bank.B) / sum(bank.a)
    assert bank.project(x[0]).s[1] ** 2 == pytest.approx((3 * pooled + bank.B[1]) / (3 + bank.a[1]))


def test_before_ten_rewards_the_noise_is_the_declared_one() -> None:
    bank = Bank(2, 3, Tuning(s0=0.02))
    for _ in range(9):
        bank.learn(0, np.ones(3), 5.0)
    assert bank.pooled_variance() == 0.02**2
    bank.learn(0, np.ones(3), 5.0)
    assert bank.pooled_variance() > 0.1


def test_scores_have_the_law_of_drawing_whole_vectors() -> None:
    """KS of 20,000 draws each; a right sampler fails with probability 0.001, twice."""
    bank, x, _ = _learnt(Tuning(c=1.0, epsilon=0.0))
    projection = bank.project(x[3])
    drawn = np.array([draw(projection, bank.tuning, UUID(int=n)).scores for n in range(20_000)])
    random = Generator(Philox(key=77))
    for k in (0, 2):
        nu, s = projection.nu[k], projection.s[k]
        L = np.linalg.cholesky(bank.P[k])
        scale = s / np.sqrt(random.chisquare(nu, 20_000) / nu)
        theta = bank.m[k] + (random.normal(size=(20_000, 5)) @ L.T) * scale[:, None]
        assert stats.ks_2samp(drawn[:, k], theta @ x[3]).pvalue > 0.001


@pytest.mark.parametrize("policies", [2, 5, 8])
def test_propensities_are_the_integrals_they_stand_for(policies: int) -> None:
    random = Generator(Philox(key=policies))
    projection = Posterior(
        random.normal(size=(1, policies)),
        random.uniform(0.01, 2, (1, policies)),
        random.uniform(0.5, 2, policies),
        random.uniform(6, 60, policies),
        np.ones(policies),
        np.ones(1),
    )
    tuning = Tuning(epsilon=0.01)
    laws = [
        stats.t(nu, loc=m, scale=tuning.c * s * w)
        for m, w, s, nu in zip(
            projection.means[0], projection.spreads[0], projection.s, projection.nu, strict=True
        )
    ]
    p = propensities(projection, tuning)
    for k, law in enumerate(laws):
        # in the policy's own quantiles, so that a narrow law is not missed
        exact, _ = quad(
            lambda u, k=k, law=law: np.prod([o.cdf(law.ppf(u)) for j, o in enumerate(laws) if j != k]),
            0,
            1,
            limit=400,
        )
        assert p[k] == pytest.approx(0.99 * exact + 0.01 / policies, abs=2e-5)
    assert p.sum() == pytest.approx(1, abs=1e-12)


def test_the_sampler_does_what_its_propensities_say() -> None:
    """Chi-square of 40,000 choices; a right sampler fails with probability 0.001."""
    bank, x, _ = _learnt(Tuning(epsilon=0.05))
    projection = bank.project(x[7])
    p = propensities(projection, bank.tuning)
    n = 40_000
    chosen = np.bincount([draw(projection, bank.tuning, UUID(int=t)).chosen for t in range(n)], minlength=3)
    assert stats.chisquare(chosen, n * p).pvalue > 0.001


def test_uniform_choices_are_as_frequent_as_told_and_uniform() -> None:
    """Binomial and chi-square of 40,000 choices; each fails with probability 0.001 by chance."""
    bank, x, _ = _learnt(Tuning(epsilon=0.05))
    drawn = [draw(bank.project(x[7]), bank.tuning, UUID(int=t)) for t in range(40_000)]
    explored = [one.chosen for one in drawn if one.explored]
    assert stats.binomtest(len(explored), len(drawn), 0.05).pvalue > 0.001
    assert stats.chisquare(np.bincount(explored, minlength=3)).pvalue > 0.001


def test_a_command_is_drawn_alike_whenever_it_is_drawn() -> None:
    bank, x, _ = _learnt(Tuning())
    one, two = (draw(bank.project(x[0]), bank.tuning, UUID(int=5)) for _ in range(2))
    assert one.chosen == two.chosen
    assert one.scores.tolist() == two.scores.tolist()


def test_credible_intervals_of_90_percent_cover_90_percent() -> None:
    """4,000 models drawn from the prior; coverage leaves 0.9 by 0.02 with probability 3e-5."""
    random = Generator(Philox(key=3))
    tuning = Tuning(gamma=1.0, s0=1.0, alarm=np.inf)
    covered = 0
    for _ in range(4000):
        sigma = np.sqrt(tuning.a0 / random.gamma(tuning.a0))
        theta = sigma * random.normal(size=4)
        bank = Bank(1, 4, tuning)
        for _ in range(9):  # below ten, s0 is exactly the prior's scale
            x = random.normal(size=4)
            bank.learn(0, x, float(x @ theta + sigma * random.normal()))
        x = random.normal(size=4)
        projection = bank.project(x)
        covered += abs(x @ theta - projection.mean[0]) <= projection.width()[0] / 2
    assert covered / 4000 == pytest.approx(0.9, abs=0.02)


def test_a_steady_market_rings_no_alarm_and_a_changed_one_resets_only_what_changed() -> None:
    """Steady: false alarms of the design are below 1e-7 a step, so 0.002 in 20,000 steps."""
    random = Generator(Philox(key=4))
    tuning = Tuning(gamma=1.0, a0=3.0)
    bank = Bank(2, 3, tuning)
    theta = np.array([1.0, -1.0, 0.5])
    alarms = 0
    for t in range(20_000):
        x = random.normal(size=3)
        alarms += bank.learn(t % 2, x, float(x @ theta + 0.1 * random.normal())).alarm
    assert alarms == 0
    updates, kept = sum(bank.updates), bank.P[1].copy()
    for _ in range(100):
        x = random.normal(size=3)
        learnt = bank.learn(0, x, float(-x @ theta + 0.1 * random.normal()))
        if learnt.alarm:
            break
    assert learnt.alarm
    assert sum(bank.updates) - updates <= 20
    if learnt.changed == (0,):
        np.testing.assert_array_equal(bank.P[1], kept)
    assert bank.P[0].trace() > 2  # back to the prior's three, less one observation


def test_a_hundred_thousand_updates_leave_every_posterior_symmetric_and_positive_definite() -> None:
    """Most features are silent for long; `make bench` does a million, with and without discount."""
    random = Generator(Philox(key=6))
    for gamma in (0.99, 1.0):
        bank = Bank(2, 16, Tuning(gamma=gamma))
        active = np.ones(16)
        for t in range(50_000):
            if t % 5000 == 0:
                active = (random.random(16) < 0.3).astype(float)
            x = active * random.normal(size=16)
            bank.learn(t % 2, x, float(x[0] + random.normal()))
            if t % 1000 == 0:
                for k in range(2):
                    np.testing.assert_array_equal(bank.P[k], bank.P[k].T)
                    assert np.linalg.eigvalsh(bank.P[k])[0] > 0
                    assert np.linalg.eigvalsh(bank.P[k])[-1] <= 1 / bank.tuning.lam + 1e-9
                    np.testing.assert_allclose(bank.P[k] @ bank.A[k], np.eye(16), atol=1e-8)


def test_router_ts_converges_to_the_better_policy() -> None:
    """24 seeds: the better one of two, 0.5 noise sigmas apart, has over 90 % of the last 200 choices in all.

    A policy that never converged would pass a seed with probability below 1e-6, and textbook sampling, whose
    share of wrong choices is below 2 % here, fails one with probability below 1e-6.
    """
    for seed in range(24):
        random = Generator(Philox(key=seed))
        tuning = Tuning()
        bank = Bank(2, 2, tuning)
        chosen = []
        for t in range(1000):
            x = np.array([1.0, random.normal()])
            k = draw(bank.project(x), tuning, UUID(int=(seed << 64) + t)).chosen
            chosen.append(k)
            bank.learn(k, x, float(0.002 * k + 0.004 * random.normal()))
        assert np.mean(chosen[-200:]) > 0.9, f"seed {seed}"
