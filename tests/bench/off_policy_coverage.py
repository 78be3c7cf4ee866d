"""How often the router's off-policy intervals exclude what is true, watched after every reward.

1,000 runs of 2,000 rewards in each world of `tests/off_policy_world.py`, 4 policies and 6 features, on the
logs of the shipped tuning. A run misses if at any time an interval that is shown excludes its target: the
mean, over the counted decisions, of what the policy was expected to earn in them. The width is relative to
that of ±1.96 sd/√n of the same estimator; ``±1.96 se`` is this interval over all decisions, watched as often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from services.router.thompson import Tuning
from tests.bench.report import Report, Result
from tests.off_policy_world import NOISE, Market, Watch, play

if TYPE_CHECKING:
    from collections.abc import Mapping

WORLDS: Final = (
    *("stationary", "switch", "drift", "garch", "hidden", "recurring", "heavy", "rare", "skew", "edge"),
)
SHIPPED: Final = Tuning()
EXPLORING: Final = Tuning(epsilon=0.2, c=1.0)


class Case(NamedTuple):
    """What is watched."""

    world: str
    tuning: Tuning = SHIPPED
    runs: int = 1_000
    rounds: int = 2_000


CASES: Final[Mapping[str, Case]] = {
    **{world: Case(world) for world in WORLDS},
    "noise 50 times the assumed": Case("stationary", Tuning(s0=NOISE / 50)),
    "stationary, 6,000 rewards": Case("stationary", runs=200, rounds=6_000),
    "edge, much explored": Case("edge", EXPLORING),
    "even, much explored": Case("even", EXPLORING),
}


def run(report: Report) -> None:
    """Watch every world."""
    report.say(f"off_policy_coverage: {len(CASES)} worlds, some 20 s each")
    for name, case in CASES.items():
        watch = Watch(case.runs)
        for decision in play(Market(case.world, case.runs, case.rounds), case.tuning):
            watch.see(decision)
        reached = watch.ratio[~np.isnan(watch.ratio)]
        figures: dict[str, float | str] = {
            "runs that miss, worst policy": float(watch.missed.mean(0).max()),
            "any of 4 policies": float(watch.missed.any(1).mean()),
            "±1.96 se, any": float(watch.plain_missed.any(1).mean()),
            "given an interval, least": float(watch.given.mean(0).min()),
            "width at n = 1,000": round(float(np.median(reached)), 2) if len(reached) else "-",
            "a best is named": float(watch.named.mean()),
            "a wrong one": float(watch.wrong.mean()),
        }
        report.say(f"{name}: {figures}")
        report.add(Result(bench="off_policy_coverage", case=name, contender="router", figures=figures))
