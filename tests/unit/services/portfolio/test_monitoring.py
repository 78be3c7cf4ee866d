from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from libs.common.events import AssessRisk
from libs.common.handling import Tick
from libs.common.partition import Step
from services.portfolio.monitoring import PortfolioMonitor
from tests.fills import a_fill
from tests.monitored import numbers
from tests.unit.services.portfolio.world import World

if TYPE_CHECKING:
    from libs.common.monitoring import Line


def seen(monitor: PortfolioMonitor, message: Any, events: Any) -> list[Line]:
    return list(monitor.saw(Step(message, events, "c")))


def number(monitor: PortfolioMonitor, name: str) -> dict[tuple[str, ...], float]:
    return numbers(monitor.families([]))[f"bookrunner_portfolio_{name}"]


def test_a_fill_becomes_a_position_and_a_use_of_the_budget() -> None:
    monitor, world = PortfolioMonitor(), World()
    world.history("BTC-USDT", 200)
    fill = a_fill()
    events = world.tell(fill)
    lines = seen(monitor, fill, events)
    assert [line.event for line in lines] == ["position_changed"]
    assert number(monitor, "fills_total") == {(): 1}
    assert number(monitor, "positions") == {(): 1}
    world.see(events)
    (assess,) = (event for event in events if isinstance(event, AssessRisk))
    assessed = world.tell(assess)
    assert [line.event for line in seen(monitor, assess, assessed)] == ["risk_assessed"]
    budget, used = number(monitor, "cvar_budget_ratio"), number(monitor, "cvar_used_ratio")
    assert 0 < used["default",] < budget["default",]
    assert number(monitor, "equity_quote")["default",] == pytest.approx(100_000, rel=0.01)


def test_what_the_clock_marks_and_assesses_is_counted_and_not_told() -> None:
    monitor, world = PortfolioMonitor(), World()
    world.history("BTC-USDT", 200)
    events = world.tell(AssessRisk(command_id="0" * 32))
    tick = Tick(due_ts=0, key=b"", causation_id="", correlation_id="")
    assert seen(monitor, tick, events) == []
    assert number(monitor, "cvar_budget_ratio")
