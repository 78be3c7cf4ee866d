"""CPU time of the handlers that people wait for, beside a Cholesky per policy; without Kafka, in one process.

The router's default five policies at 34 features, a symbol with two days of minutes; an execution simulated
at two venues that a month of volumes is known of; the risk of 20 symbols of 500 days. Chunks in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.random import Generator, Philox

from libs.common.events import SimulateExecution
from libs.common.time_units import DAY_NS, MINUTE_NS
from services.portfolio.risk import assess
from tests.bench.bandit_speed import Cholesky
from tests.bench.chunks import in_turn, on_cores
from tests.bench.report import Report, Result, quartiles
from tests.execution_market import NOW as EXECUTION_NOW
from tests.execution_market import a_candle
from tests.execution_world import ExecutionWorld, an_id
from tests.router_world import BULL, NOW, World, choose, reward
from tests.unit.services.portfolio.world import World as Portfolio

if TYPE_CHECKING:
    from collections.abc import Callable

POLICIES: Final = ("p_sma", "p_breakout", "p_meanrev", "p_obi", "p_flat")
FEATURES: Final = 34
CHUNK: Final = 20
CHUNKS: Final = 24
WARM_UP: Final = 6
BASELINE: Final = "Cholesky per policy per choose"
MINUTES: Final = 2880
DAYS: Final = 500
SYMBOLS: Final = 20
VENUES: Final = ("binance", "bybit")


def run(report: Report) -> None:
    """Time them all."""
    with on_cores(0) as pinned:
        report.say(f"handlers: CPU time, {CHUNK} in a chunk, {pinned}")
        taken = in_turn(
            {
                BASELINE: _textbook(),
                "choose": _choices(rewarded=False, symbol=False),
                "choose of a symbol": _choices(rewarded=False, symbol=True),
                "choose and reward": _choices(rewarded=True, symbol=False),
                "simulate at two venues": _simulations(),
                f"assess {SYMBOLS} symbols": _assessments(),
            },
            range(WARM_UP + CHUNKS),
        )
    base = taken[BASELINE][WARM_UP:]
    for name, found in taken.items():
        kept = found[WARM_UP:]
        ratio = quartiles([one / other for one, other in zip(kept, base, strict=True)])
        report.add(
            Result(
                bench="handlers",
                case="CPU",
                contender=name,
                figures={"us": round(float(np.median(kept)) / CHUNK / 1e3, 1)},
                ratio=None if name == BASELINE else ratio,
                baseline="" if name == BASELINE else BASELINE,
            )
        )


def _textbook() -> Callable[[int], None]:
    cholesky, random = Cholesky(FEATURES), Generator(Philox(key=1))
    x = random.normal(size=(CHUNK, FEATURES))

    def steps(_chunk: int) -> None:
        for n in range(CHUNK):
            cholesky.step(x[n], 0.001)

    return steps


def _choices(*, rewarded: bool, symbol: bool) -> Callable[[int], None]:
    world, random = World(policies=POLICIES), Generator(Philox(key=2))
    if symbol:
        view = world.live.candles.views[0]
        for n, close in enumerate(60_000 * np.exp(np.cumsum(3e-4 * random.normal(size=MINUTES)))):
            view.fold(0, n, b"", a_candle("1m", NOW - (MINUTES - n) * MINUTE_NS, float(close)))

    def one(name: str, *, rewarded: bool) -> None:
        named: dict[str, float | str] = {"symbol": "BTC-USDT"} if symbol else dict(BULL)
        context = named | {"obi": float(np.clip(0.3 * random.normal(), -1, 1))}
        arms = {policy: {"signal": float(random.uniform(-1, 1))} for policy in POLICIES}
        chosen = world.choose(choose(name, context, arms=arms))
        if rewarded:
            world.reward(reward(f"r{name}", chosen.policy_id, 1e-3 * random.normal(), decision=name))

    for n in range(100):  # so that copies differ, and rewards have a scale
        one(f"before {n}", rewarded=True)

    def steps(chunk: int) -> None:
        for n in range(CHUNK):
            one(f"{chunk}/{n}", rewarded=rewarded)

    return steps


def _simulations() -> Callable[[int], None]:
    world, random = ExecutionWorld(), Generator(Philox(key=3))
    world.ready()
    for venue in VENUES:
        for minute, volume in enumerate(random.gamma(2.0, 5.0, 30 * 1440).tolist()):
            open_ts = EXECUTION_NOW - 30 * DAY_NS + minute * MINUTE_NS
            world.market.candles.volumes.put(a_candle("1m", open_ts, 6e4, venue=venue, volume=volume))

    def steps(chunk: int) -> None:
        for n in range(CHUNK):
            command = SimulateExecution(
                command_id=an_id(f"{chunk}/{n}"), symbol="BTC-USDT", side="buy", size=0.5, urgency=0.5
            )
            world.deliver(command)

    return steps


def _assessments() -> Callable[[int], None]:
    world = Portfolio()
    for n in range(SYMBOLS):
        world.history(f"S{n}-USDT", DAYS, seed=n)

    def steps(_chunk: int) -> None:
        for _ in range(CHUNK):
            assess({}, world.desk.history, world.rules, world.now)

    return steps
