"""Orders and plans are made to what their venue says itself, and keep that."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.events import (
    BOOK,
    BookHealth,
    CommandRejected,
    ExecutionSimulated,
    InstrumentTerms,
    OrderFilled,
    OrderSubmitted,
    PaperOrderPlaced,
    PlanAndExecute,
    SimulateExecution,
    SubmitPaperOrder,
)
from libs.common.topics import book_key
from services.execution.audit.rerun import rerun
from services.execution.saga.phases import Ended, Working, saga_key
from tests.execution_market import a_book_health, a_book_top, a_risk_budget
from tests.execution_world import ExecutionWorld, an_id

if TYPE_CHECKING:
    from libs.common.events import Event

RUNE = "RUNE-EUR"
TABLE = InstrumentTerms(
    tick=Decimal("0.01"), lot=Decimal("0.00001"), min_qty=Decimal("0.00001"), min_notional=Decimal(5)
)
COARSE = InstrumentTerms(
    tick=Decimal("0.5"), lot=Decimal("0.1"), min_qty=Decimal("0.2"), min_notional=Decimal(10)
)


def demand(world: ExecutionWorld, terms: InstrumentTerms | None, venue: str = "binance") -> None:
    """Let the book's owner say these terms."""
    key = book_key(venue, "BTC-USDT")
    health = world.market.healths.items[key]
    assert isinstance(health, BookHealth)
    world.fold(world.market.healths, key, replace(health, terms=terms))


def a_world() -> ExecutionWorld:
    world = ExecutionWorld()
    world.books()
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(equity=Decimal(1_000_000)))
    return world


def submit(world: ExecutionWorld, name: str = "order", **fields: Any) -> list[Event]:
    known: dict[str, Any] = {
        "symbol": "BTC-USDT",
        "side": "buy",
        "order_qty": Decimal("0.5"),
        "venue": "binance",
    }
    return world.deliver(SubmitPaperOrder(command_id=an_id(name), **known | fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"order_qty": Decimal("0.55")}, "no multiple of the lot 0.1 "),
        ({"order_qty": Decimal("0.1")}, "under the minimum 0.2 "),
        ({"ord_type": "limit", "price": Decimal("60000.25")}, "no multiple of the tick 0.5 "),
    ],
)
def test_an_order_is_held_against_the_venues_own_terms(fields: dict[str, Any], said: str) -> None:
    world = a_world()
    assert isinstance(submit(world, "before", **fields)[0], OrderSubmitted), "the table allows it"
    demand(world, COARSE)
    (refusal,) = submit(world, **fields)
    assert isinstance(refusal, CommandRejected)
    assert said in refusal.detail


def test_a_resting_order_is_filled_in_the_lots_it_was_made_to() -> None:
    world = a_world()
    limit: dict[str, Any] = {
        "ord_type": "limit",
        "price": Decimal("59999.5"),
        "order_qty": Decimal("0.55555"),
    }
    submit(world, **limit, time_in_force="gtc")
    world.advance()
    world.books(asks=((59_999.0, 0.05), (60_001.0, 5.0)), seq=8)
    demand(world, COARSE)
    world.restart()
    world.advance()
    (fill,) = world.all(OrderFilled)
    assert fill.last_qty == Decimal("0.05"), "less than a lot of today"
    world.books(asks=((59_999.0, 5.0), (60_001.0, 5.0)), seq=9)
    demand(world, COARSE)
    world.advance()
    assert world.all(OrderFilled)[-1].leaves_qty == 0


def test_a_plan_is_made_to_the_venues_terms_and_says_so_in_its_audit() -> None:
    world = ExecutionWorld()
    world.ready()
    for key in list(world.market.healths.items):
        demand(world, COARSE, key.decode().partition(":")[0])
    execution_id = world.execute()
    while world.unanswered:
        world.answer()
    saga = world.state[saga_key(execution_id)]
    assert isinstance(saga, Working)
    (leg,) = saga.legs
    assert saga.sizing.qty % COARSE.lot == 0
    assert all(piece.size % COARSE.lot == 0 for piece in leg.plan.slices)
    assert all(piece.limit % COARSE.tick == 0 for piece in leg.plan.slices)
    entries = world.audit(execution_id)
    for kind in ("sizing", "plan"):
        (entry,) = [each for each in entries if each.kind == kind]
        assert '"lot":"0.1"' in entry.payload
    assert rerun(entries).differences == ()


