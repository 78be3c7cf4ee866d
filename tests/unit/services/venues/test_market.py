"""What venues makes of the records of its views, and what it tells of books, without Kafka."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from libs.common.codec import decode, encode
from libs.common.kafka import Publisher, Record, Undecodable
from libs.common.topics import DEAD_LETTERS, L2_BOOK_HEALTH, L2_BOOK_TOPS, MIB, VENUES_METRICS, book_key
from services.venues.app import _Service
from services.venues.market import Market
from services.venues.monitoring import VenuesMonitor
from services.venues.settings import VenuesSettings
from tests.venue_market import a_metrics, a_top

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.common.events import BookTop, VenueMetrics

BINANCE = book_key("binance", "BTC-USDT")
OURS, THEIRS = 0, 1  # partitions


class Producer:
    """Takes what is sent while it has room, and acknowledges it in the next turn."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes | None]] = []
        self.sendings: list[asyncio.Future[None]] = []
        self.reasons: list[str] = []
        self.room = asyncio.Event()
        self.room.set()

    async def send(self, topic: str, value: bytes | None, key: bytes, **told: Any) -> asyncio.Future[None]:
        await asyncio.sleep(0)  # others have a turn, as where a batch is full
        await self.room.wait()
        self.sent.append((topic, key, value))
        self.reasons += [raw.decode() for name, raw in told["headers"] if name == "reason"]
        loop = asyncio.get_running_loop()
        self.sendings.append(sending := loop.create_future())
        loop.call_soon(sending.set_result, None)
        return sending


class Told:
    """A market of which this process owns `OURS`, and what it sent."""

    def __init__(self) -> None:
        self.monitor = VenuesMonitor()
        self.market = Market(VenuesSettings(), self.monitor, lambda partition: partition == OURS)
        self.producer = Producer()
        publisher = Publisher(VenuesSettings())
        publisher._producer = self.producer  # noqa: SLF001 -- Kafka's place
        self.market._publisher = publisher  # noqa: SLF001 -- as above

    async def read(self, *tops: BookTop | None, partition: int = OURS, key: bytes = BINANCE) -> None:
        """Let the view fold tops, and the market note them, as `follow` does."""
        records = []
        for offset, top in enumerate(tops, self.market.tops.position(partition)):
            self.market.tops.fold(partition, offset, key, top)
            record = Record(
                topic=L2_BOOK_TOPS,
                partition=partition,
                offset=offset,
                timestamp_ms=0,
                key=key,
                event=top,
                value=None if top is None else encode(top),
            )
            records.append(record)
        await self.market._note(records)  # noqa: SLF001 -- what `follow` calls

    def counted(self) -> dict[str, Any]:
        """Return the samples of each metric."""
        return {family.name: family.samples for family in self.monitor.families()}


async def test_the_newest_metrics_of_each_book_are_sent_together_once_and_not_waited_for() -> None:
    told = Told()
    okx = book_key("okx", "BTC-USDT")
    for metrics in (replace(a_metrics(), seq=1), replace(a_metrics(), seq=2)):
        told.market.tell(BINANCE, metrics)
        told.market.tell(okx, metrics)
    assert told.producer.sent == []
    for _ in range(2):
        await told.market._send()  # noqa: SLF001 -- what `follow` calls
    assert [(topic, key) for topic, key, _ in told.producer.sent] == [
        (VENUES_METRICS.name, BINANCE),
        (VENUES_METRICS.name, okx),
    ]
    assert all(decode(VENUES_METRICS, value or b"") == metrics for _, _, value in told.producer.sent)


