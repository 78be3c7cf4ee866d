"""Bybit's recordings behind real sockets: what clients receive is what was recorded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from simulator.recordings import Frame, open_recording
from tests import recordings
from tests.integration.simulator.test_replay_sockets import replaying, take
from tests.recordings import needs_recordings
from tests.unit.simulator.replay_builders import text

if TYPE_CHECKING:
    from pathlib import Path


@needs_recordings
@pytest.mark.parametrize(
    ("path", "venue", "topic", "frames"),
    [
        (recordings.BYBIT, "bybit-200", "orderbook.200.BTCUSDT", 300),
        (recordings.BYBIT, "bybit-200", "orderbook.200.ETHUSDT", 250),
        (recordings.BYBIT_FIXTURE, "bybit", "orderbook.50.BTCUSDT", 9),
    ],
    ids=["BTC 200", "ETH 200", "BTC 50"],
)
async def test_a_subscriber_receives_the_recorded_frames_of_its_spot_topic_and_nothing_else(
    path: Path, venue: str, topic: str, frames: int
) -> None:
    recorded = [
        record.text
        for record in open_recording(path).records()
        if isinstance(record, Frame) and record.url.endswith("/spot") and f'"topic":"{topic}"' in record.text
    ]
    assert len(recorded) == frames
    async with (
        replaying(path, replay_settle_s=0.5) as replay,
        replay.socket(f"/{venue}/v5/public/spot") as socket,
    ):
        await socket.send_str(text({"op": "subscribe", "args": [topic]}))
        acknowledgement, *received = await take(socket, 1 + frames)
        assert '"success":true' in acknowledgement
        assert received == recorded
        await replay.until(lambda position: position["finished"])
        await socket.send_str('{"op":"ping"}')  # nothing else came in between
        async with asyncio.timeout(10):
            assert '"ret_msg":"pong"' in await socket.receive_str()
