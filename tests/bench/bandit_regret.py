"""Regret of the router's bandit where markets stay, switch, drift, come back or improve unseen.

K = 8 policies, d = 16 features, 10,000 rounds, noise 0.5, weights N(0, I/d), features N(0, I). ``drift``
rotates the weights by a right angle over the run; ``garch`` is the same with volatility in clusters (.08,
.90), ``heavy`` with a t of 4 degrees besides; ``recurring`` has three regimes of 1,000 rounds in turn, and
its regret is that from round 3,000 on; ``hidden`` has K = 5, d = 4, an incumbent that earns exactly nothing,
and a policy that turns from -5 to 5 bps at round 2,000 (noise 10 bps): told is after how many decisions it
has over half of the last 100 (99,999: never).
Restarts are by river's ADWIN, by Detection Augmented Learning (arXiv 2501.19401), and by an e-detector (Shin,
Ramdas & Rinaldo 2023), which stands in place of the detector of arXiv 2606.23933, a text that was not to
be had.
All contenders see the same contexts and noise; the others are told its size, the router learns it.
``BANDIT_SEEDS`` says how many seeds are played (20), ``BANDIT_PEERS=0`` leaves the peers out. The router
plays all seeds at once, as ``tests/many_mixtures.py``; it was designed on others (7,000 and up).
"""

from __future__ import annotations

import os
import statistics
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from river import bandit

from services.router.thompson import Tuning
from tests.bench.bandit_detectors import Adwin, EDetector, Glr, Restarting
from tests.bench.report import Report, Result
from tests.router_world import Market, found_after, play

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services.router.thompson import Floats

SEEDS: Final = range(1, 1 + int(os.environ.get("BANDIT_SEEDS", "20")))
PEERS: Final = os.environ.get("BANDIT_PEERS", "1") == "1"
NEVER: Final = 99_999


class World(NamedTuple):
    """A kind of market and its size."""

    kind: str
    noise: str = "normal"
    rounds: int = 10_000
    policies: int = 8
    d: int = 16

    def market(self, seed: int) -> Market:
        """Return the market of a seed."""
        return Market(self.kind, seed, self.rounds, policies=self.policies, d=self.d, noise=self.noise)


WORLDS: Final = (
    *(
        World(kind, noise)
        for noise in ("normal", "garch", "heavy")
        for kind in ("stationary", "switch", "drift")
    ),
    World("recurring", rounds=12_000),
    World("hidden", rounds=6000, policies=5, d=4),
)


class Player(Protocol):
    """A bandit under test."""

    def choose(self, x: Floats) -> int:
        """Return a policy."""

    def learn(self, k: int, x: Floats, r: float) -> None:
        """Take its reward."""


class River:
    """LinUCBDisjoint, with beta the precision of the noise; its contexts are dicts."""

    def __init__(self, policies: int, seed: int, noise: float, smoothing: float | None) -> None:
        self._arms: list[int | str] = list(range(policies))
        self._policy = bandit.LinUCBDisjoint(beta=noise**-2, smoothing=smoothing, seed=seed)

    def choose(self, x: Floats) -> int:
        return int(self._policy.pull(self._arms, context=dict(enumerate(x.tolist()))))

    def learn(self, k: int, x: Floats, r: float) -> None:
        self._policy.update(k, dict(enumerate(x.tolist())), r)  # type: ignore[no-untyped-call]  # untyped there


class Mabwiser:
    """LinTS, with its scale set to the noise."""

    def __init__(self, policies: int, d: int, seed: int, noise: float) -> None:
        self._mab = MAB(list(range(policies)), LearningPolicy.LinTS(alpha=noise), seed=seed)
        self._mab.fit(list(range(policies)), [0.0] * policies, np.zeros((policies, d)))

    def choose(self, x: Floats) -> int:
        return int(self._mab.predict([x.tolist()]))

    def learn(self, k: int, x: Floats, r: float) -> None:
        self._mab.partial_fit([k], [r], [x.tolist()])


