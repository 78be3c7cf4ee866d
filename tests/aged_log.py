"""A Kafka as a system of some days leaves it: all that a start reads, in real shapes and rates.

Of compacted topics that are told again and again, two segments of ten minutes are written: what stays longer,
for the past to be asked for, is before where a start begins. Deltas, trades, commands and answers, of which a
start reads nothing, are left out, and so is the state of executions and portfolios, which does not grow with
days.
"""

from __future__ import annotations

import asyncio
import math
import time
from itertools import chain
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from libs.common.codec import encode
from libs.common.events import (
    BookHealth,
    BookState,
    BookTop,
    Candle,
    Features,
    ServiceState,
    ServiceStatus,
    Subscribed,
    VenueMetrics,
)
from libs.common.kafka import create_topics, partition_of
from libs.common.kafka_lanes import StreamPublisher
from libs.common.topics import (
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    L2_CANDLES_OPEN,
    L2_SUBSCRIPTIONS,
    SERVICES_STATUS,
    TOPICS,
    VENUES_METRICS,
    book_key,
    candle_key,
)
from services.venues.lags import Lags
from services.venues.registry import Measurement
from services.venues.settings import VenuesSettings
from services.venues.tables import LAGS, MEASUREMENTS, TELL_S, changelogs
from tests.aged_decisions import decisions, remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from libs.common.events import Event, Interval
    from libs.common.topics import Topic
    from services.l2.settings import L2Settings

S: Final = 1_000_000_000
MINUTE: Final = 60 * S
DAY: Final = 1440 * MINUTE
HEAD: Final = 20 * MINUTE  # of a log that compaction has not come to
DAYS_OF_HISTORY: Final = 730
TOPS_PER_S: Final = 140 / 15  # of a book
SERVICES: Final = ("l2", "venues", "router", "portfolio", "execution", "context", "policies", "gateway")
PRICES: Final = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0}
MOST_WAITING: Final = 20_000


async def write(settings: L2Settings, days: int, say: Callable[[str], None]) -> int:
    """Write the log of a system that stops now; return how many records it holds."""
    now = time.time_ns()
    venues = VenuesSettings(kafka_bootstrap_servers=settings.kafka_bootstrap_servers)
    tables = {topic.name: topic for topic in changelogs(venues.group)}
    topics = (*TOPICS.values(), *tables.values())
    await create_topics(settings, topics)
    async with StreamPublisher(settings, topics, MOST_WAITING) as publisher:
        written = 0
        market = records(settings.books(), days, now, tables, venues.group)
        for topic, key, event, ts in chain(market, decisions(days, now)):
            publisher.post(topic, key, event, ts)
            written += 1
            if publisher.full:
                await publisher.room()
            if written % 100_000 == 0:
                say(f"  {written:,} records written")
                await asyncio.sleep(0)
        await publisher.flush()
    if days:
        written += await _remember(settings)
    await _commit(settings, venues.group, [L2_BOOK_TOPS, L2_BOOK_HEALTH])
    return written


