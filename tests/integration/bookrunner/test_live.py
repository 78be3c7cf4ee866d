"""`books` on a real broker: each is the exchange's truth, or is not given out, and it is said why."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from bookrunner import books
from libs.common.events import BookState
from libs.common.kafka import Publisher, create_topics
from libs.common.settings import ServiceSettings
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_HEALTH, TOPICS
from tests.integration.services.l2.test_hostile_feed import HostileExchange, start_l2, talk
from tests.unit.libs.cli.builders import BIDS, a_delta, a_health, a_keyframe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from bookrunner import Books
    from libs.common.events import Event

KEY = b"binance:BTC-USDT"


@pytest.fixture
async def publisher(fresh_kafka: str) -> AsyncIterator[Publisher]:
    settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka)
    await create_topics(settings, TOPICS.values())
    async with Publisher(settings) as publishing:
        yield publishing


async def tell(publisher: Publisher, *told: Event) -> None:
    now = time.time_ns()
    for event in told:
        topic = L2_BOOK_HEALTH if type(event).__name__ == "BookHealth" else L2_BOOK_DELTAS
        await publisher.send_and_wait(topic, KEY, event, now)


async def becomes(live: Books, holds: Callable[[], bool]) -> None:
    """Take updates until something holds; what holds without a further one is seen at once."""
    async with asyncio.timeout(15):
        while not holds():
            await anext(live)


def says(live: Books, words: str) -> Callable[[], bool]:
    return lambda: words in live.why_not("binance", "BTCUSDT")


async def test_a_book_is_there_at_once_from_its_newest_keyframe_and_follows_its_deltas(
    fresh_kafka: str, publisher: Publisher
) -> None:
    now = time.time_ns()
    await tell(
        publisher,
        a_keyframe(7, received_ts=now),
        a_delta(8, bids=((100.2, 4.0),), received_ts=now),
        a_health(ts=now),
    )
    async with books("BTCUSDT", venues=["binance"], servers=fresh_kafka) as live:
        book = live.book("binance", "btc-usdt")
        assert book is not None, live.why_not("binance", "BTC-USDT")
        assert (book.seq, book.best_bid) == (8, (100.2, 4.0))
        assert live.why_not("binance", "BTC-USDT") == ""
        assert live.known == (("binance", "BTC-USDT"),)
        assert live.book("kraken", "BTC-USDT") is None
        assert live.why_not("kraken", "BTC-USDT") == "there is no book"
        await tell(publisher, a_delta(9, bids=((100.2, 0.0),), received_ts=now))
        await becomes(live, lambda: book.seq == 9)
        assert book.bids() == BIDS


async def test_a_hole_takes_the_book_away_until_its_next_keyframe(
    fresh_kafka: str, publisher: Publisher
) -> None:
    now = time.time_ns()
    await tell(publisher, a_keyframe(1, received_ts=now), a_health(ts=now))
    async with books("BTC-USDT", servers=fresh_kafka) as live:
        assert live.book("binance", "BTC-USDT") is not None
        await tell(publisher, a_delta(3, received_ts=now))
        await becomes(live, says(live, "the book is at seq 1 of epoch"))
        assert live.book("binance", "BTC-USDT") is None
        await tell(publisher, a_keyframe(4, received_ts=now))
        await becomes(live, lambda: live.book("binance", "BTC-USDT") is not None)


async def test_a_new_epoch_replaces_the_book_and_deltas_of_the_old_one_are_passed_by(
    fresh_kafka: str, publisher: Publisher
) -> None:
    now = time.time_ns()
    first = a_keyframe(5, received_ts=now)
    await tell(publisher, first, a_health(ts=now))
    async with books("BTC-USDT", servers=fresh_kafka) as live:
        later = a_keyframe(1, epoch=first.epoch + 1, bids=((90.0, 1.0),), received_ts=now)
        await tell(publisher, later, a_delta(6, bids=((100.4, 9.0),), received_ts=now))
        await tell(publisher, a_delta(2, epoch=first.epoch + 1, bids=((91.0, 2.0),), received_ts=now))

        def renewed() -> bool:
            book = live.book("binance", "BTC-USDT")
            return book is not None and book.seq == 2

        await becomes(live, renewed)
        book = live.book("binance", "BTC-USDT")
        assert book is not None
        assert book.bids() == ((91.0, 2.0), (90.0, 1.0))


async def test_a_book_whose_owner_falls_silent_is_an_update_without_any_message(
    fresh_kafka: str, publisher: Publisher
) -> None:
    now = time.time_ns()
    await tell(publisher, a_keyframe(1, received_ts=now), a_health(ts=now))
    async with books("BTC-USDT", servers=fresh_kafka) as live:
        async with asyncio.timeout(15):
            first = await anext(live)
            assert first.book is not None
            lapsed = await anext(live)
        assert (lapsed.book, lapsed.why_not) == (None, "the l2 process is silent: its heartbeat is overdue")
        later = time.time_ns()
        assert (later - now) / 10**9 >= 5
        await tell(publisher, a_health(ts=later))
        await becomes(live, lambda: live.book("binance", "BTC-USDT") is not None)
        await tell(publisher, a_health(BookState.GAP, ts=time.time_ns(), reason="the venue skipped 3"))
        await becomes(live, says(live, "the book is GAP: the venue skipped 3"))


async def test_a_message_that_cannot_be_read_and_a_dropped_book_are_told(
    fresh_kafka: str, publisher: Publisher
) -> None:
    now = time.time_ns()
    await tell(publisher, a_keyframe(1, received_ts=now), a_health(ts=now))
    async with books("BTC-USDT", servers=fresh_kafka) as live:
        producer = publisher._producer  # noqa: SLF001 -- bytes that no publisher would send
        await producer.send_and_wait(L2_BOOK_DELTAS.name, b"rubbish", KEY)
        await becomes(live, says(live, "cannot be read"))
        await tell(publisher, a_keyframe(1, received_ts=now))
        await becomes(live, lambda: live.book("binance", "BTC-USDT") is not None)
        await publisher.send_and_wait(L2_BOOK_HEALTH, KEY, None, now)
        await becomes(live, says(live, "nobody subscribes to this book"))
        assert live.known == ()


async def test_what_ends_the_reading_is_raised_and_no_book_is_given_out(
    fresh_kafka: str, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()
    await tell(publisher, a_keyframe(1, received_ts=now), a_health(ts=now))
    live = books("BTC-USDT", servers=fresh_kafka)

    async def broken() -> None:
        raise OSError("the line is cut")

    async def follow_once() -> None:
        async with live:
            monkeypatch.setattr(live._reader, "poll", broken)  # noqa: SLF001 -- as a broken line would
            await becomes(live, lambda: live.book("binance", "BTC-USDT") is None)
            assert "Kafka is read no more" in live.why_not("binance", "BTC-USDT")
            await anext(live)
            await anext(live)

    with pytest.raises(OSError, match="the line is cut"):
        await follow_once()


async def test_each_book_is_the_exchanges_own(fresh_kafka: str, tmp_path: Path) -> None:
    exchange = HostileExchange()
    runner = await exchange.serve()
    environment = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": fresh_kafka,
        "SIMULATOR_URL": exchange.url,
        "L2_BOOKS": "binance:BTC-USDT",
    }
    await create_topics(ServiceSettings(kafka_bootstrap_servers=fresh_kafka), TOPICS.values())
    l2 = start_l2(environment, tmp_path / "l2.log")
    talking = asyncio.create_task(talk(exchange))
    seen: set[int] = set()
    try:
        async with asyncio.timeout(60), books("BTC-USDT", venues=["binance"], servers=fresh_kafka) as live:
            async for update in live:
                if (book := update.book) is None or book.venue_seq is None:
                    continue
                assert (book.bids(), book.asks()) == exchange.model.truth[book.venue_seq]
                seen.add(book.venue_seq)
                if len(seen) == 50:
                    break
    finally:
        talking.cancel()
        l2.send_signal(signal.SIGTERM)
        ended = await asyncio.to_thread(l2.wait, 30)
        await runner.cleanup()
    assert ended == 0
