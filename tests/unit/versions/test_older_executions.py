"""What the version before left of executions: audits are not called wrong, and what is under way goes on."""

from __future__ import annotations

import json
from base64 import b64decode
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from libs.common.codec import decode
from libs.common.events import AuditEntry, ChoosePolicy, ExecutionStatus, ScoreVenues
from libs.common.topics import EXECUTION_AUDIT
from services.execution.app import wiring
from services.execution.audit.rerun import MODELS, rerun
from services.execution.audit.verify import report
from services.execution.saga.phases import SAGA, Choosing, Ended, Scoring, Working, course_key
from services.execution.saga.unit_of_work import step_id, unit_of
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
    entries = [decode(EXECUTION_AUDIT, b64decode(json.loads(line))) for line in lines]
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
        world.state.restore(b64decode(key), decode(log, b64decode(value)))
    wiring(ExecutionSettings()).migrate(world.state)
    world.state.keep()
    executions = [kept.execution_id for kept in world.state.values() if isinstance(kept, SAGA)]
    units = [unit_of(world.state, each, world.market, now) for each in executions]
    world.sent += [unit.record() for unit in units if unit is not None]  # as that version told it
    world.go_on(now, [(due_ts, tick.encode()) for due_ts, tick in ticks])
    return world


def test_what_the_version_before_had_decided_is_kept_in_todays_names() -> None:
    seen = []
    for name, (_, state, _) in UNDER_WAY.items():
        world = left(name)
        (saga,) = (each for each in world.state.values() if isinstance(each, SAGA))
        written = next(of for _, value in state if "mids" in (of := msgspec.msgpack.decode(b64decode(value))))
        work = saga.work if isinstance(saga, Ended) else saga if isinstance(saga, Working) else None
        assert (work is not None) == bool(written.get("plan"))
        if work is not None:
            (leg,) = work.legs
            course = world.state[course_key(saga.execution_id)].legs[leg.venue]
            coming = leg.plan.slices[course.next :]
            told = [(each.at_ts, str(each.size), str(each.limit)) for each in coming]
            assert told == [tuple(each.values()) for each in written["slices"]]
            assert leg.plan.size == work.quantity == Decimal(written["parent"]["quantity"])
            assert leg.plan.mid == written["plan_mid"]
            assert str(leg.plan.min_child) == written["plan"]["min_child"]
            seen.append("plan")
        if isinstance(saga, Ended) and saga.shortfall is not None:
            assert saga.shortfall.total_bps == written["shortfall"]["total_bps"]
            assert Decimal(str(saga.shortfall.detail["total"])) == Decimal(written["shortfall"]["total"])
            seen.append("shortfall")
    assert {"plan", "shortfall"} <= set(seen)


@pytest.mark.parametrize("name", UNDER_WAY)
def test_an_execution_that_the_version_before_had_under_way_ends_and_is_forgotten(name: str) -> None:
    world = left(name)
    (saga,) = (each for each in world.state.values() if isinstance(each, SAGA))
    asked: Any = None
    if isinstance(saga, Choosing):
        asked = ChoosePolicy(command_id=saga.request.decision_id, context={})
    elif type(saga) is Scoring:
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
    assert not any(isinstance(each, SAGA) for each in world.state.values())
