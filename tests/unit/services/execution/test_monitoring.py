from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from libs.common.events import AuditHead, ExecutionProgress
from libs.common.handling import Tick
from libs.common.partition import Step
from services.execution.clock_steps import step_clock
from services.execution.decide.policies import POLICIES
from services.execution.monitoring import ExecutionMonitor
from tests.execution_market import an_order
from tests.execution_world import ExecutionWorld, S
from tests.monitored import numbers

if TYPE_CHECKING:
    from libs.common.events import Event
    from libs.common.monitoring import Line


class Watched(ExecutionWorld):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.monitor = ExecutionMonitor()
        self.lines: list[Line] = []

    def deliver(self, message: Any) -> list[Event]:
        events = super().deliver(message)
        self.lines += self.monitor.saw(Step(message, events, "c"))
        return events

    def number(self, name: str, *labels: str) -> float:
        return numbers(self.monitor.families([self.state]))[f"bookrunner_execution_{name}"].get(labels, 0.0)


def test_an_execution_is_running_until_it_ended_and_its_costs_are_counted() -> None:
    world = Watched()
    world.ready()
    world.execute()
    assert world.number("started_total") == 1
    assert world.number("running", "planning") == 1
    world.answer()
    world.answer()
    assert (world.number("running", "planning"), world.number("running", "working")) == (0, 1)
    world.finish()
    assert (world.number("running", "planning"), world.number("running", "working")) == (0, 0)
    assert world.number("ended_total", "completed") == 1
    assert world.number("duration_seconds", "completed") == 1
    assert world.number("fills_total", "binance") + world.number("fills_total", "kraken") >= 1
    assert world.number("filled_quote_total", "binance") + world.number("filled_quote_total", "kraken") > 0
    assert all(world.number("shortfall_ratio", part) == 1 for part in ("total", "fees", "impact", "delay"))


@pytest.mark.parametrize("by_s", [-86_400, 0, 86_400])
def test_an_execution_lasts_as_long_as_it_took_though_the_clock_was_set(by_s: int) -> None:
    world = Watched()
    world.ready()
    world.execute()
    began = world.now
    step_clock(world.state, by_s * S)
    world.step_clock(by_s * S)
    world.finish()
    families = {family.name: family for family in world.monitor.families([world.state])}
    (lasted,) = (
        each
        for labels, each in families["bookrunner_execution_duration_seconds"].samples.items()
        if labels == ("completed",)
    )
    assert lasted.total == pytest.approx((world.now - began) / S - by_s)


def test_running_executions_are_those_of_the_state_so_a_restart_forgets_none() -> None:
    world = Watched()
    world.ready()
    world.execute()
    world.restart()
    world.monitor = ExecutionMonitor()
    assert world.number("running", "planning") == 1
    assert world.number("started_total") == 0


def test_the_log_has_one_line_a_step_and_names_all_of_it() -> None:
    world = Watched()
    world.ready()
    world.execute()
    world.finish()
    world.advance(POLICIES["p_sma"].horizon_s)
    world.beat()
    world.advance()
    steps = [line.facts.get("did", "").split() for line in world.lines if line.event == "execution_step"]
    assert steps[0] == ["requested"]
    assert steps[1] == ["policy_chosen", "signal", "sizing"]
    assert steps[2][:2] == ["venue_scored", "plan"]
    kinds = [kind for step in steps for kind in step]
    assert kinds.index("fill") < kinds.index("ended") < kinds.index("earned")
    assert len(world.lines) <= 8


def test_an_execution_that_finds_nothing_to_do_is_skipped_and_has_no_costs() -> None:
    world = Watched()
    world.policy_id = "p_flat"
    world.ready()
    world.execute()
    world.finish()
    assert world.number("ended_total", "skipped") == 1
    assert world.number("shortfall_ratio", "total") == 0


def test_a_step_of_a_child_that_writes_no_whole_record_has_its_line_too() -> None:
    order = an_order()
    audit = AuditHead(entries=1, head="ab")
    progress = ExecutionProgress(execution_id="e", n=0, order=order, waiting="for a book", audit=audit, ts=1)
    tick = Tick(due_ts=1, key=b"k", causation_id="", correlation_id="c")
    (line,) = ExecutionMonitor().saw(Step(tick, [progress], "c"))
    assert line.event == "execution_step"
    assert line.facts == {
        "status": "working",
        "symbol": order.symbol,
        "venue": order.venue,
        "order_status": order.ord_status,
        "waiting": "for a book",
    }
