"""Whether the loop learns: the router's equity beside holding nothing and beside each policy alone.

Thirty simulated days of the simulator's market, through the services' own wirings (`tests.loop_world`): an
execution of each symbol every four hours, fees and books as they are. Windows begin every 150 days, so none
is picked. In the market without edge no policy can earn anything, and what the router loses is what it
explores.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from simulator.latent import GENESIS_DAY
from tests.bench.report import Result
from tests.loop_world import CAPITAL, LoopWorld

if TYPE_CHECKING:
    from tests.bench.report import Report

DAYS: Final = 30
FIRST_DAYS: Final = tuple(GENESIS_DAY + 800 + 150 * n for n in range(4))
INTERVAL_S: Final = 4 * 3600.0
EVERY: Final = "p_sma p_breakout p_meanrev p_obi p_flat"
ALONE: Final = ("p_breakout", "p_sma", "p_meanrev", "p_obi")
HOLDING: Final = float(CAPITAL)  # what p_flat ends with: it trades nothing


def run(report: Report) -> None:
    """Play every window with the router and with each policy alone, then the one without edge."""
    report.say(
        f"learning_loop: {len(FIRST_DAYS)} windows of {DAYS} days, an execution every {INTERVAL_S:g} s"
    )
    means: dict[str, float] = {}
    for name, policies in (("router", EVERY), *((name, name) for name in ALONE)):
        means[name] = _played(report, name, policies, edge=1.0)
    best = max(ALONE, key=means.__getitem__)
    figures: dict[str, float | int | str] = {
        "best fixed policy": best,
        "router's equity of its": round((HOLDING + means["router"]) / (HOLDING + means[best]), 3),
        "router's gain of its": round(means["router"] / means[best], 3),
    }
    report.add(Result(bench="learning_loop", case="the market", contender="all", figures=figures))
    _played(report, "router", EVERY, edge=0.0)


def _played(report: Report, name: str, policies: str, *, edge: float) -> float:
    """Return the mean gain over the windows, quote units."""
    gains, fees, shares = [], [], {}
    for first_day in FIRST_DAYS:
        world = LoopWorld(first_day=first_day, policies=policies, interval_s=INTERVAL_S, edge=edge)
        world.run(DAYS)
        gains.append(world.equity - HOLDING)
        fees.append(float(world.fees))
        shares = world.shares(since=0.5)
        report.say(f"  {name}, edge {edge:g}, from day {first_day}: {gains[-1]:+,.0f}, fees {fees[-1]:,.0f}")
    mean = statistics.mean(gains)
    figures: dict[str, float | int | str] = {
        "gain": round(mean),
        "standard error": round(statistics.stdev(gains) / len(gains) ** 0.5),
        "fees": round(statistics.mean(fees)),
        "shares of the last half": ", ".join(f"{policy} {share:.0%}" for policy, share in shares.items()),
    }
    case = "the market" if edge else "without edge"
    report.add(Result(bench="learning_loop", case=case, contender=name, figures=figures))
    return mean
