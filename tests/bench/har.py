"""sigmaHAR on simulated minutes, whole and sparse: QLIKE with its weights fitted, and with the prior ones.

Two worlds, both with fat-tailed minutes (t, 5 and 4 degrees of freedom): one whose log variance is the sum of
a process of two days, one of one and a half hours and a daily wave, near to what the prior weights are made
for; one whose variance changes by the day, where the prior looks at too little. The truth is the simulated
variance of the next hour; each forecast sees two days, as the router does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.random import Generator, Philox

from libs.common.time_units import MINUTE_NS
from services.router import har
from tests.bench.report import Report, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

DAY: Final = 1440  # minutes
DAYS: Final = 9
SEEN: Final = 2 * DAY
EVERY: Final = 240  # minutes between forecasts
SEEDS: Final = 8
DAILY: Final = 0.03


def run(report: Report) -> None:
    """Print the mean QLIKE of both weights, its difference, and how often no forecast was made."""
    for world, simulate in WORLDS.items():
        paths = [simulate(Generator(Philox(key=seed))) for seed in range(SEEDS)]
        for name, bars in BARS.items():
            losses = np.array([_losses(*path, bars(seed)) for seed, path in enumerate(paths)])
            fitted, prior = losses.mean(axis=0)
            difference = losses[:, 0] - losses[:, 1]
            error = difference.std(ddof=1) / np.sqrt(SEEDS)
            report.add(
                Result(
                    bench="har",
                    case=f"{world}, {name}",
                    contender="sigmaHAR",
                    figures={
                        "QLIKE": f"{fitted:.3f}",
                        "with prior weights": f"{prior:.3f}",
                        "difference": f"{difference.mean():+.3f} +- {error:.3f}",
                    },
                    assumptions={"days seen": SEEN // DAY, "seeds": SEEDS},
                )
            )


def _clustered(random: Generator) -> tuple[Floats, Floats]:
    n = DAYS * DAY
    log_sigma = np.zeros(n)
    for sd, memory in ((0.5, 2 * DAY), (0.45, 90)):
        shocks = random.normal(0, sd * np.sqrt(2 / memory), n)
        state = random.normal(0, sd)
        for minute in range(n):
            state += shocks[minute] - state / memory
            log_sigma[minute] += state
    wave = 1 + 0.5 * np.sin(2 * np.pi * np.arange(n) / DAY)
    variances = DAILY**2 / DAY * np.exp(2 * log_sigma - 2 * (0.5**2 + 0.45**2)) * wave
    return _closes(variances, random.standard_t(5, n) * np.sqrt(3 / 5)), variances


def _by_day(random: Generator) -> tuple[Floats, Floats]:
    logs = np.cumsum(random.normal(0, 0.1, DAYS))
    variances = np.repeat(DAILY**2 / DAY * np.exp(logs), DAY)
    return _closes(variances, random.standard_t(4, DAYS * DAY) / np.sqrt(2)), variances


def _closes(variances: Floats, shocks: Floats) -> Floats:
    return np.asarray(100 * np.exp(np.cumsum(np.sqrt(variances) * shocks)))


def _sparse(share: float) -> Callable[[int], Integers]:
    return lambda seed: np.flatnonzero(Generator(Philox(key=1_000 + seed)).random(DAYS * DAY) < share)


WORLDS: Final[Mapping[str, Callable[[Generator], tuple[Floats, Floats]]]] = {
    "volatility clusters": _clustered,
    "volatility changes by the day": _by_day,
}
BARS: Final[Mapping[str, Callable[[int], Integers]]] = {
    "each minute": lambda _: np.arange(DAYS * DAY),
    "5-minute bars": lambda _: np.arange(4, DAYS * DAY, 5),
    "each third minute": lambda _: np.arange(0, DAYS * DAY, 3),
    "a third of them": _sparse(1 / 3),
    "an eighth of them": _sparse(1 / 8),
}


def _losses(closes: Floats, variances: Floats, bars: Integers) -> tuple[float, float]:
    """Return the mean QLIKE of a path, with fitted and with prior weights."""
    ours, prior = [], []
    for now in range(SEEN, len(closes) - har.AHEAD, EVERY):
        seen = bars[(bars >= now - SEEN) & (bars < now)]
        said = har.forecast((seen * MINUTE_NS).tolist(), closes[seen].tolist())
        if said is None:
            raise ValueError(f"no forecast from {len(seen)} bars")
        y = float(variances[now : now + har.AHEAD].mean()) * DAY
        ours.append(_qlike(y, said.sigma**2))
        prior.append(_qlike(y, float(har.BETA0 @ said.features)))
    return float(np.mean(ours)), float(np.mean(prior))


def _qlike(y: float, forecasted: float) -> float:
    return y / forecasted - float(np.log(y / forecasted)) - 1
