from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from libs.common.kafka import MissingTopicError
from tests.unit.services.gateway.test_api import assert_problem
from tests.unit.services.gateway.world import World

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
