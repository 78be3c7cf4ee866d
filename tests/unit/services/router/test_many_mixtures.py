from __future__ import annotations

import numpy as np
from numpy.random import Generator, Philox

from services.router.mixture import Mixture
from services.router.thompson import Tuning
from tests.many_mixtures import Mixtures


def test_many_mixtures_at_once_are_as_many_alone() -> None:
    """Two runs of 400 rewards of three policies, with a switch, a fade and a memory on the way."""
    tuning, random = (
        Tuning(s0=0.5, change=5.0, grace=20, discounts=(0.95, 1.0), memories=1),
        Generator(Philox(key=1)),
    )
    theta = random.normal(size=(2, 2, 3, 4))
    many, alone = Mixtures(2, 3, 4, tuning), [Mixture(3, 4, tuning) for _ in range(2)]
    for t in range(400):
        x, noise = random.normal(size=(2, 4)), 0.3 * random.normal(size=2)
        k = random.integers(0, 2 if 100 < t < 200 else 3, size=2)
        r = np.einsum("rd,rd->r", theta[t // 150 % 2, [0, 1], k], x) + noise
        many.learn(x, k, r)
        for run, one in enumerate(alone):
            one.learn(int(k[run]), x[run], float(r[run]))
    assert many.alarms.sum() > 0, "there was a change"
    assert (many.w[:, 3:] > 0).any(), "and a memory of it"
    means, _ = many.project(x)
    for run, one in enumerate(alone):
        np.testing.assert_allclose(many.w[run], one.w, atol=1e-8)
        np.testing.assert_allclose(many.A[run], one.A, rtol=1e-7)
        np.testing.assert_allclose(means[run], one.project(x[run]).mean, atol=1e-8)
        assert many.alarms[run] == one.alarms
