"""Resting orders are filled by what trades beyond the queue in front of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from libs.common.codec import encode
from libs.common.events import BOOK, BookState, OrderCanceled, OrderFilled
from services.execution.broker.own_order import order_key
from tests.execution_market import EPOCH
from tests.standing_orders import Standing, an_id

BID = 60_000.0
LEVELS = ((BID, 3.0), (BID - 0.5, 2.0), (BID - 1.0, 4.0))


def a_service(*orders: tuple[float, str], **settings: Any) -> Standing:
    """Return a book of three bids, with buys behind them that have arrived."""
    service = Standing(**settings)
    show(service)
    for number, (price, qty) in enumerate(orders):
        service.submit(number, price=Decimal(str(price)), order_qty=Decimal(qty))
        service.pass_time(0.1)
        show(service)
    return service


def show(service: Standing, first: float = 3.0, **changes: Any) -> None:
    bids = ((BID, first), *LEVELS[1:]) if first else LEVELS[1:]
    service.book(**{"bids": bids, "venue_ts": service.now, **changes})
    service.look()


def trade(service: Standing, price: float, size: float) -> None:
    service.now += 1_000_000
    service.trade(price, size)


def fills(service: Standing) -> list[tuple[str, Decimal, Decimal]]:
    return [
        (fill.cl_ord_id, fill.last_px, fill.last_qty)
        for fill in service.told
        if isinstance(fill, OrderFilled)
    ]


def test_a_trade_fills_only_what_is_beyond_the_queue() -> None:
    service = a_service((BID, "1"))
    trade(service, BID, 3.0)
    show(service, 0.0)
    assert fills(service) == []
    trade(service, BID, 0.4)
    service.look()
    assert fills(service) == [(an_id(0), Decimal(60_000), Decimal("0.4"))]
    fill = next(event for event in service.told if isinstance(event, OrderFilled))
    assert (fill.liquidity, fill.fill_probability) == ("maker", 1.0)
    assert (fill.queue_ahead_low, fill.queue_ahead, fill.queue_ahead_high) == (0.0, 0.0, 0.0)
    trade(service, BID, 5.0)
    service.look()
    assert fills(service)[1:] == [(an_id(0), Decimal(60_000), Decimal("0.6"))]


def test_a_trade_and_the_book_that_shows_it_count_once() -> None:
    service = a_service((BID, "1"))
    trade(service, BID, 2.0)
    show(service, 1.0)
    trade(service, BID, 1.0)
    show(service, 0.0)
    assert fills(service) == []


def test_a_trade_of_buyers_and_one_at_a_better_price_fill_no_bid() -> None:
    service = a_service((BID - 0.5, "1"))
    service.now += 1
    service.trade(BID - 0.5, 100.0, "buy")
    service.trade(BID, 100.0, "sell")
    service.look()
    assert fills(service) == []


def test_what_traded_before_an_order_came_is_not_its_own() -> None:
    service = a_service((BID, "1"))
    service.trade(BID, 50.0, venue_ts=service.now - 10_000_000_000)
    service.look()
    assert fills(service) == []


def test_a_clock_that_was_set_back_blocks_no_queue() -> None:
    service = a_service((BID, "1"))
    then = service.now - 3_600_000_000_000
    service.book(bids=LEVELS, venue_ts=then)
    service.look()
    service.trade(BID, 3.5, venue_ts=then + 1)
    service.look()
    assert [qty for _, _, qty in fills(service)] == [Decimal("0.5")]


def test_a_venue_without_times_is_followed_by_when_its_messages_came() -> None:
    service = Standing()
    for first in (3.0, 3.0):
        service.book(bids=((BID, first), *LEVELS[1:]), venue_ts=None)
        service.submit(int(service.seq), price=Decimal(60_000), order_qty=Decimal(1))
        service.pass_time(0.1)
    trade(service, BID, 3.4)
    show(service, 0.0, venue_ts=None)
    assert [qty for _, _, qty in fills(service)] == [Decimal("0.4")]


def test_the_fee_is_that_of_the_accounts_tier() -> None:
    service = a_service((BID, "1"), fees="binance:7.5/-1.0")
    trade(service, BID, 4.0)
    service.look()
    (fill,) = (event for event in service.told if isinstance(event, OrderFilled))
    assert (fill.last_qty, fill.fee) == (Decimal(1), Decimal(-6))


def test_one_trade_fills_no_more_in_all_than_its_size() -> None:
    orders = [(BID, "1"), (BID, "1"), (BID - 0.5, "1"), (BID - 0.5, "2")]
    service = a_service(*orders)
    trade(service, BID - 0.5, 3.0 + 2.0)
    show(service, 0.0)
    filled = {name: qty for name, _, qty in fills(service)}
    assert filled == {an_id(0): Decimal(1), an_id(1): Decimal(1), an_id(2): Decimal(1)}


def test_own_orders_at_a_price_are_served_as_they_came() -> None:
    service = a_service((BID, "1"), (BID, "1"))
    trade(service, BID, 4.5)
    service.look()
    assert fills(service) == [
        (an_id(0), Decimal(60_000), Decimal(1)),
        (an_id(1), Decimal(60_000), Decimal("0.5")),
    ]


def test_an_order_that_improves_the_best_has_nobody_in_front() -> None:
    service = Standing()
    service.book(asks=((BID + 5.0, 1.0),), bids=LEVELS)
    service.submit(0, price=Decimal(60_002), order_qty=Decimal(1))
    service.pass_time(0.1)
    service.book(asks=((BID + 5.0, 1.0),), bids=LEVELS)
    service.look()
    trade(service, BID + 2.0, 0.3)
    service.look()
    assert fills(service) == [(an_id(0), Decimal(60_002), Decimal("0.3"))]


def test_a_book_that_may_not_be_used_fills_nothing_and_forgets_no_queue() -> None:
    service = a_service((BID, "1"))
    service.book(state=BookState.GAP, bids=LEVELS)
    trade(service, BID, 3.5)
    service.look()
    assert fills(service) == []
    show(service, 3.0, epoch=EPOCH + 1)
    assert [qty for _, _, qty in fills(service)] in ([], [Decimal("0.5")])


def test_a_restart_keeps_the_queue_and_never_shortens_it_but_to_what_the_level_shows() -> None:
    service = a_service((BID, "1"))
    successor = service.restarted()
    show(successor, 3.0)
    trade(successor, BID, 2.9)
    successor.look()
    assert fills(successor) == []
    again = service.restarted()
    show(again, 1.0)
    trade(again, BID, 1.4)
    again.look()
    assert fills(again) == [(an_id(0), Decimal(60_000), Decimal("0.4"))]


def test_a_queue_is_written_seldom_however_much_trades() -> None:
    service = Standing()
    service.book(bids=((BID, 1000.0),), venue_ts=service.now)
    service.submit(0, price=Decimal(60_000), order_qty=Decimal(1))
    service.pass_time(0.1)
    service.book(bids=((BID, 1000.0),), venue_ts=service.now)
    service.look()
    before, left = service.written["execution.state.v1"], 1000.0
    for _ in range(500):
        trade(service, BID, 1.9)
        left -= 1.9
        service.book(bids=((BID, left),), venue_ts=service.now)
        service.look()
    assert fills(service) == []
    assert 1 <= service.written["execution.state.v1"] - before <= 8


def test_the_cash_bounds_what_comes_through_the_queue() -> None:
    service = a_service((BID, "1"))
    service.fold("portfolio.risk.v1", BOOK.encode(), None)
    trade(service, BID, 9.0)
    service.look()
    assert fills(service) == []
    assert not [event for event in service.told if isinstance(event, OrderCanceled)]


def test_an_order_of_a_version_without_queues_joins_what_stands_there() -> None:
    service = a_service((BID, "1"))
    key = order_key(an_id(0))
    older = replace(service.partition.state[key], queue=None)
    service.log[key] = encode(older)
    successor = service.restarted()
    show(successor, 2.0)
    trade(successor, BID, 2.0)
    successor.look()
    assert fills(successor) == []
    trade(successor, BID, 0.7)
    successor.look()
    assert [qty for _, _, qty in fills(successor)] == [Decimal("0.7")]


@pytest.mark.parametrize("price", [BID - 500.0])
def test_a_price_that_the_book_does_not_show_has_no_queue_until_it_does(price: float) -> None:
    service = a_service((price, "1"))
    assert service.partition.state[order_key(an_id(0))].queue is None
    service.book(bids=((price, 7.0), (price - 1, 1.0)), venue_ts=service.now)
    service.look()
    trade(service, price, 7.0)
    service.look()
    assert fills(service) == []
    trade(service, price, 1.0)
    service.look()
    assert [qty for _, _, qty in fills(service)] == [Decimal(1)]
