"""Membership in the group of l2 processes, on a real Kafka."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from libs.common.kafka import Publisher, create_topics
from libs.common.topics import TOPICS
from services.l2.ownership import Ownership, PastLog
from services.l2.settings import L2Settings

if TYPE_CHECKING:
    from services.l2.messages import L2Message


class BrokenLogError(Exception):
    pass


class WithoutLog(Ownership):
    async def take_over(self, came: set[int], past: PastLog) -> None:
        raise BrokenLogError(f"{len(came)} partitions, {len(past.ends)} ends")


async def test_who_cannot_take_books_over_ends_instead_of_owning_none_in_silence(fresh_kafka: str) -> None:
    settings = L2Settings(kafka_bootstrap_servers=fresh_kafka, group="broken")
    await create_topics(settings, TOPICS.values())

    async def report(message: L2Message) -> None:
        raise AssertionError(message)

    async with asyncio.timeout(60):
        with pytest.raises(BrokenLogError, match="partitions"):
            await WithoutLog(settings, Publisher(settings), report).run()
