"""What the version before left of executions: audits are not called wrong, and what is under way goes on."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from libs.common.codec import decode
from libs.common.events import AuditEntry, ChoosePolicy, ExecutionStatus, ScoreVenues
from libs.common.topics import EXECUTION_AUDIT
from services.execution.app import wiring
from services.execution.audit.rerun import MODELS, rerun
from services.execution.audit.verify import report
from services.execution.saga.state import Saga, Step
from services.execution.saga.unit_of_work import step_id
from services.execution.settings import ExecutionSettings
from tests.execution_world import ExecutionWorld, a_ready_world

FOLDER: Final = Path(__file__).parents[2] / "data" / "older_records"
UNDER_WAY: Final = {
    name: (now, state, ticks)
    for name, now, state, ticks in map(
        json.loads, (FOLDER / "8fc911c-executions.jsonl").read_text().splitlines()
    )
}


def audit() -> list[AuditEntry]:
    lines = (FOLDER / "8fc911c-audit.jsonl").read_text().splitlines()
    entries = [decode(EXECUTION_AUDIT, base64.b64decode(json.loads(line))) for line in lines]
    return [entry for entry in entries if isinstance(entry, AuditEntry)]


def test_an_audit_of_the_version_before_is_verified_and_says_which_models_decided() -> None:
    lines, code = report("x", audit())
    assert code == 0, lines
    told = [line for line in lines if line.startswith("not made again: ")]
    assert [line.split(")")[0].split("(")[1] for line in told] == ["sizing", "plan", "reward"]
    assert all("model 1 of another version" in line for line in told)
    assert "2 decisions made again and 3 of another version not" in lines[-1]


def test_an_altered_decision_that_both_versions_make_alike_is_found_still() -> None:
    entries = audit()
    (at,) = (n for n, entry in enumerate(entries) if entry.kind == "shortfall")
    payload = json.loads(entries[at].payload)
    payload["output"]["fees"] = "0"
    entries[at] = replace(entries[at], payload=json.dumps(payload))
    (difference,) = rerun(entries).differences
    assert "(shortfall)" in difference


def test_the_decisions_of_this_version_say_its_models() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    world.finish()
    for entry in world.audit(execution_id):
        if entry.kind in MODELS:
            assert json.loads(entry.payload)["inputs"].get("model", 1) == MODELS[entry.kind], entry.kind


def left(name: str) -> ExecutionWorld:
    """Return a world as the version before left it."""
    now, state, ticks = UNDER_WAY[name]
    world, log = a_ready_world(), wiring(ExecutionSettings()).state
    for key, value in state:
        world.state.restore(base64.b64decode(key), decode(log, base64.b64decode(value)))
    world.go_on(now, [(due_ts, tick.encode()) for due_ts, tick in ticks])
    return world


@pytest.mark.parametrize("name", UNDER_WAY)
def test_an_execution_that_the_version_before_had_under_way_ends_and_is_forgotten(name: str) -> None:
    world = left(name)
    (saga,) = (each for each in world.state.values() if isinstance(each, Saga))
    asked: Any = None
    if saga.step is Step.CHOOSING:
        asked = ChoosePolicy(command_id=saga.decision_id, context={})
    elif saga.step is Step.SCORING:
        assert saga.sizing is not None
        command_id = step_id(saga.execution_id, "ScoreVenues")
        asked = ScoreVenues(
            command_id=command_id, symbol=saga.symbol, size=float(saga.sizing.qty), side="buy"
        )
    world.unanswered += [asked] if asked else []
    for _ in range(2_000):
        if world.unanswered:
            world.answer()
        else:
            world.beat()
            if not world.advance():
                break
    record = world.records[saga.execution_id]
    assert record.status is ExecutionStatus.COMPLETED
    assert record.filled > Decimal("0.6")
    assert record.reward is not None
    assert (record.reward.reward is not None) == (name == "choosing"), record.reward
    assert not any(isinstance(each, Saga) for each in world.state.values())
