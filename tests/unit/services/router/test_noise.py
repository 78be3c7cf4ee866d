from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator, Philox
from scipy import stats

from services.router.noise import Noise, log_t
from services.router.thompson import Tuning
from tests.router_world import Market

ALONE, NOWHERE = np.ones(1), np.zeros(1)


def _learn(noise: Noise, k: int, e: float) -> None:
    noise.learn(k, noise.now(), ALONE, np.array([e]), NOWHERE)


def test_the_density_is_students() -> None:
    z = np.linspace(-9, 9, 50)
    np.testing.assert_allclose(log_t(z * z, 8.0), stats.t.logpdf(z, 8.0), atol=1e-12)


def test_before_ten_rewards_the_scale_is_the_declared_one() -> None:
    noise = Noise(2, Tuning(s0=0.02))
    for _ in range(9):
        _learn(noise, 0, 5.0)
    assert noise.pooled() == 0.02**2
    _learn(noise, 0, 5.0)
    assert noise.pooled() > 0.02**2


def test_the_scale_is_that_of_the_rewards_whichever_their_tails() -> None:
    """Of a t with 8 degrees of freedom, by SciPy's likelihood of all rewards together; within 5 %."""
    random = Generator(Philox(key=1))
    e = 0.003 * random.standard_t(8, size=3000)
    noise = Noise(1, Tuning(decays=()))
    for one in e:
        _learn(noise, 0, float(one))
    _, _, scale = stats.t.fit(e, fdf=8, floc=0)
    assert np.sqrt(noise.now().squares[0]) == pytest.approx(scale, rel=0.05)


def test_a_policy_that_never_varies_leaves_the_others_scale_alone() -> None:
    random = Generator(Philox(key=2))
    noise = Noise(3, Tuning())
    for _ in range(300):
        for k in (1, 2):
            _learn(noise, k, float(0.001 * random.normal()))
    for _ in range(3000):
        _learn(noise, 0, 0.0)
    scales = np.sqrt(noise.now().squares)
    assert scales[0] < 1e-4
    assert noise.pooled() == pytest.approx(2 / 3 * 0.001**2, rel=0.3), "one of three, however often it earned"
    assert scales[1:] == pytest.approx([0.001, 0.001], rel=0.15)
    assert noise.now().present == pytest.approx(1.0, abs=0.1)


def test_the_present_volatility_follows_clusters_and_is_steady_without() -> None:
    """The log likelihood beats a constant scale's on GARCH; on normal noise it loses at most 0.01."""
    for kind, least in (("garch", 0.02), ("normal", -0.01)):
        e = Market("stationary", 3, 4000, policies=1, d=1, noise=kind).errors[:, 0]
        follows, constant = Noise(1, Tuning(s0=0.5)), Noise(1, Tuning(s0=0.5, decays=()))
        gain = []
        for one in e.tolist():
            logs = []
            for noise in (follows, constant):
                square = noise.now().squares[0] * noise.now().present
                logs.append(float(log_t(np.array([one * one / square]), 8.0)[0]) - 0.5 * np.log(square))
                _learn(noise, 0, one)
            gain.append(logs[0] - logs[1])
        assert np.mean(gain[500:]) > least, kind


def test_a_reward_in_a_wild_hour_weighs_less() -> None:
    noise, random = Noise(1, Tuning()), Generator(Philox(key=5))
    for _ in range(500):
        _learn(noise, 0, float(0.001 * random.normal()))
    quiet = noise.now().precision
    for _ in range(60):
        _learn(noise, 0, float(0.003 * random.normal()))
    assert noise.now().precision < 0.4 * quiet
    assert noise.now().scale == pytest.approx(0.003, rel=0.5)
