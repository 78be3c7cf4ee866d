"""What stands and waits costs nothing until something happens to it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from libs.common.events import (
    BookState,
    CancelExecution,
    CommandRejected,
    LimitsUsed,
    OrderFilled,
    OrderSubmitted,
    PaperOrderPlaced,
    Refusal,
)
from libs.common.time_units import DAY_NS
from libs.common.topics import EXECUTION_COMMANDS
from services.execution.early import early
from services.execution.kept import kept_of
from services.execution.saga.forgetting import IDS_KEPT_NS, Done
from services.execution.saga.phases import SAGA
from tests.execution_market import a_book_top
from tests.execution_world import ExecutionWorld, a_ready_world
from tests.execution_world import S as SECOND
from tests.standing_orders import LOOK_NS, TOPS_PER_S, S, Standing, an_id, ladder

ORDERS = 300
SECONDS = 10


def resting(orders: int, **fields: Any) -> Standing:
    service = Standing()
    service.book()
    for number in range(orders):
        service.submit(number, **fields)
    service.pass_time(0.1)
    service.written.clear()
    service.told.clear()
    return service


def move(service: Standing, seconds: float) -> None:
    for n in range(round(seconds * TOPS_PER_S)):
        service.book(60_000.0 + n % 7)
        service.pass_time(LOOK_NS / S)


def fills_of(service: Standing) -> list[OrderFilled]:
    return [event for event in service.told if isinstance(event, OrderFilled)]


def test_orders_that_rest_write_nothing_while_their_book_moves_elsewhere() -> None:
    service = resting(ORDERS)
    move(service, SECONDS)
    assert service.written == {}, f"{service.written.total() / SECONDS:g} records a second"


def test_an_order_whose_price_is_reached_writes_what_became_of_it_and_no_other_does() -> None:
    service = resting(ORDERS)
    service.submit(ORDERS, price=Decimal(59_000))
    service.pass_time(1.1)  # what limits count is told once a second
    service.look()
    service.written.clear()
    service.book(58_999.0)
    service.look()
    (fill,) = fills_of(service)
    assert (fill.cl_ord_id, fill.last_px) == (an_id(ORDERS), Decimal(59_000))
    assert service.written["execution.fills.v1"] == 1
    assert service.written["execution.state.v1"] <= 6  # order, held, impact, two ticks, position
    service.written.clear()
    move(service, 1)
    assert service.written == {}


def test_what_nobody_can_be_filled_with_is_looked_at_and_not_written() -> None:
    """Fifty orders at a price where two units stand: the first are filled, the others look on."""
    service = resting(50, price=Decimal(59_000), order_qty=Decimal(1))
    service.book(58_999.5, asks=((59_000.0, 2.0), *ladder(59_500.0, 1)))
    service.look()
    assert [fill.cl_ord_id for fill in fills_of(service)] == [an_id(0), an_id(1)]
    service.written.clear()
    for _ in range(10):
        service.book(58_999.5, asks=((59_000.0, 2.0), *ladder(59_500.0, 1)))
        service.pass_time(LOOK_NS / S)
    assert service.written == {}
    service.book(58_999.5, asks=((59_000.0, 3.0), *ladder(59_500.0, 1)))
    service.look()
    assert [fill.cl_ord_id for fill in fills_of(service)] == [an_id(0), an_id(1), an_id(2)]


def test_a_book_that_stands_is_weighed_once_however_many_orders_rest_beyond_its_best() -> None:
    service = resting(ORDERS)
    looks = early(service.partition.state, service.now, service.wiring.early.keywords["market"])  # type: ignore[attr-defined]  # a partial
    assert next(looks, None) is None
    orders = kept_of(service.partition.state).orders
    assert [len(queue) for queue in orders.resting["binance", "BTC-USDT"].values()] == [ORDERS, 0]


@pytest.mark.parametrize(
    "sides",
    [
        {"asks": ((float("nan"), 2.0),)},
        {"asks": ((58_000.0, float("nan")),)},
        {"asks": ((58_000.0, float("inf")), (58_001.0, 1.0))},
        {"asks": ((-1.0, 2.0),)},
        {"asks": ((58_000.0, 1.0), (1e300, 1.0))},
        {"asks": ()},
    ],
)
def test_a_top_that_no_market_has_fills_nothing_and_stops_nothing(sides: dict[str, Any]) -> None:
    service = resting(2, price=Decimal(59_000))
    service.book(57_999.0)
    told = a_book_top(bids=ladder(57_999.0, -1), received_ts=service.now, seq=service.seq)
    service.fold("l2.book-tops.v1", b"binance:BTC-USDT", replace(told, **sides))
    assert service.look() == []
    service.book(57_999.0)
    service.look()
    assert len(fills_of(service)) == 2


def test_a_crossing_that_stands_when_another_process_takes_over_is_filled_there() -> None:
    service = resting(3, price=Decimal(59_000))
    service.book(58_000.0)  # the owner is gone before it looks
    successor = service.restarted()
    assert len(fills_of(successor)) == 0
    successor.look()
    assert [fill.cl_ord_id for fill in fills_of(successor)] == [an_id(0), an_id(1), an_id(2)]
    assert [each for each in successor.restarted().look() if not isinstance(each, LimitsUsed)] == []


def test_an_order_that_was_canceled_is_not_filled_by_what_came_before_it_was_looked_at() -> None:
    service = resting(2, price=Decimal(59_000))
    service.book(58_000.0)
    cancel = CancelExecution(command_id=an_id(99), symbol="BTC-USDT", execution_id=an_id(0))
    service.tell(EXECUTION_COMMANDS, cancel)
    service.look()
    assert [fill.cl_ord_id for fill in fills_of(service)] == [an_id(1)]


def test_an_hour_of_resting_is_one_tick_however_often_the_book_moves() -> None:
    service = resting(1)
    for _ in range(3):
        service.now += 3_600 * SECOND
        service.book()
        service.look()
    assert service.written == {"execution.state.v1": 12}  # each hour two ticks: the order's, the watch's


def waiting_world(seconds: float) -> tuple[ExecutionWorld, str, int]:
    """Return an execution whose next slice meets no LIVE book for so long, and what was said of it before."""
    world = a_ready_world()
    execution_id = world.execute()
    world.answer()
    world.answer()
    world.books(state=BookState.GAP)
    world.advance()  # the child is rejected
    world.advance()  # its rest is tried again
    assert "GAP" in world.records[execution_id].waiting
    said, wished = len(world.sent), world.wished
    for _ in range(round(seconds * TOPS_PER_S)):
        world.now += SECOND // TOPS_PER_S
        world.books(state=BookState.GAP)
        world.advance(0.001)
    assert world.wished <= wished + 1, "once it looks whether another venue takes it"
    return world, execution_id, said


def test_an_execution_that_waits_for_its_book_says_so_once_and_goes_on_when_it_is_back() -> None:
    world, execution_id, said = waiting_world(5.0)
    assert len(world.sent) == said
    world.books()
    world.advance(0.01)
    record = world.records[execution_id]
    assert not record.waiting
    assert len(world.sent) > said


def test_an_execution_whose_book_stays_away_ends_when_its_patience_does() -> None:
    world, execution_id, _ = waiting_world(1.0)
    for _ in range(3):
        world.advance()
    record = world.records[execution_id]
    assert record.status.final
    assert "no usable book in time" in record.reason


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"orders_per_symbol": 5}, "EXECUTION_ORDERS_PER_SYMBOL"),
        ({"orders_most": 8 * 5}, "EXECUTION_ORDERS_MOST"),
        ({"remembered_most": 8 * 5}, "EXECUTION_REMEMBERED_MOST"),
    ],
)
def test_beyond_the_bound_an_order_is_refused_as_unavailable_and_leaves_nothing(
    settings: dict[str, Any], name: str
) -> None:
    service = Standing(**settings)
    service.book()
    for number in range(5):
        (sent,) = service.submit(number)
        assert isinstance(sent, OrderSubmitted)
    service.pass_time(0.1)
    before = dict(service.log)
    for number in range(5, 50):
        (refused,) = service.submit(number)
        assert isinstance(refused, CommandRejected)
        assert refused.refusal is Refusal.UNAVAILABLE
        assert name in refused.detail
        assert "try again" in refused.detail
    assert service.log.keys() == before.keys()
    cancel = CancelExecution(command_id=an_id(99), symbol="BTC-USDT", execution_id=an_id(0))
    service.tell(EXECUTION_COMMANDS, cancel)
    service.pass_time(4_000)  # the canceled one is remembered no longer
    service.book()
    assert isinstance(service.submit(100)[0], OrderSubmitted)


def test_a_full_queue_refuses_no_order_that_does_not_rest() -> None:
    service = Standing(orders_per_symbol=1)
    service.book()
    service.submit(0)
    service.pass_time(0.1)
    at_once: dict[str, Any] = {"ord_type": "market", "price": None, "time_in_force": "ioc"}
    assert isinstance(service.submit(1, **at_once)[0], OrderSubmitted)
    assert service.submit(0)  # a repeated command is answered, full or not
    assert isinstance(service.told[-1], PaperOrderPlaced)


def test_beyond_the_bound_an_execution_is_refused_as_unavailable() -> None:
    world = ExecutionWorld(running_most=8 * 2)
    world.ready()
    for name in ("one", "two", "three"):
        world.execute(name)
    refused = world.sent[-1]
    assert isinstance(refused, CommandRejected)
    assert refused.refusal is Refusal.UNAVAILABLE
    assert "EXECUTION_RUNNING_MOST" in refused.detail
    world.finish()
    world.beat()
    world.execute("four")
    assert sum(isinstance(kept, SAGA) for kept in world.state.values()) == 3


def test_of_the_ids_that_are_left_the_newest_are_kept_with_one_tick_a_day() -> None:
    service = Standing(remember_s=10.0, ids_most=8 * 20)
    for number in range(100):
        service.book()
        service.submit(number, ord_type="market", price=None, time_in_force="ioc")
        service.pass_time(20)
    assert len(service.kept(Done)) == 20
    ticks = [key for key in service.log if key.startswith(b"\x00tick/")]
    assert len(ticks) <= 3  # that of the limits' watch among them
    service.now += IDS_KEPT_NS + DAY_NS
    service.look()
    assert service.kept(Done) == []
    assert sum(key.startswith(b"\x00tick/") for key in service.log) == 1  # the limits' watch
