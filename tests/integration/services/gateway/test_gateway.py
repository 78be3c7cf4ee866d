from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.budgets import budget_of
from libs.common.events import BookHealth, BookState, BookTop
from libs.common.kafka import Publisher, follow
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_SUBSCRIPTIONS, TOPICS, book_key
from libs.common.views import View
from tests.e2e.system import until
from tests.heartbeats import standing_in
from tests.integration.services.gateway.process import GatewayProcess
from tests.prometheus import scrape_of
from tests.unit.services.gateway.world import KEY, a_book_health, a_book_top

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from broker.native import NativeBroker

BOOK = "/api/l2/binance/BTCUSDT"
WISH = {"venue": "binance", "symbol": "BTCUSDT"}


@pytest.fixture
async def gateway(fresh_kafka: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess(fresh_kafka, tmp_path / "gateway.log") as process:
        yield process


@pytest.fixture
async def publisher(gateway: GatewayProcess) -> AsyncIterator[Publisher]:
    async with Publisher(gateway.settings) as publisher:
        yield publisher


async def publish(publisher: Publisher, *messages: BookTop | BookHealth) -> None:
    for message in messages:
        topic = L2_BOOK_TOPS if isinstance(message, BookTop) else L2_BOOK_HEALTH
        key = book_key(message.venue, message.symbol)
        await publisher.send_and_wait(topic, key, message, time.time_ns())


@asynccontextmanager
async def an_l2(gateway: GatewayProcess, publisher: Publisher) -> AsyncIterator[None]:
    """Heed the subscriptions as l2 does: a health for a wish, tombstones for its end."""

    async def heed() -> None:
        view: View[Any] = View(L2_SUBSCRIPTIONS)
        async for records in follow(gateway.settings, [view], on_undecodable=publisher.reject):
            for record in records:
                venue, _, symbol = record.key.decode().partition(":")
                if record.event is None:
                    for topic in (L2_BOOK_TOPS, L2_BOOK_HEALTH):
                        await publisher.send_and_wait(topic, record.key, None, time.time_ns())
                else:
                    now = time.time_ns()
                    health = a_book_health(BookState.SYNCING, now, venue=venue, symbol=symbol)
                    await publish(publisher, health)

    task = asyncio.create_task(heed())
    try:
        async with standing_in(gateway.settings, "l2"):
            await gateway.until_heard("l2")
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_published_is_answered_and_what_is_deleted_is_gone(
    gateway: GatewayProcess, publisher: Publisher
) -> None:
    assert (await gateway.get(BOOK))[0] == 404
    await publish(publisher, a_book_health(ts=time.time_ns()))
    await until("503 before a top", lambda: _status(gateway, BOOK, 503))
    top = a_book_top()
    await publish(publisher, top)
    await until("a book", lambda: _status(gateway, BOOK, 200))
    _, book = await gateway.get(f"{BOOK}?depth=50")
    assert [tuple(level) for level in book["bids"]] == list(top.bids)
    assert [tuple(level) for level in book["asks"]] == list(top.asks)
    assert (book["seq"], book["state"]) == (7, "LIVE")
    _, listed = await gateway.get("/api/l2")
    assert [(line["venue"], line["symbol"], line["seq"]) for line in listed] == [("binance", "BTC-USDT", 7)]
    for topic in (L2_BOOK_TOPS, L2_BOOK_HEALTH):
        await publisher.send_and_wait(topic, KEY, None, time.time_ns())
    await until("404 after the tombstones", lambda: _status(gateway, BOOK, 404))


async def _kafka_is_missing(gateway: GatewayProcess) -> bool:
    return "does not answer" in (await gateway.get("/readyz"))[1]["detail"]


async def _status(gateway: GatewayProcess, path: str, status: int) -> bool:
    return (await gateway.get(path))[0] == status


async def test_a_book_is_started_and_stopped_and_a_restart_keeps_replies_and_books(
    gateway: GatewayProcess, publisher: Publisher
) -> None:
    headers = {"Idempotency-Key": "k-1"}
    async with an_l2(gateway, publisher):
        first = await gateway.ask("POST", "/api/l2/subscriptions", json=WISH, headers=headers)
        assert first == (201, {"venue": "binance", "symbol": "BTC-USDT", "state": "SYNCING"})
        assert (await gateway.ask("POST", "/api/l2/subscriptions", json=WISH))[0] == 200
        gateway.end(signal.SIGKILL)
        gateway.start()
        await gateway.until_ready()
        await gateway.until_heard("l2")
        again = await gateway.ask("POST", "/api/l2/subscriptions", json=WISH, headers=headers)
        assert again == first
        assert gateway.headers["Idempotency-Replayed"] == "true"
        other = await gateway.ask(
            "POST", "/api/l2/subscriptions", json=WISH | {"symbol": "ETHUSDT"}, headers=headers
        )
        assert other[0] == 409
        stopped = await gateway.ask("DELETE", "/api/l2/subscriptions/binance/BTC%2FUSDT")
        assert stopped == (200, {"venue": "binance", "symbol": "BTC-USDT", "state": "UNSUBSCRIBED"})
        assert (await gateway.get("/api/l2"))[1] == []


async def test_a_command_that_nobody_answers_is_504(fresh_kafka: str, tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    async with (
        GatewayProcess(fresh_kafka, log, COMMAND_TIMEOUT_S="0.2") as gateway,
        standing_in(gateway.settings, "l2"),
    ):
        await gateway.until_heard("l2")
        status, problem = await gateway.ask("POST", "/api/l2/subscriptions", json=WISH)
        assert status == 504
        assert problem["commandId"]


async def test_what_is_missing_is_named_and_a_command_that_needs_it_is_503_at_once(
    gateway: GatewayProcess,
) -> None:
    choose = partial(gateway.ask, "POST", "/api/router/choose", json={"context": {"regime": "bull"}})
    services = ("l2", "router", "venues", "portfolio", "execution")

    async def named() -> tuple[str, ...]:
        status, problem = await gateway.get("/readyz")
        assert status == 503
        assert problem["detail"].startswith("Not ready: ")
        return tuple(name for name in services if f"{name} has not been heard" in problem["detail"])

    await gateway.until_heard()  # it hears answers
    assert await named() == services
    refused = await choose()
    assert refused[0] == 503
    assert refused[1]["detail"] == "Not sent: router has not been heard."
    async with standing_in(gateway.settings, "l2", "router", "venues", "execution"):
        await until("only portfolio is missing", lambda: _equal(named, ("portfolio",)))
        executed = await gateway.ask("POST", "/api/exec/plan-and-execute", json={"symbol": "BTCUSDT"})
        assert executed[0] == 503
        assert executed[1]["detail"] == "Not sent: portfolio has not been heard."
    await until("all are gone as they said", lambda: _equal(named, services))


async def _equal(asked: Callable[[], Awaitable[object]], wanted: object) -> bool:
    return await asked() == wanted


async def _other_than(status: int, asked: Callable[[], Awaitable[tuple[int, Any]]]) -> tuple[int, Any] | None:
    answer = await asked()
    return None if answer[0] == status else answer


async def test_a_stream_delivers_new_messages_and_one_from_the_beginning_old_ones(
    gateway: GatewayProcess, publisher: Publisher
) -> None:
    await publish(publisher, a_book_top(seq=1))
    async with gateway.http.get("/api/stream?topics=l2.book-tops.v1") as new:
        assert new.headers["content-type"].startswith("text/event-stream")
        await _line(new, b": open")
        await publish(publisher, a_book_top(seq=2))
        assert (await _event(new))["seq"] == 2
    async with gateway.http.get("/api/stream?topics=l2.book-tops.v1&from=beginning") as old:
        assert [(await _event(old))["seq"] for _ in range(2)] == [1, 2]
    async with gateway.http.get("/api/stream?topics=l2.book-tops.v1&from=-10m") as recent:
        assert (await _event(recent))["seq"] == 1


async def _line(answer: Any, start: bytes) -> bytes:
    async with asyncio.timeout(20):
        while not (line := await answer.content.readline()).startswith(start):
            assert line, "the stream ended"
    return bytes(line)


async def _event(answer: Any) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((await _line(answer, b"data: ")).removeprefix(b"data: "))
    return event


async def test_a_client_that_reads_nothing_costs_bounded_memory_and_holds_nobody_up(
    fresh_kafka: str, tmp_path: Path
) -> None:
    limits = {"STREAM_BACKLOG_MESSAGES": "50", "STREAM_HISTORY_BYTES": "100000"}
    async with GatewayProcess(fresh_kafka, tmp_path / "gateway.log", **limits) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
        writer.write(b"GET /api/stream?topics=l2.book-tops.v1 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b"200 OK" in await reader.readline()  # and no more
        async with Publisher(gateway.settings) as publisher:

            async def dropping() -> bool:
                for seq in range(500):
                    await publisher.send(L2_BOOK_TOPS, KEY, a_book_top(seq=seq), time.time_ns())
                await publisher.flush()
                return await _metric(gateway, "bookrunner_gateway_stream_dropped_total") > 0

            await until("messages are dropped, and counted", dropping)
            await publish(publisher, a_book_health(ts=time.time_ns()))
            await until("the book is answered meanwhile", lambda: _status(gateway, BOOK, 200))
        writer.close()
        await until("its place is free", lambda: _no_streams(gateway))


async def _no_streams(gateway: GatewayProcess) -> bool:
    return await _metric(gateway, "bookrunner_gateway_streams") == 0


async def _metric(gateway: GatewayProcess, name: str) -> float:
    async with gateway.http.get("/metrics") as answer:
        text = await answer.text()
    line = next(line for line in text.splitlines() if line.startswith(name))
    return float(line.rpartition(" ")[2])


async def test_metrics_tell_what_every_topic_takes_and_may(gateway: GatewayProcess) -> None:
    async def measured() -> bool:
        async with gateway.http.get("/metrics") as answer:
            found = scrape_of(await answer.text())
        if not found.total("bookrunner_topic_budget_bytes"):
            return False
        for name, topic in TOPICS.items():
            for what in ("bytes", "records"):
                label = frozenset({("topic", name)})
                used = found.samples[f"bookrunner_topic_{what}", label]
                budget = found.samples[f"bookrunner_topic_budget_{what}", label]
                assert budget == getattr(budget_of(topic), what), name
                assert 0 <= used < budget, name
        return True

    await until("the topics are measured", measured)


async def test_an_endless_request_head_is_refused_and_the_connection_closed(
    gateway: GatewayProcess,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nx-pad: ")

    async def pad() -> None:
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()
            await asyncio.sleep(0)

    padding = asyncio.create_task(pad())
    try:
        async with asyncio.timeout(20):
            assert b"431" in await reader.readline()
    finally:
        padding.cancel()
        await asyncio.gather(padding, return_exceptions=True)
        writer.close()
    assert (await gateway.get("/healthz"))[0] == 200


async def test_what_is_not_http_is_a_problem_document_too(gateway: GatewayProcess) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"hello?\r\n\r\n")
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert json.loads(body)["type"] == "/docs#not-http"


async def test_nonsense_after_the_request_of_a_stream_ends_it_quietly(gateway: GatewayProcess) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /api/stream?topics=l2.book-tops.v1 HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with asyncio.timeout(20):
        assert b"200 OK" in await reader.readline()
        writer.write(b"hello?\r\n\r\n")
        await reader.read()
    writer.close()
    await until("its place is free", lambda: _no_streams(gateway))
    assert "Traceback" not in gateway.log.read_text()


async def test_it_stops_cleanly_when_told_even_with_a_stream_open(gateway: GatewayProcess) -> None:
    async with gateway.http.get("/api/stream?topics=l2.book-tops.v1") as stream:
        await _line(stream, b": open")
        assert await asyncio.to_thread(gateway.end, signal.SIGTERM) == 0
    assert "Traceback" not in gateway.log.read_text()


async def test_it_stops_cleanly_when_told_while_it_starts(tmp_path: Path) -> None:
    process = GatewayProcess("127.0.0.1:1", tmp_path / "gateway.log")
    process.start()

    async def listens() -> bool:
        return "gateway_listens" in process.log.read_text()

    await until("it listens", listens, 30)
    assert await asyncio.to_thread(process.end, signal.SIGTERM) == 0


async def test_a_taken_port_is_told_in_one_line(gateway: GatewayProcess, tmp_path: Path) -> None:
    second = GatewayProcess("127.0.0.1:1", tmp_path / "second.log", GATEWAY_PORT=str(gateway.port))
    second.start()
    assert await asyncio.to_thread(second.process.wait, 30) == os.EX_CONFIG
    (line,) = second.log.read_text().splitlines()
    told = json.loads(line)["event"]
    assert told.startswith(
        f"cannot run: nobody can listen on 127.0.0.1:{gateway.port} (Address already in use"
    )
    assert "set GATEWAY_PORT to a free port" in told


async def test_while_kafka_is_away_books_are_read_from_memory_and_readyz_says_so(
    own_broker: NativeBroker, tmp_path: Path
) -> None:
    limits = {"KAFKA_SILENCE_S": "1", "L2_SILENCE_S": "600"}
    async with GatewayProcess(own_broker.bootstrap_servers, tmp_path / "gateway.log", **limits) as gateway:
        async with Publisher(gateway.settings) as publisher:
            await publish(publisher, a_book_health(ts=time.time_ns()), a_book_top())
        await until("a book", lambda: _status(gateway, BOOK, 200))
        own_broker.kill()
        await until("Kafka is named", lambda: _kafka_is_missing(gateway))
        for start in ("end", "beginning"):
            status, problem = await gateway.get(f"/api/stream?topics=l2.trades.v1&from={start}")
            assert (status, problem["type"]) == (503, "/docs#not-ready")
        assert (await gateway.get(BOOK))[0] == 200
        assert gateway.process.poll() is None
        own_broker.start()
        await until("Kafka is there", lambda: _equal(lambda: _kafka_is_missing(gateway), wanted=False))
        async with gateway.http.get("/api/stream?topics=l2.trades.v1") as stream:
            await _line(stream, b": open")
        async with Publisher(gateway.settings) as publisher:
            await publish(publisher, a_book_top(seq=8))

            async def newer() -> bool:
                return bool((await gateway.get(BOOK))[1].get("seq") == 8)

            await until("what came after is read", newer)
