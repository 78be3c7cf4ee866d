"""How fast a book comes back after trades, and what an order for its best level each second buys on paper.

The half-life is read off an impulse response by local projections (Jordà 2005): of the volume between the
best price before a trade and a price some bps beyond it, at several times after, on the volume traded in a
tenth of a second, with the trades of the two seconds before and the volume itself as controls; the
exponential that fits the response best; quartiles by weighting blocks of ten seconds at random (Bayesian
bootstrap).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.random import Generator, Philox

from libs.common.events import TakerSide  # noqa: TC001 -- part of a NamedTuple
from services.execution.broker.exact_amounts import exact
from services.execution.broker.paper_broker import Terms, arrive, check
from services.execution.settings import ExecutionSettings
from services.l2.feeds.binance import BinanceFeed
from services.l2.feeds.binance_futures import BinanceFuturesFeed
from services.l2.feeds.venue_messages import VenueDelta, VenueTrade
from services.l2.maintainer import BookMaintainer
from simulator.recordings import RestReply, open_recording
from tests.bench.report import Report, Result
from tests.execution_market import a_book_top, an_order
from tests.recordings import BINANCE_SPOT, BINANCE_USDM

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from libs.common.events import BookTop, Level, PaperOrder
    from services.execution.broker.self_impact import SelfImpact
    from services.l2.feeds.feed import Feed

SYMBOL: Final = "BTC-USDT"
LEVELS: Final = 200  # a side, of which orders are offered the first 50
OFFERED: Final = 50
SETTLE_NS: Final = 15_000_000_000
SIZES: Final = (Decimal("0.02"), Decimal("0.5"), Decimal(5))  # BTC
BID_EVERY_NS: Final = 3_000_000_000
REST_NS: Final = 30_000_000_000
GRID_NS: Final = 100_000_000
BANDS_BPS: Final = (1.0, 2.0, 5.0)
# steps of the grid
AHEAD: Final = np.array((1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 130, 160, 200, 250, 300))
LAGS: Final = 20
BLOCK: Final = 100
DRAWS: Final = 60
HALF_LIVES_S: Final = np.geomspace(0.5, 200, 120)
RECORDED: Final[dict[str, tuple[Feed, tuple[Path, ...]]]] = {
    "spot": (BinanceFeed(), BINANCE_SPOT),
    "usdm": (BinanceFuturesFeed("binance-usdm", "/fapi/v1"), (BINANCE_USDM,)),
}


class Look(NamedTuple):
    """One side each of a book at one moment."""

    ts: int  # of its receipt, ns
    venue_ts: int
    asks: tuple[Level, ...]
    bids: tuple[Level, ...]


class Traded(NamedTuple):
    """A trade of somebody."""

    ts: int
    venue_ts: int
    side: TakerSide
    size: float


def run(report: Report) -> None:
    """Print half-lives, and the shares of all that takers bought which orders in a row buy on paper."""
    for name, (feed, paths) in RECORDED.items():
        if not all(path.is_file() for path in paths):
            report.skip("resilience", f"the {name} recording is absent")
            continue
        looks, trades = _recorded(feed, paths)
        half_life_s = ExecutionSettings().book_half_life_s
        figures = {}
        for band_bps in BANDS_BPS:
            lower, best, upper = _half_life(looks, trades, band_bps)
            figures[f"half-life within {band_bps:g} bps, s"] = f"{best:.0f} ({lower:.0f} to {upper:.0f})"
        for every_s in (1, 15):
            share, bps = _bought(looks, trades, every_s, half_life_s)
            figures[f"best ask each {every_s} s, share of all bought"] = f"{share:.1%} at {bps:.3f} bps"
        for size in SIZES:
            filled, share = _rested(looks, trades, size, half_life_s)
            figures[f"bids of {size} BTC that are filled, share of all sold"] = f"{filled:.1%}, {share:.0%}"
        report.add(
            Result(
                bench="resilience",
                case=f"{name} {SYMBOL}",
                contender=f"half-life {half_life_s:.0f} s",
                figures=figures,
                assumptions={"book": "the recorded one, without what the orders before have taken of it"},
            )
        )


def _recorded(feed: Feed, paths: tuple[Path, ...]) -> tuple[list[Look], list[Traded]]:
    book = BookMaintainer(feed, SYMBOL, 0, 10_000, "bench")
    book.sync(0, "a bench")
    looks: list[Look] = []
    trades: list[Traded] = []
    for path in paths:
        for record in open_recording(path).records():
            if isinstance(record, RestReply):
                book.on_snapshot(feed.parse_snapshot(record.text.encode()), record.ts)
                continue
            for message in feed.parse(record.text.encode(), SYMBOL):
                if isinstance(message, VenueTrade):
                    trades.append(Traded(record.ts, message.venue_ts, message.side, message.size))
                elif isinstance(message, VenueDelta):
                    book.on_delta(message, record.ts)
                    if book.live and message.venue_ts is not None:
                        asks, bids = book.book.asks(LEVELS), book.book.bids(LEVELS)
                        looks.append(Look(record.ts, message.venue_ts, asks, bids))
    return looks, trades


def _half_life(looks: list[Look], trades: list[Traded], band_bps: float) -> tuple[float, float, float]:
    """Return the quartile below, the estimate and the quartile above, seconds."""
    times = np.array([look.venue_ts for look in looks])
    grid = np.arange(times[0], times[-1], GRID_NS)
    seen = [looks[at] for at in np.searchsorted(times, grid, side="right") - 1]
    traded = np.zeros((2, len(grid) + 1))
    for trade in trades:
        traded[int(trade.side == "sell"), np.searchsorted(grid, trade.venue_ts)] += trade.size
    problems = [_projection(seen, traded[:, :-1], side, band_bps) for side in (0, 1)]
    rows = len(problems[0][0])
    random = Generator(Philox(key=1))
    drawn = [
        _fitted(problems, random.exponential(size=rows // BLOCK + 1).repeat(BLOCK)[:rows])
        for _ in range(DRAWS)
    ]
    lower, upper = np.quantile(drawn, (0.25, 0.75))
    return float(lower), _fitted(problems, np.ones(rows)), float(upper)


def _projection(
    seen: list[Look], traded: NDArray[np.float64], side: int, band_bps: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return X, whose second column is the volume that takers of the side traded, and Y by time after."""
    sign = 1 - 2 * side
    levels = [np.array(look.bids if side else look.asks) for look in seen]
    prices = [sign * each[:, 0] for each in levels]  # ascending
    sums = [np.concatenate(([0.0], np.cumsum(each[:, 1]))) for each in levels]

    def volume(at: int, to: float) -> float:
        return float(sums[at][np.searchsorted(prices[at], to, side="right")])

    rows = np.arange(LAGS + 1, len(seen) - int(AHEAD.max()) - 1)
    reach = [best[0] + abs(best[0]) * band_bps / 1e4 for best in prices]
    before = np.array([volume(at - 1, reach[at - 1]) for at in rows.tolist()])
    Y = (
        np.array([[volume(at + ahead, reach[at - 1]) for ahead in AHEAD] for at in rows.tolist()])
        - before[:, None]
    )
    lagged = [traded[s][rows - lag] for lag in range(LAGS + 1) for s in (0, 1) if lag or s != side]
    return np.column_stack([np.ones(len(rows)), traded[side][rows], *lagged, before]), Y


