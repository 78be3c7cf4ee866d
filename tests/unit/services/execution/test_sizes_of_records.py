"""What execution keeps and tells stays far under what Kafka takes, however often an order is filled."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from libs.common.codec import encode
from libs.common.events import (
    BOOK,
    AuditEntry,
    ExecutionPlanned,
    ExecutionProgress,
    ExecutionRecord,
    OrderFilled,
    OrdStatus,
    PaperOrderPlaced,
    PlannedSlice,
    SubmitPaperOrder,
)
from libs.common.record_view import FILLS_KEPT
from libs.common.topic import MIB
from services.execution.broker.own_order import OwnOrder, order_key
from services.execution.decide.alternatives import INTERVAL_S
from services.execution.saga.phases import Child, Ended, course_key, saga_key
from services.execution.saga.record import record_of
from services.execution.saga.working import MOST_CHILDREN
from services.execution.settings import ExecutionSettings
from tests.execution_market import a_risk_budget
from tests.execution_world import ExecutionWorld, an_id

STEP = Decimal("0.001")
LIMIT = Decimal("60000.5")


def a_trickled_order(fills: int) -> tuple[ExecutionWorld, OwnOrder]:
    """Let a resting order be filled so many times, by what is added to a level."""
    world = ExecutionWorld()
    world.books()
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(equity=Decimal(10_000_000)))
    world.books(asks=((float(LIMIT), float(STEP)), (60_001.0, 5.0)))
    world.deliver(an_order_of(Decimal(50)))
    world.advance()
    for n in range(2, fills + 1):
        world.books(asks=((float(LIMIT), float(STEP * n)), (60_001.0, 5.0)), seq=7 + n)
        world.advance()
    return world, kept(world)


def an_order_of(size: Decimal) -> SubmitPaperOrder:
    return SubmitPaperOrder(
        command_id=an_id("order"),
        symbol="BTC-USDT",
        side="buy",
        order_qty=size,
        ord_type="limit",
        price=LIMIT,
        time_in_force="gtc",
        venue="binance",
    )


def kept(world: ExecutionWorld) -> OwnOrder:
    found = world.state[order_key(an_id("order"))]
    assert isinstance(found, OwnOrder)
    return found


def test_an_order_that_is_filled_without_end_keeps_its_newest_fills_and_exact_sums() -> None:
    many = FILLS_KEPT + 100
    world, own = a_trickled_order(many)
    fills = world.all(OrderFilled)
    assert len(fills) == own.order.fills == many
    assert [fill.fill_id for fill in own.fills] == [fill.exec_id for fill in fills[-FILLS_KEPT:]]
    assert own.order.cum_qty == sum(fill.last_qty for fill in fills) == STEP * many
    assert own.order.cum_quote == sum(fill.last_qty * fill.last_px for fill in fills)
    assert own.order.fees == sum(fill.fee for fill in fills)
    assert len(encode(own)) < MIB / 10
    (answer,) = world.deliver(an_order_of(Decimal(50)))
    assert isinstance(answer, PaperOrderPlaced)
    assert (answer.fills, answer.fills_total) == (own.fills, many)


def test_an_order_that_an_older_version_kept_with_all_its_fills_shrinks_at_the_next() -> None:
    world, own = a_trickled_order(3)
    world.state.put(order_key(an_id("order")), replace(own, fills=own.fills * 2000))
    assert len(encode(kept(world))) > MIB
    (answer,) = world.deliver(an_order_of(Decimal(50)))
    assert len(encode(answer)) < MIB / 10
    world.books(asks=((float(LIMIT), 1.0), (60_001.0, 5.0)), seq=20)
    world.advance()
    assert len(kept(world).fills) == FILLS_KEPT
    assert kept(world).order.cum_qty == 1


def a_trickled_execution() -> tuple[ExecutionWorld, str]:
    """Let each try of an execution's rest find a little, without end."""
    world = ExecutionWorld(retry_ms=1.0)
    world.ready()
    asks = [(60_000.5 + 0.5 * n, 0.00004) for n in range(6)]
    world.books(asks=[*asks, (90_000.0, 5000.0)])
    execution_id = world.execute(urgency=1.0)
    while world.unanswered:
        world.answer()
    for n in range(2, 2 * MOST_CHILDREN + 40):
        taken = (60_000.0, 0.00024 * (n - 1))
        world.books(asks=[taken, *asks, (90_000.0, 5000.0)], seq=7 + n)
        world.advance()
        if world.records[execution_id].status.final:
            break
    return world, execution_id


def test_an_execution_sends_no_more_children_than_its_record_may_hold_and_its_sums_are_exact() -> None:
    world, execution_id = a_trickled_execution()
    record, fills = world.records[execution_id], world.all(OrderFilled)
    assert len(record.orders) == MOST_CHILDREN
    assert "at most" in record.reason
    assert len(fills) > 10 * FILLS_KEPT
    assert record.fills_total == len(fills)
    assert [fill.fill_id for fill in record.fills] == [fill.exec_id for fill in fills[-FILLS_KEPT:]]
    assert record.filled == sum(fill.last_qty for fill in fills)
    (leg,) = world.state[course_key(execution_id)].legs.values()
    arrival = leg.arrival_px
    impact = sum((fill.last_qty * (fill.last_px - arrival) for fill in fills), Decimal(0))
    assert record.shortfall is not None
    assert Decimal(record.shortfall.detail["impact"]) == impact
    assert Decimal(record.shortfall.detail["fees"]) == sum(fill.fee for fill in fills)
    kinds = (ExecutionRecord, ExecutionProgress, AuditEntry)
    sizes = [len(encode(event)) for event in world.sent if isinstance(event, kinds)]
    assert max(sizes) < MIB * 0.6


def test_the_largest_record_of_an_execution_fits_in_a_message() -> None:
    world, execution_id = a_trickled_execution()
    saga = world.state[saga_key(execution_id)]
    assert isinstance(saga, Ended)
    assert saga.work is not None
    bounds = ExecutionSettings.model_fields["deadline_s"].metadata
    longest = next(each.le for each in bounds if hasattr(each, "le"))
    piece = PlannedSlice(at_ts=world.now, size=Decimal("1234567.12345678"), limit=Decimal("1234567.12345678"))
    slices = (piece,) * int(longest / INTERVAL_S)
    wide: dict[str, Any] = {
        "order_qty": Decimal("1234567.12345678"),
        "cum_qty": Decimal("1234567.12345678"),
        "cum_quote": Decimal("1234567890123.1234567812345678"),
        "fees": Decimal("1234567890.12345678123456781234"),
        "avg_px": Decimal("1234567.123456781234567812345"),
        "ord_status": OrdStatus.PARTIALLY_FILLED,
        "text": "the book offers no more at 1234567.12345678 or better",
    }
    children = [each for each in world.state.values() if isinstance(each, Child)]
    children = [replace(each, order=replace(each.order, **wide)) for each in children]
    (leg,) = saga.work.legs
    legs = (replace(leg, plan=replace(leg.plan, slices=slices)),)
    largest = replace(saga, work=replace(saga.work, legs=legs))
    record = record_of(largest, world.state[course_key(execution_id)], children, world.now)
    answer = ExecutionPlanned(command_id=execution_id, record=record, ts=world.now)
    assert len(children) == MOST_CHILDREN
    assert max(len(encode(each)) for each in (largest, record, answer)) < MIB * 0.9
