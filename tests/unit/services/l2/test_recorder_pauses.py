"""A recorder leaves a venue that blocks it alone, as l2 does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from libs.cli.record import RecordingWriter
from libs.common.proxies import Proxies
from services.l2 import record
from services.l2.connection import open_http
from services.l2.feeds import FEEDS
from services.l2.messages import (
    BytesArrived,
    FrameReceived,
    L2Message,
    OpenSocket,
    SocketClosed,
    SocketOpened,
)
from services.l2.settings import L2Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import pytest

TURNS: Final = 50  # of the loop; without a pause each would connect again


async def test_after_a_451_it_does_not_connect_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0

    async def socket(order: OpenSocket, report: Callable[[L2Message], Awaitable[None]], _limit: int) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await report(SocketOpened(order.key, order.connection))
            await report(BytesArrived(order.key, order.connection, 10))
            await report(FrameReceived(order.key, order.connection, b"{}"))
            await report(SocketClosed(order.key, order.connection, "cut"))
        else:
            await report(SocketClosed(order.key, order.connection, "HTTP 451", 451))

    monkeypatch.setattr(record, "run_socket", socket)
    monkeypatch.setattr(record, "RETRY_S", 0.0)
    writer = RecordingWriter(tmp_path / "frames.jsonl", "OKX", overwrite=False)
    async with open_http(Proxies({})) as http:
        recorder = record.BookRecorder(FEEDS["okx"], "BTC-USDT", L2Settings(feed="live"), writer, http)
        running = asyncio.create_task(recorder.run())
        for _ in range(TURNS):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    writer.discard()
    assert attempts == 2
    assert "blocked here (451): set L2_HOSTS or drop the venue" in recorder.trouble
