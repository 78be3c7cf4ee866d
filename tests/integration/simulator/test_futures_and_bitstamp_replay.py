"""Recordings of the futures and of Bitstamp behind real sockets: subscribers receive what was recorded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from simulator.recordings import Frame, RestReply, open_recording
from tests.integration.simulator.test_replay_sockets import replaying, take
from tests.recordings import BINANCE_COINM, BINANCE_USDM, BITSTAMP, needs_recordings
from tests.unit.simulator.replay_builders import text

if TYPE_CHECKING:
    from pathlib import Path


@needs_recordings
@pytest.mark.parametrize(
    ("path", "prefix", "name", "route"),
    [
        (BINANCE_USDM, "/binance-usdm", "btcusdt", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"),
        (BINANCE_COINM, "/binance-coinm", "btcusd_perp", "/dapi/v1/depth?symbol=BTCUSD_PERP&limit=1000"),
    ],
)
async def test_a_futures_client_receives_the_recorded_frames_and_reply(
    path: Path, prefix: str, name: str, route: str
) -> None:
    records = list(open_recording(path).records())
    frames = [record.text for record in records if isinstance(record, Frame)]
    (reply,) = (record.text for record in records if isinstance(record, RestReply))
    streams = f"{name}@depth@100ms/{name}@trade/{name}@bookTicker"
    async with replaying(path, replay_settle_s=0.5) as replay:
        snapshot = asyncio.create_task(replay.get(prefix + route))
        async with replay.socket(f"{prefix}/stream?streams={streams}") as socket:
            assert await take(socket, len(frames)) == frames
            assert await snapshot == (200, reply)


@needs_recordings
async def test_a_bitstamp_client_receives_its_pair_as_recorded() -> None:
    channels = ("diff_order_book_ethusd", "live_trades_ethusd")
    recorded = [
        record.text
        for record in open_recording(BITSTAMP).records()
        if isinstance(record, Frame)
        and '"event":"bts:' not in record.text
        and any(f'"channel":"{channel}"' in record.text for channel in channels)
    ]
    assert len(recorded) == 85 + 10
    async with replaying(BITSTAMP, replay_settle_s=0.5) as replay, replay.socket("/bitstamp") as socket:
        for channel in channels:
            await socket.send_str(text({"event": "bts:subscribe", "data": {"channel": channel}}))
        frames = await take(socket, 2 + len(recorded))
        assert all("bts:subscription_succeeded" in frame for frame in frames[:2])
        assert frames[2:] == recorded