SHIPPED: Final = "router, as shipped"
ROUTERS: Final = {
    SHIPPED: Tuning(),
    "one discount of .99 (and a share of one without)": Tuning(
        discounts=(0.99,), memories=0, decays=(), change=np.inf, fade=1.0
    ),
}
CONTENDERS: Final[Mapping[str, Callable[[World, int, float], Player]]] = {
    "river LinUCBDisjoint": lambda world, seed, noise: River(world.policies, seed, noise, None),
    "river LinUCBDisjoint, smoothing .99": lambda world, seed, noise: River(
        world.policies, seed, noise, 0.99
    ),
    "river LinUCBDisjoint, smoothing .98": lambda world, seed, noise: River(
        world.policies, seed, noise, 0.98
    ),
    "mabwiser LinTS": lambda world, seed, noise: Mabwiser(world.policies, world.d, seed, noise),
    "restarts by river's ADWIN": lambda world, seed, noise: Restarting(
        world.policies, world.d, seed, Adwin, world.rounds, noise
    ),
    "Detection Augmented Learning (GLR)": lambda world, seed, noise: Restarting(
        world.policies, world.d, seed, Glr, world.rounds, noise, forced=0.01
    ),
    "restarts by an e-detector": lambda world, seed, noise: Restarting(
        world.policies, world.d, seed, EDetector, world.rounds, noise
    ),
}


def run(report: Report) -> None:
    """Play every world with every contender."""
    report.say(f"bandit_regret: {len(SEEDS)} seeds, {_versions()}")
    for world in WORLDS:
        case = f"{world.kind}, {world.noise}"
        for name, tuning in ROUTERS.items():
            figures = _figures(world, _together(world, tuning))
            report.add(Result(bench="bandit_regret", case=case, contender=name, figures=figures))
        for name, make in CONTENDERS.items() if PEERS else ():
            figures = _figures(world, [_played(world.market(seed), world, make, seed) for seed in SEEDS])
            report.add(Result(bench="bandit_regret", case=case, contender=name, figures=figures))


def _figures(world: World, played: list[tuple[Floats, Floats, int]]) -> dict[str, str | int | float]:
    since = 3000 if world.kind == "recurring" else 0
    sums = [float(regret[since:].sum()) for regret, _, _ in played]
    figures: dict[str, str | int | float] = {
        "regret": round(statistics.mean(sums), 2 if world.kind == "hidden" else 0)
    }
    if len(sums) > 1:
        figures["standard error"] = round(statistics.stdev(sums) / len(sums) ** 0.5, 1)
    figures["alarms"] = sum(alarms for _, _, alarms in played)
    if world.kind == "hidden":
        after = [found_after(chosen.astype(np.int64), 2000, 1) or NEVER for _, chosen, _ in played]
        figures["found after (median)"] = round(statistics.median(after))
    return figures


def _together(world: World, tuning: Tuning) -> list[tuple[Floats, Floats, int]]:
    markets = [world.market(seed) for seed in SEEDS]
    regret, chosen, alarms = play(markets, replace(tuning, s0=markets[0].noise), SEEDS[0])
    return list(zip(regret, chosen, map(len, alarms), strict=True))


def _played(
    market: Market, world: World, make: Callable[[World, int, float], Player], seed: int
) -> tuple[Floats, Floats, int]:
    player = make(world, seed, market.noise)
    regret, chosen = np.empty(market.rounds), np.empty(market.rounds)
    for t in range(market.rounds):
        means, x = market.means(t), market.x[t]
        k = player.choose(x)
        regret[t], chosen[t] = means.max() - means[k], k
        player.learn(k, x, float(means[k] + market.errors[t, k]))
    return regret, chosen, player.alarms if isinstance(player, Restarting) else 0


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("numpy", "river", "mabwiser"))
