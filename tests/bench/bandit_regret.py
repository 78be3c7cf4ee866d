"""Regret of the router's bandit beside river's and mabwiser's, in worlds that stay, switch or drift.

K = 8 policies, d = 16 features, 10,000 rounds, noise 0.5, weights N(0, I/d), features N(0, I). ``drift``
rotates the weights by a right angle over the run. All contenders see the same contexts and the same noise;
river and mabwiser are told its size, the router learns it.
"""

from __future__ import annotations

import statistics
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
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
    """LinUCBDisjoint, with beta the precision of the noise; its contexts are dicts."""

    def __init__(self, policies: int, seed: int, smoothing: float | None) -> None:
        self._arms: list[int | str] = list(range(policies))
        self._policy = bandit.LinUCBDisjoint(beta=4.0, smoothing=smoothing, seed=seed)

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


SHIPPED: Final = "router, as shipped (c .3, gamma .99, eps .001)"
MABWISER: Final = "mabwiser LinTS"
CONTENDERS: Final[Mapping[str, Callable[[int, int, int], Player]]] = {
    SHIPPED: lambda k, d, seed: Ours(k, d, seed, Tuning(s0=0.5)),
    "router, c .5, eps .002": lambda k, d, s: Ours(k, d, s, Tuning(s0=0.5, c=0.5, epsilon=0.002)),
    "router, c .3, eps 0, gamma .995": lambda k, d, s: Ours(
        k, d, s, Tuning(s0=0.5, c=0.3, epsilon=0, gamma=0.995)
    ),
    "router, c .3, eps 0, gamma 1": lambda k, d, s: Ours(k, d, s, Tuning(s0=0.5, c=0.3, epsilon=0, gamma=1)),
    "river LinUCBDisjoint": lambda k, _d, seed: River(k, seed, None),
    "river LinUCBDisjoint, smoothing .99": lambda k, _d, seed: River(k, seed, 0.99),
    "river LinUCBDisjoint, smoothing .98": lambda k, _d, seed: River(k, seed, 0.98),
    MABWISER: Mabwiser,
}


def run(report: Report) -> None:
    """Play every world with every contender."""
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


def _regret(market: Market, make: Callable[[int, int, int], Player], seed: int) -> float:
    policies, d = market.first.shape
    player, regret = make(policies, d, seed), 0.0
    for t in range(market.rounds):
        means, x = market.means(t), market.x[t]
        k = player.choose(x)
        regret += float(means.max() - means[k])
        player.learn(k, x, float(means[k] + market.errors[t, k]))
    return regret


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("numpy", "river", "mabwiser"))
