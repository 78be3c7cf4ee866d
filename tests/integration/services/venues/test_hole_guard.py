"""The hole guard on a real log: markers of transactions are no loss, a record never delivered is."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from faust.types import TP

from libs.common.kafka import create_topics
from libs.common.topics import VENUES_COMMANDS
from services.venues.faust_recovery import HoleGuard, SkippedRecordsError
from tests.venues_running import settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOPIC = VENUES_COMMANDS.name


@asynccontextmanager
async def a_guard(kafka: str, committed: int | None = None) -> AsyncIterator[HoleGuard]:
    place = {TP(TOPIC, 0): committed} if committed is not None else {}
    app: Any = SimpleNamespace(consumer=SimpleNamespace(_committed_offset=place))  # all it asks of Faust
    guard = HoleGuard(app, settings_of(kafka), VENUES_COMMANDS)
    try:
        yield guard
    finally:
        await guard.close()


async def a_log(kafka: str) -> None:
    """Write records at 0, 1, 3, 4 and 6; the markers of transactions take 2 and 5.

    A transaction begins after the marker of the one before; a plain record might overtake it.
    """
    await create_topics(settings_of(kafka), (VENUES_COMMANDS,))
    plain = AIOKafkaProducer(bootstrap_servers=kafka)
    transactional = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id="hole-guard")
    async with plain, transactional:
        await plain.send_and_wait(TOPIC, b"0", partition=0)
        for values in ((b"1",), (b"3", b"4"), (b"6",)):
            async with transactional.transaction():
                for value in values:
                    found = await transactional.send_and_wait(TOPIC, value, partition=0)
                    assert found.offset == int(value)


async def test_holes_of_markers_pass_and_are_counted(fresh_kafka: str) -> None:
    await a_log(fresh_kafka)
    async with a_guard(fresh_kafka) as guard:
        for offset in (0, 1, 3, 4, 6):
            await guard.check(0, offset)
        assert guard.holes == 2


async def test_a_record_that_was_never_delivered_is_found(fresh_kafka: str) -> None:
    await a_log(fresh_kafka)
    async with a_guard(fresh_kafka) as guard:
        await guard.check(0, 0)
        with pytest.raises(SkippedRecordsError, match="6 came, but 1 was never delivered"):
            await guard.check(0, 6)


async def test_the_first_record_is_held_against_the_committed_offset(fresh_kafka: str) -> None:
    await a_log(fresh_kafka)
    async with a_guard(fresh_kafka, committed=3) as guard:
        with pytest.raises(SkippedRecordsError, match="3 was never delivered"):
            await guard.check(0, 4)
    async with a_guard(fresh_kafka, committed=5) as guard:
        await guard.check(0, 6)


async def test_what_retention_has_taken_was_not_skipped(fresh_kafka: str) -> None:
    await a_log(fresh_kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=fresh_kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(TOPIC, 0): RecordsToDelete(before_offset=4)})
    finally:
        await admin.close()
    async with a_guard(fresh_kafka, committed=1) as guard:
        await guard.check(0, 4)
        assert guard.holes == 0
    async with a_guard(fresh_kafka, committed=1) as guard:
        with pytest.raises(SkippedRecordsError, match="4 was never delivered"):
            await guard.check(0, 6)


async def test_a_record_delivered_again_passes_and_hides_nothing(fresh_kafka: str) -> None:
    await a_log(fresh_kafka)
    async with a_guard(fresh_kafka, committed=3) as guard:
        await guard.check(0, 3)
        await guard.check(0, 1)
        with pytest.raises(SkippedRecordsError, match="4 was never delivered"):
            await guard.check(0, 6)
        guard.keep_only({0, 1})
        with pytest.raises(SkippedRecordsError, match="4 was never delivered"):
            await guard.check(0, 6)
        guard.keep_only({1})
        await guard.check(0, 3)  # as committed
