"""How well the paper broker's queue says which resting orders are filled, where the true queue is known.

Orders of a tenth of their level join the best or the next level of the simulator's books; its layer of single
orders says when each would have been filled. At 1, 5 and 30 s every rule says with what probability the whole
order is filled by then, given all that the feed told until then. Scores on `TEST` seeds, on which nothing was
fitted: Brier score, and log loss with probabilities kept within [.001, .999]. A rule that says 0 or 1 is also
scored as a forecaster: with how often it was right on the `FIT` seeds, at that horizon, as its probability.
What trades through the price, or comes to it from the other side, fills with its size by every rule but the
touch, so that the queue alone is compared.

Intervals: bootstrap over the worlds (a seed at a venue), as orders of one world are not independent; of the
difference to the estimate, paired. The world is ours: how orders cancel is an assumption (see
`simulator/exchange_orders.py`), and the law's default is learnt in it.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.random import Generator, Philox

from libs.common.time_units import NS_PER_MS
from services.execution.broker.queue_position import FrontLaw, learn
from simulator.exchange_orders import HASTE_SD
from tests.bench.report import Report, Result
from tests.queue_episodes import HORIZONS_S, Outcome, episodes
from tests.queue_rules import (
    Estimated,
    Estimated01,
    Probable,
    RiskAverse,
    Touch,
    TradeThrough,
    logarithmic,
    power,
    power3,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from tests.queue_episodes import Estimate

FIT: Final = (1, 2, 3, 4)
TEST: Final = tuple(range(101, 113))
VENUES: Final = ("kraken", "binance")
LASTS_S: Final = 300.0
CASES: Final = {  # how often levels are told, and how much orders differ in when they cancel
    "each change": (0, HASTE_SD),
    "levels each 100 ms": (100 * NS_PER_MS, HASTE_SD),
    "each change, all cancel alike": (0, 0.0),
}
RESAMPLES: Final = 2_000
EDGE: Final = 1e-3
BINS: Final = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
RULES: Final[dict[str, Callable[[float, float], Estimate]]] = {
    "touch fills": Touch,
    "trade through fills": TradeThrough,
    "hftbacktest risk averse": RiskAverse,
    "hftbacktest log": partial(Probable, logarithmic),
    "hftbacktest x^2": partial(Probable, power(2.0)),
    "hftbacktest x^3": partial(Probable, power(3.0)),
    "hftbacktest power3, n 3": partial(Probable, power3(3.0)),
}


def run(report: Report) -> None:
    """Learn the law, and compare."""
    report.say("queue_fills: which resting orders are filled, by the queue and by plain rules")
    for venue in VENUES:
        law, seen = learnt(venue)
        figures = {"b": round(law.b, 3), "n": round(law.n, 3), "cancellations": seen}
        report.add(
            Result(bench="queue_fills", case="law learnt on the fit seeds", contender=venue, figures=figures)
        )
    for case, (batch_ns, haste_sd) in CASES.items():
        fitted = list(outcomes(FIT, batch_ns, haste_sd))
        tested = list(outcomes(TEST, batch_ns, haste_sd))
        for horizon_s in HORIZONS_S:
            _compare(report, f"{case}, {horizon_s:g} s", at(fitted, horizon_s), at(tested, horizon_s))
        _reliability(report, case, tested)


def learnt(venue: str, seeds: Sequence[int] = FIT) -> tuple[FrontLaw, int]:
    """Return the law that the single orders of these seeds teach, from a flat start, and of how many."""
    law, seen = FrontLaw(b=0.0, n=1.0, precision=(1.0, 0.0, 1.0)), 0

    def hear(x: float, front: bool) -> None:  # noqa: FBT001 -- called by place
        nonlocal law, seen
        law, seen = learn(law, x, front=front), seen + 1

    for seed in seeds:
        episodes(seed, venue, (), lasts_s=LASTS_S, hear=hear)
    return law, seen


def contenders() -> dict[str, Callable[[float, float], Estimate]]:
    """Return the rules by name, the estimate and its decisions first."""
    law = FrontLaw()
    return {"estimate": partial(Estimated, law), "estimate, decided": partial(Estimated01, law), **RULES}


def outcomes(seeds: Sequence[int], batch_ns: int, haste_sd: float) -> Iterator[Outcome]:
    """Yield what became of the orders of these seeds, at every venue."""
    makers = tuple(contenders().values())
    for seed in seeds:
        for venue in VENUES:
            yield from episodes(seed, venue, makers, lasts_s=LASTS_S, batch_ns=batch_ns, haste_sd=haste_sd)


def at(found: Sequence[Outcome], horizon_s: float) -> list[Outcome]:
    """Return those of one horizon."""
    return [each for each in found if each.horizon_s == horizon_s]


def losses(said: NDArray[np.float64], filled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Brier score and log loss of each, shape (2, orders)."""
    kept = np.clip(said, EDGE, 1.0 - EDGE)
    return np.array([(said - filled) ** 2, -np.log(np.where(filled > 0, kept, 1.0 - kept))])


