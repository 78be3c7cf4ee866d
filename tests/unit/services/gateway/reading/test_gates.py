"""What the gates are made of: the present of a symbol as the topics tell it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.events import (
    BOOK,
    BookState,
    Limits,
    LimitsSet,
    LimitsUsed,
    OrderFilled,
    PolicySummary,
    RouterSnapshot,
    TradingHalted,
)
from libs.common.topics import limits_key, limits_used_key
from services.gateway.reading.gates import why_of
from tests.execution_market import NOW, a_position, a_risk_budget
from tests.execution_world import ExecutionWorld
from tests.full_valued import full
from tests.gate_world import SYMBOL, SeenViews, decision_in, present_of

if TYPE_CHECKING:
    from services.gateway.reading.decision_facts import Decision
    from services.gateway.reading.gate import Gate
    from services.gateway.reading.present import Present


def decided(world: ExecutionWorld, name: str = "one", **fields: Any) -> Decision:
    """Ask for an execution, let the router answer, and return how it was decided."""
    execution_id = world.execute(name, **fields)
    world.deliver(world.answer_to(world.unanswered.pop()))
    found = decision_in(world, execution_id)
    assert found is not None
    return found


def a_world(policy_id: str = "p_sma", **settings: Any) -> ExecutionWorld:
    world = ExecutionWorld(policy_id, **settings)
    world.ready()
    return world


def gates_of(present: Present) -> dict[str, Gate]:
    return {each.gate: each for each in why_of(present, None).gates}


def summary_of(policy_id: str, **changes: Any) -> PolicySummary:
    found: PolicySummary = replace(full(PolicySummary), policy_id=policy_id, **changes)
    return found


def snapshot_of(*policies: PolicySummary, **changes: Any) -> RouterSnapshot:
    whole = full(RouterSnapshot)
    found: RouterSnapshot = replace(whole, scope="default", policies=policies, retired=(), ts=NOW, **changes)
    return found


@pytest.mark.parametrize("reached", ["scoring", "working", "partly filled", "ended"])
def test_a_size_is_made_of_what_the_service_itself_uses_while_another_execution_runs(reached: str) -> None:
    world = a_world()
    if reached == "partly filled":
        world.books(asks=((60_000.5, 1.0),))
    decided(world, "before")
    if reached != "scoring":
        world.answer()
    for _ in range(20):
        if reached not in ("scoring", "working") and not world.all(OrderFilled):
            world.advance()  # until a child has arrived
            world.beat()
    fills = world.all(OrderFilled)
    held = sum((fill.last_qty for fill in fills), Decimal(0))
    assert (held > 0) == (reached not in ("scoring", "working"))
    if fills:
        world.fold(world.market.positions, SYMBOL.encode(), a_position(held, fills=len(fills)))
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(cvar_used=0.02))
    seen, running = SeenViews(world), [each for each in world.records.values() if not each.status.final]
    assert bool(running) == (reached != "ended")
    chosen = decided(world, "after")
    assert chosen.inputs is not None
    present = present_of(seen.views, world.now, chosen, chosen, running=running)
    assert present.inputs == replace(chosen.inputs, execution_id="")
    assert (chosen.inputs.reserved > 0) == bool(running)


def test_what_neighbours_buy_takes_of_the_cash() -> None:
    world = a_world()
    chosen = decided(world)
    (record,) = world.records.values()
    assert record.sizing is not None
    other = replace(record, symbol="ETH-USDT", sizing=replace(record.sizing, symbol="ETH-USDT"))
    views = SeenViews(world).views
    alone = present_of(views, world.now, chosen, chosen)
    beside = present_of(views, world.now, chosen, chosen, running=[other], neighbours=frozenset({"ETH-USDT"}))
    assert alone.inputs is not None
    assert beside.inputs is not None
    assert alone.inputs.cash - beside.inputs.cash == record.sizing.qty * record.sizing.price


def test_the_width_is_that_of_the_choice_until_the_policy_has_learnt_since() -> None:
    world = a_world()
    chosen = decided(world)
    seen = SeenViews(world)
    before = summary_of("p_sma", updates=0, low=-0.5, high=0.5)
    seen.fold(seen.views.router_snapshots, b"default", snapshot_of(before))
    gate = gates_of(present_of(seen.views, world.now, chosen, chosen))["uncertainty"]
    assert gate.value == chosen.choice.width
    later = summary_of("p_sma", updates=1, low=-0.001, high=0.002)
    seen.fold(seen.views.router_snapshots, b"default", snapshot_of(later))
    gate = gates_of(present_of(seen.views, world.now, chosen, chosen))["uncertainty"]
    assert gate.value == pytest.approx(0.003)
    assert "router's snapshot" in gate.words
    assert gate.records == ("router.snapshots.v1:0:%d" % (seen._offset - 1),)  # noqa: SLF001, UP031 -- of the record


def test_a_policy_that_is_retired_or_not_registered_any_more_closes_its_gate() -> None:
    world = a_world()
    chosen = decided(world)
    seen = SeenViews(world)
    present = present_of(seen.views, world.now, chosen, chosen)
    assert gates_of(present)["policy"].open
    seen.fold(seen.views.router_snapshots, b"default", replace(snapshot_of(), retired=("p_sma",)))
    assert "retired in the scope default" in gates_of(present)["policy"].words
    seen.fold(seen.views.policies, b"p_sma", None)
    gate = gates_of(present)["policy"]
    assert not gate.open
    assert "not registered" in gate.words


def test_the_settings_of_a_decision_that_was_not_sized_are_those_of_the_newest_size() -> None:
    world = a_world()
    sized = decided(world)
    assert sized.inputs is not None
    chosen = replace(sized, inputs=None, inputs_id="")
    views = SeenViews(world).views
    assert present_of(views, world.now, chosen, sized).inputs == replace(sized.inputs, execution_id="")
    gates = gates_of(present_of(views, world.now, chosen, None))
    assert not gates["size"].open
    assert "the settings of sizes are not known" in gates["size"].words


def test_while_the_reference_book_is_away_another_one_is_sized_on() -> None:
    world = a_world()
    chosen = decided(world)
    world.books(state=BookState.GAP, venues=["binance"])
    world.books(asks=((60_100.5, 2.0),), venues=["bybit"])
    present = present_of(SeenViews(world).views, world.now, chosen, chosen)
    gate = gates_of(present)["book"]
    assert gate.open
    assert gate.words.startswith("bybit is LIVE at seq 7")
    assert "1 of " in gate.words
    assert present.inputs is not None
    assert present.inputs.price == Decimal("60050.25")


def test_without_a_book_the_distances_are_those_at_the_last_price() -> None:
    world = a_world("p_flat")
    chosen = decided(world)
    world.books(state=BookState.DISCONNECTED)
    gates = gates_of(present_of(SeenViews(world).views, world.now, chosen, chosen))
    assert not gates["book"].open
    assert "binance BTC-USDT: the book is DISCONNECTED" in gates["book"].words
    assert gates["signal"].threshold is not None
    assert 0 < gates["signal"].threshold < 1


def test_the_age_of_the_book_counts_down_to_the_patience_of_orders() -> None:
    world = a_world()
    chosen = decided(world)
    views = SeenViews(world).views
    gate = gates_of(present_of(views, world.now + 2_000_000_000, chosen, chosen))["book"]
    assert (gate.value, gate.threshold, gate.headroom, gate.unit) == (2_000, 30_000, 28_000, "ms")


def test_the_nearest_limit_is_shown_and_one_order_more_counts() -> None:
    world = a_world()
    chosen = decided(world)
    seen = SeenViews(world)
    present = present_of(seen.views, world.now, chosen, chosen)
    limits = LimitsSet(
        scope="all", limits=Limits(orders_per_minute=100, symbol_exposure=0.8), by="me", ts=NOW
    )
    seen.fold(seen.views.controls, limits_key("all"), limits)
    used = LimitsUsed(symbol=SYMBOL, orders=40, ended=0, failed=0, ts=NOW)
    seen.fold(seen.views.controls, limits_used_key(SYMBOL), used)
    size = gates_of(present)["size"].value
    assert size is not None
    gate = gates_of(present)["limits"]
    assert gate.words.startswith("symbol_exposure is the nearest")  # 0.37 of 0.8, against 41 of 100
    assert gate.value == pytest.approx(size * 60_000.25 / 1_000_000)
    seen.fold(seen.views.controls, limits_used_key(SYMBOL), replace(used, orders=100))
    gate = gates_of(present)["limits"]
    assert (gate.open, gate.value, gate.threshold, gate.headroom) == (False, 101, 100, -1)
    assert "orders_per_minute of symbol:BTC-USDT is 101" in gate.words
    assert len(gate.records) == 3


@pytest.mark.parametrize(("held", "side", "open_"), [("8", "sell", True), ("5.5", "buy", False)])
def test_no_limit_of_exposure_closes_to_what_reduces_it(held: str, side: str, *, open_: bool) -> None:
    world = a_world(limit_symbol_exposure=0.3)
    chosen = decided(world)
    seen = SeenViews(world)
    seen.fold(seen.views.positions, SYMBOL.encode(), a_position(Decimal(held)))
    gates = gates_of(present_of(seen.views, world.now, chosen, chosen))
    assert gates["size"].words.startswith(side)
    assert gates["limits"].open is open_


def test_a_venue_that_is_halted_or_spent_takes_nothing_and_says_why() -> None:
    world = a_world()
    chosen = decided(world)
    seen = SeenViews(world)
    present = present_of(seen.views, world.now, chosen, chosen)
    gate = gates_of(present)["venue"]
    assert (gate.value, gate.headroom) == (2, 1)
    for venue in ("binance", "bybit"):
        halted = TradingHalted(scope=f"venue:{venue}", reason="a drill", by="me", ts=NOW)
        seen.fold(seen.views.controls, f"venue:{venue}".encode(), halted)
    gate = gates_of(present)["venue"]
    assert (gate.open, gate.value, gate.headroom) == (False, 0, -1)
    assert "trading of venue:bybit is halted by me: a drill" in gate.words


def test_a_book_that_orders_still_believe_but_the_venues_service_does_not_score_takes_none() -> None:
    world = a_world()
    chosen = decided(world)
    seen = SeenViews(world)
    present = present_of(seen.views, world.now + 2_000_000_000, chosen, chosen)
    gates = gates_of(present)
    assert gates["book"].open
    assert not gates["venue"].open
    assert "bybit: it is not scored: stale: the book is 2000 ms old, over 1500 ms" in gates["venue"].words


def test_how_old_each_number_is_stands_in_the_words() -> None:
    world = a_world()
    chosen = decided(world)
    gates = gates_of(present_of(SeenViews(world).views, world.now + 25_000_000_000, chosen, chosen))
    for name in ("policy", "signal", "uncertainty", "volatility"):
        assert "25.0 s ago" in gates[name].words, name
