from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError
from msgspec.structs import replace

from libs.common.codec import encode
from libs.common.kafka import MissingTopicError, Record
from libs.common.topics import EXECUTION_AUDIT, EXECUTION_RECORDS
from services.gateway.reading import audit_check
from tests.execution_world import ExecutionWorld
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import AuditEntry

MIB = 1024 * 1024
AUDIT = "/api/audit/7ea7c1fd-27df-5a02-aefa-a2e16957122c"


async def test_one_audit_too_many_is_503_and_its_place_is_free_afterwards() -> None:
    world = World(audit_max_reads=2)
    world.audit.held.clear()
    first = [asyncio.create_task(world.ask(AUDIT)) for _ in range(2)]
    for _ in first:
        await world.audit.asked.acquire()
    async with asyncio.timeout(5):
        refused = await world.ask(AUDIT)
    assert "2 audits" in assert_problem(refused, 503, "too-many")["detail"]
    assert refused.headers["retry-after"] == "1"
    world.audit.held.set()
    for answer in (*await asyncio.gather(*first), await world.ask(AUDIT)):
        assert_problem(answer, 404, "unknown-name")


@pytest.mark.parametrize("failure", [KafkaConnectionError(), MissingTopicError(), ConnectionRefusedError()])
async def test_while_kafka_is_away_an_audit_is_503_and_says_so(failure: Exception) -> None:
    world = World(audit_max_reads=1)
    world.audit.failure = failure
    for _ in range(2):
        answer = await world.ask(AUDIT)
        assert "Kafka does not answer" in assert_problem(answer, 503, "not-ready")["detail"]
        assert answer.headers["retry-after"] == "1"


async def test_an_audit_that_takes_too_long_is_503_and_its_reading_ends() -> None:
    world = World(audit_max_reads=1, audit_timeout_s=0.01)
    world.audit.held.clear()
    for _ in range(2):
        async with asyncio.timeout(5):
            answer = await world.ask(AUDIT)
        assert "within 0.01 s" in assert_problem(answer, 503, "not-ready")["detail"]
        assert answer.headers["retry-after"] == "1"
        assert world.audit.open == 0


async def test_the_document_tells_that_an_audit_may_be_refused() -> None:
    operation = (await World().ask("/openapi.json")).json()["paths"]["/api/audit/{execution_id}"]["get"]
    refused = operation["responses"]["503"]
    assert {"not-ready", "too-many"} <= refused["content"]["application/problem+json"]["examples"].keys()
    assert "Retry-After" in refused["headers"]


def records_of(entries: Iterable[AuditEntry]) -> list[Record]:
    return [
        Record(
            topic=EXECUTION_AUDIT,
            partition=0,
            offset=offset,
            timestamp_ms=0,
            key=entry.execution_id.encode(),
            event=entry,
            value=encode(entry),
        )
        for offset, entry in enumerate(entries)
    ]


def a_gateway(**settings: Any) -> tuple[World, list[AuditEntry]]:
    """Return one that knows an execution, and the entries of its audit, which are still to be put there."""
    executions = ExecutionWorld()
    executions.ready()
    name = executions.execute()
    executions.finish()
    world = World(**settings)
    world.fold(EXECUTION_RECORDS, name.encode(), executions.records[name])
    return world, executions.audit(name)


def audit_of(entries: list[AuditEntry]) -> str:
    return f"/api/audit/{entries[0].execution_id}"


async def test_an_audit_is_verified_without_a_word_to_any_service() -> None:
    world, entries = a_gateway()
    world.audit.records = records_of(entries)
    answer = (await world.ask(audit_of(entries))).json()
    assert (answer["verified"], answer["problems"], answer["decisions"]) == (True, [], 4)
    assert [entry["hash"] for entry in answer["entries"]] == [entry.hash for entry in entries]
    assert world.writer.sent == []


async def test_an_altered_decision_and_a_chain_that_lacks_the_records_head_are_told() -> None:
    world, entries = a_gateway()
    decided = next(n for n, entry in enumerate(entries) if entry.kind == "sizing")
    entries[decided] = replace(
        entries[decided], payload=entries[decided].payload.replace('"output":{', '"output":{"forged":1,')
    )
    world.audit.records = records_of(entries[:-1])
    answer = (await world.ask(audit_of(entries))).json()
    assert not answer["verified"]
    told = " ".join(answer["problems"])
    for problem in (
        f"entry {decided} (sizing) is not what",
        "that the record names",
        f"entry {decided} (sizing) comes out as",
    ):
        assert problem in told


async def test_an_audit_of_more_than_a_message_may_hold_is_answered() -> None:
    world, entries = a_gateway()
    size = sum(len(entry.payload) for entry in entries)
    many = [*entries, *entries * (MIB // size + 1)]
    world.audit.records = records_of(many)
    answer = await world.ask(audit_of(entries))
    assert (answer.status, len(answer.json()["entries"])) == (200, len(many))
    assert len(answer.body) > MIB


async def test_an_audit_over_its_bytes_is_refused_and_names_the_setting_and_another_way() -> None:
    world, entries = a_gateway(audit_max_bytes=10_000)
    world.audit.records = records_of(entries)
    refused = await world.ask(audit_of(entries))
    detail = assert_problem(refused, 503, "too-many")["detail"]
    assert "AUDIT_MAX_BYTES" in detail
    assert f"bookrunner verify {entries[0].execution_id}" in detail
    assert refused.headers["retry-after"]
    assert world.audit_log.places.taken.total == 0


async def test_decisions_are_made_again_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    world, entries = a_gateway()
    world.audit.records = records_of(entries)
    seen: list[int] = []

    def checked(*_arguments: object) -> bytes:
        seen.append(threading.get_ident())
        return b"{}"

    monkeypatch.setattr(audit_check, "checked", checked)
    await world.ask(audit_of(entries))
    assert len(seen) == 1
    assert seen != [threading.get_ident()]