def forecast(
    said: NDArray[np.float64], fit_said: NDArray[np.float64], fit_filled: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a 0/1 rule's words as how often orders were filled when it said so."""
    rate = [
        (fit_filled[fit_said == word].sum() + 0.5) / ((fit_said == word).sum() + 1.0) for word in (0.0, 1.0)
    ]
    found: NDArray[np.float64] = np.where(said > 0, rate[1], rate[0])
    return found


def by_world(
    loss: NDArray[np.float64], tested: Sequence[Outcome]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sums of losses, shape (2, worlds), and numbers of orders, by world."""
    worlds: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, each in enumerate(tested):
        worlds[each.seed, each.venue].append(place)
    sums = np.array([loss[:, places].sum(axis=1) for places in worlds.values()]).T
    return sums, np.array([len(places) for places in worlds.values()], dtype=float)


def _compare(report: Report, case: str, fitted: Sequence[Outcome], tested: Sequence[Outcome]) -> None:
    truth, fit_truth = (np.array([float(each.filled) for each in of]) for of in (tested, fitted))
    said, fit_said = (np.array([each.said for each in of]).T for of in (tested, fitted))
    chance = Generator(Philox(key=7))
    ours, counts = by_world(losses(said[0], truth), tested)
    chosen = chance.integers(0, len(counts), (RESAMPLES, len(counts)))
    for place, name in enumerate(contenders()):
        words = said[place]
        sums, _ = by_world(losses(words, truth), tested)
        figures: dict[str, float | int | str] = {
            "orders": len(tested),
            "filled": round(float(truth.mean()), 3),
            "brier": _interval(sums[0], counts, chosen),
            "log_loss": _interval(sums[1], counts, chosen),
        }
        if place:
            figures["brier_less_estimate"] = _interval(sums[0] - ours[0], counts, chosen)
            figures["log_loss_less_estimate"] = _interval(sums[1] - ours[1], counts, chosen)
            softened, _ = by_world(losses(forecast(words, fit_said[place], fit_truth), truth), tested)
            figures["as_forecast_brier_less_estimate"] = _interval(softened[0] - ours[0], counts, chosen)
            figures["as_forecast_log_loss_less_estimate"] = _interval(softened[1] - ours[1], counts, chosen)
        report.add(Result(bench="queue_fills", case=case, contender=name, figures=figures))


def _interval(sums: NDArray[np.float64], counts: NDArray[np.float64], chosen: NDArray[np.int64]) -> str:
    """Return a mean and its 95 % bootstrap interval."""
    drawn = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{sums.sum() / counts.sum():.4f} ({low:.4f} to {high:.4f})"


def _reliability(report: Report, case: str, tested: Sequence[Outcome]) -> None:
    """Say how often orders were filled of which the estimate said so."""
    said = np.array([each.said[0] for each in tested])
    truth = np.array([float(each.filled) for each in tested])
    for low, high in pairwise(BINS):
        within = (said >= low) & ((said < high) | ((high == 1.0) & (said <= high)))
        if within.any():
            figures = {
                "orders": int(within.sum()),
                "said": round(float(said[within].mean()), 3),
                "filled": round(float(truth[within].mean()), 3),
            }
            report.add(
                Result(
                    bench="queue_fills",
                    case=f"{case}, reliability",
                    contender=f"{low:g} to {high:g}",
                    figures=figures,
                )
            )
