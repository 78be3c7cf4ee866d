from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from libs.common.events import (
    BOOK,
    BookState,
    CancelExecution,
    CommandRejected,
    Event,
    LimitsUsed,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PaperOrderPlaced,
    Refusal,
    SizingSnapshot,
    SubmitPaperOrder,
)
from libs.common.time_units import NS_PER_S
from libs.common.topics import book_key
from tests.execution_market import EPOCH, a_position, a_risk_budget
from tests.execution_world import ExecutionWorld, an_id
from tests.venue_market import a_metrics

AGES_S = 1e9  # a half-life in which nothing of what was taken comes back
LATENCY_NS = 5_000_000  # of an order, by default


def submit(world: ExecutionWorld, name: str = "order", **fields: Any) -> list[Event]:
    known: dict[str, Any] = {
        "symbol": "BTC-USDT",
        "side": "buy",
        "order_qty": Decimal("0.5"),
        "venue": "binance",
    }
    return world.deliver(SubmitPaperOrder(command_id=an_id(name), **known | fields))


def a_world(equity: int = 1_000_000, **settings: Any) -> ExecutionWorld:
    world = ExecutionWorld(**settings)
    world.books()
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(equity=Decimal(equity)))
    return world


def refusal_of(events: list[Event]) -> CommandRejected:
    (answer,) = events
    assert isinstance(answer, CommandRejected), answer
    return answer


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events if not isinstance(event, LimitsUsed)]


def test_a_market_order_arrives_after_its_latency_and_is_answered_with_its_fills() -> None:
    world = a_world()
    assert kinds(submit(world)) == [OrderSubmitted]
    sent_at = world.now
    world.advance()
    assert world.now - sent_at == 5_000_000
    assert kinds(world.sent[1:]) == [OrderAccepted, OrderFilled, PaperOrderPlaced]
    answer = world.all(PaperOrderPlaced)[0]
    assert answer.command_id == an_id("order")
    assert answer.order.ord_status == "filled"
    fill = world.all(OrderFilled)[0]
    assert (fill.last_px, fill.last_qty) == (Decimal("60000.5"), Decimal("0.5"))
    assert fill.fee == Decimal("60000.5") * Decimal("0.5") / 1000  # 10 bps
    assert fill.latency_ns == 5_000_000


def test_what_an_order_took_is_not_there_for_the_next_whatever_the_price_at_which_it_is_shown() -> None:
    world = a_world(book_half_life_s=AGES_S)
    submit(world, "first", order_qty=Decimal(2))
    world.advance()
    submit(world, "second", order_qty=Decimal(2))
    world.advance()
    assert [fill.last_px for fill in world.all(OrderFilled)] == [Decimal("60000.5"), Decimal("60001.0")]
    world.books(asks=((60_000.4, 2.5), (60_001.1, 2.0), (60_002.0, 5.0)), seq=8)
    submit(world, "third", order_qty=Decimal(2))
    world.advance()
    third = [f for f in world.all(OrderFilled) if f.cl_ord_id == an_id("third")]
    assert [(f.last_px, f.last_qty) for f in third] == [
        (Decimal("60001.1"), Decimal("0.5")),
        (Decimal("60002.0"), Decimal("1.5")),
    ]


def test_a_book_synchronised_anew_offers_what_is_beyond_what_was_taken() -> None:
    world = a_world(book_half_life_s=AGES_S)
    submit(world, "first", order_qty=Decimal(2))
    world.advance()
    world.books(epoch=EPOCH + 1, seq=1)
    submit(world, "second", order_qty=Decimal(1))
    world.advance()
    assert [fill.last_px for fill in world.all(OrderFilled)] == [Decimal("60000.5"), Decimal("60001.0")]
    world.books(asks=((60_000.5, 2.25), (60_001.0, 1.0), (60_002.0, 5.0)), epoch=EPOCH + 2, seq=1)
    submit(world, "third", order_qty=Decimal(1))
    world.advance()
    assert [(fill.last_px, fill.last_qty) for fill in world.all(OrderFilled)[2:]] == [
        (Decimal("60001.0"), Decimal("0.25")),
        (Decimal("60002.0"), Decimal("0.75")),
    ]


def test_half_of_what_was_taken_is_back_after_the_half_life_that_is_set() -> None:
    world = a_world(book_half_life_s=30.0)
    submit(world, "first", order_qty=Decimal(2))
    world.advance()
    first_ts = world.now
    world.now = first_ts + 30 * NS_PER_S - LATENCY_NS
    world.books(seq=8)
    submit(world, "second", order_qty=Decimal(2))
    world.advance()
    assert world.now == first_ts + 30 * NS_PER_S
    assert [(fill.last_px, fill.last_qty) for fill in world.all(OrderFilled)[1:]] == [
        (Decimal("60000.5"), Decimal(1)),
        (Decimal("60001.0"), Decimal(1)),
    ]


