"""A gateway with a token and small limits, met by clients that do what they should not."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.system import until
from tests.integration.services.gateway.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKEN = "c2VjcmV0LXRva2Vu"  # noqa: S105 -- a test's own
ALLOWED = {"Authorization": f"Bearer {TOKEN}"}
PATIENCE_S = 20.0
SUBSCRIPTIONS = "/api/l2/subscriptions"
WISH = {"venue": "nowhere", "symbol": "BTC-USDT"}  # let through, and then 404: nothing has to answer
POST = f"POST {SUBSCRIPTIONS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n".encode()


@pytest.fixture
async def guarded(fresh_kafka: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess(
        fresh_kafka,
        tmp_path / "gateway.log",
        GATEWAY_TOKEN=TOKEN,
        GATEWAY_TRUSTED_PROXIES="127.0.0.1",
        REQUEST_TIMEOUT_S="1",
        WRITE_BURST="20",
        WRITE_RATE_PER_S="1",
    ) as gateway:
        yield gateway


@asynccontextmanager
async def connection(
    gateway: GatewayProcess, *sent: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        for part in sent:
            writer.write(part)
        async with asyncio.timeout(PATIENCE_S):
            yield reader, writer
    finally:
        writer.close()


async def refusals(gateway: GatewayProcess) -> dict[str, float]:
    async with gateway.http.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    name = "bookrunner_gateway_refused_total{reason="
    found = (line.removeprefix(name).split("} ") for line in lines if line.startswith(name))
    return {reason.strip('"'): float(count) for reason, count in found}


async def test_only_who_has_the_token_changes_anything_and_nobody_reads_it(guarded: GatewayProcess) -> None:
    status, problem = await guarded.ask("POST", SUBSCRIPTIONS, json=WISH)
    assert (status, problem["type"]) == (401, "/docs#unauthorized")
    assert guarded.headers["WWW-Authenticate"] == 'Bearer realm="bookrunner"'
    assert (await guarded.ask("DELETE", f"{SUBSCRIPTIONS}/binance/BTCUSDT"))[0] == 401
    status, problem = await guarded.ask("POST", SUBSCRIPTIONS, json=WISH, headers=ALLOWED)
    assert (status, problem["type"]) == (404, "/docs#unknown-venue")
    assert (await guarded.get("/api/l2"))[0] == 200
    for path in ("/openapi.json", "/docs", "/metrics", "/asyncapi.json"):
        async with guarded.http.get(path) as answer:
            assert TOKEN not in await answer.text()
    assert TOKEN not in guarded.log.read_text()
    assert (await refusals(guarded))["unauthorized"] == 2


async def test_one_address_that_asks_too_much_is_429_and_another_is_not(guarded: GatewayProcess) -> None:
    async def ask(address: str) -> int:
        headers = ALLOWED | {"X-Forwarded-For": address}
        return (await guarded.ask("POST", SUBSCRIPTIONS, json=WISH, headers=headers))[0]

    answers = [await ask("203.0.113.1") for _ in range(60)]
    assert answers[:20] == [404] * 20
    assert 429 in answers
    while await ask("203.0.113.1") != 429:
        pass
    assert 1 <= int(guarded.headers["Retry-After"]) <= 1
    assert await ask("203.0.113.2") == 404
    assert (await guarded.get("/api/l2"))[0] == 200
    assert (await refusals(guarded))["too-fast-address"] >= answers.count(429)


async def test_a_header_that_nobody_was_told_to_believe_moves_no_address(
    fresh_kafka: str, tmp_path: Path
) -> None:
    async with GatewayProcess(
        fresh_kafka, tmp_path / "gateway.log", WRITE_BURST="2", WRITE_RATE_PER_S="1"
    ) as gateway:

        async def ask(n: int) -> int:
            headers = {"X-Forwarded-For": f"203.0.113.{n}"}
            return (await gateway.ask("POST", SUBSCRIPTIONS, json=WISH, headers=headers))[0]

        assert 429 in await asyncio.gather(*(ask(n) for n in range(50)))


@pytest.mark.parametrize("chunked", [True, False])
async def test_an_endless_body_is_413_without_being_kept(guarded: GatewayProcess, chunked: bool) -> None:  # noqa: FBT001 -- the two ways to send one
    length = b"transfer-encoding: chunked" if chunked else b"content-length: 1000000000"
    head = POST + f"authorization: Bearer {TOKEN}\r\n".encode() + length + b"\r\n\r\n"
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n" if chunked else b"x" * 4096
    async with connection(guarded, head) as (reader, writer):

        async def pad() -> None:
            while True:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0)

        padding = asyncio.create_task(pad())
        try:
            assert b"413" in await reader.readline()
            await asyncio.wait({padding})  # until the connection is closed, which is within a second
        finally:
            padding.cancel()
            await asyncio.gather(padding, return_exceptions=True)
    assert (await refusals(guarded))["too-large"] == 1


async def test_a_body_that_does_not_come_is_408(guarded: GatewayProcess) -> None:
    head = POST + f"authorization: Bearer {TOKEN}\r\ncontent-length: 20\r\n\r\n".encode()
    async with connection(guarded, head, b'{"venue"') as (reader, _):
        answer, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
    assert json.loads(body)["type"] == "/docs#too-slow"
    assert (await refusals(guarded))["too-slow"] == 1
    assert "request_failed" not in guarded.log.read_text()


async def test_a_head_that_does_not_end_is_408(guarded: GatewayProcess) -> None:
    async with connection(guarded, POST) as (reader, _):
        assert (await reader.read()).startswith(b"HTTP/1.1 408 Request Timeout")


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n\r\n"])
async def test_a_connection_that_asks_nothing_more_is_closed(guarded: GatewayProcess, sent: bytes) -> None:
    async with connection(guarded, sent) as (reader, _):
        told = await reader.read()
    assert told.count(b"HTTP/1.1 ") == (1 if b"GET" in sent else 0)


async def test_a_stream_outlives_the_time_that_a_request_may_take(guarded: GatewayProcess) -> None:
    head = b"GET /api/stream?topics=l2.trades.v1 HTTP/1.1\r\nhost: localhost\r\n\r\n"
    async with connection(guarded, head) as (reader, _):
        assert b"200" in await reader.readline()

        async def another_was_closed() -> bool:
            async with connection(guarded, b"POST") as (idle, _):
                return b"408" in await idle.readline()

        await until("a request was too slow", another_was_closed)
        async with guarded.http.get("/metrics") as answer:
            assert "bookrunner_gateway_streams 1.0" in await answer.text()


async def test_an_empty_token_ends_the_gateway_at_its_start_with_what_would_be_right() -> None:
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.gateway"],
        env=os.environ | {"GATEWAY_TOKEN": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == os.EX_CONFIG
    assert "GATEWAY_TOKEN must be letters" in ended.stderr
    assert "unset it if everybody may change things" in ended.stderr
