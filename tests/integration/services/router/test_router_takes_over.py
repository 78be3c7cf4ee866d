"""A router on a real Kafka whose state's log was written by the version before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from libs.common.events import ChoosePolicy, PolicyChosen, RouterAnswer, RouterSlot
from libs.common.handling import RESERVED
from libs.common.kafka import Publisher, create_topics
from libs.common.topics import ROUTER_CHOICES, ROUTER_COMMANDS, ROUTER_STATE, TOPICS
from services.router.settings import RouterSettings
from tests.e2e.system import until
from tests.integration.services.router.process import log_of, router
from tests.older_memory import POLICIES
from tests.registered import register
from tests.unit.versions.test_older_memory import WRITTEN, written
from tests.unit.versions.test_older_records import state_of

if TYPE_CHECKING:
    from pathlib import Path


async def test_it_gives_the_state_todays_form_and_answers_again(fresh_kafka: str, tmp_path: Path) -> None:
    settings = RouterSettings(kafka_bootstrap_servers=fresh_kafka, topic_partitions=1)
    await create_topics(settings, TOPICS.values())
    await register(fresh_kafka, POLICIES, topic_partitions=1)
    async with AIOKafkaProducer(bootstrap_servers=fresh_kafka) as producer:
        for key, value in state_of(ROUTER_STATE.name, 0, WRITTEN):
            if not key.startswith(RESERVED):  # its commands are not in this Kafka
                await producer.send_and_wait(ROUTER_STATE.name, value, key, partition=0)
    before = [kept.answer for kept in written("router", RouterAnswer)]
    decisions = [answer for answer in before if isinstance(answer, PolicyChosen)]

    async def answered() -> bool:
        return len(await log_of(settings, ROUTER_CHOICES)) == len(decisions)

    async with Publisher(settings, compress=False) as publisher:
        for decision in decisions:
            asked = ChoosePolicy(command_id=decision.command_id, scope=decision.scope, context={})
            await publisher.send_and_wait(ROUTER_COMMANDS, asked.scope.encode(), asked, time.time_ns())
    environment = {"TOPIC_PARTITIONS": "1", "BATCH_RECORDS": "5"}  # so it is written in pieces
    with router(fresh_kafka, tmp_path / "router.log", **environment) as process:
        await until("every command is answered", answered)
        assert process.stop() == 0
    assert [record.event for record in await log_of(settings, ROUTER_CHOICES)] == decisions
    kept: dict[bytes, Any] = {record.key: record.event for record in await log_of(settings, ROUTER_STATE)}
    assert not any(isinstance(event, RouterSlot) for event in kept.values())
    answers = [event for event in kept.values() if isinstance(event, RouterAnswer)]
    assert len(answers) == len(before)
    assert all(answer.among for answer in answers)