async def test_that_a_book_ended_is_the_last_word_of_it_though_kafka_is_slow() -> None:
    told = Told()
    for key in (book_key("okx", "BTC-USDT"), BINANCE):
        told.market.tell(key, a_metrics())
    told.producer.room.clear()
    following = asyncio.create_task(told.market._send())  # noqa: SLF001 -- what `follow` calls
    await asyncio.sleep(0)
    told.market.tell(BINANCE, a_metrics())
    ending = asyncio.create_task(told.market.end(BINANCE))
    await asyncio.sleep(0)
    told.producer.room.set()
    await asyncio.gather(ending, following)
    await told.market._send()  # noqa: SLF001 -- as above
    assert [value is None for _, key, value in told.producer.sent if key == BINANCE] == [False, True]


async def test_a_book_that_ended_is_acknowledged_only_once_kafka_has_that() -> None:
    service, told = _Service(VenuesSettings()), Told()
    service._market = told.market  # noqa: SLF001 -- Kafka's place
    told.market.ready.set()
    acked: list[bool] = []

    async def events() -> AsyncIterator[Any]:
        message = SimpleNamespace(partition=OURS, offset=7)
        yield SimpleNamespace(message=message, key=BINANCE, value=None)
        acked.extend(sending.done() for sending in told.producer.sendings)  # as the next one is asked for

    stream: Any = SimpleNamespace(events=events)
    await service._consume(L2_BOOK_HEALTH, stream)  # noqa: SLF001 -- what the agent calls
    assert told.producer.sent == [(VENUES_METRICS.name, BINANCE, None)]
    assert acked == [True]


async def test_a_metric_that_is_too_large_is_kept_and_counted() -> None:
    told = Told()
    large: VenueMetrics = replace(a_metrics(), reasons=("x" * MIB,))
    told.market.tell(BINANCE, large)
    await told.market._send()  # noqa: SLF001 -- as above
    assert [topic for topic, _, _ in told.producer.sent] == [DEAD_LETTERS.name]
    assert "venues.metrics.v1 takes 1048576 at most" in told.producer.reasons[0]
    assert told.counted()["bookrunner_venues_too_large_total"] == {(): 1}


async def test_a_top_that_no_book_has_is_kept_by_the_owner_of_its_partition_and_not_counted() -> None:
    wrong = replace(a_top(seq=2), bids=((float("nan"), 1.0),))
    for partition, letters in ((OURS, 1), (THEIRS, 0)):
        told = Told()
        await told.read(a_top(), wrong, partition=partition)
        assert [topic for topic, _, _ in told.producer.sent] == [DEAD_LETTERS.name] * letters
        assert BINANCE not in told.market.tops.items
        assert [each.offset for each in told.market.arrivals.take(BINANCE)] == [0]
    await told.read(a_top(seq=3), partition=THEIRS)
    assert told.market.tops.items[BINANCE].seq == 3


async def test_bytes_that_are_no_top_are_kept_by_the_owner_and_no_health_by_its_stream() -> None:
    told = Told()
    for topic, partition in ((L2_BOOK_TOPS, OURS), (L2_BOOK_TOPS, THEIRS), (L2_BOOK_HEALTH, OURS)):
        nonsense = Undecodable(
            topic=topic,
            partition=partition,
            offset=0,
            timestamp_ms=0,
            key=BINANCE,
            value=b"nonsense",
            headers=(),
            reason="it is none",
        )
        await told.market._reject(nonsense)  # noqa: SLF001 -- what `follow` calls
    assert [(topic, value) for topic, _, value in told.producer.sent] == [(DEAD_LETTERS.name, b"nonsense")]


async def test_a_venue_that_only_a_newer_version_knows_is_left_out_and_an_ended_book_forgotten() -> None:
    told = Told()
    await told.read(a_top("mars"), key=b"mars:BTC-USDT")
    assert list(told.market.arrivals.take(b"mars:BTC-USDT")) == []
    assert told.counted()["bookrunner_venues_left_out_total"] == {(): 1}
    await told.read(a_top(), None)
    assert list(told.market.arrivals.take(BINANCE)) == []
    assert told.counted()["bookrunner_venues_read_total"] == {("BookTop",): 3}
