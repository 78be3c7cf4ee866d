from __future__ import annotations

from libs.cli.executions import table
from libs.cli.screen import Screen
from tests.deciding_world import DecidingWorld
from tests.execution_world import ExecutionWorld


def test_a_table_shows_each_execution_with_its_bar_its_costs_and_why() -> None:
    world = ExecutionWorld()
    world.ready()
    done = world.execute("done")
    world.finish()
    world.policy_id = "p_flat"
    flat = world.execute("flat")
    world.answer()
    console = Screen(width=240, record=True, force_terminal=False)
    console.print(table([world.records[flat], world.records[done]], world.now))
    text = console.export_text()
    first, second = (next(line for line in text.splitlines() if name[:8] in line) for name in (flat, done))
    assert text.index(flat[:8]) < text.index(done[:8])
    assert "planning" in first
    assert "p_flat" in first
    assert "completed" in second
    assert "Immediate" in second
    assert "━" in second


def test_a_table_shows_what_a_decision_earned_beside_what_would_have_been_without_it() -> None:
    world = DecidingWorld()
    world.decide("p_sma")
    left = world.decide("p_flat", 60_600.25)
    world.decide("p_flat", 60_000.25)
    console = Screen(width=240, record=True, force_terminal=False)
    console.print(table([world.records[left]], world.now))
    outcome = world.outcome(left)
    assert outcome.reward is not None
    assert outcome.unchanged is not None
    text = console.export_text()
    assert f"{outcome.reward * 1e4:+.3f}" in text
    assert f"{outcome.unchanged * 1e4:+.3f}" in text
    assert outcome.unchanged < outcome.reward < 0, "it paid its exit, and was spared the fall"