@pytest.mark.parametrize("later", [COARSE, None], ids=["coarser", "forgotten"])
def test_an_execution_keeps_the_lot_it_was_planned_to(later: InstrumentTerms | None) -> None:
    fine = replace(TABLE, lot=Decimal("0.0000001"), tick=Decimal("0.001"))
    world = ExecutionWorld()
    world.ready()
    demand(world, fine)
    execution_id = world.execute(urgency=0.0)
    while world.unanswered:
        world.answer()
    planned = world.state[saga_key(execution_id)]
    assert isinstance(planned, Working)
    demand(world, later)
    world.restart()
    world.finish()
    ended = world.state[saga_key(execution_id)]
    assert isinstance(ended, Ended)
    assert ended.work == planned
    record = world.records[execution_id]
    assert record.status == "completed", record.reason
    assert sum((order.cum_qty for order in record.orders), Decimal(0)) == planned.quantity
    assert rerun(world.audit(execution_id)).differences == ()


def test_a_symbol_of_no_table_is_planned_and_filled_once_its_venue_says_what_it_demands() -> None:
    world = a_world()
    top = a_book_top(venue="binance", received_ts=world.now, symbol=RUNE)
    health = a_book_health(venue="binance", ts=world.now, symbol=RUNE, epoch=top.epoch, seq=top.seq)
    world.fold(world.market.tops, book_key("binance", RUNE), top)
    world.fold(world.market.healths, book_key("binance", RUNE), health)
    (refusal,) = submit(world, "unknown", symbol=RUNE)
    assert isinstance(refusal, CommandRejected)
    told = replace(health, terms=replace(COARSE, tick=Decimal("0.001")))
    world.fold(world.market.healths, book_key("binance", RUNE), told)
    submit(world, symbol=RUNE)
    world.advance()
    (answer,) = world.all(PaperOrderPlaced)
    assert answer.order.ord_status == "filled"
    simulate = SimulateExecution(command_id=an_id("simulate"), symbol=RUNE, side="buy", size=0.5, urgency=1.0)
    (plan,) = world.deliver(simulate)
    assert isinstance(plan, ExecutionSimulated)
    (asked,) = world.deliver(PlanAndExecute(command_id=an_id("rune"), symbol=RUNE, urgency=1.0))[:1]
    assert not isinstance(asked, CommandRejected)


@pytest.mark.parametrize("lot", ["1e-15", "1e-18", "1e-30"])
@pytest.mark.parametrize("size", ["1e12", "1e11"])
def test_no_lot_is_so_small_that_the_largest_order_cannot_be_counted_in_it(lot: str, size: str) -> None:
    world = a_world()
    demand(
        world, InstrumentTerms(tick=TABLE.tick, lot=Decimal(lot), min_qty=Decimal(0), min_notional=Decimal(0))
    )
    (refusal,) = submit(world, order_qty=Decimal(size))
    assert isinstance(refusal, CommandRejected)
    assert "can be bought now" in refusal.detail
    command = SimulateExecution(command_id=an_id("simulated"), symbol="BTC-USDT", size=float(size))
    (answer,) = world.deliver(command)
    assert isinstance(answer, ExecutionSimulated | CommandRejected)


def test_a_plan_that_the_tick_forbids_does_not_blame_the_table_for_what_the_venue_said() -> None:
    world = a_world()
    for venue in ("binance", "bybit"):
        demand(world, replace(TABLE, tick=Decimal("1e9")), venue)
    command = SimulateExecution(command_id=an_id("simulated"), symbol="BTC-USDT", size=1.0)
    (refusal,) = world.deliver(command)
    assert isinstance(refusal, CommandRejected)
    assert "under the tick 1000000000 of binance: it does not fit the market" in refusal.detail


@pytest.mark.parametrize(
    ("venue", "said"), [(None, "No venue lists RUNE-EUR;"), ("okx", "okx does not list RUNE-EUR;")]
)
def test_an_order_of_what_nobody_lists_is_refused_in_plain_words(venue: str | None, said: str) -> None:
    (refusal,) = submit(a_world(), symbol=RUNE, venue=venue)
    assert isinstance(refusal, CommandRejected)
    assert refusal.detail == f"{said} listed at: none."
