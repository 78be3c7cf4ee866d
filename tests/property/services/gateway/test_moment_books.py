"""The books of any moment, all from one reading, against naive rebuilds and against `?at=` of each."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from libs.common.codec import decode
from libs.common.kafka import Record
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_HEALTH, L2_BOOK_TOPS
from services.gateway.reading import moment_books
from services.gateway.reading.as_of import NotKnownThenError
from services.gateway.reading.books import BookId
from services.gateway.reading.moments import Moments
from services.gateway.reading.past_books import PastBooks
from services.gateway.reading.topic_views import GatewayViews
from services.gateway.settings import GatewaySettings
from tests.property.services.gateway.test_as_of import NOW_MS, START_MS, Step, log_of, moments_of, naive
from tests.unit.services.gateway.logs import InMemoryLog
from tests.unit.services.gateway.moment_logs import InMemoryMoments
from tests.unit.services.gateway.world import a_book_health

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.property.services.gateway.test_as_of import Record as BookRecord

BOOKS = tuple(BookId(venue, "BTC-USDT") for venue in ("binance", "kraken", "okx"))
LATER_MS = NOW_MS + 60_000
FIRST_MS = START_MS - 5  # of what is kept; before that no moment can be asked for
IDLE = BookId("bybit", "BTC-USDT")  # a book that there was, and of which no delta is kept


def one_partition(logs: list[list[BookRecord]]) -> list[tuple[int, int, BookRecord]]:
    """Return the records of all books in the order in which their clocks would have them written."""
    merged = []
    for book, log in enumerate(logs):
        reached = 0
        for place, record in enumerate(log):
            reached = max(reached, record[0])
            merged.append((reached, book, place, record))
    return [(book, place, record) for _, book, place, record in sorted(merged, key=lambda each: each[:3])]


LEVELS = st.lists(st.tuples(st.integers(1, 8).map(float), st.integers(0, 3).map(float)), max_size=4)
KINDS = (
    ("delta",) * 12 + ("keyframe",) * 3 + ("other",) * 3 + ("resync", "again", "zombie", "lost", "garbage")
)
STEPS = st.builds(Step, st.sampled_from(KINDS), LEVELS, LEVELS, st.sampled_from([0, 1, 1, 2, 3, 5, 25, -2]))
LIFE = st.lists(STEPS, min_size=4, max_size=25).map(
    lambda story: [Step("keyframe", [(4.0, 1.0)], [], 0), *story]
)


class World:
    """Some books in one partition, asked for both ways."""

    def __init__(self, logs: list[list[BookRecord]], look_back_ms: int, chunk: int) -> None:
        self.partition = one_partition(logs)
        self.moments = InMemoryMoments(chunk)
        self.views = GatewayViews(5.0, 1, lambda: 0)
        for view in self.views.all:
            view.begin({0: 0})
        self.config = GatewaySettings(as_of_look_back_s=look_back_ms / 1000, topic_partitions=1)
        self.moments.append(L2_BOOK_DELTAS, 0, b"coinbase:BTC-USDT", b"", FIRST_MS)
        for book, _, (ms, row) in self.partition:
            key = BOOKS[book].key if row is not None else b"gate:BTC-USDT"
            event = None if row is None else row.event
            if row is not None and event is not None:
                event = replace(event, venue=BOOKS[book].venue)
            self.moments.append(L2_BOOK_DELTAS, 0, key, b"\xc1" if event is None else event, ms)
        for place, book_id in enumerate((*BOOKS, IDLE)):
            health = a_book_health(venue=book_id.venue, epoch=10**9)
            self.views.healths.fold(0, place, book_id.key, health)
            record: dict[str, Any] = {
                "topic": L2_BOOK_HEALTH,
                "partition": 0,
                "offset": place,
                "timestamp_ms": START_MS - 9,
            }
            self.views.note([Record(key=book_id.key, event=health, value=b"", **record)])
            self.moments.append(L2_BOOK_HEALTH, 0, book_id.key, health, START_MS - 9)

    def tops(self, at_ms: int, symbol: str | None = None) -> dict[str, Any]:
        moments = Moments(self.config, self.views, self.moments.lend, lambda: LATER_MS * 10**6)
        answer = json.loads(asyncio.run(moments.body(at_ms, symbol, "here")))
        self.missing = {each["key"]: each["why"] for each in answer["missing"]}
        return {each["key"]: each for each in answer["records"] if each["topic"] == L2_BOOK_TOPS.name}

    def book(self, book: int, at_ms: int) -> dict[str, Any] | None:
        rows = [
            (ms, row._replace(event=row.event and replace(row.event, venue=BOOKS[book].venue)))
            if row is not None and of == book
            else (ms, None)
            for of, _, (ms, row) in self.partition
        ]

        @asynccontextmanager
        async def open_log(_key: bytes) -> AsyncIterator[InMemoryLog]:
            yield InMemoryLog([(FIRST_MS, None), *rows])

        past = PastBooks(self.config, self.views, open_log, lambda: LATER_MS * 10**6)
        try:
            found: dict[str, Any] = json.loads(asyncio.run(past.body(BOOKS[book], 50, at_ms, "here")))
        except NotKnownThenError:
            return None
        return found


@settings(max_examples=80, deadline=None)
@given(
    st.lists(LIFE, min_size=1, max_size=3),
    st.integers(1, 40),
    st.integers(40, 60),
    st.integers(1, 5),
    st.data(),
)
def test_the_books_of_any_moment_are_those_of_naive_rebuilds_and_of_at(
    stories: list[list[Step]], first_look_ms: int, look_back_ms: int, chunk: int, data: st.DataObject
) -> None:
    logs = [log_of(story) for story in stories]
    at_ms = data.draw(st.sampled_from([m for log in logs for m in moments_of(log) if m >= FIRST_MS]))
    world = World(logs, look_back_ms, chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moment_books, "FIRST_LOOK_MS", first_look_ms)
        tops = world.tops(at_ms)
    partition = world.partition
    ahead = next(
        (n for n, (_, _, (t, _)) in enumerate(partition) if t >= at_ms + look_back_ms), len(partition)
    )
    for book in range(len(stories)):
        own = [record for of, _, record in partition[:ahead] if of == book]
        right, key = naive(own, at_ms), BOOKS[book].key.decode()
        if right is None:
            assert key not in tops
            assert "not proven" in world.missing[key]
            assert world.book(book, at_ms) is None
            continue
        top = tops[key]["data"]
        assert {name: top[name] for name in ("epoch", "seq")} == {n: right[n] for n in ("epoch", "seq")}
        assert [top["bids"], top["asks"]] == [right["bids"][:50], right["asks"][:50]]
        assert (top["features"] is None) == (not right["bids"] or not right["asks"])
        shown = world.book(book, at_ms)
        assert shown is not None
        same = ("venue", "symbol", "epoch", "seq", "bids", "asks", "venueSeq", "receivedTs")
        assert {name: top[name] for name in same} == {name: shown[name] for name in same}
        assert of_id(world, tops[key]["id"], top) == key
    assert IDLE.key.decode() in world.missing


def of_id(world: World, named: str, top: dict[str, Any]) -> str:
    """Return the key of the record that a top names, which must be the newest message inside."""
    topic, partition, offset = named.split(":")
    assert (topic, partition) == (L2_BOOK_DELTAS.name, "0")
    raw = world.moments.logs[topic, 0][int(offset)]
    event: Any = decode(L2_BOOK_DELTAS, raw.value or b"")
    assert (event.epoch, event.seq) == (top["epoch"], top["seq"])
    return raw.key.decode()


def test_of_another_symbol_no_book_is_read() -> None:
    world = World([log_of([])], 40, 3)
    assert world.tops(START_MS, "ETH-USDT") == {}
    assert world.missing == {}
