from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.random import Generator, Philox
from scipy import stats

from services.router.mixture import PLAYED, Mixture, Prior
from services.router.thompson import Tuning, draw
from tests.router_world import Market, found_after, play

STEADY = Tuning(
    s0=1.0, decays=(), memories=0, fade=1.0, change=np.inf
)  # of one market, without its volatility


def _rewarded(
    tuning: Tuning, rounds: int, seed: int, d: int = 3, policies: int = 2
) -> tuple[Mixture, list[tuple[int, np.ndarray, float]]]:
    random = Generator(Philox(key=seed))
    mixture, seen = Mixture(policies, d, tuning), []
    for _ in range(rounds):
        k, x = int(random.integers(policies)), random.normal(size=d)
        x[0] = 1.0
        seen.append((k, x, mixture.learn(k, x, float(x.sum() / 3 + k + random.normal())).learnt))
    return mixture, seen


class Batch:
    """A second derivation: all from the list of rewards, by SciPy's t and a ridge regression at each step."""

    def __init__(self, tuning: Tuning, d: int, policies: int) -> None:
        self.tuning, self.d = tuning, d
        self.seen: list[tuple[int, np.ndarray, float]] = []
        self.u: list[np.ndarray] = []
        self.a, self.B = np.zeros(policies), np.zeros(policies)
        self.log_w = np.zeros(len(tuning.discounts) + 1)

    def ridge(self, copy: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        gamma = (*self.tuning.discounts, 1.0)[copy]
        rows = [n for n, (policy, _, _) in enumerate(self.seen) if policy == k]
        X = np.array([self.seen[n][1] for n in rows]).reshape(len(rows), self.d)
        y = np.array([self.seen[n][2] for n in rows])
        weigh = np.array([self.u[n][copy] for n in rows]) * gamma ** np.arange(len(rows))[::-1]
        A = (X.T * weigh) @ X + self.tuning.lam * np.eye(self.d)
        return A, np.linalg.solve(A, X.T @ (weigh * y))

    def square(self, k: int) -> float:
        seen = np.minimum(self.a, 10)
        own = np.array([B / a if a else 0 for a, B in zip(self.a, self.B, strict=True)])
        pooled = self.tuning.s0**2 if 2 * self.a.sum() < 10 else seen @ own / seen.sum()
        return float((self.tuning.a0 * pooled + self.B[k]) / (self.tuning.a0 + self.a[k]))

    def learn(self, k: int, x: np.ndarray, r: float) -> None:
        nu, square = self.tuning.tails, self.square(k)
        both = [self.ridge(copy, k) for copy in range(len(self.log_w))]
        e = np.array([r - x @ m for _, m in both])
        q = np.array([x @ np.linalg.inv(A) @ x for A, _ in both])
        w = np.exp(self.log_w - np.logaddexp.reduce(self.log_w))
        self.log_w += stats.t.logpdf(e, nu, scale=np.sqrt(square * (1 + q)))
        own = float(w @ (e**2 / (1 + q)))
        self.a[k] += 0.5
        self.B[k] += 0.5 * own * (nu + 1) / (nu + own / square)
        self.seen.append((k, x, r))
        self.u.append((nu + 1) / (nu + e**2 / (square * (1 + q))))


def test_posteriors_and_weights_are_those_of_a_batch_of_all_rewards() -> None:
    tuning = Tuning(s0=1.0, decays=(), memories=0, fade=1.0, change=np.inf, share=0.0, discounts=(0.9, 0.97))
    mixture, seen = _rewarded(tuning, 60, seed=1)
    batch = Batch(tuning, 3, 2)
    for one in seen:
        batch.learn(*one)
    for copy in range(3):
        for k in range(2):
            A, m = batch.ridge(copy, k)
            np.testing.assert_allclose(mixture.A[copy, k], A, atol=1e-9)
            np.testing.assert_allclose(np.linalg.solve(mixture.A[copy, k], mixture.h[copy, k]), m, atol=1e-9)
    w = np.exp(batch.log_w - np.logaddexp.reduce(batch.log_w))
    np.testing.assert_allclose(mixture.w, w, atol=1e-9)
    assert w.max() < 0.99, "the copies are weighed apart, and none alone"
    x = np.array([1.0, -0.5, 2.0])
    posterior = mixture.project(x)
    for k in range(2):
        assert posterior.s[k] ** 2 == pytest.approx(batch.square(k))
        expected = sum(w[copy] * x @ batch.ridge(copy, k)[1] for copy in range(3))
        assert posterior.mean[k] == pytest.approx(expected, abs=1e-6)


def test_a_share_of_the_weights_is_given_to_every_copy() -> None:
    mixture, _ = _rewarded(Tuning(s0=1.0, decays=(), memories=0, change=np.inf, share=0.01), 300, seed=2)
    assert mixture.w.min() >= 0.01 / 4 * (1 - 1e-9)
    assert mixture.w.sum() == pytest.approx(1)


def test_fading_when_it_is_read_is_fading_at_every_reward_of_others() -> None:
    """The state of West & Harrison, evolved one step at a time: θ' = fθ + (1-f)μ + N(0, (1-f²)s²/Λ)."""
    tuning = Tuning(s0=1.0, fade=0.99, grace=5, memories=0, change=np.inf)
    mixture = Mixture(2, 3, tuning, [Prior(0.5, 4.0), Prior()])
    random = Generator(Philox(key=3))
    for _ in range(8):
        mixture.learn(0, random.normal(size=3), float(random.normal()))
    P = np.linalg.inv(mixture.A[:, 0])
    m = np.einsum("qde,qe->qd", P, mixture.h[:, 0])
    prior, mean = np.diag(1 / mixture.precision[0]), mixture.expected[0]
    for _ in range(5):
        mixture.learn(1, random.normal(size=3), 0.1)
    for _ in range(40):
        mixture.learn(1, random.normal(size=3), 0.1)
        P, m = 0.99**2 * P + (1 - 0.99**2) * prior, 0.99 * m + 0.01 * mean
    x = random.normal(size=3)
    posterior, w = mixture.project(x), mixture.w / mixture.w.sum()
    assert posterior.mean[0] == pytest.approx(w @ (m @ x), abs=1e-12)
    assert posterior.spread[0] ** 2 == pytest.approx(w @ (P @ x @ x), abs=1e-12)
    kept = mixture.project(x)
    mixture.fade(0)  # as its next reward does
    for one, other in zip(kept, mixture.project(x), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_what_is_kept_gives_back_the_same_bits() -> None:
    first, random = Mixture(3, 4, Tuning(s0=0.5, change=5.0)), Generator(Philox(key=5))
    theta = random.normal(size=(2, 3, 4))
    for t in range(400):
        x, k = random.normal(size=4), int(random.integers(3))
        first.learn(k, x, float(theta[t // 200, k] @ x + 0.3 * random.normal()))
    assert first.w[len(first.discounts) :].any(), "a regime is remembered"
    second = Mixture(3, 4, first.tuning)
    second.unpack_shared(first.pack_shared())
    for k in range(3):
        second.unpack(k, first.pack(k))
    x = np.array([1.0, 2.0, -1.0, 0.3])
    for one, other in zip(first.project(x), second.project(x), strict=True):
        np.testing.assert_array_equal(one, other)
    for mixture in (first, second):
        mixture.learn(1, x, 0.2)
    assert first.pack_shared() == second.pack_shared()
    assert [first.pack(k) for k in range(3)] == [second.pack(k) for k in range(3)]


def test_a_mixture_that_is_kept_in_memory_says_what_one_read_from_its_records_says() -> None:
    """After every reward, alarms, regimes that come again and fading among them: to the last bit."""
    tuning = Tuning(s0=0.5, change=5.0, grace=20)
    kept, read, random = Mixture(3, 4, tuning), Mixture(3, 4, tuning), Generator(Philox(key=5))
    theta = random.normal(size=(2, 3, 4))
    for t in range(400):
        x, k = random.normal(size=4), 0 if 100 < t < 150 else int(random.integers(3))
        kept.learn(k, x, float(theta[t // 200, k] @ x + 0.3 * random.normal()))
        read.unpack_shared(kept.pack_shared())
        for one in range(3):
            read.unpack(one, kept.pack(one))
        for mine, theirs in zip(kept.project(x), read.project(x), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert kept.noise() == read.noise()
    assert kept.alarms > 0


def test_the_challenger_is_drawn_with_the_copy_that_keeps_all_until_a_change() -> None:
    mixture, random = Mixture(2, 3, Tuning(s0=1.0, change=np.inf)), Generator(Philox(key=8))
    for t in range(60):
        mixture.learn(t % 2, random.normal(size=3), float(random.normal()))
    posterior = mixture.project(np.ones(3))
    copies = len(mixture.discounts)
    assert posterior.weights == pytest.approx(
        [*mixture.w[: copies - 2], mixture.w[copies - 2 : copies].sum()]
    )
    mixture._begin(-1)  # noqa: SLF001 -- as at a change
    assert len(mixture.project(np.ones(3)).weights) == copies


def test_a_record_is_about_as_large_as_two_matrices() -> None:
    assert len(Mixture(1, 33, Tuning()).pack(0)) < 1.25 * (2 * 33 * 33 + 2 * 33) * 8


def test_other_settings_go_on_from_the_copy_that_forgot_least() -> None:
    first, _ = _rewarded(Tuning(s0=1.0), 50, seed=6)
    second = Mixture(2, 3, Tuning(s0=1.0, discounts=(0.95, 1.0), memories=1))
    second.unpack_shared(first.pack_shared())
    for k in range(2):
        second.unpack(k, first.pack(k))
        np.testing.assert_array_equal(second.A[0, k], first.A[2, k])
    np.testing.assert_allclose(second.w, [1 / 3, 1 / 3, 1 / 3, 0])
    second.learn(0, np.ones(3), 0.5)


def test_states_of_other_versions_and_features_are_refused() -> None:
    raw = Mixture(1, 3, Tuning()).pack(0)
    with pytest.raises(ValueError, match="of 3 features; these are 4"):
        Mixture(1, 4, Tuning()).unpack(0, raw)
    with pytest.raises(ValueError, match="of version 9; this reads version 1"):
        Mixture(1, 3, Tuning()).unpack_shared(b"\x09" + raw[1:])
    with pytest.raises(ValueError, match="1 priors for 2 policies"):
        Mixture(2, 3, Tuning(), [Prior()])


def test_a_posterior_of_one_copy_is_adopted_by_every_copy() -> None:
    mixture = Mixture(2, 3, Tuning())
    A, h = 5 * np.eye(3), np.array([0.5, 0.0, -0.5])
    mixture.adopt(1, A, h, a=20.0, B=20e-4, updates=40)
    posterior = mixture.project(np.array([1.0, 0.0, 1.0]))
    assert posterior.means[:, 1] == pytest.approx(0.0)
    assert posterior.spreads[:, 1] ** 2 == pytest.approx(2 / 5)
    assert posterior.s[1] == pytest.approx(0.01)
    assert mixture.updates == [0, 40]


def test_a_stated_reward_is_expected_and_gives_way_to_rewards() -> None:
    mixture = Mixture(2, 3, Tuning(s0=0.01), [Prior(0.002, 50.0), Prior()])
    x = np.array([1.0, 0.5, -0.5])
    assert mixture.project(x).mean == pytest.approx([0.002, 0.0])
    assert mixture.project(x).spread[0] < mixture.project(x).spread[1]
    random = Generator(Philox(key=8))
    for _ in range(2000):
        z = np.array([1.0, *random.normal(size=2)])
        mixture.learn(0, z, float(-0.003 + 0.002 * random.normal()))
    assert mixture.project(x).mean[0] == pytest.approx(-0.003, abs=0.001)
    for _ in range(4000):
        mixture.learn(1, np.array([1.0, *random.normal(size=2)]), float(0.002 * random.normal()))
    assert mixture.project(x).mean[0] == pytest.approx(0.002, abs=1e-4), "fading returns to what was stated"


def test_one_wrong_reward_is_learnt_as_six_scales_and_play_stays_as_it_was() -> None:
    random = Generator(Philox(key=9))
    mixture = Mixture(2, 2, Tuning())
    for t in range(600):
        x = np.array([1.0, random.normal()])
        mixture.learn(t % 2, x, float(0.001 * (t % 2) + 0.001 * random.normal()))
    x = np.array([1.0, 0.2])
    learnt = mixture.learn(0, x, 1.0)
    assert learnt.learnt < 0.008
    chosen = [draw(mixture.project(x), mixture.tuning, UUID(int=n)).chosen for n in range(300)]
    assert np.mean(chosen) > 0.95
    assert mixture.learn(1, x, 0.0012).learnt == 0.0012


def test_draws_follow_the_weights_of_the_copies_that_are_played() -> None:
    """Copies below `PLAYED` are in neither; binomial of 8,000, fails with probability 0.001 by chance."""
    mixture = Mixture(3, 2, Tuning(epsilon=0.0))
    mixture.w = np.array([0.6, 0.4 - 0.5 * PLAYED, 0.5 * PLAYED, 0.0, 0.0, 0.0, 0.0])
    mixture.h[0, :, 0], mixture.h[1, :, 0], mixture.h[2, :, 0] = (9, 0, 0), (0, 9, 0), (0, 0, 9)
    posterior = mixture.project(np.array([1.0, 0.0]))
    assert posterior.weights == pytest.approx([0.6003, 0.3997], abs=1e-4)
    chosen = [draw(posterior, mixture.tuning, UUID(int=n)).chosen for n in range(8000)]
    assert stats.binomtest(chosen.count(0), 8000, posterior.weights[0]).pvalue > 0.001
    assert chosen.count(2) == 0


def _markets(kind: str, seeds: range, rounds: int, policies: int, d: int, **more: Any) -> list[Market]:
    return [Market(kind, seed, rounds, policies=policies, d=d, **more) for seed in seeds]


def test_clustered_volatility_is_no_change() -> None:
    """The design has less than one false alarm in 50,000 rewards; here are 12,000 on GARCH noise."""
    played = play(_markets("stationary", range(10, 20), 1200, 5, 6, noise="garch"), Tuning(s0=0.5), 1)
    assert played.alarms == ((),) * 10


def test_a_switch_is_found_within_thirty_rewards() -> None:
    """Median of twenty markets, each with a switch after 300 rewards; none is found before."""
    alarms = play(_markets("switch", range(20, 40), 600, 5, 6), Tuning(s0=0.5), 2).alarms
    assert all(t >= 300 for found in alarms for t in found)
    assert np.median([found[0] - 299 if found else 1000 for found in alarms]) <= 30


def test_a_policy_that_turns_good_while_it_is_not_played_is_found() -> None:
    """Median of twenty markets, 1,000 rounds before and 1,400 after; the incumbent earns exactly nothing."""
    markets = _markets("hidden", range(40, 60), 2400, 5, 4)
    chosen = play(markets, Tuning(s0=0.001), 3).chosen
    found = [found_after(row, markets[0].turns, 1) or 10_000 for row in chosen]
    assert np.median(found) <= 700


def test_a_regime_that_comes_back_is_recalled() -> None:
    """From the second visit on under 70 % of the regret of a discount alone: visits are short here."""
    markets = _markets("recurring", range(60, 68), 2400, 4, 8, visit=400)
    shipped = Tuning(s0=0.5)
    alone = replace(shipped, discounts=(0.99,), memories=0, change=np.inf)
    ours, plain = (play(markets, tuning, 4).regret[:, 1200:].sum() for tuning in (shipped, alone))
    assert ours <= 0.7 * plain


def _shares_of_the_better(mixture: Mixture, before: list[float], sd: float, rounds: int) -> list[float]:
    """Play three policies that earn what is in `before`, then -sd/2, sd/2 with noise, and exactly nothing."""
    random, better = Generator(Philox(key=10)), []
    for t in range(len(before) + rounds):
        x = np.array([1.0, random.normal()])
        k = draw(mixture.project(x), mixture.tuning, UUID(int=t)).chosen
        earned = 0.0 if k == 2 else (k - 0.5) * sd + sd * float(random.normal())
        mixture.learn(k, x, before[t] if t < len(before) else earned)
        better.append(float(k == 1))
    return better[len(before) :]


def test_zeros_before_the_first_trade_say_nothing_of_the_noise() -> None:
    """Else its scale is 1e-9, each reward is clipped to that, and play is random for thousands of rewards."""
    mixture = Mixture(3, 2, Tuning())
    better = _shares_of_the_better(mixture, [0.0] * 200, 0.001, 600)
    assert np.mean(better[300:]) > 0.9
    assert mixture.noise() == pytest.approx(0.001, rel=0.5)
    assert mixture.alarms <= 1


def test_noise_ten_times_as_large_is_followed_after_one_alarm() -> None:
    """An alarm forgets the market's last squares: if it rang at once again, they would never be learnt."""
    mixture = Mixture(3, 2, Tuning())
    _shares_of_the_better(mixture, [], 1e-4, 800)
    better = _shares_of_the_better(mixture, [], 1e-3, 800)
    assert np.mean(better[400:]) > 0.9
    assert mixture.alarms <= 3