def _fitted(
    problems: list[tuple[NDArray[np.float64], NDArray[np.float64]]], weights: NDArray[np.float64]
) -> float:
    """Return the half-life of the exponential nearest to the mean response of both sides, s."""
    root = np.sqrt(weights)[:, None]
    responses = [np.linalg.lstsq(X * root, Y * root, rcond=None)[0][1] for X, Y in problems]
    gone = -np.mean(responses, axis=0)
    shapes = 2.0 ** (-AHEAD[None, :] * (GRID_NS / 1e9) / HALF_LIVES_S[:, None])
    scales = shapes @ gone / np.square(shapes).sum(axis=1)
    misses = np.square(gone - scales[:, None] * shapes).sum(axis=1)
    return float(HALF_LIVES_S[int(misses.argmin())])


def _bought(
    looks: list[Look], trades: list[Traded], every_s: float, half_life_s: float
) -> tuple[float, float]:
    """Return the share of all bought that orders for the best ask buy, and their price over the mid, bps."""
    terms = _terms(half_life_s)
    impact: SelfImpact | None = None
    start = due = looks[0].ts + SETTLE_NS
    bought = paid = 0.0
    for look in looks:
        if look.ts < due:
            continue
        due += round(every_s * 1e9)
        top = _top(look)
        order = an_order(
            order_qty=exact(look.asks[0][1]),
            ord_type="limit",
            price=exact(look.asks[0][0]),
            time_in_force="ioc",
        )
        worked = arrive(order, top, impact, terms, look.ts)
        impact = worked.impact
        mid = (look.asks[0][0] + look.bids[0][0]) / 2
        for fill in worked.fills:
            bought += float(fill.last_qty)
            paid += float(fill.last_qty) * (float(fill.last_px) / mid - 1) * 1e4
    everybody = sum(trade.size for trade in trades if trade.side == "buy" and trade.ts >= start)
    return bought / everybody, paid / bought


def _rested(
    looks: list[Look], trades: list[Traded], size: Decimal, half_life_s: float
) -> tuple[float, float]:
    """Return how much of bids at the best bid, one each 3 s for 30 s, is filled, and of all that is sold."""
    terms = _terms(half_life_s)
    impact: SelfImpact | None = None
    start = due = looks[0].ts + SETTLE_NS
    resting: list[tuple[PaperOrder, int]] = []
    placed = filled = Decimal(0)
    for look in looks:
        top = None
        still = []
        for order, until in resting:
            if order.price is not None and order.price >= exact(look.asks[0][0]):
                top = top or _top(look)
                worked = check(order, top, impact, terms, look.ts)
                impact = worked.impact
                filled += worked.order.cum_qty - order.cum_qty
                order = worked.order  # noqa: PLW2901 -- it goes on as this
            if order.ord_status.open and look.ts < until:
                still.append((order, until))
        resting = still
        if due <= look.ts < looks[-1].ts - REST_NS:
            due = look.ts + BID_EVERY_NS
            bid = exact(look.bids[0][0])
            placed += size
            order = an_order(order_qty=size, ord_type="limit", price=bid, time_in_force="gtc")
            resting.append((arrive(order, _top(look), impact, terms, look.ts).order, look.ts + REST_NS))
    everybody = sum(trade.size for trade in trades if trade.side == "sell" and trade.ts >= start)
    return float(filled / placed), float(filled) / everybody


def _terms(half_life_s: float) -> Terms:
    return Terms(
        lot=Decimal("0.00001"),
        taker_bps=Decimal(10),
        maker_bps=Decimal(10),
        half_life_ns=round(half_life_s * 1e9),
    )


def _top(look: Look) -> BookTop:
    return a_book_top(asks=look.asks[:OFFERED], bids=look.bids[:OFFERED], received_ts=look.ts)
