"""The system at a glance from a real broker, while nothing of it is there but the gateway."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiokafka import AIOKafkaProducer

from libs.common.budgets import budget_of
from libs.common.dead_letters import dead_letter
from libs.common.topics import DEAD_LETTERS, L2_SUBSCRIPTIONS
from services.gateway.reading.dead_letter_log import MOST, OF_PARTITION
from tests.e2e.system import until
from tests.integration.services.gateway.process import GatewayProcess

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS: Final = 3_600_000


class AsItStarts(GatewayProcess):
    """Is asked before it is ready: no service will ever be there."""

    async def until_ready(self) -> None:
        await until("the gateway answers", self.alive, 60.0)

    async def alive(self) -> bool:
        try:
            async with self.http.get("/healthz") as reply:
                return reply.status == 200
        except aiohttp.ClientError:
            return False

    async def system(self) -> Any:
        async with self.http.get("/api/system") as reply:
            assert reply.status == 200
            return await reply.json()


async def test_topics_and_dead_letters_are_told_though_no_service_is_there(
    fresh_kafka: str, tmp_path: Path
) -> None:
    async with AsItStarts(fresh_kafka, tmp_path / "gateway.log") as gateway:

        async def views_read() -> Any:
            told = await gateway.system()
            return told if all(view["ready"] for view in told["views"]) else None

        told = await until("the views have caught up", views_read, 60.0)
        assert not told["ready"]
        assert "router has not been heard" in told["missing"]
        assert [each["service"] for each in told["services"]] in ([], ["gateway"])
        assert (told["deadLetters"]["newest"], told["deadLetters"]["why"]) == ([], "")
        oldest_ms = told["ts"] - HOUR_MS
        await _write(gateway, 3 * MOST, oldest_ms)

        async def measured() -> Any:
            told = await gateway.system()
            topics = {each["topic"]: each for each in told["topics"]}
            letters = topics.get(DEAD_LETTERS.name)
            grows = letters is not None and letters["records"] and letters["perSecond"] is not None
            return (told, topics) if grows and told["deadLetters"]["newest"] else None

        told, topics = await until("the topics are measured twice", measured, 60.0)
        letters = topics[DEAD_LETTERS.name]
        assert letters["records"] == told["deadLetters"]["count"] == 3 * MOST
        assert letters["oldestTs"] == oldest_ms
        assert letters["bytes"] > 0
        assert letters["budgetBytes"] == budget_of(DEAD_LETTERS).bytes
        assert topics[L2_SUBSCRIPTIONS.name]["oldestTs"] is None
        newest = told["deadLetters"]["newest"]
        # All stand in one partition, of which the last few are read.
        assert [letter["reason"] for letter in newest] == [
            f"reason {n}" for n in range(3 * MOST - 1, 3 * MOST - 1 - OF_PARTITION, -1)
        ]
        assert {letter["topic"] for letter in newest} == {"router.commands.v1"}
        assert {letter["id"].split(":")[0] for letter in newest} == {DEAD_LETTERS.name}
        assert newest[0]["ts"] >= told["ts"] - 60_000


async def _write(gateway: GatewayProcess, count: int, oldest_ms: int) -> None:
    """Write so many letters under one key, the first one an hour ago."""
    async with AIOKafkaProducer(bootstrap_servers=gateway.settings.kafka_bootstrap_servers) as producer:
        for number in range(count):
            at_ms = time.time_ns() // 1_000_000 if number else oldest_ms
            source = f"router.commands.v1/0/{number}"
            key, value, headers = dead_letter(b"key", b"no message", f"reason {number}", source)
            await producer.send_and_wait(
                DEAD_LETTERS.name, value, key, timestamp_ms=at_ms, headers=[*headers]
            )
