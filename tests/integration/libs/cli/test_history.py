"""What Kafka has becomes files while the system runs, and says the same of every book and record."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from libs.common.codec import encode
from libs.common.events import BookDelta, BookSnapshot, PolicySignalled
from libs.common.kafka import create_topics
from libs.common.kafka_reader import read
from libs.common.order_book import OrderBook
from libs.common.settings import ServiceSettings
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.common.topics import (
    L2_BOOK_DELTAS,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    L2_TRADES,
    POLICIES_SIGNALS,
    TOPICS,
    book_key,
    candle_key,
)
from libs.history.layout import BookFolder, book_folders
from libs.history.reader import book_at, read_candles, read_trades
from libs.history.topic_files import TopicRecord, read_topic
from tests.full_valued import full
from tests.history_market import SYMBOL, a_market, candles_of, trades_of
from tests.integration.libs.cli.command import publishing, run
from tests.newer import extended

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.events import Event
    from libs.common.kafka_reader import Record, Undecodable
    from libs.common.topics import Topic

VENUES = ("binance", "okx")
BEGIN = (
    time.time_ns() // MINUTE_NS * MINUTE_NS - 40 * MINUTE_NS
)  # Kafka drops what is older than a topic keeps
MARKETS = {
    venue: a_market(600, seed=at, venue=venue, begin=BEGIN, step_ns=MINUTE_NS // 20)
    for at, venue in enumerate(VENUES)
}


async def publish_markets(kafka: str) -> None:
    records: list[tuple[int, Topic, bytes, Event]] = []
    for venue, told in MARKETS.items():
        key = book_key(venue, SYMBOL)
        records += [(each.received_ts, L2_BOOK_DELTAS, key, each) for each in told.events]
        records += [(each.received_ts, L2_TRADES, key, each) for each in trades_of(told)]
        minutes = candles_of(BEGIN, 10, venue=venue)
        records += [(BEGIN, L2_CANDLES, candle_key(each), each) for each in minutes]
        (day,) = candles_of(BEGIN // DAY_NS * DAY_NS - DAY_NS, 1, "1d", venue)
        records += [(BEGIN, topic, candle_key(day), day) for topic in (L2_CANDLES, L2_CANDLES_DAILY)]
    async with publishing(kafka) as publisher:
        for ts, topic, key, event in sorted(records, key=lambda record: record[0]):
            await publisher.send(topic, key, event, ts)


async def everything(kafka: str, topic: str) -> list[Record | Undecodable]:
    """Return what Kafka has of a topic, by the package's own reader."""
    found: list[Record | Undecodable] = []

    async def keep(record: Undecodable) -> None:
        found.append(record)

    settings = ServiceSettings(kafka_bootstrap_servers=kafka)
    async for records in read(settings, [TOPICS[topic]], on_undecodable=keep, stop_at_end=True):
        found.extend(records)
    return found


async def test_a_book_at_any_message_is_the_one_that_kafka_gives(fresh_kafka: str, tmp_path: Path) -> None:
    await publish_markets(fresh_kafka)
    ended = await run(
        "history", "export", "--all", "--out", str(tmp_path), KAFKA_BOOTSTRAP_SERVERS=fresh_kafka
    )
    assert (ended.code, ended.err) == (0, ""), ended
    assert f"{L2_TRADES.name}: " in ended.out
    assert book_folders(tmp_path) == [BookFolder(venue, SYMBOL) for venue in VENUES]
    books: dict[str, OrderBook] = {venue: OrderBook() for venue in VENUES}
    places: dict[tuple[str, int, int], tuple[object, object]] = {}
    for record in await everything(fresh_kafka, L2_BOOK_DELTAS.name):
        assert isinstance(record.event, BookSnapshot | BookDelta)  # type: ignore[union-attr]
        event = record.event  # type: ignore[union-attr]
        book = books[event.venue]
        book.follow(event)
        places[event.venue, event.epoch, event.seq] = (book.bids(), book.asks())
    draw = np.random.Generator(np.random.Philox(key=5))
    named = list(places)
    for at in draw.choice(len(named), 1000, replace=False):
        venue, epoch, seq = named[at]
        found = book_at(tmp_path, BookFolder(venue, SYMBOL), epoch, seq)
        assert (found.bids(), found.asks()) == places[named[at]]


