"""What counts as held when the next execution is sized."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.common.events import BOOK, ExecutionStatus, OrderFilled, SizingSnapshot
from tests.deciding_world import DecidingWorld
from tests.execution_market import a_position
from tests.execution_world import ExecutionWorld, a_ready_world


def two_sized(world: ExecutionWorld) -> tuple[str, str]:
    """Let two executions be sized, the second while the first still asks the venues."""
    first = world.execute("first")
    world.answer()
    second = world.execute("second")
    world.unanswered.reverse()
    world.answer()
    return first, second


def sizings_of(world: ExecutionWorld) -> dict[str | None, SizingSnapshot]:
    """Return the sizings by execution."""
    return {sizing.execution_id: sizing for sizing in world.all(SizingSnapshot)}


def test_executions_on_their_way_count_as_held_for_the_next_size() -> None:
    world = a_ready_world()
    first, second = two_sized(world)
    sizings = sizings_of(world)
    assert sizings[first].qty > 0
    assert sizings[second].held == sizings[first].qty
    assert world.records[second].status is ExecutionStatus.SKIPPED, "the first takes it to the target"


def test_what_was_just_bought_counts_as_held_before_the_portfolio_has_seen_it() -> None:
    world = a_ready_world()
    first = world.execute("first")
    world.finish()
    second = world.execute("second")
    world.answer()
    assert world.records[second].status is ExecutionStatus.SKIPPED
    sizings = sizings_of(world)
    assert sizings[second].held == world.records[first].filled


def test_the_portfolio_counts_where_it_has_seen_more_fills() -> None:
    world = a_ready_world()
    position = a_position(Decimal("2.5"), fills=3)
    world.fold(world.market.positions, b"BTC-USDT", position)
    world.execute()
    world.answer()
    assert world.all(SizingSnapshot)[0].held == Decimal("2.5")


def test_the_portfolio_counts_as_soon_as_it_has_seen_one_fill_more_than_we_have() -> None:
    world = a_ready_world()
    first = world.execute("first")
    world.finish()
    fills = len(world.records[first].fills)
    for seen, expected in ((fills, world.records[first].filled), (fills + 1, Decimal("9.5"))):
        world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal("9.5"), fills=seen))
        name = world.execute(f"seen {seen}")
        while name not in sizings_of(world):
            world.answer()
        assert sizings_of(world)[name].held == expected


def test_what_is_on_its_way_or_not_yet_told_by_the_portfolio_is_not_spent_again() -> None:
    world = ExecutionWorld(s_max=1.0)
    world.ready()
    equity = world.market.risk.items[BOOK.encode()].equity
    rest = a_position(Decimal(45), symbol="ETH-USDT", mark=float(equity) * 0.9 / 45)  # leaves a tenth in cash
    world.fold(world.market.positions, b"ETH-USDT", rest)
    cash = world.market.cash(world.market.risk.items[BOOK.encode()])
    assert cash == pytest.approx(equity / 10)
    first, second = two_sized(world)
    sizings = sizings_of(world)
    assert sizings[first].binding == "cash"
    assert world.records[second].status is ExecutionStatus.SKIPPED, "the first spends all the cash"
    world.finish()
    third = world.execute("third")
    world.answer()
    assert world.records[third].status is ExecutionStatus.SKIPPED
    spent = sum((fill.last_px * fill.last_qty + fill.fee for fill in world.all(OrderFilled)), Decimal(0))
    assert 0 < spent <= cash * Decimal("1.001"), "the walk of the book apart"


def test_what_is_still_being_bought_is_not_sold_before_it_is_there() -> None:
    world = DecidingWorld()
    world.price(size=0.03)
    slow = world.begin("p_sma", urgency=0.0)
    while world.unanswered:
        world.answer()
    for _ in range(60):
        world.price(size=0.03)
        world.advance(1.0)
    world.price()
    there = world.held
    sizing = world.records[slow].sizing
    assert sizing is not None
    assert 0 < there < sizing.qty
    left = world.begin("p_flat", urgency=1.0)
    while not world.records[left].status.final:
        if world.unanswered:
            world.answer()
        else:
            world.advance(0.005)
    assert world.records[left].filled == there
    assert world.held == 0, "and never short"
