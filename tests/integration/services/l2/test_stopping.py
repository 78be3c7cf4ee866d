"""l2 ends when it is told to, whatever its group gives it meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from libs.common.events import Subscribed
from libs.common.kafka import Publisher, create_topics
from libs.common.topics import L2_SUBSCRIPTIONS, TOPICS
from services.l2.app import App
from services.l2.ownership import Ownership
from services.l2.settings import L2Settings
from tests.e2e.system import free_port

if TYPE_CHECKING:
    import pytest

    from services.l2.ownership import PastLog


async def test_books_that_an_assignment_brings_after_the_end_began_open_no_socket(
    fresh_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    async def open_socket(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)

    exchange = await asyncio.start_server(open_socket, "127.0.0.1", 0)
    settings = L2Settings(
        kafka_bootstrap_servers=fresh_kafka,
        simulator_url=f"http://127.0.0.1:{exchange.sockets[0].getsockname()[1]}",
        l2_books="",
        metrics_port=free_port(),
    )
    await create_topics(settings, TOPICS.values())
    now = time.time_ns()
    async with Publisher(settings) as publisher:
        wish = Subscribed(venue="binance", symbol="BTC-USDT", requested_ts=now, source="request")
        await publisher.send(L2_SUBSCRIPTIONS, b"binance:BTC-USDT", wish, now)
    take_over = Ownership.take_over
    taken = []

    async def told_to_end_first(self: Ownership, came: set[int], past: PastLog) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.1)
        await take_over(self, came, past)
        taken.append(len(self._books))

    monkeypatch.setattr(Ownership, "take_over", told_to_end_first)
    async with exchange, asyncio.timeout(30):
        await App(settings).run()
    assert taken, "the assignment went on while l2 ended"
    assert not opened
