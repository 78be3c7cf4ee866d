"""Topics, publishing, reading and following on a real broker."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.protocol.metadata import MetadataRequest

from libs.common.codec import encode
from libs.common.events import BookTop, Subscribed
from libs.common.kafka import (
    KafkaAwayError,
    MissingTopicError,
    Publisher,
    Record,
    TopicCreationError,
    TopicMismatchError,
    Undecodable,
    await_answer,
    create_topics,
    follow,
    partition_of,
    read,
)
from libs.common.topics import DEAD_LETTERS, L2_BOOK_DELTAS, L2_BOOK_TOPS, L2_SUBSCRIPTIONS, TOPICS
from libs.common.views import Last, View
from tests.integration.libs.common.workers import PARTITIONS, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

KEY = b"binance:BTC-USDT"
TS = time.time_ns()


# Kafka takes less of it than its registry says, so it refuses what a publisher hands over.
STRICTER = replace(L2_SUBSCRIPTIONS, name="tests.stricter.v1")
TOO_BIG = Subscribed(venue="x" * 5_000, symbol="BTC-USDT", requested_ts=1)


def a_subscription(n: int = 0) -> Subscribed:
    return Subscribed(venue="binance", symbol="BTC-USDT", requested_ts=n)


@pytest.fixture
async def settings(fresh_kafka: str) -> ServiceSettings:
    found = settings_of(fresh_kafka)
    stricter = replace(STRICTER, max_message_bytes=1_000)
    await create_topics(found, [L2_SUBSCRIPTIONS, L2_BOOK_TOPS, DEAD_LETTERS, stricter])
    return found


async def refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)


async def everything(settings: ServiceSettings, topic: Topic, **choices: object) -> list[Record]:
    found: list[Record] = []
    batches = read(settings, [topic], on_undecodable=refuse, stop_at_end=True, **choices)  # type: ignore[arg-type]  # named
    async with aclosing(batches):
        async for batch in batches:
            found += batch
    return found


async def caught_up(settings: ServiceSettings, view: View[Subscribed]) -> list[Record]:
    """Follow until the view is ready; return what was folded."""
    folded: list[Record] = []
    async with aclosing(follow(settings, [view], on_undecodable=refuse)) as batches:
        async for batch in batches:
            folded += batch
            if view.ready:
                break
    return folded


async def configuration(settings: ServiceSettings, topic: Topic) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def test_all_topics_of_the_registry_are_created_as_declared(fresh_kafka: str) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings)
    for topic in TOPICS.values():
        found = await configuration(settings, topic)
        assert topic.config(PARTITIONS).items() <= found.items(), topic.name


async def test_creating_topics_again_and_at_once_changes_nothing(fresh_kafka: str) -> None:
    settings = settings_of(fresh_kafka)
    await asyncio.gather(*(create_topics(settings) for _ in range(3)))
    await create_topics(settings)


async def test_another_number_of_partitions_is_a_clear_error(settings: ServiceSettings) -> None:
    other = settings.model_copy(update={"topic_partitions": PARTITIONS + 1})
    with pytest.raises(TopicMismatchError, match=r"TOPIC_PARTITIONS is 5, but l2\.subscriptions\.v1 has 4"):
        await create_topics(other, [L2_SUBSCRIPTIONS])


async def test_a_topic_that_kafka_refuses_is_a_clear_error(settings: ServiceSettings) -> None:
    with pytest.raises(TopicCreationError, match=r"no/such: InvalidTopicError"):
        await create_topics(settings, [replace(L2_SUBSCRIPTIONS, name="no/such")])


async def test_more_replicas_than_brokers_are_waited_for_and_then_a_clear_error(fresh_kafka: str) -> None:
    settings = settings_of(fresh_kafka, kafka_wait_s=0.5).model_copy(update={"topic_replication": 3})
    with pytest.raises(KafkaAwayError, match=r"TOPIC_REPLICATION is 3, more than there are brokers up"):
        await create_topics(settings, [L2_SUBSCRIPTIONS])


async def test_no_kafka_is_a_clear_error_after_the_wait() -> None:
    settings = settings_of("127.0.0.1:9", kafka_wait_s=0.5)
    with pytest.raises(
        KafkaAwayError, match=r"Kafka at 127\.0\.0\.1:9 was not ready in 0\.5 s .*KAFKA_BOOTSTRAP"
    ):
        await create_topics(settings)


async def test_what_is_published_is_read_with_its_own_time_and_in_its_partition(
    settings: ServiceSettings,
) -> None:
    async with Publisher(settings) as publisher:
        for n in range(100):
            await publisher.send(L2_SUBSCRIPTIONS, KEY, a_subscription(n), TS, [("ce_id", b"x")])
        await publisher.flush()
        assert publisher.sent == publisher.acked == 100
    records = await everything(settings, L2_SUBSCRIPTIONS)
    assert [record.event for record in records] == [a_subscription(n) for n in range(100)]
    assert {record.partition for record in records} == {partition_of(KEY, PARTITIONS)}
    assert {record.timestamp_ms for record in records} == {TS // 1_000_000}
    assert {record.headers for record in records} == {(("ce_id", b"x"),)}


async def test_leaving_the_publisher_delivers_what_was_handed_over(settings: ServiceSettings) -> None:
    async with Publisher(settings) as publisher:
        await publisher.send(L2_SUBSCRIPTIONS, KEY, a_subscription(), TS)
    assert len(await everything(settings, L2_SUBSCRIPTIONS)) == 1


async def test_compressed_market_data_is_read_back(settings: ServiceSettings) -> None:
    async with Publisher(settings, compress=True) as publisher:
        top = BookTop(
            venue="binance",
            symbol="BTC-USDT",
            epoch=1,
            seq=1,
            venue_seq=None,
            bids=((1.0, 1.0),) * 5_000,
            asks=(),
            features=None,
            venue_ts=None,
            received_ts=TS,
        )
        await publisher.send_and_wait(L2_BOOK_TOPS, KEY, top, TS)
    assert [record.event for record in await everything(settings, L2_BOOK_TOPS)] == [top]


async def test_a_send_that_nobody_awaits_surfaces_when_it_fails(settings: ServiceSettings) -> None:
    publisher = Publisher(settings, compress=False)

    async def send_and_watch() -> None:
        async with publisher:
            await publisher.send(STRICTER, KEY, TOO_BIG, TS)
            await publisher.watch()

    with pytest.raises(MessageSizeTooLargeError):
        await asyncio.wait_for(send_and_watch(), 5.0)
    assert (publisher.sent, publisher.acked) == (1, 0)


async def test_a_failed_send_is_raised_at_the_end_if_nobody_watched(settings: ServiceSettings) -> None:

    async def send() -> None:
        async with Publisher(settings, compress=False) as publisher:
            await publisher.send(STRICTER, KEY, TOO_BIG, TS)

    with pytest.raises(MessageSizeTooLargeError):
        await send()


async def test_an_awaited_send_raises_where_it_is_awaited(settings: ServiceSettings) -> None:
    async with Publisher(settings, compress=False) as publisher:
        with pytest.raises(MessageSizeTooLargeError):
            await publisher.send_and_wait(STRICTER, KEY, TOO_BIG, TS)


async def test_a_watcher_that_is_cancelled_does_not_blind_the_publisher(settings: ServiceSettings) -> None:

    async def give_up_watching_then_send() -> None:
        async with Publisher(settings, compress=False) as publisher:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(publisher.watch(), 0.01)
            await publisher.send(STRICTER, KEY, TOO_BIG, TS)

    with pytest.raises(MessageSizeTooLargeError):
        await give_up_watching_then_send()


async def test_a_publisher_without_kafka_is_an_error() -> None:
    with pytest.raises(KafkaError):
        async with Publisher(settings_of("127.0.0.1:9")):
            pass


async def test_undecodable_bytes_reach_the_dead_letters_and_the_rest_is_read(
    settings: ServiceSettings,
) -> None:
    await raw(settings, L2_SUBSCRIPTIONS, [(KEY, b"\xc1junk"), (KEY, encode(a_subscription(1)))])
    async with Publisher(settings) as publisher:
        batches = read(settings, [L2_SUBSCRIPTIONS], on_undecodable=publisher.reject, stop_at_end=True)
        events = [record.event async for batch in batches for record in batch]
    assert events == [a_subscription(1)]
    (letter,) = await everything(settings, DEAD_LETTERS)
    place = partition_of(KEY, PARTITIONS)
    assert (letter.key, letter.value) == (KEY, b"\xc1junk")
    assert dict(letter.headers)["source"] == f"l2.subscriptions.v1/{place}/0".encode()


async def test_a_dead_letter_of_any_length_is_delivered(settings: ServiceSettings) -> None:
    async with Publisher(settings, compress=False) as publisher:
        await publisher.dead_letter(KEY, b"x" * 10_000_000, "a frame of 10 MB", "binance")
    (letter,) = await everything(settings, DEAD_LETTERS)
    assert dict(letter.headers)["original-value-bytes"] == b"10000000"


async def test_reading_can_begin_at_the_end_at_a_time_and_at_an_offset(settings: ServiceSettings) -> None:
    async with Publisher(settings) as publisher:
        for n in range(10):
            await publisher.send(L2_SUBSCRIPTIONS, KEY, a_subscription(n), TS + n * 1_000_000)
    place = TopicPartition(L2_SUBSCRIPTIONS.name, partition_of(KEY, PARTITIONS))
    assert not await everything(settings, L2_SUBSCRIPTIONS, start="end")
    assert len(await everything(settings, L2_SUBSCRIPTIONS, start=TS + 7 * 1_000_000)) == 3
    assert not await everything(settings, L2_SUBSCRIPTIONS, start=TS + 60 * 1_000_000_000)
    assert len(await everything(settings, L2_SUBSCRIPTIONS, start={place: 8})) == 2
    assert len(await everything(settings, L2_SUBSCRIPTIONS, partitions={place.partition})) == 10
    others = set(range(PARTITIONS)) - {place.partition}
    assert not await everything(settings, L2_SUBSCRIPTIONS, partitions=others)


@pytest.mark.parametrize(("most", "first"), [(8, 3), (5, 3), (4, 4), (1_000, 0)])
async def test_reading_can_begin_so_many_offsets_before_the_end_of_each_partition(
    settings: ServiceSettings, most: int, first: int
) -> None:
    async with Publisher(settings) as publisher:
        for n in range(5):
            await publisher.send_and_wait(L2_SUBSCRIPTIONS, KEY, a_subscription(n), TS)
    found = await everything(settings, L2_SUBSCRIPTIONS, start=Last(most))
    assert [record.offset for record in found] == list(range(first, 5))


async def test_a_missing_topic_is_a_clear_error(settings: ServiceSettings) -> None:
    with pytest.raises(MissingTopicError, match=r"has no l2\.book-deltas\.v1"):
        await everything(settings, L2_BOOK_DELTAS)


async def test_a_view_holds_the_newest_message_of_each_key_and_obeys_tombstones(
    settings: ServiceSettings,
) -> None:
    async with Publisher(settings) as publisher:
        for n in range(20):
            await publisher.send(L2_SUBSCRIPTIONS, b"v:S%d" % (n % 10), a_subscription(n), TS)
        await publisher.send(L2_SUBSCRIPTIONS, b"v:S3", None, TS)
    view: View[Subscribed] = View(L2_SUBSCRIPTIONS)
    assert len(await caught_up(settings, view)) == 21
    assert view.items == {b"v:S%d" % n: a_subscription(10 + n) for n in range(10) if n != 3}
    assert view.lag() == 0


class KrakensOnly(View[Subscribed]):
    """A view of one venue."""

    def wants(self, key: bytes) -> bool:
        return key.startswith(b"kraken:")


async def test_what_a_view_does_not_want_is_passed_by_unread_and_it_is_at_the_end(
    settings: ServiceSettings,
) -> None:
    mine, other = b"kraken:BTC-USDT", b"binance:BTC-USDT"
    await raw(
        settings, L2_SUBSCRIPTIONS, [(other, b"junk"), (mine, encode(a_subscription())), (other, b"junk")]
    )
    view = KrakensOnly(L2_SUBSCRIPTIONS)
    assert len(await caught_up(settings, view)) == 1
    assert view.items == {mine: a_subscription()}
    assert (view.position(partition_of(mine, PARTITIONS)), view.lag()) == (3, 0)


async def test_a_view_of_an_empty_topic_is_ready(settings: ServiceSettings) -> None:
    view: View[Subscribed] = View(L2_SUBSCRIPTIONS)
    assert not await caught_up(settings, view)
    assert not view.items


async def test_a_view_follows_what_comes_after_it_was_ready(settings: ServiceSettings) -> None:
    view: View[Subscribed] = View(L2_SUBSCRIPTIONS)
    async with (
        Publisher(settings) as publisher,
        aclosing(follow(settings, [view], on_undecodable=refuse)) as batches,
    ):
        async for batch in batches:
            if view.ready and not publisher.sent:
                await publisher.send(L2_SUBSCRIPTIONS, KEY, a_subscription(), TS)
            if batch:
                break
    assert view.items == {KEY: a_subscription()}


async def test_markers_and_aborted_records_do_not_keep_a_view_from_being_ready(
    settings: ServiceSettings,
) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, transactional_id="test-of-views"
    )
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(L2_SUBSCRIPTIONS.name, encode(a_subscription(1)), KEY, partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(L2_SUBSCRIPTIONS.name, encode(a_subscription(2)), KEY, partition=0)
        await producer.abort_transaction()
    finally:
        await producer.stop()
    view: View[Subscribed] = View(L2_SUBSCRIPTIONS)
    await caught_up(settings, view)
    assert view.items == {KEY: a_subscription(1)}
    assert view.position(0) == 4  # record, commit marker, aborted record, abort marker


async def test_a_record_in_the_middle_that_is_undecodable_leaves_the_view_going(
    settings: ServiceSettings,
) -> None:
    await raw(settings, L2_SUBSCRIPTIONS, [(KEY, encode(a_subscription(1))), (KEY, b"junk")])
    view: View[Subscribed] = View(L2_SUBSCRIPTIONS)
    seen: list[Undecodable] = []

    async def note(undecodable: Undecodable) -> None:
        seen.append(undecodable)

    async with aclosing(follow(settings, [view], on_undecodable=note)) as batches:
        async for _ in batches:
            if view.ready:
                break
    assert view.items == {KEY: a_subscription(1)}
    assert [item.value for item in seen] == [b"junk"]


async def raw(settings: ServiceSettings, topic: Topic, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Write bytes as any other program could."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        for key, value in records:
            place = partition_of(key, PARTITIONS)
            await producer.send_and_wait(topic.name, value, key, partition=place)
    finally:
        await producer.stop()


async def test_whether_kafka_answers_is_asked_without_a_list_of_its_topics(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    prepare = MetadataRequest.prepare

    def noted(self: Any, versions: Any) -> Any:
        asked.append(self._topics)
        return prepare(self, versions)

    monkeypatch.setattr(MetadataRequest, "prepare", noted)
    await await_answer(settings)
    assert asked == [[]]
