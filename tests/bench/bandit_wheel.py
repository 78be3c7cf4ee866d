"""The wheel bandit of Riquelme, Tucker & Snoek 2018: five arms, a rare reward of 50 beyond the radius delta.

Contexts are uniform on the unit disc; arm 1 earns 1.2, the others 1.0, and beyond delta the quadrant's arm
earns 50; noise 0.01. Nothing of this is linear in the context: the wheel is the limit of every linear bandit,
and the shipped one forgets besides. Regret is in percent of uniform play over 80,000 rounds, one seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np
from numpy.random import Generator, Philox

from services.router.mixture import Mixture
from services.router.thompson import Tuning, draw
from tests.bench.report import Report, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.router.thompson import Floats

WHEEL_ROUNDS: Final = 80_000
DELTAS: Final = (0.5, 0.7, 0.9, 0.95, 0.99)
# NeuralLinear of Riquelme, Tucker & Snoek 2018, as Garnelo et al. 2018 (Neural Processes, table of the wheel)
# give it, in percent of uniform play.
PUBLISHED: Final = (0.95, 1.60, 4.65, 9.56, 49.63)


def run(report: Report) -> None:
    """Turn the wheel at every delta."""
    plain: Callable[[Floats], Floats] = lambda x: np.array([1.0, x[0], x[1]])  # noqa: E731 -- one line each
    square: Callable[[Floats], Floats] = lambda x: np.array(  # noqa: E731
        [1.0, x[0], x[1], x[0] ** 2, x[1] ** 2, x[0] * x[1]]
    )
    cases = {
        "router as shipped, linear": (plain, Tuning(s0=1.0)),
        "router as shipped, quadratic": (square, Tuning(s0=1.0)),
        "router, one copy without discount, quadratic": (
            square,
            Tuning(s0=1.0, discounts=(), memories=0),
        ),
    }
    for name, (features, tuning) in cases.items():
        for delta, published in zip(DELTAS, PUBLISHED, strict=True):
            random = Generator(Philox(key=round(100 * delta)))
            mixture = Mixture(5, len(features(np.zeros(2))), tuning)
            regret = uniform = 0.0
            for t in range(WHEEL_ROUNDS):
                angle, radius = 2 * np.pi * random.random(), np.sqrt(random.random())
                x = np.array([radius * np.cos(angle), radius * np.sin(angle)])
                means = np.array([1.2, 1.0, 1.0, 1.0, 1.0])
                if radius > delta:
                    means[1 + int(angle / (np.pi / 2)) % 4] = 50.0
                z = features(x)
                k = draw(mixture.project(z), tuning, UUID(int=(1 << 64) + t)).chosen
                regret += float(means.max() - means[k])
                uniform += float(means.max() - means.mean())
                mixture.learn(k, z, float(means[k] + 0.01 * random.normal()))
            figures = {
                "percent of uniform": round(100 * regret / uniform, 2),
                "published NeuralLinear": published,
            }
            report.add(
                Result(bench="bandit_wheel", case=f"wheel delta {delta}", contender=name, figures=figures)
            )
