"""The newest dead letters: bounded, shared by who asks at once, and those of before while Kafka is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaConnectionError

from libs.common.kafka import Record
from libs.common.topics import DEAD_LETTERS
from services.gateway.reading.dead_letter_log import FRESH_S, MOST, MOST_BYTES, DeadLetterLog

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Letters:
    """The log, and how often it was read."""

    def __init__(self, *batches: list[Record]) -> None:
        self.batches = list(batches)
        self.failure: Exception | None = None
        self.reads = self.taken = 0
        self.now = 100.0

    async def read(self) -> AsyncGenerator[list[Record], None]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        for batch in self.batches:
            self.taken += 1
            yield batch

    def log(self) -> DeadLetterLog:
        return DeadLetterLog(self.read, lambda: self.now)


def a_letter(offset: int, value: bytes = b"") -> Record:
    return Record(
        topic=DEAD_LETTERS,
        partition=offset % 8,
        offset=offset,
        timestamp_ms=1_000 + offset,
        key=b"k",
        event=None,
        value=value,
        headers=(("reason", str(offset).encode()),),
    )


async def test_the_newest_are_told_the_newest_first() -> None:
    letters = Letters([a_letter(n) for n in range(30)], [a_letter(n) for n in range(30, 60)])
    told, why = await letters.log().newest()
    assert why == ""
    assert [letter.reason for letter in told] == [str(n) for n in range(59, 59 - MOST, -1)]
    assert told[0].id == "dead-letters.v1:3:59"


async def test_who_asks_at_once_or_soon_again_shares_one_reading() -> None:
    letters = Letters([a_letter(1)])
    log = letters.log()
    assert len({await each for each in asyncio.as_completed([log.newest() for _ in range(5)])}) == 1
    assert letters.reads == 1
    letters.now += FRESH_S
    await log.newest()
    assert letters.reads == 2


async def test_while_kafka_is_away_those_of_before_are_told_and_why() -> None:
    letters = Letters([a_letter(1)])
    log = letters.log()
    before, _ = await log.newest()
    letters.now, letters.failure = letters.now + FRESH_S, KafkaConnectionError("nobody is there")
    told, why = await log.newest()
    assert (told, why) == (before, "Kafka does not give the dead letters: KafkaConnectionError")
    letters.failure = None
    assert (await log.newest())[1] == ""


async def test_no_more_is_read_than_may_be() -> None:
    letters = Letters(*([a_letter(n, bytes(MOST_BYTES // 2))] for n in range(9)))
    await letters.log().newest()
    assert letters.taken == 3
