"""Schedules on the Binance spot recording against its traded VWAP, and the time that a plan takes.

Paper fills walk the recorded book at their time and leave it as it was, so this says what waiting and the
size of children cost, not what a real order would have moved. One path of eleven minutes: no ranking of the
styles follows from it. Beside it the objective of each style over that of the best schedule there is, a
second-order cone programme over the shares on the same grid of 15 s (Almgren & Chriss, 2001).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from numpy.random import Generator, Philox

from libs.common.all_in_price import walk
from libs.common.events import PlanAlternative
from services.execution.decide.alternatives import PlanInputs, Style
from services.execution.decide.calibration import CostObservation, fit
from services.execution.decide.cost import PRIOR
from services.execution.decide.planner import plan, slices_of
from services.execution.decide.profile import BUCKETS, VolumeProfile
from services.execution.decide.slicing import pov_child, smallest_child
from services.l2.feeds.binance import BinanceFeed
from services.l2.feeds.venue_messages import VenueDelta, VenueTrade
from services.l2.maintainer import BookMaintainer
from simulator.recordings import RestReply, open_recording
from tests.bench.chunks import in_turn, on_cores
from tests.bench.report import Report, Result, quartiles
from tests.recordings import BINANCE_SPOT
from tests.schedule_problems import FLAT, FLAT_LEVELS, MID, optimum_bps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.order_book import OrderBook

SYMBOL: Final = "BTC-USDT"
QUANTITY: Final = Decimal(20)  # BTC
HORIZON_S: Final = 600.0
CHILDREN: Final = 40
RHO: Final = 0.05
SETTLE_NS: Final = 15_000_000_000  # from the first frame to the decision: the book is joined by then
LOT: Final = Decimal("0.00001")
CHUNKS: Final = 20
PLANS: Final = 100  # a chunk
BUCKET_NS: Final = 300_000_000_000
QUANTITIES: Final = (10, 50, 200, 1000)  # BTC
URGENCIES: Final = (0.3, 0.5, 0.7, 0.9)


@dataclass
class _Work:
    """A schedule at work: what is due, and what it has paid."""

    due: list[tuple[int, Decimal]] = field(default_factory=list)
    filled: Decimal = Decimal(0)
    paid: float = 0.0
    children: int = 0

    def take(self, book: OrderBook, qty: Decimal) -> None:
        walked = walk(book.asks(), float(qty))
        if walked is None:
            raise ValueError(f"the recorded book holds less than {qty}")
        self.filled += qty
        self.paid += float(qty) * walked.vwap
        self.children += 1


def run(report: Report) -> None:
    """Print the schedules' excess over the optimum, the time of a plan, and the schedules' cost."""
    _excess(report)
    _time_plan(report)
    if not all(path.is_file() for path in BINANCE_SPOT):
        report.skip("schedules", "the Binance spot recording is absent")
        return
    trades = [(ts, trade) for ts, trade, _ in _played() if trade is not None]
    volume = sum(trade.size for _, trade in trades)
    traded_vwap = sum(trade.size * trade.price for _, trade in trades) / volume
    report.say(f"schedules: {len(trades)} trades, {volume:.1f} BTC, VWAP {traded_vwap:.2f}")
    start = next(_played())[0] + SETTLE_NS
    profile = [0.0] * BUCKETS
    for ts, trade in trades:
        profile[ts // BUCKET_NS % BUCKETS] += trade.size
    known = tuple(value or 1e-9 for value in profile)
    works = {
        "TWAP": _scheduled(Style.TWAP, start, (1.0,) * BUCKETS),
        "VWAP, volume known in advance": _scheduled(Style.VWAP, start, known),
        f"POV, {RHO:.0%} of volume": _Work(),
    }
    arrival = _work(works, start)
    traded = [(ts, trade) for ts, trade in trades if start <= ts <= start + HORIZON_S * 1e9]
    window = sum(trade.size for _, trade in traded)
    vwap = sum(trade.size * trade.price for _, trade in traded) / window
    for name, work in works.items():
        price = work.paid / float(work.filled)
        report.add(
            Result(
                bench="schedules",
                case=f"buy {QUANTITY} BTC in {HORIZON_S:.0f} s",
                contender=name,
                figures={
                    "filled BTC": float(work.filled),
                    "children": work.children,
                    "average price": f"{price:.2f}",
                    "bps over VWAP of recording": f"{(price / traded_vwap - 1) * 1e4:+.2f}",
                    "bps over VWAP of window": f"{(price / vwap - 1) * 1e4:+.2f}",
                    "bps over arrival mid": f"{(price / arrival - 1) * 1e4:+.2f}",
                },
                assumptions={"fees": "none", "book": "walked at the child's time, left as it was"},
            )
        )


def _played() -> Iterator[tuple[int, VenueTrade | None, OrderBook]]:
    """Yield the time of each frame or trade, the trade, and the book then."""
    feed = BinanceFeed()
    maintainer = BookMaintainer(feed, SYMBOL, 0, 10_000, "bench")
    maintainer.sync(0, "a bench")
    for path in BINANCE_SPOT:
        for record in open_recording(path).records():
            if isinstance(record, RestReply):
                maintainer.on_snapshot(feed.parse_snapshot(record.text.encode()), record.ts)
                continue
            for message in feed.parse(record.text.encode(), SYMBOL):
                if isinstance(message, VenueDelta):
                    maintainer.on_delta(message, record.ts)
                trade = message if isinstance(message, VenueTrade) else None
                yield record.ts, trade, maintainer.book


def _work(works: dict[str, _Work], start: int) -> float:
    """Fill every schedule on one pass of the recording; return the mid at arrival."""
    pov = next(work for name, work in works.items() if name.startswith("POV"))
    arrival: float | None = None
    since, checked = 0.0, start
    for ts, trade, book in _played():
        if ts < start:
            continue
        if arrival is None:
            arrival = book.mid
        for work in works.values():
            while work.due and work.due[0][0] <= ts:
                work.take(book, work.due.pop(0)[1])
        since += trade.size if trade else 0.0
        if ts >= checked + HORIZON_S / CHILDREN * 1e9 and ts <= start + HORIZON_S * 1e9:
            checked = ts
            child = pov_child(QUANTITY - pov.filled, since, RHO, LOT, LOT)
            if child:
                pov.take(book, child)
                since = 0.0
    if arrival is None:
        raise ValueError("the recording has no two-sided book after the start")
    return arrival


def _inputs(now: int, profile: tuple[float, ...], urgency: float = 0.5) -> PlanInputs:
    mid = 61_700.0
    return PlanInputs(
        venue="binance",
        side="buy",
        quantity=QUANTITY,
        urgency=urgency,
        now=now,
        levels=tuple((mid + 0.5 + at, 1.0) for at in range(50)),
        mid=mid,
        spread_bps=0.16,
        depth=50.0,
        sigma_day=0.025,
        cost=PRIOR,
        # so much that what an order moves is nothing, and it may be sent in time
        volume=VolumeProfile(expected=profile, days=0, cv=0.6, cv_left=0.6, rate=400.0),
        tick=Decimal("0.01"),
        lot=LOT,
        min_qty=LOT,
        min_notional=Decimal(5),
    )


def _scheduled(style: Style, start: int, profile: tuple[float, ...]) -> _Work:
    """Return the planner's own children of a given style."""
    chosen = PlanAlternative(style=style, horizon_s=HORIZON_S, children=CHILDREN)
    least = smallest_child(LOT, LOT, Decimal(5), Decimal(61_700))
    slices = slices_of(_inputs(start, profile), chosen, least, Generator(Philox(key=7)))
    return _Work([(each.at_ts, each.size) for each in slices])


