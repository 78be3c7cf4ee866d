"""Regret of the router's bandit beside river's and mabwiser's, in worlds that stay, switch or drift; a wheel.

K = 8 policies, d = 16 features, 10,000 rounds, noise 0.5, weights N(0, I/d), features N(0, I). ``drift``
rotates the weights by a right angle over the run. All contenders see the same contexts and the same noise.
"""

from __future__ import annotations

import statistics
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from numpy.random import Generator, Philox
from river import bandit

from services.router.thompson import Bank, Tuning, draw
from tests.bench.report import Report, Result
from tests.router_world import Market

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services.router.thompson import Floats

ROUNDS: Final = 10_000
SEEDS: Final = (1, 2, 3)
KINDS: Final = ("stationary", "switch", "drift")
WHEEL_ROUNDS: Final = 80_000
DELTAS: Final = (0.5, 0.7, 0.9, 0.95, 0.99)
# Percent of uniform play: NeuralLinear of Riquelme, Tucker & Snoek 2018, as Garnelo et al. 2018 (Neural
# Processes, table of the wheel) give it.
PUBLISHED: Final = (0.95, 1.60, 4.65, 9.56, 49.63)


class Player(Protocol):
    """A bandit under test."""

    def choose(self, x: Floats) -> int:
        """Return a policy."""

    def learn(self, k: int, x: Floats, r: float) -> None:
        """Take its reward."""


class Ours:
    """The bank of the service."""

    def __init__(self, policies: int, d: int, seed: int, tuning: Tuning) -> None:
        self.bank, self._seed, self._t = Bank(policies, d, tuning), seed << 64, 0

    def choose(self, x: Floats) -> int:
        self._t += 1
        return draw(self.bank.project(x), self.bank.tuning, UUID(int=self._seed + self._t)).chosen

    def learn(self, k: int, x: Floats, r: float) -> None:
        self.bank.learn(k, x, r)


class River:
    """LinUCBDisjoint; its contexts are dicts."""

    def __init__(self, policies: int, seed: int, smoothing: float | None) -> None:
        self._arms: list[int | str] = list(range(policies))
        self._policy = bandit.LinUCBDisjoint(smoothing=smoothing, seed=seed)

    def choose(self, x: Floats) -> int:
        return int(self._policy.pull(self._arms, context=dict(enumerate(x.tolist()))))

    def learn(self, k: int, x: Floats, r: float) -> None:
        self._policy.update(k, dict(enumerate(x.tolist())), r)  # type: ignore[no-untyped-call]  # untyped there


class Mabwiser:
    """LinTS, with its scale set to the noise."""

    def __init__(self, policies: int, d: int, seed: int) -> None:
        self._mab = MAB(list(range(policies)), LearningPolicy.LinTS(alpha=0.5), seed=seed)
        self._mab.fit(list(range(policies)), [0.0] * policies, np.zeros((policies, d)))

    def choose(self, x: Floats) -> int:
        return int(self._mab.predict([x.tolist()]))

    def learn(self, k: int, x: Floats, r: float) -> None:
        self._mab.partial_fit([k], [r], [x.tolist()])


SHIPPED: Final = "router, as shipped (c .5, gamma .99, eps .002)"
MABWISER: Final = "mabwiser LinTS"
CONTENDERS: Final[Mapping[str, Callable[[int, int, int], Player]]] = {
    SHIPPED: lambda k, d, seed: Ours(k, d, seed, Tuning(s0=0.5)),
    "router, c .3, eps 0, gamma .995": lambda k, d, s: Ours(
        k, d, s, Tuning(s0=0.5, c=0.3, epsilon=0, gamma=0.995)
    ),
    "router, c .3, eps 0, gamma 1": lambda k, d, s: Ours(k, d, s, Tuning(s0=0.5, c=0.3, epsilon=0, gamma=1)),
    "river LinUCBDisjoint": lambda k, _d, seed: River(k, seed, None),
    "river LinUCBDisjoint, smoothing .99": lambda k, _d, seed: River(k, seed, 0.99),
    MABWISER: Mabwiser,
}


def run(report: Report) -> None:
    """Play every world with every contender, then the wheel."""
    report.say(f"bandit_regret: {ROUNDS} rounds, seeds {SEEDS}, {_versions()}")
    for kind in KINDS:
        regrets = {
            name: [_regret(Market(kind, seed, ROUNDS), make, seed) for seed in SEEDS]
            for name, make in CONTENDERS.items()
        }
        base = statistics.mean(regrets[MABWISER])
        for name, found in regrets.items():
            mean = statistics.mean(found)
            figures = {
                "regret": round(mean),
                "standard error": round(statistics.stdev(found) / len(found) ** 0.5),
                "of mabwiser's": round(mean / base, 2),
            }
            report.add(Result(bench="bandit_regret", case=kind, contender=name, figures=figures))
    _wheel(report)


def _regret(market: Market, make: Callable[[int, int, int], Player], seed: int) -> float:
    policies, d = market.first.shape
    player, regret = make(policies, d, seed), 0.0
    for t in range(market.rounds):
        means, x = market.means(t), market.x[t]
        k = player.choose(x)
        regret += float(means.max() - means[k])
        player.learn(k, x, float(means[k] + market.errors[t, k]))
    return regret


def _wheel(report: Report) -> None:
    """Riquelme, Tucker & Snoek 2018, section 5: five arms, a rare reward of 50 beyond the radius delta."""
    plain: Callable[[Floats], Floats] = lambda x: np.array([1.0, x[0], x[1]])  # noqa: E731 -- one line each
    square: Callable[[Floats], Floats] = lambda x: np.array(  # noqa: E731
        [1.0, x[0], x[1], x[0] ** 2, x[1] ** 2, x[0] * x[1]]
    )
    cases = {
        "router as shipped, linear": (plain, Tuning(s0=1.0)),
        "router as shipped, quadratic": (square, Tuning(s0=1.0)),
        "router gamma 1, quadratic": (square, Tuning(s0=1.0, gamma=1.0)),
    }
    for name, (features, tuning) in cases.items():
        for delta, published in zip(DELTAS, PUBLISHED, strict=True):
            random = Generator(Philox(key=round(100 * delta)))
            player = Ours(5, len(features(np.zeros(2))), 1, tuning)
            regret = uniform = 0.0
            for _ in range(WHEEL_ROUNDS):
                angle, radius = 2 * np.pi * random.random(), np.sqrt(random.random())
                x = np.array([radius * np.cos(angle), radius * np.sin(angle)])
                means = np.array([1.2, 1.0, 1.0, 1.0, 1.0])
                if radius > delta:
                    means[1 + int(angle / (np.pi / 2)) % 4] = 50.0
                z = features(x)
                k = player.choose(z)
                regret += float(means.max() - means[k])
                uniform += float(means.max() - means.mean())
                player.learn(k, z, float(means[k] + 0.01 * random.normal()))
            figures = {
                "percent of uniform": round(100 * regret / uniform, 2),
                "published NeuralLinear": published,
            }
            report.add(
                Result(bench="bandit_regret", case=f"wheel delta {delta}", contender=name, figures=figures)
            )


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("numpy", "river", "mabwiser"))