def test_the_rest_of_an_ioc_order_is_canceled_and_of_a_gtc_order_rests_until_the_book_comes() -> None:
    world = a_world(book_half_life_s=AGES_S)
    limit: dict[str, Any] = {"ord_type": "limit", "price": Decimal("60000.50"), "order_qty": Decimal(3)}
    submit(world, "ioc", **limit, time_in_force="ioc")
    world.advance()
    assert world.all(OrderCanceled)[0].order.cum_qty == 2
    world.books(asks=((60_000.5, 3.0), (60_001.0, 2.0)), seq=8)
    submit(world, "gtc", **limit, time_in_force="gtc")
    world.advance()
    assert world.all(PaperOrderPlaced)[-1].order.ord_status == "partially_filled"
    world.books(asks=((60_001.0, 2.0),), seq=9)
    world.advance()
    assert len([f for f in world.all(OrderFilled) if f.cl_ord_id == an_id("gtc")]) == 1
    world.books(asks=((59_999.0, 5.0),), seq=10)
    world.advance()
    last = world.all(OrderFilled)[-1]
    assert (last.last_px, last.last_qty, last.liquidity) == (Decimal("60000.50"), Decimal(2), "maker")
    assert last.leaves_qty == 0


def test_a_resting_order_waits_while_the_book_is_not_live() -> None:
    world = a_world()
    gtc: dict[str, Any] = {"ord_type": "limit", "price": Decimal(59_000), "time_in_force": "gtc"}
    submit(world, **gtc)
    world.advance()
    world.books(asks=((58_000.0, 5.0),), state=BookState.GAP)
    world.advance()
    assert not world.all(OrderFilled)
    world.books(asks=((58_000.0, 5.0),))
    world.advance()
    assert len(world.all(OrderFilled)) == 1


def test_an_order_that_meets_a_dead_book_at_its_arrival_is_rejected() -> None:
    world = a_world()
    submit(world)
    world.books(state=BookState.STALE)
    world.advance()
    assert kinds(world.sent[1:]) == [OrderRejected, PaperOrderPlaced]
    assert "STALE" in world.all(OrderRejected)[0].order.text


def test_a_repeated_command_is_answered_again_and_not_done_again() -> None:
    world = a_world()
    submit(world)
    assert submit(world) == []
    world.advance()
    assert kinds(submit(world)) == [PaperOrderPlaced]
    assert len(world.all(OrderSubmitted)) == len(world.all(OrderFilled)) == 1
    assert world.all(PaperOrderPlaced)[0] == world.all(PaperOrderPlaced)[1]


@pytest.mark.parametrize("quantity", [Decimal("0.5"), Decimal(3)])
@pytest.mark.parametrize("price", [Decimal(59_000), Decimal("60000.50")])
def test_a_repeated_command_of_a_resting_order_is_answered_as_it_stands(
    price: Decimal, quantity: Decimal
) -> None:
    world = a_world()
    fields: dict[str, Any] = {
        "ord_type": "limit",
        "price": price,
        "order_qty": quantity,
        "time_in_force": "gtc",
    }
    submit(world, **fields)
    assert submit(world, **fields) == []
    world.advance()
    (first,) = world.all(PaperOrderPlaced)
    assert first.order.exec_type == ("trade" if price > 60_000 else "new")
    (again,) = submit(world, **fields)
    assert isinstance(again, PaperOrderPlaced)
    assert again.order == first.order


