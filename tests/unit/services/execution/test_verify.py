from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from services.execution.audit.verify import DIFFERENT, UNKNOWN, report
from tests.execution_world import ExecutionWorld

if TYPE_CHECKING:
    from libs.common.events import AuditEntry


@pytest.fixture(scope="module")
def chain() -> list[AuditEntry]:
    world = ExecutionWorld()
    world.ready()
    execution_id = world.execute()
    world.finish()
    return world.audit(execution_id)


def test_a_true_log_is_verified_and_names_its_head(chain: list[AuditEntry]) -> None:
    lines, code = report("x", chain)
    assert code == 0
    assert chain[-1].hash in lines[-1]
    assert len(lines) == len(chain) + 1


def test_a_flipped_byte_of_any_entry_is_found_and_named(chain: list[AuditEntry]) -> None:
    for n, entry in enumerate(chain):
        middle = len(entry.payload) // 2
        flipped = entry.payload[:middle] + chr(ord(entry.payload[middle]) ^ 1) + entry.payload[middle + 1 :]
        lines, code = report("x", [*chain[:n], replace(entry, payload=flipped), *chain[n + 1 :]])
        assert code == DIFFERENT
        assert any(f"NOT VERIFIED: entry {n}" in line for line in lines)


def test_an_unknown_execution_says_so() -> None:
    lines, code = report("x", [])
    assert code == UNKNOWN
    assert "no entry" in lines[0]
