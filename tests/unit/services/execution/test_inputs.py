from __future__ import annotations

import json
from typing import get_args

from libs.common.events import PoliciesChanged
from libs.common.kafka import by_pace
from libs.common.topics import EXECUTION_CONTROLS, L2_BOOK_TOPS, L2_TRADES, POLICIES_SIGNALS, PORTFOLIO_RISK
from services.execution.app import wiring
from services.execution.handlers import Answer, Control, OfOthers
from services.execution.refusals import Request
from services.execution.settings import ExecutionSettings
from tests.execution_world import ExecutionWorld, S, an_id


def test_a_policy_that_is_added_or_retired_stops_no_execution() -> None:
    """The router's answer to it stands on the topic that execution reads, in one of its partitions."""
    world = ExecutionWorld()
    world.ready()
    execution_id = world.execute()
    changed = PoliciesChanged(
        command_id=an_id("add"), scope="s", policy_id="p_new", policies=("p_new",), changed=True, ts=world.now
    )
    assert world.deliver(changed) == []
    world.finish()
    assert world.records[execution_id].status == "completed"


def test_every_message_of_the_inputs_has_a_case() -> None:
    read = {event for topic in wiring(ExecutionSettings()).inputs for event in topic.events}
    assert read == {*get_args(Request), *get_args(Control), *get_args(Answer), *get_args(OfOthers)}


def test_trades_wait_for_the_tops_and_hold_up_no_decision_of_others() -> None:
    patient, at_once = by_pace(wiring(ExecutionSettings()).views)
    assert {L2_TRADES, L2_BOOK_TOPS, POLICIES_SIGNALS} <= {view.topic for view in patient}
    assert {EXECUTION_CONTROLS, PORTFOLIO_RISK} <= {view.topic for view in at_once}


def test_a_plan_and_its_children_are_sized_by_the_median_depth_and_not_by_a_wall_of_this_moment() -> None:
    world = ExecutionWorld()
    world.ready()
    for size in (3.0, 3.0, 3.0, 500.0):
        world.now += 2 * S
        top = world.books(asks=[(60_000.5 + 0.5 * n, size) for n in range(50)])
    assert top.features is not None
    assert top.features.depth_ask == 50 * 500.0
    execution_id = world.execute()
    world.answer()
    world.answer()
    planned = next(each for each in world.audit(execution_id) if each.kind == "plan")
    assert json.loads(planned.payload)["inputs"]["depth"] == 50 * 3.0
