"""What portfolios of short histories truly risk, over their budget; and the time of an estimate.

One factor and own moves, both Student's t with 4 degrees; the budget binds and the ceiling does not. Without
the caution of the portfolio the weights are those of the same CVaR of the same days.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from services.portfolio.caution import caution
from services.portfolio.certificate import Limits
from services.portfolio.estimates import estimated, solved, table_of
from services.portfolio.measures import HALF_LIFE_DAYS, day_weights
from tests.bench.report import Result, quartiles
from tests.portfolio_problems import BETA, FactorWorld, random_returns

if TYPE_CHECKING:
    from services.portfolio.estimates import Mode
    from tests.bench.report import Report

LIMITS: Final = Limits(0.02, 1.0, 1.0)
SYMBOLS: Final = (10, 60)
DAYS: Final = (20, 60, 120, 250)
DRAWS: Final = 24
SEED: Final = 1000
MODES: Final[tuple[Mode, ...]] = ("sum_cvar", "portfolio_cvar")
MANY: Final = 1000  # symbols of the timed estimate, over as many days
REPEATS: Final = 5


def run(report: Report) -> None:
    """Print realised over budget for both modes, and the estimate's time."""
    report.say(
        f"portfolio_caution: {DRAWS} draws each, budget {LIMITS.budget}, half-life {HALF_LIFE_DAYS:g} days"
    )
    for mode in MODES:
        for symbols in SYMBOLS:
            for days in DAYS:
                _realised(report, mode, symbols, days)
    _time_estimate(report)


def _realised(report: Report, mode: Mode, symbols: int, days: int) -> None:
    found: dict[str, list[float]] = {"cautious": [], "without it": []}
    cautions, spent = [], 0
    numbers = np.arange(days)
    for seed in range(SEED, SEED + DRAWS):
        market = FactorWorld(seed, symbols)
        table = table_of(numbers, market.returns(days), day_weights(numbers, HALF_LIFE_DAYS))
        known = estimated(table, BETA)
        begun = time.process_time_ns()
        kappa = caution(mode, table, BETA, LIMITS).kappa
        spent += time.process_time_ns() - begun
        cautions.append(kappa)
        for name, budget in (("cautious", LIMITS.budget / kappa), ("without it", LIMITS.budget)):
            w = solved(mode, known, table, BETA, LIMITS._replace(budget=budget)).w
            found[name].append(market.cvar(w) / LIMITS.budget)
    for name, ratios in found.items():
        spread = quartiles(ratios)
        figures = {
            "realised/budget": spread.median,
            "lower": spread.lower,
            "upper": spread.upper,
            "above 1": sum(ratio > 1.0 for ratio in ratios),
        }
        if name == "cautious":
            figures |= {"caution": quartiles(cautions).median, "CPU ms": spent / DRAWS / 1e6}
        report.add(
            Result(
                bench="portfolio_caution",
                case=f"{mode}, {symbols} symbols, {days} days",
                contender=name,
                figures=figures,
                assumptions={"draws": DRAWS, "seed": SEED},
            )
        )


def _time_estimate(report: Report) -> None:
    numbers = np.arange(MANY)
    R, p = random_returns(SEED, MANY, MANY), day_weights(numbers, HALF_LIFE_DAYS)
    young = R.copy()
    young[: MANY // 2, : MANY // 10] = np.nan
    for name, table in (("the same days", R), ("a tenth half as old", young)):
        spent = []
        for _ in range(REPEATS):
            begun = time.process_time_ns()
            estimated(table_of(numbers, table, p), BETA)
            spent.append((time.process_time_ns() - begun) / 1e6)
        report.add(
            Result(
                bench="portfolio_caution",
                case=f"estimate of {MANY} symbols and days",
                contender=name,
                figures={"CPU ms": quartiles(spent).median},
            )
        )