def _excess(report: Report) -> None:
    """Compare each style's least objective with the convex optimum on a flat book of k 5, alpha 1, D 50."""
    flat = replace(
        _inputs(0, (1.0,) * BUCKETS),
        mid=MID,
        spread_bps=0.0,
        levels=FLAT_LEVELS,
        cost=FLAT,
        volume=VolumeProfile(expected=(1.0,) * BUCKETS, days=0, cv=0.0, cv_left=0.0, rate=1e9),
    )
    for quantity in QUANTITIES:
        for urgency in URGENCIES:
            planned = plan(
                replace(flat, quantity=Decimal(quantity), urgency=urgency), Generator(Philox(key=7))
            )
            best = optimum_bps(quantity, urgency)
            figures: dict[str, float | str] = {"optimum bps": best, "chosen": str(planned.style)}
            for style in Style:
                judged = [
                    each.objective_bps
                    for each in planned.alternatives
                    if each.style is style and each.objective_bps is not None
                ]
                figures[f"{style} over it"] = f"{min(judged) / best - 1:.1%}" if judged else "-"
            report.add(
                Result(
                    bench="schedules",
                    case=f"objective of {quantity} BTC, urgency {urgency}",
                    contender="planner",
                    figures=figures,
                    assumptions={"book": "flat, 50 BTC within 10 bps", "sigma": "2.5 % a day"},
                )
            )


def _time_plan(report: Report) -> None:
    generator = Generator(Philox(key=7))
    x = generator.lognormal(-1.6, 1.0, 500).tolist()
    fills = [CostObservation(size, 6.0 * size, 6.0 * size) for size in x]
    flat = (1.0,) * BUCKETS
    waiting, at_once = _inputs(0, flat, urgency=0.05), _inputs(0, flat, urgency=1.0)
    children = len(plan(waiting, generator).slices)
    if children < 2 or len(plan(at_once, generator).slices) != 1:
        raise ValueError("the inputs no longer give one plan of many children and one of one")

    def plan_waiting(_chunk: int) -> None:
        for _ in range(PLANS):
            plan(waiting, generator)

    def plan_at_once(_chunk: int) -> None:
        for _ in range(PLANS):
            plan(at_once, generator)

    def refit(_chunk: int) -> None:
        fit(fills)

    contenders = {
        "plan, one child": plan_at_once,
        f"plan, {children} children": plan_waiting,
        "fit of 500 fills": refit,
    }
    with on_cores(1):
        taken = in_turn(contenders, range(CHUNKS))
    for name in contenders:
        calls = 1 if name.startswith("fit") else PLANS
        us = [ns / calls / 1000 for ns in taken[name]]
        report.add(
            Result(
                bench="schedules",
                case="CPU time",
                contender=name,
                figures={"us": quartiles(us).median},
                ratio=quartiles(
                    [
                        ours / (base / PLANS / 1000)
                        for ours, base in zip(us, taken["plan, one child"], strict=True)
                    ]
                ),
                baseline="plan, one child",
            )
        )
