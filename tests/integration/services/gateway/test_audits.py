"""Audits over a real Kafka: they are read from their log, and a read writes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec.structs import replace

from libs.common.kafka import Publisher
from libs.common.topics import EXECUTION_AUDIT, EXECUTION_RECORDS, SERVICES_STATUS, TOPICS
from tests.e2e.system import until
from tests.execution_world import ExecutionWorld
from tests.heartbeats import standing_in
from tests.integration.services.gateway.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from libs.common.events import AuditEntry, ExecutionRecord

READS = 20
MIB = 1024 * 1024


@pytest.fixture
async def gateway(fresh_kafka: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess(fresh_kafka, tmp_path / "gateway.log") as process:
        yield process


def an_execution() -> tuple[ExecutionRecord, list[AuditEntry]]:
    world = ExecutionWorld()
    world.ready()
    name = world.execute()
    world.finish()
    return world.records[name], world.audit(name)


async def publish(gateway: GatewayProcess, record: ExecutionRecord, entries: list[AuditEntry]) -> None:
    """Write what the execution service writes, and wait until the gateway knows the execution."""
    key, now = record.execution_id.encode(), time.time_ns()
    async with Publisher(gateway.settings) as publisher:
        for entry in entries:
            await publisher.send(EXECUTION_AUDIT, key, entry, now)
        await publisher.send_and_wait(EXECUTION_RECORDS, key, replace(record, created_ts=now), now)

    async def known() -> bool:
        return (await gateway.get(f"/api/exec/{record.execution_id}"))[0] == 200

    await until("the execution is known", known)


async def execution_heard(gateway: GatewayProcess) -> bool:
    """Tell whether a command for it would be sent."""
    _, said = await gateway.get("/readyz")
    lacks = [each for each in said.get("missing", ["all"]) if "registered a policy" not in each]
    return not any(each.startswith(("all", "execution", "the gateway")) for each in lacks)


async def ends(gateway: GatewayProcess) -> Mapping[str, int]:
    """Return the sum of the end offsets of every topic but the heartbeats', which never rest."""
    settings = gateway.settings
    partitions = [
        TopicPartition(name, number)
        for name in TOPICS
        if name != SERVICES_STATUS.name
        for number in range(settings.topic_partitions)
    ]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    try:
        found = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    sums = dict.fromkeys(TOPICS, 0)
    for partition, end in found.items():
        sums[partition.topic] += end
    return sums


async def test_audits_are_answered_and_no_topic_grows(gateway: GatewayProcess) -> None:
    record, entries = an_execution()
    async with standing_in(gateway.settings):
        await until("the execution service is heard", lambda: execution_heard(gateway))
        await publish(gateway, record, entries)
        before = await ends(gateway)
        answers = [await gateway.get(f"/api/audit/{record.execution_id}") for _ in range(READS)]
        assert await ends(gateway) == before
    assert {status for status, _ in answers} == {200}
    for _, answer in answers:
        assert (answer["verified"], len(answer["entries"])) == (True, len(entries))


async def test_an_audit_over_a_message_of_kafka_is_answered_while_no_service_is_there(
    gateway: GatewayProcess,
) -> None:
    record, entries = an_execution()
    size = sum(len(entry.payload) for entry in entries)
    many = [*entries, *entries * (MIB // size + 1)]
    await publish(gateway, record, many)
    status, answer = await gateway.get(f"/api/audit/{record.execution_id}")
    assert (status, len(answer["entries"])) == (200, len(many))
    assert any("says it is number 0" in problem for problem in answer["problems"])
    assert (await gateway.get("/healthz"))[0] == 200
    assert gateway.process.poll() is None