def records(
    books: tuple[tuple[str, str], ...], days: int, now: int, tables: dict[str, Topic], group: str
) -> Iterator[tuple[Topic, bytes, Event, int]]:
    """Yield topic, key, message and time of all that a start reads of a system that stops now.

    Parameters
    ----------
    tables
        The topics behind the tables of venues, of this group, by name.
    """
    first = now - days * DAY
    for venue, symbol in books:
        key = book_key(venue, symbol)
        wish = Subscribed(venue=venue, symbol=symbol, requested_ts=first, source="settings")
        yield L2_SUBSCRIPTIONS, key, wish, first
    for open_ts in range(now - now % DAY - DAYS_OF_HISTORY * DAY, now - now % DAY, DAY):
        for venue, symbol in books:
            day = _candle(venue, symbol, "1d", open_ts)
            yield L2_CANDLES_DAILY, candle_key(day), day, max(first, open_ts + DAY)
    for open_ts in range(first - first % MINUTE - DAY, now - now % MINUTE, MINUTE):
        for venue, symbol in books:
            minute = _candle(venue, symbol, "1m", open_ts)
            yield L2_CANDLES, candle_key(minute), minute, max(first, open_ts + MINUTE)
    lags = Lags(0, {now // MINUTE - back: dict.fromkeys(range(40), 12) for back in range(5)})
    measured = Measurement(request_ns=tuple(range(10_000_000, 10_000_032)), minute=now // MINUTE, mid=1.0)
    for at in range(min(HEAD, days * DAY) // S):
        ts = now - min(HEAD, days * DAY) + at * S
        for service in SERVICES:
            status = ServiceStatus(
                service=service, instance="0", version="1", state=ServiceState.READY, since_ts=first, ts=ts
            )
            yield SERVICES_STATUS, f"{service}:0".encode(), status, ts
        for venue, symbol in books:
            key = book_key(venue, symbol)
            for n in range(round(TOPS_PER_S * (at + 1)) - round(TOPS_PER_S * at)):
                yield L2_BOOK_TOPS, key, _top(venue, symbol, at * 10 + n, ts + n * S // 10), ts
            yield L2_BOOK_HEALTH, key, _health(venue, symbol, at * 10 + 9, ts), ts
            yield VENUES_METRICS, key, _metrics(venue, symbol, ts), ts
            for interval in ("1m", "1d"):
                open_ts = ts - ts % (MINUTE if interval == "1m" else DAY)
                running = _candle(venue, symbol, interval, open_ts, closed=False)
                yield L2_CANDLES_OPEN, candle_key(running), running, ts
            if at % TELL_S == 0:
                yield tables[f"{group}-{MEASUREMENTS}-changelog"], key, measured, ts  # type: ignore[misc]  # a struct
                yield tables[f"{group}-{LAGS}-changelog"], key, lags, ts  # type: ignore[misc]  # a struct


def _price(symbol: str, ts: int) -> float:
    return round(PRICES[symbol.partition("-")[0]] * (1 + 0.1 * math.sin(ts / DAY)), 2)


def _candle(venue: str, symbol: str, interval: Interval, open_ts: int, *, closed: bool = True) -> Candle:
    price = _price(symbol, open_ts)
    return Candle(
        venue=venue,
        symbol=symbol,
        interval=interval,
        open_ts=open_ts,
        open=price,
        high=price * 1.001,
        low=price * 0.999,
        close=_price(symbol, open_ts + MINUTE),
        volume=3.25,
        trades=120,
        closed=closed,
    )


def _top(venue: str, symbol: str, seq: int, ts: int) -> BookTop:
    mid = _price(symbol, ts)
    return BookTop(
        venue=venue,
        symbol=symbol,
        epoch=1,
        seq=seq,
        venue_seq=seq,
        bids=tuple((round(mid - 0.01 * (n + 1), 2), 0.1 * (n + 1)) for n in range(50)),
        asks=tuple((round(mid + 0.01 * (n + 1), 2), 0.1 * (n + 1)) for n in range(50)),
        features=Features(
            mid=mid,
            microprice=mid,
            spread_bps=0.1,
            obi=0.1,
            depth_bid=10.0,
            depth_ask=10.0,
            depth_truncated=False,
        ),
        venue_ts=ts - 5_000_000,
        received_ts=ts,
    )


def _health(venue: str, symbol: str, seq: int, ts: int) -> BookHealth:
    return BookHealth(
        venue=venue,
        symbol=symbol,
        state=BookState.LIVE,
        epoch=1,
        seq=seq,
        reason="consistent",
        owner="aged",
        since_ts=ts - MINUTE,
        ts=ts,
        told_seq=max(0, seq - 10),
    )


def _metrics(venue: str, symbol: str, ts: int) -> VenueMetrics:
    return VenueMetrics(
        venue=venue,
        symbol=symbol,
        state=BookState.LIVE,
        latency_p50_ms=5.0,
        latency_p99_ms=9.0,
        request_p50_ms=20.0,
        spread_bps=0.1,
        top_depth=1.5,
        taker_bps=10.0,
        maker_bps=10.0,
        reliability=0.98,
        alpha=40.0,
        beta=1.0,
        rate_remaining=0.9,
        epoch=1,
        seq=1,
        ts=ts,
    )


async def _remember(settings: L2Settings) -> int:
    """Write what a processor keeps, where it looks for it."""
    written = 0
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers, acks="all") as producer:
        for topic, key, event, place in remembered():
            partition = partition_of(place, settings.topic_partitions)
            await producer.send(topic.name, encode(event), key, partition)
            written += 1
    return written


async def _commit(settings: L2Settings, group: str, topics: list[Topic]) -> None:
    """Let the group have read the topics to their ends."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    partitions = [
        TopicPartition(topic.name, number) for topic in topics for number in range(settings.topic_partitions)
    ]
    consumer.assign(partitions)
    await consumer.commit(await consumer.end_offsets(partitions))
    await consumer.stop()
