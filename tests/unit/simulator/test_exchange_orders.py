from __future__ import annotations

import pytest

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.exchange_book import BookChange, ExchangeBook, Print
from simulator.exchange_orders import SIDES, ExchangeOrders, OrderEvent, Probe
from tests.queue_episodes import START_NS, a_book


def a_small_book() -> ExchangeBook:
    book = ExchangeBook("binance", "BTC-USDT")
    book.place_bid(100, 10)
    book.place_bid(99, 5)
    book.place_bid(98, 5)
    book.place_bid(97, 5)
    book.place_ask(102, 10)
    book.place_ask(103, 5)
    book.commit(0)
    return book


def taken(book: ExchangeBook, lots: int, limit: int = 1) -> BookChange:
    book.take("sell", lots, limit, 1)
    change = book.commit(1)
    assert change is not None
    return change


@pytest.mark.parametrize(("lots", "filled"), [(10, 0), (11, 0), (13, 0), (15, 0), (17, 2), (20, 3)])
def test_a_probe_gets_only_what_trades_beyond_the_queue_in_front(lots: int, filled: int) -> None:
    book = a_small_book()
    orders = ExchangeOrders(book, seed=1)
    probe = orders.join("bids", 99, 3)
    orders.apply(taken(book, lots))
    assert probe.filled == filled
    assert orders.ahead(probe) == max(0, 5 - max(0, lots - 10))


def changed(ts_ns: int, bid: tuple[int, int], trade: Print) -> BookChange:
    return BookChange("binance", "BTC-USDT", ts_ns, ts_ns, [bid], [], [trade], top_moved=True)


def test_a_trade_beyond_the_queue_fills_with_its_rest_and_one_through_the_price_with_all() -> None:
    book = a_small_book()
    orders = ExchangeOrders(book, seed=1)
    first, second = orders.join("bids", 100, 3), orders.join("bids", 100, 8)
    orders.apply(changed(5, (100, 0), Print(1, 5, 100, 10, "sell")))
    assert (first.filled, second.filled) == (0, 0)
    orders.apply(changed(6, (99, 1), Print(2, 6, 99, 4, "sell")))
    assert (first.filled, first.filled_ns, second.filled, second.filled_ns) == (3, 6, 4, None)


@pytest.mark.parametrize("venue", ["kraken", "binance"])
def test_the_orders_of_each_level_sum_to_its_size_whatever_happens(venue: str) -> None:
    market, book = a_book(3, venue)
    orders = ExchangeOrders(book, seed=3)
    for step in range(1, 200):
        for change in market.step(START_NS + step * 100 * NS_PER_MS):
            orders.apply(change)
    for name in SIDES:
        side = book.bids if name == "bids" else book.asks
        for tick, lots in side.levels():
            assert sum(order.lots for order in orders.queue(name, tick)) == lots
            assert all(order.lots > 0 for order in orders.queue(name, tick))


def test_the_layer_changes_nothing_of_the_market_and_is_the_same_for_a_seed() -> None:
    plain, _ = a_book(5, "kraken")
    alone = [change for step in range(100) for change in plain.step(START_NS + step * NS_PER_S // 10)]
    told: list[list[OrderEvent]] = []
    for _ in range(2):
        market, book = a_book(5, "kraken")
        heard: list[OrderEvent] = []
        orders = ExchangeOrders(book, seed=5, hear=heard.append)
        orders.join("bids", book.bids.best, 5)
        layered = []
        for step in range(100):
            for change in market.step(START_NS + step * NS_PER_S // 10):
                orders.apply(change)
                layered.append(change)
        assert layered == alone
        told.append(heard)
    assert told[0] == told[1]
    assert len(told[0]) > 100


def replayed(log: list[OrderEvent], probe: Probe, since: int) -> int | None:
    """Return when the probe is filled, found anew: a list of all orders, searched for each event."""
    book: list[OrderEvent] = []  # in order of arrival, the probe's place among them
    lots: dict[int, int] = {}
    mine = OrderEvent("add", 0, probe.side, probe.tick, -1, probe.lots)
    filled = 0
    for place, event in enumerate(log):
        if place == since:
            book.append(mine)
        if event.kind == "add":
            book.append(event)
            lots[event.number] = event.lots
            continue
        row = next(each for each in book if each.number == event.number)
        if event.kind == "trade" and place >= since and event.side == probe.side:
            worse = event.tick * probe.sign < probe.tick * probe.sign
            behind = event.tick == probe.tick and book.index(row) > book.index(mine)
            filled += event.lots if worse or behind else 0
            if filled >= probe.lots:
                return event.ts_ns
        lots[event.number] -= event.lots
        if not lots[event.number]:
            book.remove(row)
    return None


def test_a_brute_force_replay_of_the_orders_finds_the_same_fills() -> None:
    """The replay knows single orders, and no rule of the layer: what is taken behind it was its own."""
    found = 0
    for seed in (1, 2):
        market, book = a_book(seed, "kraken")
        log: list[OrderEvent] = []
        orders = ExchangeOrders(book, seed=seed, hear=log.append)
        initial = [
            OrderEvent("add", 0, name, tick, order.number, order.lots)
            for name in SIDES
            for tick, queue in orders._queues[name].items()  # noqa: SLF001 -- all that stood before the log
            for order in queue
        ]
        log[:] = initial
        probes: list[tuple[Probe, int]] = []
        crossed: set[int] = set()
        for step in range(1, 60):
            for change in market.step(START_NS + step * NS_PER_S // 2):
                before = {id(probe): probe.filled for probe, _ in probes}
                orders.apply(change)
                if not change.prints:
                    crossed |= {id(probe) for probe, _ in probes if probe.filled != before[id(probe)]}
            if step % 3 == 0:
                side = SIDES[step % 6 == 0]
                best = book.bids.best if side == "bids" else book.asks.best
                probes.append((orders.join(side, best, 1 + book.trade_id % 7), len(log)))
        for probe, since in probes:
            if id(probe) in crossed:
                continue
            assert replayed(log, probe, since) == probe.filled_ns
            found += probe.filled_ns is not None
    assert found > 10
