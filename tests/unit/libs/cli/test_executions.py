from __future__ import annotations

from libs.cli.executions import table
from libs.cli.screen import Screen
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
