"""l2 ends when it is told to, whatever its group gives it meanwhile."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, STDOUT

from libs.common.events import Subscribed
from libs.common.kafka import Publisher, create_topics
from libs.common.settings import ServiceSettings
from libs.common.topics import L2_SUBSCRIPTIONS, TOPICS
from tests.e2e.system import free_port

END_S = 30.0  # the start included


async def test_books_that_an_assignment_brings_after_the_end_began_open_no_socket(fresh_kafka: str) -> None:
    opened = []

    async def open_socket(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)

    exchange = await asyncio.start_server(open_socket, "127.0.0.1", 0)
    settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka)
    await create_topics(settings, TOPICS.values())
    now = time.time_ns()
    async with Publisher(settings) as publisher:
        wish = Subscribed(venue="binance", symbol="BTC-USDT", requested_ts=now, source="request")
        await publisher.send(L2_SUBSCRIPTIONS, b"binance:BTC-USDT", wish, now)
    environment = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": fresh_kafka,
        "SIMULATOR_URL": f"http://127.0.0.1:{exchange.sockets[0].getsockname()[1]}",
        "L2_BOOKS": "",
        "METRICS_PORT": str(free_port()),
    }
    async with exchange:
        l2 = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.l2_told_to_end", env=environment, stdout=PIPE, stderr=STDOUT
        )
        try:
            async with asyncio.timeout(END_S):
                said, _ = await l2.communicate()
        finally:
            if l2.returncode is None:
                l2.kill()
                await l2.wait()
    assert l2.returncode == 0, said.decode()
    assert b"took over 1 books" in said, "the assignment went on while l2 ended"
    assert not opened