async def test_records_come_as_they_stand_and_odd_ones_are_told(fresh_kafka: str, tmp_path: Path) -> None:
    settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka)
    await create_topics(settings)
    signal = full(PolicySignalled)
    async with AIOKafkaProducer(bootstrap_servers=fresh_kafka) as stranger:
        for at, value in enumerate((encode(signal), extended(signal), b"\xc1", None)):
            headers = [("ce_id", b"\xff"), ("ce_id", b"")][: at % 3]
            await stranger.send_and_wait(
                POLICIES_SIGNALS.name,
                value,
                b"k%d" % at,
                timestamp_ms=BEGIN // NS_PER_MS + at,
                headers=headers,
            )
    async with publishing(fresh_kafka) as publisher:
        odd = a_market(1).events[0]
        fields = {name: getattr(odd, name) for name in odd.__struct_fields__}
        for change in ({"symbol": "../../up"}, {"received_ts": -1}, {"venue": "."}):
            event = type(odd)(**fields | change)
            await publisher.send_and_wait(L2_BOOK_DELTAS, b"k", event, BEGIN)
    for topic in ("policies.signals", "book-deltas"):
        ended = await run(
            "history", "export", topic, "--out", str(tmp_path), KAFKA_BOOTSTRAP_SERVERS=fresh_kafka
        )
        assert (ended.code, ended.err) == (0, ""), ended
    stood = [
        TopicRecord(
            each.timestamp_ms * NS_PER_MS,
            each.partition,
            each.offset,
            each.key,
            each.value,
            tuple(each.headers),
        )
        for each in await everything(fresh_kafka, POLICIES_SIGNALS.name)
    ]
    assert sorted(read_topic(tmp_path, POLICIES_SIGNALS, 0, 2**62)) == sorted(stood)
    assert "3 unreadable" in ended.out
    faults = [json.loads(line) for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert [fault["kind"] for fault in faults] == ["unreadable"] * 3
    assert "'../../up' is no symbol" in faults[0]["what"]
    assert not book_folders(tmp_path)


async def test_a_stretch_of_time_is_taken_and_trades_and_candles_are_as_they_were_told(
    fresh_kafka: str, tmp_path: Path
) -> None:
    await publish_markets(fresh_kafka)
    trades = trades_of(MARKETS["okx"])
    first, last = BEGIN + 4 * MINUTE_NS, BEGIN + 9 * MINUTE_NS
    begin, end = (datetime.fromtimestamp(ts // NS_PER_S, UTC).isoformat() for ts in (first, last))
    for topic, more in (
        ("trades", ("--from", begin, "--to", end)),
        ("l2.candles", ()),
        ("candles-daily", ()),
    ):
        ended = await run(
            "history", "export", topic, "--out", str(tmp_path), *more, KAFKA_BOOTSTRAP_SERVERS=fresh_kafka
        )
        assert (ended.code, ended.err) == (0, ""), ended
    okx = BookFolder("okx", SYMBOL)
    inside = [each for each in trades if first <= each.received_ts // NS_PER_MS * NS_PER_MS < last]
    assert list(read_trades(tmp_path, okx, 0, 2**62)) == inside != trades
    assert len(list(read_candles(tmp_path, okx, 0, 2**62))) == 11
    again = await run(
        "history", "export", "trades", "--out", str(tmp_path), KAFKA_BOOTSTRAP_SERVERS=fresh_kafka
    )
    assert again.code == 1
    assert "trades.parquet exists; give another folder, or --force" in again.err


async def test_a_stretch_is_of_times_whatever_order_they_were_written_in(
    fresh_kafka: str, tmp_path: Path
) -> None:
    trades = trades_of(MARKETS["okx"])[:40]
    first, last = BEGIN + 2 * MINUTE_NS, BEGIN + 4 * MINUTE_NS
    times = [BEGIN + minute * MINUTE_NS for minute in (5, 3, 1, 2, 4)]  # clocks that step
    async with publishing(fresh_kafka) as publisher:
        for at, trade in enumerate(trades):
            ts = times[at % len(times)]
            told = msgspec.structs.replace(trade, received_ts=ts + at)
            await publisher.send(L2_TRADES, book_key("okx", SYMBOL), told, ts)
    begin, end = (datetime.fromtimestamp(ts // NS_PER_S, UTC).isoformat() for ts in (first, last))
    asked = ("--from", begin, "--to", end, "--out", str(tmp_path))
    ended = await run("history", "export", "trades", *asked, KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert (ended.code, ended.err) == (0, ""), ended
    found = [each.trade_id for each in read_trades(tmp_path, BookFolder("okx", SYMBOL), 0, 2**62)]
    assert sorted(found) == sorted(
        each.trade_id for at, each in enumerate(trades) if at % len(times) in {1, 3}
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "x"), "name one topic, or give --all"),
        (("book-deltas", "--all", "--out", "x"), "name one topic, or give --all"),
        (("book-deltas", "--out", "x", "--to", "soon"), "--to 'soon' is none of: beginning"),
        (("nothing", "--out", "x"), "no topic is called 'nothing'"),
    ],
)
async def test_a_wrong_command_line_says_what_would_be_right(arguments: tuple[str, ...], said: str) -> None:
    ended = await run("history", "export", *arguments)
    assert ended.code == 2
    assert said in ended.err
