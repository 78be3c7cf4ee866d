"""Messages over a topic's limit on a real Kafka: each is refused by itself, and its producer goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest
from aiokafka.structs import RecordMetadata

from libs.common.events import BookHealth, BookState
from libs.common.kafka import Publisher, TooLargeError, create_topics
from libs.common.kafka_lanes import StreamPublisher
from libs.common.topics import DEAD_LETTERS, L2_BOOK_HEALTH, MIB
from tests.integration.libs.common.strangers import visible
from tests.integration.libs.common.workers import PARTITIONS, settings_of

if TYPE_CHECKING:
    from libs.common.settings import ServiceSettings

TS: Final = time.time_ns()
KEY: Final = b"binance:BTC-USDT"


def a_health(reason: str) -> BookHealth:
    return BookHealth(
        venue="binance",
        symbol="BTC-USDT",
        state=BookState.LIVE,
        epoch=1,
        seq=1,
        reason=reason,
        since_ts=TS,
        ts=TS,
    )


@pytest.fixture
async def settings(fresh_kafka: str) -> ServiceSettings:
    found = settings_of(fresh_kafka)
    await create_topics(found, [L2_BOOK_HEALTH, DEAD_LETTERS])
    return found


@pytest.mark.parametrize("compress", [False, True])
async def test_a_publisher_refuses_what_is_too_large_and_sends_what_follows(
    settings: ServiceSettings, *, compress: bool
) -> None:
    async with Publisher(settings, compress=compress) as publisher:
        with pytest.raises(TooLargeError, match=r"l2\.book-health\.v1 takes 1048576 at most"):
            await publisher.send(L2_BOOK_HEALTH, KEY, a_health("x" * MIB), TS)
        with pytest.raises(TooLargeError, match=r"l2\.book-health\.v1 takes 1048576 at most"):
            await publisher.send_and_wait(L2_BOOK_HEALTH, KEY, a_health("x" * MIB), TS)
        sent = await publisher.send_and_wait(L2_BOOK_HEALTH, KEY, a_health("fits"), TS)
        assert isinstance(sent, RecordMetadata)
        assert not publisher.failed.done()
    (record,) = await visible(settings.kafka_bootstrap_servers, L2_BOOK_HEALTH, PARTITIONS)
    assert record.key == KEY


async def test_the_largest_message_that_is_not_refused_is_taken_by_kafka(settings: ServiceSettings) -> None:
    async with Publisher(settings, compress=False) as publisher:
        low, high = MIB - 2_000, MIB
        while low < high:  # the first length that is refused
            middle = (low + high) // 2
            try:
                await publisher.send_and_wait(L2_BOOK_HEALTH, KEY, a_health("x" * middle), TS)
            except TooLargeError:
                high = middle
            else:
                low = middle + 1
        assert not publisher.failed.done()
    assert MIB - 1_000 < low < MIB


async def test_a_stream_keeps_what_is_too_large_as_a_dead_letter_and_goes_on(
    settings: ServiceSettings,
) -> None:
    async with StreamPublisher(settings, [L2_BOOK_HEALTH], 1_000) as publisher:
        for reason in ("before", "x" * MIB, "after"):
            publisher.post(L2_BOOK_HEALTH, KEY, a_health(reason), TS)
        await publisher.flush()
        assert publisher.too_large == 1
        assert not publisher.failed.done()
    kafka = settings.kafka_bootstrap_servers
    assert len(await visible(kafka, L2_BOOK_HEALTH, PARTITIONS)) == 2
    (letter,) = await visible(kafka, DEAD_LETTERS, PARTITIONS)
    told = dict(letter.headers)
    assert b"l2.book-health.v1 takes 1048576 at most" in told["reason"]
    assert (letter.key, told["source"]) == (KEY, b"l2.book-health.v1")
