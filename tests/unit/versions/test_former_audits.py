"""Chains that were written when each decision had a type of its own verify, and what is altered is found."""

from __future__ import annotations

import base64
import json
import lzma
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from libs.common.events import AuditEntry
from services.execution.audit.rerun import MODELS, rerun
from services.execution.audit.verify import report
from tests.execution_world import a_ready_world

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parents[2] / "data" / "older_records"
FORMER: Final[dict[str, list[AuditEntry]]] = {
    name: msgspec.json.decode(lzma.decompress(base64.b85decode(packed)), type=list[AuditEntry])
    for name, packed in map(json.loads, (FOLDER / "3ba866b-audits.jsonl").read_text().splitlines())
}
DECISIONS: Final = {"immediate": 5, "twap": 5, "pov": 5, "skipped": 3, "failed": 3}


def todays() -> list[AuditEntry]:
    world = a_ready_world()
    execution_id = world.execute()
    world.finish()
    while not any(each.kind == "earned" for each in world.audit(execution_id)):
        world.beat()
        world.advance()
    return world.audit(execution_id)


def values(of: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every number and text of a JSON value, and where it stands."""
    match of:
        case dict():
            for name, item in of.items():
                yield from values(item, (*path, name))
        case list():
            for at, item in enumerate(of):
                yield from values(item, (*path, at))
        case _:
            yield path, of


def other(value: Any) -> Any:
    """Return the value changed a little."""
    match value:
        case None:
            return 1.0
        case bool():
            return not value
        case int() | float():
            return value + 1
    return f"{value}1"


def altered(entry: AuditEntry, path: tuple[Any, ...]) -> AuditEntry:
    payload = json.loads(entry.payload)
    at = payload["output"]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = other(at[path[-1]])
    return replace(entry, payload=json.dumps(payload))


@pytest.mark.parametrize("name", DECISIONS)
def test_a_former_chain_verifies_and_each_decision_is_made_again(name: str) -> None:
    lines, code = report("x", FORMER[name])
    assert code == 0, lines
    assert f"{DECISIONS[name]} decisions made again, all the same" in lines[-1]
    assert rerun(FORMER[name]).others == ()


@pytest.mark.parametrize("chain", [*FORMER.values(), todays()], ids=[*FORMER, "today"])
def test_any_value_of_a_decision_that_is_altered_is_a_difference(chain: list[AuditEntry]) -> None:
    decisions = [entry for entry in chain if entry.kind in MODELS]
    assert rerun(decisions).differences == ()
    for entry in decisions:
        found = list(values(json.loads(entry.payload)["output"]))
        assert found
        for path, _ in found[:: max(1, len(found) // 40)]:
            changed = rerun([altered(entry, path)])
            assert len(changed.differences) == 1, (entry.kind, path)


@pytest.mark.parametrize("chain", [*FORMER.values(), todays()], ids=[*FORMER, "today"])
def test_a_field_that_is_taken_from_a_decision_or_added_is_a_difference(chain: list[AuditEntry]) -> None:
    for entry in (each for each in chain if each.kind in MODELS):
        payload = json.loads(entry.payload)
        for name in payload["output"]:
            left = {each: of for each, of in payload["output"].items() if each != name}
            without = replace(entry, payload=json.dumps(payload | {"output": left}))
            assert len(rerun([without]).differences) == 1, (entry.kind, name)
        more = payload | {"output": payload["output"] | {"extra": 0}}
        assert len(rerun([replace(entry, payload=json.dumps(more))]).differences) == 1, entry.kind