def test_a_resting_order_is_canceled_on_request_and_its_fills_stay() -> None:
    world = a_world()
    submit(world, ord_type="limit", price=Decimal("60000.50"), order_qty=Decimal(3), time_in_force="gtc")
    world.advance()
    cancel = CancelExecution(command_id=an_id("cancel"), symbol="BTC-USDT", execution_id=an_id("order"))
    events = world.deliver(cancel)
    assert kinds(events) == [OrderCanceled, PaperOrderPlaced]
    assert (events[0].order.cum_qty, events[0].order.leaves_qty) == (2, 0)  # type: ignore[attr-defined]  # the kinds are asserted
    world.books(asks=((50_000.0, 9.0),))
    world.advance(1.0)
    assert len(world.all(OrderFilled)) == 1
    assert world.deliver(cancel)[0].order.ord_status == "canceled"  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize(
    ("fields", "refusal", "says"),
    [
        ({"order_qty": Decimal("0.000001")}, Refusal.INVALID, "lot 0.00001"),
        ({"order_qty": Decimal("0.00001")}, Refusal.INVALID, "minimum of 5 quote units"),
        ({"order_qty": Decimal("0.00001"), "venue": "kraken"}, Refusal.UNAVAILABLE, "no book"),
        ({"symbol": "NOPE-USDT"}, Refusal.UNKNOWN, "NOPE-USDT"),
        ({"venue": "bitstamp"}, Refusal.UNKNOWN, "listed at"),
        ({"ord_type": "limit"}, Refusal.INVALID, "limit"),
        ({"price": Decimal(1)}, Refusal.INVALID, "limit"),
        ({"time_in_force": "gtc"}, Refusal.INVALID, "IOC"),
        ({"ord_type": "limit", "price": Decimal("60000.123")}, Refusal.INVALID, "tick"),
        ({"order_qty": Decimal("1e-2000000")}, Refusal.INVALID, "more than 18 decimals"),
        ({"order_qty": Decimal("1e2000000")}, Refusal.INVALID, "at most 1e+12"),
        ({"order_qty": Decimal("NaN")}, Refusal.INVALID, "size"),
        ({"order_qty": Decimal(-1)}, Refusal.INVALID, "size"),
        ({"ord_type": "limit", "price": Decimal("Infinity")}, Refusal.INVALID, "limit"),
    ],
)
def test_an_order_that_the_venue_would_refuse_is_refused_with_what_would_be_right(
    fields: dict[str, Any], refusal: Refusal, says: str
) -> None:
    world = a_world()
    (answer,) = submit(world, **fields)
    assert isinstance(answer, CommandRejected)
    assert answer.refusal is refusal
    assert says in answer.detail
    assert len(answer.detail) < 200


def test_without_a_venue_the_cheapest_live_one_is_taken_fee_included() -> None:
    world = a_world()
    world.books(asks=((59_990.0, 1.0),), venues=("bybit",))
    submit(world, venue=None)
    assert world.all(OrderSubmitted)[0].order.venue == "bybit"
    world.books(asks=((59_980.0, 1.0),), venues=("binance",), state=BookState.GAP)
    submit(world, "again", venue=None)
    assert world.all(OrderSubmitted)[1].order.venue == "bybit"


def test_without_a_venue_the_walk_of_the_whole_size_counts_and_who_takes_all_is_preferred() -> None:
    world = a_world()
    world.books(asks=((59_990.0, 0.1), (60_050.0, 9.0)), venues=("bybit",))
    submit(world, venue=None, order_qty=Decimal("0.1"))
    submit(world, "large", venue=None, order_qty=Decimal("0.9"))
    thin, deep = world.all(OrderSubmitted)
    assert (thin.order.venue, deep.order.venue) == ("bybit", "binance")


def test_without_a_venue_what_was_measured_of_each_counts() -> None:
    world = a_world()
    world.books(asks=((59_990.0, 1.0),), venues=("bybit",))
    metrics = replace(a_metrics("bybit", now=world.now), expected_slippage_bps=3.0)
    world.fold(world.market.metrics, book_key("bybit", "BTC-USDT"), metrics)
    submit(world, venue=None)
    assert world.all(OrderSubmitted)[0].order.venue == "binance"


def test_an_order_expects_the_average_price_of_its_walk_within_its_limit() -> None:
    world = a_world()
    world.books(asks=((60_000.0, 0.25), (60_010.0, 0.25), (60_050.0, 9.0)), venues=("binance",))
    submit(world)
    submit(world, "limited", ord_type="limit", price=Decimal(60_000))
    submit(world, "resting", ord_type="limit", price=Decimal(59_000))
    assert [each.order.expected_px for each in world.all(OrderSubmitted)] == [60_005.0, 60_000.0, 60_000.0]


def test_what_is_not_held_is_not_sold_and_the_refusal_names_what_is() -> None:
    world = a_world()
    answer = refusal_of(submit(world, side="sell"))
    assert answer.refusal is Refusal.INVALID
    assert "at most 0 can" in answer.detail
    submit(world, "bought", order_qty=Decimal("0.3"))
    assert "at most 0 can" in refusal_of(submit(world, "too soon", side="sell")).detail, (
        "it is not filled yet"
    )
    world.advance()
    answer = refusal_of(submit(world, "again", side="sell"))
    assert "at most 0.3" in answer.detail
    assert kinds(submit(world, "sold", side="sell", order_qty=Decimal("0.3"))) == [OrderSubmitted]


