from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError

from libs.common.kafka import MissingTopicError, Record, Undecodable
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_TRADES, Topic
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import KEY, NOW, World, a_book_health, a_book_top, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Message

    from libs.common.events import Event

TOPS = "/api/stream?topics=l2.book-tops.v1"
TRADES = "/api/stream?topics=l2.trades.v1"
DROPPED = b'event: dropped\ndata: {"count":null}\n\n'
PATIENCE_S = 5.0


def a_record(offset: int, event: Event | None, topic: Topic = L2_BOOK_TOPS, key: bytes = KEY) -> Record:
    return Record(topic=topic, partition=0, offset=offset, timestamp_ms=0, key=key, event=event, value=b"")


class Stream:
    """A client with a socket that takes bytes only while `reading`."""

    def __init__(self, world: World, target: str, peer: str = "127.0.0.1", **headers: str) -> None:
        path, _, query = target.partition("?")
        self.received = bytearray()
        self.status = 0
        self.reading = asyncio.Event()
        self.reading.set()
        self.blocked = False
        self._left = asyncio.Event()
        self._arrived = asyncio.Event()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self.task = asyncio.create_task(
            world.app(scope_of("GET", path, query, sent, peer), self._receive, self._send)
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._arrived.clear()
                await self._arrived.wait()

    async def until_received(self, text: bytes) -> None:
        await self.until(lambda: text in self.received)

    async def leave(self) -> None:
        self._left.set()
        self.reading.set()
        await asyncio.wait_for(self.task, PATIENCE_S)

    async def _receive(self) -> Message:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.blocked = not self.reading.is_set()
        self._arrived.set()
        await self.reading.wait()
        self.status = message.get("status", self.status)
        self.received += message.get("body", b"")
        self._arrived.set()


async def opened(world: World, target: str = TOPS, **headers: str) -> Stream:
    stream = Stream(world, target, **headers)
    await stream.until_received(b": open")
    return stream


async def settled(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 -- what it waits for has no event
            await asyncio.sleep(0)


async def test_a_message_reaches_every_client_of_its_topic_through_one_reader() -> None:
    world = World()
    first, second = await opened(world), await opened(world)
    world.script.feed(a_record(4, a_book_top()))
    for stream in (first, second):
        await stream.until_received(b"id: l2.book-tops.v1:0:4\n")
        await stream.leave()
    assert world.script.opened == [(("l2.book-tops.v1",), "end")]


async def test_a_client_gets_its_topics_and_keys_and_no_others() -> None:
    world = World()
    stream = await opened(world, TOPS + ",l2.book-health.v1&key=binance:btcusdt")
    world.script.feed(
        a_record(1, a_book_top(), key=b"kraken:BTC-USDT"),
        a_record(2, a_book_health(), L2_BOOK_HEALTH),
        a_record(3, a_book_top()),
    )
    await stream.until_received(b"id: l2.book-tops.v1:0:3\n")
    await stream.until_received(b"id: l2.book-health.v1:0:2\n")
    assert b"v1:0:1\n" not in stream.received
    await stream.leave()


async def test_tombstones_and_undecodable_bytes_are_shown_as_what_they_are() -> None:
    world = World()
    stream = await opened(world)
    bad = Undecodable(
        topic=L2_BOOK_TOPS,
        partition=0,
        offset=2,
        timestamp_ms=0,
        key=KEY,
        value=b"?",
        headers=(),
        reason="no",
    )
    world.script.feed(a_record(1, None), bad)
    await stream.until_received(b'{"type":"Tombstone","key":"binance:BTC-USDT"}')
    await stream.until_received(b'{"type":"Undecodable","key":"binance:BTC-USDT","reason":"no"}')
    await stream.leave()


async def test_a_slow_client_loses_counted_messages_and_holds_no_other_up() -> None:
    world = World(stream_backlog_messages=3)
    slow, quick = await opened(world), await opened(world)
    slow.reading.clear()
    world.script.feed(a_record(0, a_book_top()))
    await slow.until(lambda: slow.blocked)  # stuck in the write of message 0
    for offset in range(1, 9):
        world.script.feed(a_record(offset, a_book_top()))
        await quick.until_received(b"v1:0:%d\n" % offset)
    assert world.hub.dropped == 5
    slow.reading.set()
    await slow.until_received(b'event: dropped\ndata: {"count":5}\n\n')
    kept = [offset for offset in range(9) if b"v1:0:%d\n" % offset in slow.received]
    assert kept == [0, 1, 2, 3]
    await slow.leave()
    await quick.leave()
    assert world.hub.dropped == 5


async def test_a_quiet_stream_is_kept_alive_by_comments() -> None:
    world = World(stream_keep_alive_s=0.01)
    stream = await opened(world)
    await stream.until_received(b": keep-alive\n\n")
    await stream.leave()


async def test_one_stream_too_many_is_503_until_another_ends() -> None:
    world = World(stream_max_clients=1)
    stream = await opened(world)
    assert_problem(await world.ask(TOPS), 503, "too-many")
    await stream.leave()
    await (await opened(world)).leave()
    assert world.hub.open_streams == 0


async def test_a_refused_stream_takes_no_place() -> None:
    world = World(stream_max_clients=1)
    for target in (TOPS + "&from=x", TOPS + "&key=nope:x", "/api/stream?topics=nope"):
        assert (await world.ask(target)).status in (404, 422)
    await (await opened(world)).leave()


async def test_a_client_that_comes_back_gets_what_it_missed_once_and_in_order() -> None:
    world = World()
    stream = await opened(world)
    world.script.feed(*(a_record(offset, a_book_top()) for offset in range(4)))
    await stream.until_received(b"v1:0:3\n")
    await stream.leave()
    back = await opened(world, last_event_id="l2.book-tops.v1:0:1")
    await back.until_received(b"v1:0:3\n")
    world.script.feed(a_record(4, a_book_top()))
    await back.until_received(b"v1:0:4\n")
    ids = [line for line in back.received.split(b"\n") if line.startswith(b"id: ")]
    assert ids == [b"id: l2.book-tops.v1:0:%d" % offset for offset in (2, 3, 4)]
    await back.leave()


async def test_what_a_client_missed_comes_before_what_comes_while_its_stream_opens() -> None:
    world = World()
    quick = await opened(world)
    world.script.feed(a_record(0, a_book_top()), a_record(1, a_book_top()))
    await quick.until_received(b"v1:0:1\n")
    back = Stream(world, TOPS, last_event_id="l2.book-tops.v1:0:0")
    back.reading.clear()
    await back.until(lambda: back.blocked)  # in the write of its head
    world.script.feed(a_record(2, a_book_top()))
    await quick.until_received(b"v1:0:2\n")
    back.reading.set()
    await back.until_received(b"v1:0:2\n")
    assert back.received.index(b"v1:0:1\n") < back.received.index(b"v1:0:2\n")
    await back.leave()
    await quick.leave()


async def test_a_client_whose_last_id_is_forgotten_is_told_so() -> None:
    world = World()
    stream = await opened(world, last_event_id="l2.book-tops.v1:0:99")
    await stream.until_received(DROPPED)
    await stream.leave()


async def test_an_id_from_before_a_topics_reader_ended_is_forgotten() -> None:
    world = World(stream_linger_s=0)
    stream = await opened(world)
    world.script.feed(a_record(3, a_book_top()))
    await stream.until_received(b"v1:0:3\n")
    await stream.leave()
    await settled(lambda: world.script.closed == 1)
    back = await opened(world, last_event_id="l2.book-tops.v1:0:3")
    world.script.feed(a_record(100, a_book_top()))
    await back.until_received(b"v1:0:100\n")
    assert back.received.index(DROPPED) < back.received.index(b"v1:0:100\n")
    await back.leave()


async def test_an_id_tells_what_is_missed_only_if_every_topic_has_been_read_since() -> None:
    world = World(stream_linger_s=0)
    trades, tops = await opened(world, TRADES), await opened(world)
    world.script.feed(a_record(1, None, L2_TRADES), a_record(2, None, L2_TRADES))
    await trades.until_received(b"l2.trades.v1:0:2\n")
    await tops.leave()
    await settled(lambda: world.script.closed == 1)
    last_id = "l2.trades.v1:0:1"
    both = await opened(world, TRADES + ",l2.book-tops.v1", last_event_id=last_id)
    await both.until_received(DROPPED)
    one = await opened(world, TRADES, last_event_id=last_id)
    await one.until_received(b"l2.trades.v1:0:2\n")
    assert DROPPED not in one.received
    for stream in (trades, both, one):
        await stream.leave()


async def test_an_id_from_before_kafka_failed_is_forgotten() -> None:
    world = World()
    stream = await opened(world)
    world.script.feed(a_record(3, a_book_top()))
    await stream.until_received(b"v1:0:3\n")
    world.script.fail(KafkaConnectionError("away"))
    await asyncio.wait_for(stream.task, PATIENCE_S)
    back = await opened(world, last_event_id="l2.book-tops.v1:0:3")
    await back.until_received(DROPPED)
    await back.leave()


async def test_a_stream_of_old_messages_that_comes_back_says_that_it_lost_some_and_goes_on_from_now() -> None:
    world = World()
    stream = await opened(world)
    world.script.feed(a_record(3, a_book_top()), a_record(4, a_book_top()))
    await stream.until_received(b"v1:0:4\n")
    back = await opened(world, TOPS + "&from=beginning", last_event_id="l2.book-tops.v1:0:3")
    await back.until_received(DROPPED)
    world.script.feed(a_record(5, a_book_top()))
    await back.until_received(b"v1:0:5\n")
    assert b"v1:0:4\n" not in back.received  # remembered, but other partitions may not have been read so far
    await back.leave()
    await stream.leave()


async def test_a_stream_from_a_time_has_a_reader_of_its_own_that_ends_with_it() -> None:
    world = World()
    stream = await opened(world, TOPS + ",l2.trades.v1&from=-10m")
    assert world.script.opened == [(("l2.book-tops.v1", "l2.trades.v1"), NOW - 600_000_000_000)]
    world.script.feed(a_record(5, a_book_top()), a_record(6, a_book_top(), key=b"a:b"))
    await stream.until_received(b"v1:0:6\n")
    await stream.leave()
    await settled(lambda: world.script.closed == 1)


async def test_a_reader_ends_when_its_last_client_left_long_enough_ago() -> None:
    world = World(stream_linger_s=0)
    stream = await opened(world)
    assert world.script.closed == 0
    await stream.leave()
    await settled(lambda: world.script.closed == 1)
    await (await opened(world)).leave()
    assert len(world.script.opened) == 2


async def test_how_long_a_reader_lingers_is_measured_from_the_last_leaving() -> None:
    world = World(stream_linger_s=0.2, stream_keep_alive_s=0.01)
    clock = asyncio.get_running_loop().time
    await (await opened(world)).leave()
    first_s = clock()
    stream = await opened(world)
    await stream.until(lambda: clock() - first_s > 0.1)  # looked at whenever a keep-alive comes
    last_s = clock()
    await stream.leave()
    await settled(lambda: world.script.closed == len(world.script.opened))
    assert clock() - last_s > 0.19  # the loop's clock may run a timer a tick early


async def test_a_failing_reader_is_the_failure_of_all_streams() -> None:
    world = World()
    stream = await opened(world)
    world.script.feed(None)  # type: ignore[arg-type]  # what no reader ever returns
    await settled(world.hub.failed.done)
    assert isinstance(world.hub.failed.exception(), AttributeError)
    await stream.leave()


@pytest.mark.parametrize("error", [KafkaConnectionError("away"), MissingTopicError("gone"), TimeoutError()])
@pytest.mark.parametrize("target", [TOPS, TOPS + "&from=-10m", TOPS + ",l2.trades.v1"])
async def test_a_stream_that_cannot_open_is_503_and_no_failure_of_the_gateway(
    error: Exception, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.script.away = error
    for _ in range(2):
        stream = Stream(world, target)
        await asyncio.wait_for(stream.task, PATIENCE_S)
        assert stream.status == 503
        assert b'"type":"/docs#not-ready"' in stream.received
    assert [record.message for record in caplog.records] == ["stream_failed"]
    assert not world.hub.failed.done()
    world.script.away = None
    await (await opened(world, target)).leave()
    assert world.hub.open_streams == 0


@pytest.mark.parametrize("start", ["end", "beginning"])
async def test_streams_end_when_their_kafka_fails_and_the_next_opens_a_new_reader(
    start: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    target = f"{TOPS}&from={start}"
    streams = [await opened(world, target), await opened(world, target)]
    world.script.fail(OffsetOutOfRangeError())
    for stream in streams:
        await asyncio.wait_for(stream.task, PATIENCE_S)
        assert stream.status == 200
    assert [record.message for record in caplog.records] == ["stream_failed"]
    assert not world.hub.failed.done()
    back = await opened(world, target)
    world.script.feed(a_record(4, a_book_top()))
    await back.until_received(b"v1:0:4\n")
    await back.leave()


async def test_a_failing_reader_ends_no_stream_of_other_topics() -> None:
    world = World()
    other = await opened(world, TRADES)
    world.script.away = KafkaConnectionError("away")
    refused = Stream(world, TOPS + ",l2.trades.v1")
    await asyncio.wait_for(refused.task, PATIENCE_S)
    assert refused.status == 503
    world.script.feed(a_record(1, None, L2_TRADES))
    await other.until_received(b"l2.trades.v1:0:1\n")
    await other.leave()


async def test_closing_the_hub_answers_a_stream_that_is_still_opening() -> None:
    world = World()
    world.script.held.clear()
    stream = Stream(world, TOPS)
    await settled(lambda: world.script.opened)
    await world.hub.close()
    await asyncio.wait_for(stream.task, PATIENCE_S)
    assert stream.status == 503
    assert world.hub.open_streams == 0


async def test_closing_the_hub_ends_every_stream_and_reader() -> None:
    world = World()
    stream = await opened(world)
    await world.hub.close()
    await asyncio.wait_for(stream.task, PATIENCE_S)
    assert world.script.closed == 1
    assert world.hub.open_streams == 0
