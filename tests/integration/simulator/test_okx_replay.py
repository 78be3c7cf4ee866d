"""The recording of OKX behind real sockets: what a subscriber receives is what was recorded."""

from __future__ import annotations

from simulator.recordings import open_recording
from tests.integration.simulator.test_replay_sockets import replaying, take
from tests.recordings import OKX_2022, needs_recordings
from tests.unit.simulator.replay_builders import text

BOOKS = {"channel": "books", "instId": "BTC-USDT"}


@needs_recordings
async def test_a_subscriber_receives_the_recorded_frames_of_its_book_and_nothing_else() -> None:
    begin = '{"arg":{"channel":"books","instId":"BTC-USDT"},"action"'
    records = open_recording(OKX_2022).records()
    recorded = [record.text for record in records if record.text.startswith(begin)]
    assert len(recorded) == 98
    async with (
        replaying(OKX_2022, replay_settle_s=0.5) as replay,
        replay.socket("/okx-v5-2022/ws/v5/public") as socket,
    ):
        await socket.send_str(text({"op": "subscribe", "args": [BOOKS]}))
        acknowledgement, *frames = await take(socket, 1 + len(recorded))
        assert '"event":"subscribe"' in acknowledgement
        assert frames == recorded
        position = await replay.until(lambda position: position["finished"])
        assert position["books"] == ["okx-v5-2022:BTC-USDT"]
        await socket.send_str("ping")  # the socket outlives the recording
        assert await take(socket, 1) == ["pong"]
