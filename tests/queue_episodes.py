"""Orders that join queues of the simulator: what the feed tells of each, and its true place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.exchange_orders import HASTE_SD, ExchangeOrders, OrderEvent, Probe
from simulator.latent import NS_DAY, LatentPrices
from simulator.market import Market
from simulator.profiles import instrument_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulator.exchange_book import BookChange, ExchangeBook, Print, SideName

START_NS: Final = 20_500 * NS_DAY + 40_000 * NS_PER_S
SYMBOL: Final = "BTC-USDT"
HORIZONS_S: Final = (1.0, 5.0, 30.0)
EVERY_NS: Final = 2 * NS_PER_S  # a probe a side
SHARE: Final = 0.1  # of its level's size
STEP_NS: Final = 50 * NS_PER_MS
RATE: Final = 60.0  # messages a second of the one book


class Estimate(Protocol):
    """One way to say whether an order is filled, from levels and trades; sizes in base units."""

    def trade(self, size: float, ts_ns: int) -> None:
        """Take a trade at the order's price."""

    def through(self, size: float) -> None:
        """Take what traded through the price, or came to rest at it or through it from the other side."""

    def level(self, size: float, ts_ns: int) -> None:
        """Take the size that the order's level now shows, without it."""

    def probability(self) -> float:
        """Return the probability that the whole order is filled by now."""


@dataclass(slots=True)
class Outcome:
    """One order at one horizon: what each said, and what was so."""

    seed: int
    venue: str
    horizon_s: float
    said: tuple[float, ...]
    filled: bool


@dataclass(slots=True)
class _Episode:
    probe: Probe
    began_ns: int
    estimates: tuple[Estimate, ...]
    shown: float
    due: list[float] = field(default_factory=lambda: list(HORIZONS_S))


@lru_cache(maxsize=2)
def _latent(seed: int) -> LatentPrices:
    return LatentPrices(seed, (SYMBOL,))


def a_book(seed: int, venue: str) -> tuple[Market, ExchangeBook]:
    """Return a market with one book."""
    market = Market(_latent(seed), venues=(venue,), rate=RATE, start_ns=START_NS, history_days=1)
    return market, market.book(venue, SYMBOL)


def episodes(
    seed: int,
    venue: str,
    makers: Sequence[Callable[[float, float], Estimate]],
    *,
    lasts_s: float,
    batch_ns: int = 0,
    haste_sd: float = HASTE_SD,
    hear: Callable[[float, bool], None] | None = None,
) -> list[Outcome]:
    """Return what became of orders that joined the best or the next level, on either side.

    `batch_ns` is how often levels are told, 0: at each change; trades are told at once. `hear` takes each
    order that canceled at a probe's price: which share stood in front of the probe, and if it did itself.
    """
    market, book = a_book(seed, venue)
    lot = float(instrument_at(venue, SYMBOL).lot)  # base units: what some rules say depends on the unit
    under_way: list[_Episode] = []
    done: list[Outcome] = []

    def listen(event: OrderEvent) -> None:
        if event.kind != "cancel" or hear is None:
            return
        for episode in under_way:
            probe = episode.probe
            if (probe.side, probe.tick) != (event.side, event.tick) or probe.filled:
                continue
            front = event.number in probe.ahead
            total = sum(order.lots for order in orders.queue(probe.side, probe.tick)) + event.lots
            if 0 < (a := orders.ahead(probe) + event.lots * front) < total:
                hear(a / total, front)

    orders = ExchangeOrders(book, seed, hear=listen, haste_sd=haste_sd)
    next_ns, told_ns = START_NS + EVERY_NS, START_NS
    for now_ns in range(START_NS, START_NS + round(lasts_s * NS_PER_S), STEP_NS):
        for change in market.step(now_ns):
            _judge(under_way, done, change.ts_ns, seed, venue)
            orders.apply(change)
            for trade in change.prints:
                _tell_trade(under_way, trade, lot)
            _tell_cross(under_way, change, lot)
            if not batch_ns or change.ts_ns - told_ns >= batch_ns:
                told_ns = change.ts_ns
                _tell_levels(under_way, book, change.ts_ns, lot)
        _judge(under_way, done, now_ns, seed, venue)
        for gone in [each for each in under_way if not each.due]:
            orders.leave(gone.probe)
            under_way.remove(gone)
        if now_ns >= next_ns:
            next_ns += EVERY_NS
            _tell_levels(under_way, book, now_ns, lot)
            under_way += _joined(orders, book, makers, now_ns, lot)
    return done


def _joined(
    orders: ExchangeOrders,
    book: ExchangeBook,
    makers: Sequence[Callable[[float, float], Estimate]],
    now_ns: int,
    lot: float,
) -> list[_Episode]:
    found = []
    depth = (now_ns // EVERY_NS) % 2
    names: tuple[SideName, SideName] = ("bids", "asks")
    for name, side in zip(names, (book.bids, book.asks), strict=True):
        levels = list(side.levels(2))
        tick, shown = levels[min(depth, len(levels) - 1)]
        lots = max(1, int(SHARE * shown))
        estimates = tuple(make(shown * lot, lots * lot) for make in makers)
        found.append(_Episode(orders.join(name, tick, lots), now_ns, estimates, float(shown)))
    return found


def _tell_trade(under_way: list[_Episode], trade: Print, lot: float) -> None:
    hit = "asks" if trade.taker == "buy" else "bids"
    for episode in under_way:
        probe = episode.probe
        if probe.side != hit:
            continue
        for estimate in episode.estimates:
            if trade.tick == probe.tick:
                estimate.trade(trade.lots * lot, trade.ts_ns)
            elif trade.tick * probe.sign < probe.tick * probe.sign:
                estimate.through(trade.lots * lot)


def _tell_cross(under_way: list[_Episode], change: BookChange, lot: float) -> None:
    for episode in under_way:
        probe = episode.probe
        for tick, lots in change.asks if probe.side == "bids" else change.bids:
            if lots and tick * probe.sign <= probe.tick * probe.sign:
                for estimate in episode.estimates:
                    estimate.through(lots * lot)


def _tell_levels(under_way: list[_Episode], book: ExchangeBook, ts_ns: int, lot: float) -> None:
    for episode in under_way:
        probe = episode.probe
        side = book.bids if probe.side == "bids" else book.asks
        shown = float(side.lots.get(probe.tick * side.sign, 0))
        if shown == episode.shown:
            continue
        episode.shown = shown
        for estimate in episode.estimates:
            estimate.level(shown * lot, ts_ns)


def _judge(under_way: list[_Episode], done: list[Outcome], now_ns: int, seed: int, venue: str) -> None:
    """Ask each whether it is filled, where a horizon has passed before this moment."""
    for episode in under_way:
        while episode.due and episode.began_ns + round(episode.due[0] * NS_PER_S) < now_ns:
            horizon_s = episode.due.pop(0)
            said = tuple(estimate.probability() for estimate in episode.estimates)
            end_ns = episode.began_ns + round(horizon_s * NS_PER_S)
            filled = episode.probe.filled_ns is not None and episode.probe.filled_ns <= end_ns
            done.append(Outcome(seed, venue, horizon_s, said, filled))