def test_what_another_open_order_sells_is_not_sold_again_until_that_is_canceled() -> None:
    world = a_world()
    world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal(1)))
    rest: dict[str, Any] = {"ord_type": "limit", "price": Decimal(70_000), "time_in_force": "gtc"}
    submit(world, "rest", side="sell", order_qty=Decimal("0.75"), **rest)
    world.advance()
    assert "at most 0.25" in refusal_of(submit(world, "more", side="sell")).detail
    world.deliver(CancelExecution(command_id=an_id("cancel"), symbol="BTC-USDT", execution_id=an_id("rest")))
    assert kinds(submit(world, "more", side="sell")) == [OrderSubmitted]


def test_a_short_is_a_setting_and_bounded_by_the_position_cap() -> None:
    world = a_world(allow_short=True, position_cap=0.06)
    assert "at most 0.99999" in refusal_of(submit(world, side="sell", order_qty=Decimal(2))).detail
    assert kinds(submit(world, "less", side="sell")) == [OrderSubmitted]
    assert "at most 0.49999" in refusal_of(submit(world, "more", side="sell", order_qty=Decimal(1))).detail


def test_no_more_is_bought_than_the_cash_pays_at_the_book_walked_and_the_fee() -> None:
    world = a_world(equity=100_000)
    most = Decimal("1.66498")  # of 2 at 60000.5, plus 10 bps
    answer = refusal_of(submit(world, order_qty=Decimal(2)))
    assert answer.refusal is Refusal.INVALID
    assert f"at most {most} can be bought" in answer.detail
    again = refusal_of(submit(world, "again", order_qty=most + Decimal("0.00001")))
    assert f"at most {most} " in again.detail
    assert kinds(submit(world, "right", order_qty=most)) == [OrderSubmitted]
    assert "at most 0 can" in refusal_of(submit(world, "next")).detail, "an order on its way has reserved it"
    world.advance()
    last = refusal_of(submit(world, "last"))
    assert "at most 0 can" in last.detail, "the fill is not in the position yet"
    assert "0.47 of cash is free" in last.detail


def test_the_levels_of_the_book_are_paid_one_after_the_other() -> None:
    world = a_world(equity=100_000)
    world.books(asks=((50_000.0, 1.0), (90_000.0, 1.0)))
    assert "at most 1.55444" in refusal_of(submit(world, order_qty=Decimal(2))).detail


def test_a_resting_buy_reserves_its_limit_and_fee_until_it_is_filled_or_canceled() -> None:
    world = a_world(equity=100_000)
    rest: dict[str, Any] = {"ord_type": "limit", "price": Decimal(50_000), "time_in_force": "gtc"}
    submit(world, "rest", order_qty=Decimal(1), **rest)
    world.advance()
    left = Decimal("0.83166")  # of 100000 - 50050, at 60060.5005 each
    assert f"at most {left} " in refusal_of(submit(world, order_qty=Decimal(1))).detail
    world.deliver(CancelExecution(command_id=an_id("cancel"), symbol="BTC-USDT", execution_id=an_id("rest")))
    assert kinds(submit(world, "now", order_qty=Decimal(1))) == [OrderSubmitted]


def test_covering_a_short_needs_no_cash() -> None:
    world = a_world(equity=60_001)  # 60000 of it stand behind the short
    world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal(-1)))
    assert "at most 1.00001 can" in refusal_of(submit(world, order_qty=Decimal("1.1"))).detail
    assert kinds(submit(world, "cover", order_qty=Decimal(1))) == [OrderSubmitted]


def test_without_a_risk_budget_nothing_is_bought_and_what_is_held_may_be_sold() -> None:
    world = ExecutionWorld()
    world.books()
    world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal(1)))
    assert refusal_of(submit(world)).refusal is Refusal.UNAVAILABLE
    assert kinds(submit(world, "sell", side="sell")) == [OrderSubmitted]


def test_an_execution_does_not_sell_what_a_resting_order_sells_nor_spend_what_one_has_reserved() -> None:
    world = ExecutionWorld("p_flat")
    world.ready()
    world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal(1)))
    rest: dict[str, Any] = {"ord_type": "limit", "time_in_force": "gtc"}
    submit(world, "sell", side="sell", order_qty=Decimal("0.75"), price=Decimal(70_000), **rest)
    submit(world, "buy", order_qty=Decimal(10), price=Decimal(50_000), **rest)
    world.advance()
    world.execute()
    world.answer()
    (sizing,) = world.all(SizingSnapshot)
    assert (sizing.side, sizing.qty) == ("sell", Decimal("0.25"))
    (entry,) = [entry for entry in world.audit(an_id("one")) if entry.kind == "sizing"]
    assert '"cash":"439500.0' in entry.payload, "of 1000000 less 60000 held and 500500 reserved"
