"""An order split over venues against the same at the best single venue, both filled by the paper broker.

Both contenders see the same books and each only what its own orders took. The cost is what was paid with fees
against the mids at the decision, so what the market does while an order waits is in both. The difference is
taken parent by parent; its interval is a bootstrap over decisions, as those of one moment share its market.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from math import fsum
from statistics import fmean, median
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.random import Generator, Philox

from libs.common.live_books import PATIENCE
from services.execution.broker.paper_broker import Terms
from services.execution.decide.alternatives import PlanInputs
from services.execution.decide.cost import PRIOR
from services.execution.decide.offers import Offer, beside_bps
from services.execution.decide.planner import CannotPlanError
from services.execution.decide.profile import BUCKETS, VolumeProfile
from services.execution.decide.split import Split, SplitInputs, split
from services.venues.costs import Terms as VenueTerms
from services.venues.smart_router import Offer as Asked
from services.venues.smart_router import Policy, Wish, route
from tests.bench.report import Report, Result
from tests.bench.split_markets import fee_of, has_recording, instrument_in, recorded, simulated
from tests.bench.split_work import Work, a_work

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from libs.common.events import TakerSide
    from services.venues.smart_router import Routing
    from tests.bench.split_markets import Frame

SEEDS: Final = (1, 2, 3)
VENUES: Final = (
    ("binance", "okx"),
    ("binance", "okx", "bybit"),
    ("binance", "okx", "bybit", "kraken", "coinbase"),
)
SECONDS: Final = 300.0
SETTLE_S: Final = 60.0  # before the first decision: volumes are measured
EVERY_S: Final = 20.0  # a decision
DEADLINE_S: Final = 120.0
SIZES: Final = (0.02, 0.1, 0.3, 0.7, 1.5)  # of what the deepest book shows
URGENCIES: Final = (0.3, 0.8)
LATENCY_MS: Final = (10.0, 25.0, 40.0, 60.0, 80.0)  # by place in the list of venues
SIGMA_DAY: Final = 0.03
HALF_LIFE_NS: Final = 20_000_000_000
SAMPLES: Final = 4_000
POLICY: Final = Policy(PATIENCE["scoring"], off_market_bps=50.0, min_rate_remaining=0.05, max_failures=5)


@dataclass(frozen=True)
class World:
    """Venues with their fees and latencies."""

    venues: tuple[str, ...]
    fees: dict[str, float]

    @property
    def latency_ms(self) -> dict[str, float]:
        return dict(zip(self.venues, LATENCY_MS, strict=False))

    @property
    def terms(self) -> dict[str, Terms]:
        return {
            venue: Terms(
                lot=instrument_in(venue).lot,
                taker_bps=Decimal(repr(self.fees[venue])),
                maker_bps=Decimal(0),
                half_life_ns=HALF_LIFE_NS,
            )
            for venue in self.venues
        }


@dataclass(frozen=True)
class Parent:
    """One order by both contenders."""

    decision: tuple[int, int]  # seed and time
    size: float  # of the deepest book
    urgency: float
    split: Split
    works: tuple[Work, Work]  # single, split
    saving_bps: float

    @property
    def done(self) -> bool:
        """Both have filled it."""
        return all(work.done for work in self.works)

    @property
    def saved_bps(self) -> float:
        single, divided = self.works
        return single.cost_bps - divided.cost_bps


def run(report: Report) -> None:
    """Print what splitting saves, by number of venues, size and urgency."""
    for venues in VENUES:
        worlds = _worlds(venues)
        found: dict[str, list[Parent]] = {fees: [] for fees in worlds}
        for seed in SEEDS:
            for fees, parent in _parents(worlds, seed, simulated(seed, venues, SECONDS)):
                found[fees].append(parent)
        for fees, parents in found.items():
            _table(report, f"simulator, {len(venues)} venues, {fees}", parents)
    if not has_recording():
        report.skip("splits on the recording", "Binance's spot and USD-M recordings are absent")
        return
    worlds = _worlds(("binance", "binance-usdm"))
    found = {fees: [] for fees in worlds}
    for fees, parent in _parents(worlds, 0, recorded()):
        found[fees].append(parent)
    for fees, parents in found.items():
        _table(report, f"recording, spot and USD-M, {fees}", parents)


def _worlds(venues: tuple[str, ...]) -> dict[str, World]:
    return {
        "equal fees": World(venues, dict.fromkeys(venues, 10.0)),
        "fees of the table": World(venues, {venue: fee_of(venue) for venue in venues}),
    }


def _parents(worlds: dict[str, World], seed: int, frames: Iterable[Frame]) -> Iterator[tuple[str, Parent]]:
    """Yield the orders that both contenders filled, with the name of their world.

    What the end of the market cut off is in neither contender.
    """
    terms = {fees: world.terms for fees, world in worlds.items()}
    open_: list[tuple[str, Parent]] = []
    begin = next_ts = 0
    for frame in frames:
        if not begin:
            begin, next_ts = frame.ts, frame.ts + round(SETTLE_S * 1e9)
        for fees, each in open_:
            for work in each.works:
                work.to(frame.tops, terms[fees], frame.ts)
        yield from (each for each in open_ if each[1].done)
        open_ = [each for each in open_ if not each[1].done]
        if frame.ts >= next_ts and all(frame.tops.keys() >= set(world.venues) for world in worlds.values()):
            next_ts += round(EVERY_S * 1e9)
            for fees, world in worlds.items():
                decided = _decided(world, seed, frame, (frame.ts - begin) / 1e9)
                open_ += [(fees, parent) for parent in decided]


def _decided(world: World, seed: int, frame: Frame, elapsed_s: float) -> Iterator[Parent]:
    for side in ("buy", "sell"):
        shown = max(_shown(frame, venue, side) for venue in world.venues)
        for size in SIZES:
            for urgency in URGENCIES:
                lot = max(instrument_in(venue).lot for venue in world.venues)
                quantity = Decimal(repr(size * shown))
                quantity -= quantity % lot
                offers, shares = _offers(world, frame, elapsed_s, side, quantity, urgency)
                name = str(uuid5(NAMESPACE_URL, f"{seed}/{frame.ts}/{side}/{size}/{urgency}"))
                inputs = SplitInputs(offers=offers, quantity=quantity, shares=shares, max_venues=3)
                one = SplitInputs(offers=offers, quantity=quantity, shares={}, max_venues=1)
                try:
                    single, divided = split(one, name), split(inputs, name)
                except CannotPlanError:
                    continue
                mid = median(top.features.mid for top in frame.tops.values() if top.features)
                latency_ns = {venue: round(ms * 1e6) for venue, ms in world.latency_ms.items()}
                works = tuple(a_work(each, side, mid, latency_ns, frame.ts) for each in (single, divided))
                yield Parent(
                    (seed, frame.ts), size, urgency, divided, (works[0], works[1]), divided.saving_bps
                )


def _depth(frame: Frame, venue: str, side: TakerSide) -> float:
    features = frame.tops[venue].features
    assert features is not None
    return features.depth_ask if side == "buy" else features.depth_bid


def _shown(frame: Frame, venue: str, side: TakerSide) -> float:
    top = frame.tops[venue]
    return fsum(size for _, size in (top.asks if side == "buy" else top.bids))


def _offers(
    world: World, frame: Frame, elapsed_s: float, side: TakerSide, quantity: Decimal, urgency: float
) -> tuple[tuple[Offer, ...], dict[str, Decimal]]:
    """Return what each venue offers, and the allocation of the venues service over at most three."""
    routing = _routed(world, frame, side, float(quantity))
    beside = {
        each.venue: beside_bps(each.cost_bps) for each in routing.candidates if each.cost_bps is not None
    }
    offers = tuple(
        Offer(
            inputs=_inputs(frame, venue, elapsed_s, side, quantity, urgency),
            taker_bps=world.fees[venue],
            latency_ms=world.latency_ms[venue],
            beside_bps=beside[venue],
        )
        for venue in world.venues
        if venue in beside
    )
    return offers, {each.venue: Decimal(repr(each.size)) for each in routing.allocation}


def _routed(world: World, frame: Frame, side: TakerSide, size: float) -> Routing:
    asked = [
        Asked(
            venue,
            frame.tops[venue],
            None,
            instrument_in(venue),
            VenueTerms(world.fees[venue], SIGMA_DAY, world.latency_ms[venue] / 1e3, 300.0, 1.0, 1.0),
            0,
        )
        for venue in world.venues
    ]
    return route(asked, side, size, POLICY, Wish(most=3))


def _inputs(
    frame: Frame, venue: str, elapsed_s: float, side: TakerSide, quantity: Decimal, urgency: float
) -> PlanInputs:
    top, instrument = frame.tops[venue], instrument_in(venue)
    assert top.features is not None
    rate = frame.volumes[venue] / elapsed_s
    return PlanInputs(
        venue=venue,
        side=side,
        quantity=quantity,
        urgency=urgency,
        now=frame.ts,
        levels=top.asks if side == "buy" else top.bids,
        mid=top.features.mid,
        spread_bps=top.features.spread_bps,
        depth=_depth(frame, venue, side),
        sigma_day=SIGMA_DAY,
        cost=PRIOR,
        volume=VolumeProfile(expected=(rate * 300.0,) * BUCKETS, days=1, cv=0.6, cv_left=0.6, rate=rate),
        tick=instrument.tick,
        lot=instrument.lot,
        min_qty=instrument.min_qty,
        min_notional=instrument.min_notional,
        deadline_s=DEADLINE_S,
    )


def _table(report: Report, case: str, parents: Sequence[Parent]) -> None:
    groups: dict[str, list[Parent]] = defaultdict(list)
    for each in parents:
        groups[f"{each.size:g} of the book, urgency {each.urgency:g}"].append(each)
        groups["all"].append(each)
    for name, group in groups.items():
        low, high = _interval(group)
        divided = [each for each in group if len(each.split.legs) > 1]
        predicted = [each.saving_bps for each in group]
        report.add(
            Result(
                bench="splits",
                case=case,
                contender=name,
                figures={
                    "parents": len(group),
                    "split": f"{len(divided) / len(group):.0%}",
                    "single, bps": fmean(each.works[0].cost_bps for each in group),
                    "split, bps": fmean(each.works[1].cost_bps for each in group),
                    "saved, bps": f"{fmean(each.saved_bps for each in group):.3f} ({low:.3f} to {high:.3f})",
                    "predicted, bps": fmean(predicted),
                },
                assumptions={
                    "mid": "median of the venues at the decision",
                    "half-life of what is taken": "20 s",
                },
            )
        )


def _interval(group: Sequence[Parent]) -> tuple[float, float]:
    """Return the 95 % interval of the mean saved, by a bootstrap over decisions, bps."""
    by_decision: dict[tuple[int, int], list[float]] = defaultdict(list)
    for each in group:
        by_decision[each.decision].append(each.saved_bps)
    sums = np.array([sum(saved) for saved in by_decision.values()])
    counts = np.array([len(saved) for saved in by_decision.values()])
    drawn = Generator(Philox(key=7)).integers(0, len(sums), (SAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
