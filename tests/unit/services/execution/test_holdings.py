"""What counts as held when the next execution is sized."""

from __future__ import annotations

from decimal import Decimal

from libs.common.events import ExecutionStatus, SizingSnapshot
from tests.execution_market import a_position
from tests.execution_world import a_ready_world


def test_executions_on_their_way_count_as_held_for_the_next_size() -> None:
    world = a_ready_world()
    first = world.execute("first")
    world.answer()
    second = world.execute("second")
    world.unanswered.reverse()
    world.answer()
    sizings = {s.execution_id: s for s in world.all(SizingSnapshot)}
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
    sizings = {s.execution_id: s for s in world.all(SizingSnapshot)}
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
        world.answer()
        sizings = {s.execution_id: s for s in world.all(SizingSnapshot)}
        assert sizings[name].held == expected
